"""The special functions: golden model against numpy in higher precision, RTL against golden."""

from itertools import pairwise

import numpy as np
import pytest
from bench_lane import run_lane

from tsp.hw.isa.special import (
    FRACTION,
    INFINITY,
    NAN,
    OFFSET,
    SIGN,
    TANH_HIGH,
    TANH_LOW,
    Function,
    intervals,
    table,
)
from tsp.hw.vxm.special import Special
from tsp.sim.golden.special import evaluate
from tsp.sim.special_errors import errors, order, sweep, turns

SEED = 22
MOST = 1.0  # ulp from the exact result; docs/numerics.md has what was measured of all numbers


def seams():
    """Magnitudes at and next to the ends of all segments of the functions of significands."""
    exponents = np.arange(1, 255)[:, None] << 23
    ends = (exponents | np.arange(128) << 16).ravel()
    return (ends[:, None] + np.arange(-2, 3)).ravel()


def exp_seams():
    """Magnitudes near the ends of exp's segments: multiples of ln(2) / 64."""
    ends = (np.arange(1, 150 * 64) * (np.log(2) / 64)).astype(np.float32).view(np.uint32)
    return (ends.astype(np.int64)[:, None] + np.arange(-2, 3)).ravel()


def limits():
    """Magnitudes around what the functions treat apart."""
    near = [0, 1, 1 << 22, 1 << 23, 0xFF << 23, SIGN - 1]
    near += [(127 + e) << 23 for e in (TANH_LOW, TANH_HIGH, 7, 8, 126, 127, 0)]
    for x in (88.72283, 87.33654, 103.27893, 103.97208, 9.010914):
        near.append(int(np.float32(x).view(np.uint32)))
    return (np.array(near)[:, None] + np.arange(-40, 41)).ravel()


def magnitudes(rng, dense=300):
    """Sorted magnitudes: every exponent with random fractions, subnormals, seams, limits."""
    parts = [
        (np.arange(256)[:, None] << 23 | rng.integers(0, 1 << 23, (256, dense))).ravel(),
        rng.integers(0, 1 << rng.integers(1, 24, 20 * dense)),
        *(seams(), exp_seams(), limits()),
        np.arange(0x3F800000, 0x3F800000 + 20 * dense),
        np.arange(0x3B000000, 0x3B000000 + 20 * dense),
    ]
    every = np.unique(np.concatenate(parts))
    return every[(every >= 0) & (every < SIGN)].astype(np.uint32)


@pytest.mark.parametrize("function", Function)
def test_error_and_order(function):
    """Oracle: numpy in double precision, in long double near ties."""
    every = magnitudes(np.random.default_rng(SEED))
    assert len(every) > 200_000
    for sign in (0, 1):
        a = every | np.uint32(sign * SIGN)
        got = evaluate(function, a)
        distance, apart = errors(function, a, got)
        worst = distance.argmax()
        about = f"{function.name}({a[worst]:#010x}) is {distance[worst]} ulp off, seed {SEED}"
        assert distance[worst] < MOST, about
        assert apart.max() <= 1, about
        turned = a[1:][turns(function, sign, got)]
        assert not len(turned), f"{function.name} turns before {turned[:5]}, seed {SEED}"


def test_neighbours_at_the_seams_are_in_order():
    """All numbers of some binades: where exp and tanh are flat, and where recip has most seams."""
    for function, first in (
        (Function.EXP, 0x33000000),
        (Function.TANH, 0x40E00000),
        (Function.TANH, 0x39780000),
        (Function.RECIP, 0x3FF80000),
        (Function.RSQRT, 0x407C0000),
    ):
        a = np.arange(first, first + (1 << 20), dtype=np.uint32)
        for sign in (0, 1):
            mine = a | np.uint32(sign * SIGN)
            assert not turns(function, sign, evaluate(function, mine)).any(), function.name


@pytest.mark.parametrize(
    ("function", "a", "result"),
    [
        *((f, nan, NAN) for f in Function for nan in (0x7F800001, 0xFFFFFFFF, 0x7FC00000)),
        *((Function.EXP, a, 0x3F800000) for a in (0, SIGN, 1, SIGN | 1, 0x00800000)),
        *((Function.EXP, a, INFINITY) for a in (INFINITY, 0x42B17218, 0x7F7FFFFF)),
        (Function.EXP, 0x42B17217, 0x7F7FFF84),
        *((Function.EXP, a, 0) for a in (SIGN | INFINITY, SIGN | 0x42CFF1B5, 0xFF7FFFFF)),
        (Function.EXP, SIGN | 0x42CFF1B4, 1),
        *((Function.TANH, s | INFINITY, s | 0x3F800000) for s in (0, SIGN)),
        *((Function.TANH, s | a, s | a) for s in (0, SIGN) for a in (0, 1, 0x00800000)),
        (Function.RSQRT, 0, INFINITY),
        (Function.RSQRT, SIGN, SIGN | INFINITY),
        (Function.RSQRT, INFINITY, 0),
        *((Function.RSQRT, a, NAN) for a in (SIGN | 1, 0xBF800000, SIGN | INFINITY)),
        *((Function.RECIP, s, s | INFINITY) for s in (0, SIGN)),
        *((Function.RECIP, s | INFINITY, s) for s in (0, SIGN)),
        *((Function.RECIP, s | 0x00200000, s | INFINITY) for s in (0, SIGN)),
        *((Function.RECIP, s | 0x7F000000, s | 0x00400000) for s in (0, SIGN)),
    ],
)
def test_what_stands_in_the_contract(function, a, result):
    got = int(evaluate(function, np.array([a], np.uint32))[0])
    assert got == result, f"{got:#010x}"


def test_powers_of_two_are_exact():
    exponents = np.arange(-126, 127)
    a = np.ldexp(1.0, exponents).astype(np.float32).view(np.uint32)
    want = np.ldexp(1.0, -exponents).astype(np.float32).view(np.uint32)
    np.testing.assert_array_equal(evaluate(Function.RECIP, a), want)
    want = np.ldexp(1.0, -exponents[::2] // 2).astype(np.float32).view(np.uint32)
    np.testing.assert_array_equal(evaluate(Function.RSQRT, a[::2]), want)


@pytest.mark.parametrize("function", [Function.TANH, Function.RECIP])
def test_odd_functions(function):
    a = magnitudes(np.random.default_rng(SEED + 1), 50)
    a = a[a <= INFINITY]
    np.testing.assert_array_equal(
        evaluate(function, a | np.uint32(SIGN)), evaluate(function, a) | np.uint32(SIGN)
    )


def test_segments_meet_and_lie_where_hardware_finds_them():
    for i in intervals():
        assert i.first % (1 << i.bits) == 0
        segments = table()[i.first : i.first + (1 << i.bits)]
        for left, right in pairwise(segments):
            if i.function is Function.EXP:
                assert left.base + left.slope + left.curve == right.base
            elif i.function is Function.TANH:
                assert right.base - right.slope - right.curve == left.base
            else:
                assert right.base + right.slope + right.curve == left.base
        for s in segments:
            assert min(s.slope, s.curve) >= 0
            assert 1 << (FRACTION - 1) <= s.base <= 1 << (FRACTION + 1)
            assert (s.slope + s.curve) << OFFSET < 1 << 63  # the golden model has 64 bits
    assert sum(1 << i.bits for i in intervals()) == len(table())


def test_a_sweep_finds_an_error(monkeypatch):
    """The script that measures does see a wrong result, a wrong order, and a missing NaN."""
    stride = 65_537 * 16
    assert sweep(Function.RECIP, stride).error < MOST

    def broken(function, a):
        result = evaluate(function, a)
        result[len(a) // 3] += 3
        return result

    monkeypatch.setattr("tsp.sim.special_errors.evaluate", broken)
    found = sweep(Function.RECIP, stride)
    assert found.error > 2
    assert 2 <= found.apart <= 4
    monkeypatch.setattr("tsp.sim.special_errors.evaluate", lambda function, a: a)
    found = sweep(Function.RECIP, stride)
    assert found.turned
    assert found.error == np.inf or found.apart > 1000


@pytest.mark.parametrize("deep", [False, True], ids=["short", "deep"])
@pytest.mark.parametrize("form", ["loops", "instances"], ids=["logic", "memory"])
def test_lane_equals_golden(form, deep):
    """Oracle: the golden model. All functions in one pipeline, in random order; in both forms."""
    rng = np.random.default_rng(SEED)
    numbers, functions = [], []
    for function in Function:
        some = [
            limits() & (SIGN - 1),
            (np.arange(256)[:, None] << 23 | rng.integers(0, 1 << 23, (256, 4))).ravel(),
            rng.choice(seams(), 500),
            rng.choice(exp_seams(), 500),
            rng.integers(0x39000000, 0x43000000, 800),
            rng.integers(0, 1 << rng.integers(1, 24, 200)),
        ]
        mine = np.concatenate(some).astype(np.uint32)
        negative = rng.random(len(mine)) < (0.1 if function is Function.RSQRT else 0.5)
        numbers.append(mine | np.where(negative, np.uint32(SIGN), np.uint32(0)))
        functions.append(np.full(len(mine), function))
    numbers, functions = np.concatenate(numbers), np.concatenate(functions)
    mixed = rng.permutation(len(numbers))
    numbers, functions = numbers[mixed], functions[mixed]
    pairs = zip(functions.tolist(), numbers.tolist(), strict=True)
    vectors = [{"operation": f, "a": number} for f, number in pairs]
    got = run_lane(Special(deep), f"special-{form}-{deep}", vectors, form)
    for function in Function:
        mine = functions == function
        want = evaluate(function, numbers[mine])
        wrong = np.flatnonzero(got[mine] != want)
        shown = [f"{numbers[mine][i]:#x}: {got[mine][i]:#x}, not {want[i]:#x}" for i in wrong[:3]]
        assert not len(wrong), f"{function.name} seed {SEED}: {shown}"


def test_order_counts_numbers():
    bits = np.array([SIGN | INFINITY, SIGN | 1, SIGN, 0, 1, 0x7F7FFFFF, INFINITY], np.uint32)
    assert order(bits).tolist() == [-INFINITY, -1, 0, 0, 1, INFINITY - 1, INFINITY]
