"""The golden model against Berkeley SoftFloat, which shares nothing with numpy or this project."""

import numpy as np
import pytest
import softfloatpy as softfloat
from test_vxm_numbers import CORNERS, SEED, crossed, drawn, golden, near_halfway

from tsp.hw.isa import DType
from tsp.hw.isa import vxm as isa
from tsp.hw.isa.special import INFINITY, NAN, Function
from tsp.sim.golden.special import evaluate
from tsp.sim.special_errors import is_nan, order

NEAREST_EVEN = softfloat.RoundingMode.NEAR_EVEN
KINDS = {
    DType.FP16: softfloat.Float16,
    DType.FP32: softfloat.Float32,
    DType.INT32: softfloat.Int32,
}


@pytest.fixture(autouse=True)
def nearest_even():
    softfloat.set_rounding_mode(NEAREST_EVEN)


def mapped(function, *operands, source=DType.FP32):
    """`function` of SoftFloat's numbers with these bits, as bits."""
    kind = KINDS[source]

    def number(bits):
        return kind.from_bytes(bits.to_bytes(kind.size() // 8, "big"))

    rows = zip(*(bits.tolist() for bits in operands), strict=True)
    results = (function(*map(number, row)).to_bytes() for row in rows)
    return np.array([int.from_bytes(result, "big") for result in results], np.uint32)


def truth(function):
    """A comparison that gives all ones or 0."""
    return lambda x, y: softfloat.UInt32.from_bytes((b"\0" * 4, b"\xff" * 4)[function(x, y)])


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(SEED + 1)
    return [np.concatenate(p) for p in zip(crossed(CORNERS), drawn(20_000, rng), strict=True)]


@pytest.mark.parametrize(
    ("op", "function"),
    [
        (isa.AddF, softfloat.f32_add),
        (isa.SubF, softfloat.f32_sub),
        (isa.MulF, softfloat.f32_mul),
        (isa.EqF, truth(softfloat.f32_eq)),
        (isa.LtF, truth(softfloat.f32_lt)),
        (isa.LeF, truth(softfloat.f32_le)),
    ],
    ids=lambda item: getattr(item, "mnemonic", ""),
)
def test_operations(op, function, pairs):
    """Its NaN may carry a payload and a sign; ours is canonical."""
    a, b = pairs
    want, got = mapped(function, a, b), golden(op, a, b, a)
    if op in (isa.AddF, isa.SubF, isa.MulF):
        assert (got[is_nan(want)] == NAN).all()
        want = np.where(is_nan(want), NAN, want)
    wrong = np.flatnonzero(got != want)
    assert not len(wrong), [f"{a[i]:#x} {b[i]:#x}: {got[i]:#x} {want[i]:#x}" for i in wrong[:3]]


def to_int(x):
    return softfloat.f32_to_i32(x, NEAREST_EVEN, False)


@pytest.mark.parametrize(
    ("source", "result", "function"),
    [
        (DType.FP16, DType.FP32, softfloat.f16_to_f32),
        (DType.FP32, DType.FP16, softfloat.f32_to_f16),
        (DType.INT32, DType.FP32, softfloat.i32_to_f32),
        (DType.FP32, DType.INT32, to_int),
    ],
)
def test_conversions(source, result, function):
    """Where a number does not fit an integer, SoftFloat does as some processor does: left out."""
    a = np.concatenate([CORNERS, near_halfway(20_000, np.random.default_rng(SEED + 2))])
    if source is DType.FP16:
        a = np.arange(1 << 16, dtype=np.uint32)
    if result is DType.INT32:
        a = a[np.abs(a.view(np.float32)) < 2**31]
    want = mapped(function, a, source=source)
    got = golden(isa.Convert, a, a, a, source=source, result=result)
    if result in (DType.FP16, DType.FP32):
        infinity, nan = (0x7C00, 0x7E00) if result is DType.FP16 else (INFINITY, NAN)
        want = np.where(want & (nan | infinity - 1) > infinity, nan, want)
    wrong = np.flatnonzero(got != want)
    assert not len(wrong), [f"{a[i]:#x}: {got[i]:#x} {want[i]:#x}" for i in wrong[:3]]


def test_reciprocals():
    """Division, and division by the root, which rounds twice, bound the special functions."""
    a = np.concatenate([CORNERS, drawn(20_000, np.random.default_rng(SEED + 3))[0]])
    one = softfloat.Float32.from_float(1.0)
    for function, exact, most in (
        (Function.RECIP, lambda x: softfloat.f32_div(one, x), 1),
        (Function.RSQRT, lambda x: softfloat.f32_div(one, softfloat.f32_sqrt(x)), 2),
    ):
        want, got = mapped(exact, a), evaluate(function, a)
        assert (is_nan(want) == is_nan(got)).all()
        known = ~is_nan(want)
        assert np.abs(order(got[known]) - order(want[known])).max() <= most
