"""The exact sums of the MXM and their single rounding, in numpy.

Every value of a storage format is an integer multiple of 2^-24, the integer below 2^41, so every
product is a multiple of 2^-48. Operands are cut into two digits that fit a float64; a matrix
product of digits is then exact in BLAS, and sums of digits are kept in int64.
"""

from dataclasses import dataclass

import ml_dtypes
import numpy as np

from tsp.hw.config import LONGEST_SUM
from tsp.hw.errors import InputError
from tsp.hw.isa import DType

OPERAND_LSB = -24
PRODUCT_LSB = 2 * OPERAND_LSB

_DIGIT = 21  # bits of the low digit of an operand
_CHUNK = 1024  # products of low digits that a float64 sums exactly: 2^(2*21 + 10) < 2^53

STORED = {
    DType.INT8: np.dtype(np.int8),
    DType.FP8_E4M3: np.dtype(ml_dtypes.float8_e4m3fn),
    DType.FP8_E5M2: np.dtype(ml_dtypes.float8_e5m2),
    DType.FP16: np.dtype(np.float16),
    DType.INT32: np.dtype(np.int32),
    DType.FP32: np.dtype(np.float32),
}
"""The numpy dtype of each format that enters or leaves the MXM."""

_BITS = {DType.FP16: np.uint16, DType.INT32: np.uint32, DType.FP32: np.uint32}
_FLOATS = {DType.FP16: (11, -24, 5), DType.FP32: (24, -149, 8)}  # precision, least bit, exponent
_NAN = {DType.FP16: 0x7E00, DType.INT32: 0, DType.FP32: 0x7FC0_0000}


def round_to(value, lsb, dtype):
    """The bits of ``value * 2**lsb``, rounded once to nearest even into FP32, FP16 or INT32.

    Integers saturate, floats overflow to infinity. Zero is +0; a negative value that rounds to
    zero is -0 in a float.
    """
    if dtype is DType.INT32:
        value = _nearest_even(value, -lsb)
        return min(max(value, -(2**31)), 2**31 - 1) & 0xFFFF_FFFF
    precision, least, exponent_bits = _FLOATS[dtype]
    magnitude, sign = abs(value), int(value < 0)
    drop = max(magnitude.bit_length() - precision, least - lsb)
    significand = _nearest_even(magnitude, drop)
    # The significand's hidden bit carries into the exponent field, as does rounding up.
    fraction_bits = precision - 1
    exponent = max(lsb + drop - least, 0)
    if drop < least - lsb or significand == 0:
        exponent = 0
    bits = (exponent << fraction_bits) + significand
    infinity = ((1 << exponent_bits) - 1) << fraction_bits
    return sign << (fraction_bits + exponent_bits) | min(bits, infinity)


def _nearest_even(value, drop):
    """``value / 2**drop`` to the nearest integer, ties to even."""
    if drop <= 0:
        return value << -drop
    kept, rest = value >> drop, value & ((1 << drop) - 1)
    half = 1 << (drop - 1)
    return kept + (rest > half or (rest == half and kept & 1))


def round_array(high, low, low_bits, lsb, dtype):
    """:func:`round_to` of every ``(high * 2**low_bits + low) * 2**lsb``.

    `high` is int64 below 2^56 in magnitude; `low` is int64, 0 to ``2**low_bits - 1``, with
    `low_bits` 1 to 52. The result is an array of the numpy dtype of `dtype`.
    """
    high, low = np.asarray(high, np.int64), np.asarray(low, np.int64)
    negative = high < 0
    mask = np.int64((1 << low_bits) - 1)
    # Sign and magnitude.
    borrow = negative & (low != 0)
    high = np.where(negative, -high - borrow, high)
    low = np.where(negative, -low & mask, low)
    # A window of up to 61 bits from the leading one; what falls off below it is jammed into bit 0.
    take = np.minimum(61 - _bit_length(high), low_bits)
    left = low_bits - take
    lost = (low & ((np.int64(1) << left) - 1)) != 0
    window = (high << take) | (low >> left)
    scale = lsb + left
    if dtype is DType.INT32:
        value = _round_window(window | lost, np.maximum(-scale, 0), np.maximum(scale, 0))
        value = np.where(negative, -value, value)
        return np.clip(value, -(2**31), 2**31 - 1).astype(np.int32)
    precision, least, _ = _FLOATS[dtype]
    window |= lost
    drop = np.maximum(np.maximum(_bit_length(window) - precision, least - scale), 0)
    significand = _round_window(window, drop, 0).astype(np.float64)
    value = np.ldexp(np.where(negative, -significand, significand), (scale + drop).astype(np.int32))
    with np.errstate(over="ignore"):
        return value.astype(STORED[dtype])


def _round_window(window, drop, grow):
    """``window * 2**(grow - drop)`` to the nearest even integer, clipped to 2^62."""
    drop = np.minimum(drop, 62)
    kept = window >> drop
    rest = window & ((np.int64(1) << drop) - 1)
    half = np.where(drop > 0, np.int64(1) << np.maximum(drop - 1, 0), np.int64(1) << 62)
    kept += (rest > half) | ((rest == half) & (kept & 1 == 1))
    return np.where(_bit_length(kept) + grow > 61, np.int64(1) << 61, kept << np.minimum(grow, 61))


def _bit_length(value):
    # Clearing the bit below the leading one keeps the conversion from rounding up a power of two.
    return np.frexp((value & ~(value >> 1)).astype(np.float64))[1].astype(np.int64)


@dataclass(frozen=True)
class Operands:
    """Exact operands: ``fixed`` in units of 2^-24 (0 where not finite), and what is special."""

    fixed: np.ndarray
    nan: np.ndarray
    inf: np.ndarray
    negative: np.ndarray

    @classmethod
    def of(cls, array):
        """The operands of an array whose dtype is a storage format's."""
        array = np.asarray(array)
        if array.dtype not in [STORED[d] for d in (0, 1, 2, 3)]:
            raise InputError(
                f"operands must be int8, float16, float8_e4m3fn or float8_e5m2, not {array.dtype}"
            )
        wide = array.astype(np.float64)
        finite = np.isfinite(wide)
        fixed = np.ldexp(np.where(finite, wide, 0.0), -OPERAND_LSB).astype(np.int64)
        return cls(fixed, np.isnan(wide), np.isinf(wide), np.signbit(wide))

    @property
    def special(self):
        """Whether any operand is NaN or infinite."""
        return bool(self.nan.any() or self.inf.any())

    def digits(self):
        """Low and high digit as float64: ``fixed == high * 2**21 + low``."""
        low = self.fixed & ((1 << _DIGIT) - 1)
        return low.astype(np.float64), (self.fixed >> _DIGIT).astype(np.float64)

    def signs(self):
        """Float32 matrices that are 1 where an operand is nan, +-zero, +-finite or +-infinite."""
        zero = (self.fixed == 0) & ~self.nan & ~self.inf
        real = ~self.nan & ~zero
        parts = (
            self.nan,
            zero,
            self.inf & ~self.negative,
            self.inf & self.negative,
            real & ~self.negative,
            real & self.negative,
        )
        return [part.astype(np.float32) for part in parts]


@dataclass
class Sums:
    """Exact sums: three int64 digits in units of 2^-48, 2^-27 and 2^-6, and sticky flags."""

    digits: np.ndarray
    nan: np.ndarray
    plus: np.ndarray
    minus: np.ndarray

    @classmethod
    def zeros(cls, *shape):
        """Sums of nothing."""
        flags = (np.zeros(shape, bool) for _ in range(3))
        return cls(np.zeros((3, *shape), np.int64), *flags)

    @classmethod
    def of(cls, a, b):
        """The sums of matrix product `a` @ `b` of :class:`Operands`, at most 1,024 long."""
        (a0, a1), (b0, b1) = a.digits(), b.digits()
        digits = np.stack([a0 @ b0, a0 @ b1, a1 @ b1])
        digits[1] += a1 @ b0
        sums = cls.zeros(*digits.shape[1:])
        sums.digits = digits.astype(np.int64)
        if a.special or b.special:
            sums._mark(a, b)
        return sums

    def _mark(self, a, b):
        a_nan, a_zero, a_plus_inf, a_minus_inf, a_plus, a_minus = a.signs()
        b_nan, b_zero, b_plus_inf, b_minus_inf, b_plus, b_minus = b.signs()
        any_a, any_b = np.ones_like(a_nan), np.ones_like(b_nan)
        nan = a_nan @ any_b + any_a @ b_nan
        nan += (a_plus_inf + a_minus_inf) @ b_zero + a_zero @ (b_plus_inf + b_minus_inf)
        plus = a_plus_inf @ b_plus + a_minus_inf @ b_minus
        plus += a_plus @ b_plus_inf + a_minus @ b_minus_inf
        minus = a_plus_inf @ b_minus + a_minus_inf @ b_plus
        minus += a_plus @ b_minus_inf + a_minus @ b_plus_inf
        self.nan, self.plus, self.minus = nan != 0, plus != 0, minus != 0

    def __getitem__(self, row):
        return Sums(self.digits[:, row], self.nan[row], self.plus[row], self.minus[row])

    def __add__(self, other):
        return Sums(
            self.digits + other.digits,
            self.nan | other.nan,
            self.plus | other.plus,
            self.minus | other.minus,
        )

    def rounded(self, dtype):
        """The sums rounded once into `dtype` (FP32, FP16 or INT32), as its numpy dtype.

        Infinities of both signs make NaN; the NaN is canonical, and 0 as an integer.
        """
        mask = (1 << _DIGIT) - 1
        middle = self.digits[1] + (self.digits[0] >> _DIGIT)
        low = (middle & mask) << _DIGIT | (self.digits[0] & mask)
        high = self.digits[2] + (middle >> _DIGIT)
        out = round_array(high, low, 2 * _DIGIT, PRODUCT_LSB, dtype)
        if not (self.nan.any() or self.plus.any() or self.minus.any()):
            return out
        bits = out.view(_BITS[dtype])
        if dtype is DType.INT32:
            infinities = 0x7FFF_FFFF, 0x8000_0000
        else:
            precision, _, exponent_bits = _FLOATS[dtype]
            infinity = ((1 << exponent_bits) - 1) << (precision - 1)
            infinities = infinity, infinity | 1 << (exponent_bits + precision - 1)
        bits[self.plus] = infinities[0]
        bits[self.minus] = infinities[1]
        bits[self.nan | (self.plus & self.minus)] = _NAN[dtype]
        return out


def exact_matmul(a: np.ndarray, b: np.ndarray, out_dtype: DType) -> np.ndarray:
    """The exact matrix product of `a` and `b`, rounded once to nearest even.

    Parameters
    ----------
    a, b : ndarray
        Matrices of int8, float16, float8_e4m3fn or float8_e5m2, each its own.
    out_dtype : DType
        FP32, FP16 or INT32.
    """
    k = a.shape[1]
    if k > LONGEST_SUM:
        raise InputError(f"K must be at most {LONGEST_SUM}, not {k}; split the product")
    total = Sums.zeros(a.shape[0], b.shape[1])
    for start in range(0, k, _CHUNK):
        rows = slice(start, start + _CHUNK)
        total += Sums.of(Operands.of(a[:, rows]), Operands.of(b[rows]))
    return total.rounded(out_dtype)
