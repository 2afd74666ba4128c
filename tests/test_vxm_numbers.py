"""Every operation of the VXM's ALUs: golden model against exact arithmetic, RTL against golden."""

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from bench_lane import OPERANDS, run_lane

from tsp.hw.isa import IMM, DType
from tsp.hw.isa import vxm as isa
from tsp.hw.vxm.control import CONTROLS
from tsp.hw.vxm.control import SPECIAL as SPECIAL_CONTROLS
from tsp.hw.vxm.lane import Lane
from tsp.sim.golden import alu

SEED = 20
OPERATIONS = [op for op in isa.VXM_OPS.values() if not op.special]
PAIRS = [(source, result) for source in DType for result in DType]

# Zero, subnormals, normals and their limits, halfway cases, infinity, NaN; int limits; low halves
# and bytes that are corners of the narrow formats. All with either sign.
_POSITIVE = (
    *(0x00000000, 0x00000001, 0x00000002, 0x007FFFFF, 0x00800000, 0x00800001, 0x00FFFFFF),
    *(0x3F800000, 0x3F800001, 0x3F7FFFFF, 0x3F000000, 0x3FC00000, 0x40200000, 0x4B000001),
    *(0x4EFFFFFF, 0x4F000000, 0x7EFFFFFF, 0x7F7FFFFF, 0x7F800000, 0x7F800001, 0x7FC00000),
    *(0x7FFFFFFF, 0x33800000, 0x33000001, 0x34000000, 0x00000003),
)
CORNERS = np.array([s | p for p in _POSITIVE for s in (0, 1 << 31)], np.uint32)
# What every operation on RTL sees in all pairs: zeros, 1, infinities, NaN, the int limits.
SPECIAL = np.array(
    [0, 1 << 31, 1, 0x3F800000, 0xBF800000, 0x7F800000, 0xFF800000, 0xFFC00001, 0x7FFFFFFF],
    np.uint32,
)

# Where narrowing is decided: half the least subnormal, limits and halfways of each format.
_NARROW = (
    *(0x33000000, 0x33000001, 0x33800000, 0x33BFFFFF, 0x33C00000, 0x387FC000, 0x387FE000),
    *(0x38800000, 0x477FE000, 0x477FEFFF, 0x477FF000, 0x477FF001, 0x3A800000, 0x3A800001),
    *(0x3B400000, 0x3C7C0000, 0x43E00000, 0x43E7FFFF, 0x43E80000, 0x43E80001, 0x37000000),
    *(0x37000001, 0x47600000, 0x476FFFFF, 0x47700000, 0x42FE0000, 0x42FEFFFF, 0x42FF0000),
    *(0x43000000, 0x43008000, 0x46FFFE00, 0x46FFFEFF, 0x46FFFF00, 0x47000000, 0x00007BFF),
    *(0x00007C00, 0x00007C01, 0x00007E00, 0x00000400, 0x000003FF, 0x0000FC00, 0x00008000),
    *(0x0000007C, 0x0000007D, 0x0000007E, 0x0000007F, 0x00000080, 0x000000FF, 0x01000001),
    *(0x01000003, 0x7FFFFF80, 0x7FFFFFBF, 0x7FFFFFC0, 0x0000FFEF, 0x0000FFF0, 0x000001D0),
)
CONVERSION_CORNERS = np.concatenate(
    [CORNERS, np.array([s ^ p for p in _NARROW for s in (0, 1 << 31)], np.uint32)]
)


# Exact arithmetic: a float is a Fraction, ``inf``, ``-inf`` or None for NaN.

INFINITY = float("inf")
FLOATS = {  # exponent bits, fraction bits, bias, whether it has infinities, NaN
    DType.FP8_E4M3: (4, 3, 7, False, 0x7F),
    DType.FP8_E5M2: (5, 2, 15, True, 0x7E),
    DType.FP16: (5, 10, 15, True, 0x7E00),
    DType.FP32: (8, 23, 127, True, 0x7FC00000),
}
INTEGERS = {DType.INT8: 8, DType.INT16: 16, DType.INT32: 32}


def value_of(bits, dtype):
    """What `bits` mean, and their sign."""
    if dtype in INTEGERS:
        width = INTEGERS[dtype]
        bits &= (1 << width) - 1
        value = bits - ((bits >> (width - 1)) << width)
        return Fraction(value), int(value < 0)
    exponent_bits, fraction_bits, bias, infinities, _ = FLOATS[dtype]
    fraction = bits & ((1 << fraction_bits) - 1)
    exponent = bits >> fraction_bits & ((1 << exponent_bits) - 1)
    sign = bits >> (fraction_bits + exponent_bits) & 1
    full = exponent == (1 << exponent_bits) - 1
    if full and ((infinities and fraction) or fraction == (1 << fraction_bits) - 1):
        return None, sign
    if full and infinities:
        return (-INFINITY if sign else INFINITY), sign
    significand = fraction + (1 << fraction_bits if exponent else 0)
    scale = Fraction(2) ** (max(exponent, 1) - bias - fraction_bits)
    return (-1) ** sign * significand * scale, sign


def bits_of(value, sign, dtype):
    """The 32 bits of `value`, rounded to nearest even into a format; `sign` is that of zero."""
    if dtype in INTEGERS:
        limit = 1 << (INTEGERS[dtype] - 1)
        if value is None:
            return 0
        whole = round(value) if isinstance(value, Fraction) else value  # ties go to even
        return int(min(max(whole, -limit), limit - 1)) & 0xFFFFFFFF
    exponent_bits, fraction_bits, bias, infinities, nan = FLOATS[dtype]
    if value is None:
        return nan
    top = ((1 << exponent_bits) - 1) << fraction_bits
    if not isinstance(value, Fraction):
        code = top
    else:
        exponent = abs(value.numerator).bit_length() - value.denominator.bit_length()
        exponent -= abs(value) < Fraction(2) ** exponent
        exponent = max(exponent, 1 - bias) if value else 1 - bias
        steps = round(abs(value) / Fraction(2) ** (exponent - fraction_bits))
        code = ((exponent + bias - 1) << fraction_bits) + steps
        sign = int(value < 0) if value else sign
    if not infinities:
        return nan if code >= nan or not isinstance(value, Fraction) else sign << 7 | code
    return sign << (exponent_bits + fraction_bits) | min(code, top)


def exact(op, a, b):
    """AddF, SubF or MulF of two fp32 numbers."""
    (x, x_sign), (y, y_sign) = value_of(a, DType.FP32), value_of(b, DType.FP32)
    infinities = [v for v in (x, y) if v in (INFINITY, -INFINITY)]
    if x is None or y is None:
        result, sign = None, 0
    elif op is isa.MulF:
        sign = x_sign ^ y_sign
        result = x * y
        if infinities:
            result = (-1) ** sign * INFINITY if x and y else None
    else:
        if op is isa.SubF:
            y, y_sign = -y, 1 - y_sign
        sign = x_sign & y_sign
        result = x + y if not infinities else None
        if infinities and not (len(infinities) == 2 and x != y):
            result = x if x in (INFINITY, -INFINITY) else y
            sign = int(result < 0)
    return bits_of(result, sign, DType.FP32)


def compared(op, a, b):
    """What MaxI to LeI and MaxF to LeF give."""
    if op.mnemonic.endswith("i"):
        x, y = (value_of(v, DType.INT32)[0] for v in (a, b))
        nan = False
        below = x < y
    else:
        (x, x_sign), (y, y_sign) = value_of(a, DType.FP32), value_of(b, DType.FP32)
        nan = x is None or y is None
        below = not nan and (x < y or (x == y and x_sign > y_sign))
    match op.mnemonic[:-1]:
        case "max":
            return 0x7FC00000 if nan else b if below else a
        case "min":
            return 0x7FC00000 if nan else a if below else b
        case "eq":
            return -(not nan and x == y) & 0xFFFFFFFF
        case "lt":
            return -(not nan and x < y) & 0xFFFFFFFF
        case "le":
            return -(not nan and x <= y) & 0xFFFFFFFF


def integer(op, a, b):
    """AddI to MulIS."""
    x, y = (int(value_of(v, DType.INT32)[0]) for v in (a, b))
    result = {"add": x + y, "sub": x - y, "mul": x * y}[op.mnemonic[:3]]
    if op.mnemonic.endswith("s"):
        result = min(max(result, -(2**31)), 2**31 - 1)
    return result & 0xFFFFFFFF


def logic(op, a, b):
    """And to Sra: bit by bit, as strings of 32 digits."""
    first, second = f"{a:032b}", f"{b:032b}"
    rules = {
        "and": lambda: [x + y == "11" for x, y in zip(first, second, strict=True)],
        "or": lambda: [x + y != "00" for x, y in zip(first, second, strict=True)],
        "xor": lambda: [x != y for x, y in zip(first, second, strict=True)],
        "shl": lambda: [i + b < 32 and first[i + b] == "1" for i in range(32)],
        "shr": lambda: [i >= b and first[i - b] == "1" for i in range(32)],
        "sra": lambda: [first[max(i - b, 0)] == "1" for i in range(32)],
    }
    return int("".join(str(int(bit)) for bit in rules[op.mnemonic]()), 2)


def oracle(op, a, b, c):
    match op.mnemonic:
        case "mov":
            return a
        case "and" | "or" | "xor" | "shl" | "shr" | "sra":
            return logic(op, a, b)
        case "relui":
            return a if a < 1 << 31 else 0
        case "reluf":
            return compared(isa.MaxF, a, 0)
        case "select":
            return a if c else b
        case "addf" | "subf" | "mulf":
            return exact(op, a, b)
        case name if name[:3] in ("add", "sub", "mul"):
            return integer(op, a, b)
    return compared(op, a, b)


def crossed(corners):
    """Every corner with every other."""
    return (grid.ravel() for grid in np.meshgrid(corners, corners))


def drawn(count, rng):
    """Random pairs: plain, of like magnitude (for cancellation), and of reciprocal magnitude."""
    a, b = rng.integers(0, 1 << 32, (2, count), np.uint32)
    exponent = (a >> 23 & 0xFF).astype(int)
    near = exponent + rng.integers(-26, 27, count)
    far = 254 - exponent + rng.integers(-160, 130, count)
    kind = rng.integers(0, 3, count)
    chosen = np.clip(np.choose(kind, [0, near, far]), 0, 255).astype(np.uint32) << 23
    b = np.where(kind == 0, b, b & 0x807FFFFF | chosen)
    # Few bits set make ties and exact results likely.
    a &= np.where(rng.random(count) < 0.5, 0xFFFFFFFF, 0xFFFFF000).astype(np.uint32)
    b &= np.where(rng.random(count) < 0.5, 0xFFFFFFFF, 0xFFFC0000).astype(np.uint32)
    return a, b


def golden(op, a, b, c, **formats):
    return alu.execute(op(a=IMM, **formats), a, b, c)


def check(got, want, *operands, **about):
    for i in np.flatnonzero(got != want)[:1]:
        shown = ", ".join(f"{x[i]:#010x}" for x in operands)
        pytest.fail(f"{about} seed {SEED}: {shown} gives {got[i]:#010x}, not {want[i]:#010x}")


def some_amounts(op, b, rng):
    """`b`, or for a shift mostly amounts near those that matter."""
    if op not in (isa.Shl, isa.Shr, isa.Sra):
        return b
    near = rng.choice([*range(35), 63, 64, 65, 0x10000, 0xFFFFFFE0], len(b)).astype(np.uint32)
    return np.where(rng.random(len(b)) < 0.8, near, b)


@pytest.mark.parametrize("op", [op for op in OPERATIONS if op is not isa.Convert])
def test_golden_equals_exact_arithmetic(op):
    """Oracle: Python integers, Fractions and strings of bits."""
    rng = np.random.default_rng(SEED)
    a, b = (np.concatenate(pair) for pair in zip(crossed(CORNERS), drawn(1000, rng), strict=True))
    b = some_amounts(op, b, rng)
    c = rng.integers(0, 2, len(a), np.uint32) << rng.integers(0, 32, len(a), np.uint32)
    want = [oracle(op, *(int(v) for v in t)) for t in zip(a, b, c, strict=True)]
    check(golden(op, a, b, c), np.array(want, np.uint32), a, b, c, op=op.mnemonic)


@pytest.mark.parametrize(("source", "result"), PAIRS)
def test_golden_converts_exactly(source, result):
    """Oracle: Fractions, rounded by Python. All patterns of 8 bits, a sample of the others."""
    rng = np.random.default_rng(SEED)
    bits = np.concatenate([CONVERSION_CORNERS, near_halfway(300, rng)])
    if source.bytes == 1:
        bits = np.arange(256, dtype=np.uint32) | np.uint32(0xABCDEF00)
    want = [bits_of(*value_of(int(v), source), result) for v in bits]
    got = alu.convert(bits, source, result)
    check(got, np.array(want, np.uint32), bits, source=source.name, result=result.name)


@pytest.mark.parametrize("source", [DType.FP8_E4M3, DType.FP8_E5M2, DType.FP16, DType.FP32])
@pytest.mark.parametrize("result", [DType.FP8_E4M3, DType.FP8_E5M2, DType.FP16, DType.FP32])
def test_golden_equals_library_casts(source, result):
    """Oracle: the casts of numpy and ml_dtypes, but for NaN; all patterns up to 16 bits."""
    kinds = {
        DType.FP8_E4M3: (np.uint8, ml_dtypes.float8_e4m3fn),
        DType.FP8_E5M2: (np.uint8, ml_dtypes.float8_e5m2),
        DType.FP16: (np.uint16, np.float16),
        DType.FP32: (np.uint32, np.float32),
    }
    (raw, kind), (raw_result, kind_result) = kinds[source], kinds[result]
    if source is DType.FP32:
        bits = near_halfway(200_000, np.random.default_rng(SEED))
    else:
        bits = np.arange(1 << 8 * source.bytes, dtype=np.uint32)
    with np.errstate(all="ignore"):
        want = bits.astype(raw).view(kind).astype(kind_result)
    got = alu.convert(bits, source, result)
    assert (got[np.isnan(want)] == FLOATS[result][4]).all()
    number = ~np.isnan(want)
    want = want.view(raw_result).astype(np.uint32)
    check(got[number], want[number], bits[number], source=source.name, result=result.name)


def near_halfway(count, rng):
    """Random fp32 or integers: of all magnitudes, and with few bits below some place."""
    bits = rng.integers(0, 1 << 32, count, np.uint32)
    exponents = rng.integers(96, 162, count).astype(np.uint32) << 23
    bits = np.where(rng.random(count) < 0.7, bits & 0x807FFFFF | exponents, bits)
    place = rng.integers(0, 24, count).astype(np.uint32)
    bits = bits >> place << place
    integer = bits >> rng.integers(0, 32, count).astype(np.uint32)
    return np.where(rng.random(count) < 0.3, integer, bits) + rng.integers(0, 2, count, np.uint32)


@pytest.mark.parametrize("deep", [False, True], ids=["short", "deep"])
def test_lane_equals_golden(deep):
    """Oracle: the golden model. All operations in one pipeline, in random order."""
    rng = np.random.default_rng(SEED)
    work = []
    for op in OPERATIONS:
        if op is isa.Convert:
            continue
        some = rng.permutation(len(CORNERS) ** 2)[:150]
        corners = (grid[some] for grid in crossed(CORNERS))
        parts = zip(crossed(SPECIAL), corners, drawn(150, rng), strict=True)
        a, b = (np.concatenate(part) for part in parts)
        b = some_amounts(op, b, rng)
        c = rng.integers(0, 2, len(a), np.uint32) << rng.integers(0, 32, len(a), np.uint32)
        work.append((op, {}, a, b, c))
    for source, result in PAIRS:
        a = np.concatenate([rng.permutation(CONVERSION_CORNERS)[:70], near_halfway(30, rng)])
        b, c = rng.integers(0, 1 << 32, (2, len(a)), np.uint32)
        work.append((isa.Convert, {"source": source, "result": result}, a, b, c))

    vectors, want, names = [], [], []
    for op, formats, a, b, c in work:
        control = {**CONTROLS[op], **formats}
        for values in zip(a.tolist(), b.tolist(), c.tolist(), strict=True):
            swap = int(rng.integers(2))
            operands = values[1::-1] if swap else values[:2]
            vector = {**dict(zip(OPERANDS, operands, strict=True)), "swap": swap}
            vectors.append({"control": control, **vector, "condition": int(values[2] != 0)})
        want += golden(op, a, b, c, **formats).tolist()
        names += [f"{op.mnemonic} {formats}"] * len(a)
    order = rng.permutation(len(vectors))
    got = run_lane(Lane(deep), f"lane-{deep}", [vectors[i] for i in order])
    for i, bits in zip(order, got, strict=True):
        shown = ", ".join(f"{vectors[i][name]:#010x}" for name in OPERANDS)
        assert bits == want[i], f"{names[i]} seed {SEED}: {shown} gives {bits:#x}, not {want[i]:#x}"


def test_every_operation_has_its_control():
    assert set(CONTROLS) == set(OPERATIONS)
    assert set(SPECIAL_CONTROLS) == set(isa.VXM_OPS.values()) - set(OPERATIONS)
    assert len({str(bits) for bits in CONTROLS.values()}) == len(CONTROLS)
