"""The special functions of the VXM, bit for bit, on uint32 arrays of fp32 bits.

The same steps as in the hardware: take the argument apart, look a quadratic up, evaluate it in
fixed point, round once. All of it is integer arithmetic in 64 bits.
"""

from functools import cache
from typing import Any

import numpy as np

from tsp.hw.isa import special
from tsp.hw.isa.special import FRACTION, INFINITY, NAN, OFFSET, ONE, POSITION, SIGN, Function


def evaluate(function: Any, bits: np.ndarray) -> np.ndarray:
    """`function` of every element of `bits`, which stay as they are."""
    a = bits.astype(np.int64)
    sign, field, fraction = a & SIGN, a >> 23 & 0xFF, a & 0x7FFFFF
    exponent, position, part = _REDUCE[function](sign, field, fraction)
    y = _quadratic(function, part, position)
    result = _rounded(y, exponent)
    if function in (Function.TANH, Function.RECIP):
        result |= sign
    for where, value in _exceptions(function, a, sign, field, fraction):
        np.copyto(result, value, where=where)
    np.copyto(result, NAN, where=(field == 0xFF) & (fraction != 0))
    return result.astype(np.uint32)


def _exceptions(function, a, sign, field, fraction):
    """Where the result is given without arithmetic, and what it is; NaN is not told."""
    infinite, zero = field == 0xFF, (field | fraction) == 0
    match function:
        case Function.EXP:
            yield field >= 127 + special.EXP_LIMIT, np.where(sign, 0, INFINITY)
        case Function.TANH:
            yield field < 127 + special.TANH_LOW, a
            yield field >= 127 + special.TANH_HIGH, ONE | sign
        case Function.RSQRT:
            yield infinite, np.int64(0)
            yield sign != 0, np.int64(NAN)
            yield zero, INFINITY | sign
        case Function.RECIP:
            yield infinite, sign
            yield zero, INFINITY | sign


# Reductions: the exponent of the result, the position in an interval, and which part it is.


def _reduce_exp(sign, field, fraction):
    product = (fraction | (field != 0).astype(np.int64) << 23) * special.LOG2E
    right = special.LOG2E_BITS + 23 - special.EXP_BITS + 127 - np.maximum(field, 1)
    scaled = product >> np.clip(right, 0, 63)
    np.negative(scaled, out=scaled, where=sign != 0)
    position = (scaled & ((1 << special.EXP_BITS) - 1)) << (POSITION - special.EXP_BITS)
    return scaled >> special.EXP_BITS, position, None


def _normal(field, fraction):
    """Exponent and position of the significand, that of subnormals made normal."""
    exponent = np.maximum(field, 1) - 127
    small = np.flatnonzero(field == 0)
    if small.size:
        # Integers below 2^24 are exact in double precision, so their exponents are.
        fraction, few = fraction.copy(), fraction[small]
        shift = 24 - np.frexp(few.astype(np.float64))[1].astype(np.int64)
        exponent[small] -= shift
        fraction[small] = few << shift & 0x7FFFFF
    return exponent, fraction << (POSITION - 23)


def _reduce_tanh(sign, field, fraction):
    part = np.clip(field - 127, special.TANH_LOW, special.TANH_HIGH - 1)
    return np.minimum(part, 0), fraction << (POSITION - 23), part - special.TANH_LOW


def _reduce_rsqrt(sign, field, fraction):
    exponent, position = _normal(field, fraction)
    return -(exponent >> 1), position, exponent & 1


def _reduce_recip(sign, field, fraction):
    exponent, position = _normal(field, fraction)
    return -exponent, position, None


_REDUCE = {
    Function.EXP: _reduce_exp,
    Function.TANH: _reduce_tanh,
    Function.RSQRT: _reduce_rsqrt,
    Function.RECIP: _reduce_recip,
}


@cache
def _columns():
    """The table as three arrays."""
    rows = [(s.base, s.slope, s.curve) for s in special.table()]
    return tuple(np.ascontiguousarray(column) for column in np.array(rows, np.int64).T)


@cache
def _parts(function):
    """By part: the bits of a position that choose the segment, and the first segment."""
    mine = sorted((i for i in special.intervals() if i.function is function), key=lambda i: i.part)
    return np.array([i.bits for i in mine]), np.array([i.first for i in mine])


def _quadratic(function, part, position):
    bits, first = _parts(function)
    bits, first = (bits[0], first[0]) if part is None else (bits[part], first[part])
    segment = first + (position >> (POSITION - bits))
    offset = (position << bits & ((1 << POSITION) - 1)) >> (POSITION - OFFSET)
    u = offset if function is Function.EXP else (1 << OFFSET) - offset
    base, slope, curve = (column[segment] for column in _columns())
    change = u * (slope + (u * curve >> OFFSET)) >> OFFSET
    return base - change if function is Function.TANH else base + change


def _rounded(y, exponent):
    """fp32 bits of ``y * 2**(exponent - FRACTION)``, to nearest even; y is 1/2 to 2."""
    small = (y < 1 << FRACTION).astype(np.int64)
    y, biased = y << small, exponent - small + 127
    shift = np.minimum(FRACTION - 23 + np.maximum(1 - biased, 0), FRACTION + 3)
    kept, below = y >> shift, y & ((1 << shift) - 1)
    half = np.int64(1) << (shift - 1)
    code = np.maximum(biased - 1, 0) << 23
    code += kept + ((below > half) | ((below == half) & (kept & 1 == 1)))
    return np.minimum(code, INFINITY)
