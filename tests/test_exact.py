"""Exact sums. Oracle: rational arithmetic (`fractions`), with its own nearest-even decision."""

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from tsp.hw.isa import DType
from tsp.sim.golden.exact import exact_matmul, round_array, round_to

BITS = {DType.FP16: np.uint16, DType.INT32: np.uint32, DType.FP32: np.uint32}
FLOATS = {DType.FP16: np.float16, DType.FP32: np.float32}


def nearest(value, dtype):
    """Bits of the float next to a Fraction: the better of two neighbours, at a tie the even one."""
    kind = FLOATS[dtype]
    if value == 0:
        return 0
    low, high = 0, int(kind(np.inf).view(BITS[dtype]))  # bit patterns order as magnitudes do
    target = abs(value)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if exact(kind, middle) <= target else (low, middle)
    below, above = exact(kind, low), exact(kind, high)
    up = above - target < target - below or (above - target == target - below and high % 2 == 0)
    sign = int(value < 0) << (8 * np.dtype(kind).itemsize - 1)
    return sign | (high if up else low)


def exact(kind, bits):
    """The value of a bit pattern; infinity counts as the power of two that it stands for."""
    number = np.array(bits, BITS[DType.FP16 if kind is np.float16 else DType.FP32]).view(kind)
    return (
        Fraction(2) ** (16 if kind is np.float16 else 128)
        if np.isinf(number)
        else Fraction(float(number))
    )


def nearest_int(value):
    floor = value.numerator // value.denominator
    rest = value - floor
    up = rest > Fraction(1, 2) or (rest == Fraction(1, 2) and floor % 2)
    return min(max(floor + up, -(2**31)), 2**31 - 1) % 2**32


def oracle(value, lsb, dtype):
    number = value * Fraction(2) ** lsb
    return nearest_int(number) if dtype is DType.INT32 else nearest(number, dtype)


def corners(lsb, limit):
    """Values next to every power of two and next to the ties of both float formats."""
    for power in range(limit):
        for offset in (-1, 0, 1):
            yield (1 << power) + offset
        for precision in (11, 24):
            if power >= precision:
                for base in (1 << power, (1 << power + 1) - (1 << power - precision + 1)):
                    tie = base + (1 << power - precision)
                    yield from (tie - 1, tie, tie + 1, tie + (1 << power - precision + 1))
    for exponent in range(-26, -13):  # fp16 subnormals
        if exponent > lsb:
            unit = 1 << (exponent - lsb)
            yield from (unit, 3 * unit, unit + 1, unit - 1, 3 * unit - 1)
    for integer in (2**31 - 1, 2**31):
        if lsb < 0:
            half = 1 << (-lsb - 1)
            yield from ((integer << -lsb) + half + d for d in (-1, 0, 1))


@pytest.mark.parametrize("dtype", list(BITS))
@pytest.mark.parametrize("lsb", [-48, -30, 0])
def test_round(dtype, lsb):
    seed = 7
    rng = np.random.default_rng(seed)
    values = list(corners(lsb, 96))
    for _ in range(300):
        values.append(int.from_bytes(rng.bytes(12), "little") >> int(rng.integers(96)))
    values += [-v for v in values]
    expected = [oracle(v, lsb, dtype) for v in values]
    for value, bits in zip(values, expected, strict=True):
        assert round_to(value, lsb, dtype) == bits, f"{value} * 2**{lsb}, seed {seed}"
    for low_bits in (42, 48):
        high = [v >> low_bits for v in values]
        low = [v & ((1 << low_bits) - 1) for v in values]
        got = round_array(high, low, low_bits, lsb, dtype).view(BITS[dtype])
        bad = [(v, hex(g), hex(e)) for v, g, e in zip(values, got, expected, strict=True) if g != e]
        assert not bad, f"low_bits {low_bits}, seed {seed}: {bad[:3]}"


def test_round_overflows_and_keeps_the_sign():
    assert round_to(65520, 0, DType.FP16) == 0x7C00
    assert round_to(65519, 0, DType.FP16) == 0x7BFF
    assert round_to(-1, -48, DType.FP16) == 0x8000
    assert round_to(0, -48, DType.FP32) == 0
    assert round_to(-(1 << 40), 0, DType.INT32) == 0x8000_0000


KINDS = [np.int8, np.float16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2]


def random_array(rng, kind, *shape):
    """Any finite bit pattern."""
    size = np.dtype(kind).itemsize
    bits = rng.integers(0, 1 << 8 * size, shape).astype(np.uint8 if size == 1 else np.uint16)
    array = bits.view(kind)
    return np.where(np.isfinite(array.astype(np.float64)), array, np.array(1, kind)).astype(kind)


@pytest.mark.parametrize("a_kind", KINDS)
@pytest.mark.parametrize("b_kind", KINDS)
def test_matmul_is_the_rounded_rational(a_kind, b_kind):
    seed = 11
    rng = np.random.default_rng(seed)
    a, b = random_array(rng, a_kind, 4, 33), random_array(rng, b_kind, 33, 3)
    fa, fb = (np.vectorize(Fraction, otypes=[object])(x.astype(np.float64)) for x in (a, b))
    sums = fa.dot(fb)
    for dtype in BITS:
        got = exact_matmul(a, b, dtype).view(BITS[dtype])
        round_one = nearest_int if dtype is DType.INT32 else lambda s, d=dtype: nearest(s, d)
        expected = np.vectorize(round_one)(sums)
        np.testing.assert_array_equal(got, expected, err_msg=f"{dtype!r}, seed {seed}")


def test_cancellation_is_exact():
    a = np.array([[65504, 65504, 2.0**-24, -65504]], np.float16)
    b = np.array([[65504], [1], [2.0**-24], [65504]], np.float16)
    a[0, 1], b[1, 0] = 0, 0
    assert exact_matmul(a, b, DType.FP32)[0, 0] == np.float32(2.0**-48)


def test_int8_is_numpys_int32_at_the_longest_sum():
    a = np.full((1, 65536), -128, np.int8)
    assert exact_matmul(a, a.T.copy(), DType.INT32)[0, 0] == 2**30


def test_special_values_follow_ieee():
    inf, nan = np.inf, np.nan
    rows = [[inf, 1], [inf, -inf], [nan, 0], [inf, 0], [-inf, 1], [0, 0]]
    a = np.array(rows, np.float16)
    b = np.array([[1, 0, -1], [2, 1, inf]], np.float16)
    with np.errstate(invalid="ignore"):
        expected = a.astype(np.float32) @ b.astype(np.float32)
        slow = (a.astype(np.float64)[:, :, None] * b.astype(np.float64)[None]).sum(1)
    np.testing.assert_array_equal(np.isnan(slow), np.isnan(expected))
    expected = np.where(np.isnan(slow), np.float32(np.nan), slow.astype(np.float32))
    got = exact_matmul(a, b, DType.FP32)
    canonical = np.where(np.isnan(slow), 0x7FC0_0000, expected.view(np.uint32))
    np.testing.assert_array_equal(got.view(np.uint32), canonical)
    as_int = exact_matmul(a, b, DType.INT32)
    np.testing.assert_array_equal(as_int[np.isnan(slow)], 0)
    np.testing.assert_array_equal(as_int[slow == inf], 2**31 - 1)
    np.testing.assert_array_equal(as_int[slow == -inf], -(2**31))


def test_refusals():
    one = np.ones((1, 65537), np.int8)
    with pytest.raises(ValueError, match="K must be at most 65536, not 65537"):
        exact_matmul(one, one.T, DType.INT32)
    with pytest.raises(TypeError, match="not float32"):
        exact_matmul(np.ones((1, 1), np.float32), np.ones((1, 1), np.int8), DType.FP32)
