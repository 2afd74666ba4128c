"""The storage formats as numbers: what unpacking and rounding need to know of each.

An integer is described as a float is: rounded to a multiple of 2^0, with as many bits of precision
as it needs.
Then one rounding serves integers and floats alike; see :mod:`tsp.hw.vxm.round`.
"""

from dataclasses import dataclass

from amaranth.hdl import Array

from tsp.hw.isa.base import DType


@dataclass(frozen=True)
class Format:
    """One storage format; a float if it has exponent bits.

    Parameters
    ----------
    bits : int
        Bits of one element.
    exponent_bits : int
        Bits of the exponent field; 0 makes an integer.
    infinities : bool
        Whether a float keeps its highest exponent for infinities and NaN, as IEEE 754 does.
        If not, only the highest code is NaN.
    """

    bits: int
    exponent_bits: int = 0
    infinities: bool = True

    @property
    def integer(self):
        """Whether this is an integer, in two's complement."""
        return not self.exponent_bits

    @property
    def fraction_bits(self):
        """Bits of a float's fraction field."""
        return self.bits - 1 - self.exponent_bits

    @property
    def bias(self):
        """What a float's exponent field exceeds the exponent by."""
        return (1 << (self.exponent_bits - 1)) - 1

    @property
    def precision(self):
        """Most bits of a significand. Integers share 32, so that they differ only in limit."""
        return 32 if self.integer else self.fraction_bits + 1

    @property
    def finest(self):
        """Exponent of the smallest step: results are multiples of ``2**finest``."""
        return 0 if self.integer else 1 - self.bias - self.fraction_bits

    @property
    def largest(self):
        """The largest finite value of an integer; of a float, its code."""
        if self.integer:
            return (1 << (self.bits - 1)) - 1
        return self.infinity - 1 if self.infinities else self.nan - 1

    @property
    def infinity(self):
        """The code of a float's positive infinity, where it has one."""
        return ((1 << self.exponent_bits) - 1) << self.fraction_bits

    @property
    def nan(self):
        """The code of the one NaN that this machine makes; for an integer 0."""
        if self.integer:
            return 0
        if self.infinities:
            return self.infinity | 1 << (self.fraction_bits - 1)
        return (1 << (self.bits - 1)) - 1


FORMATS = {
    DType.INT8: Format(8),
    DType.FP8_E4M3: Format(8, 4, infinities=False),
    DType.FP8_E5M2: Format(8, 5),
    DType.FP16: Format(16, 5),
    DType.INT16: Format(16),
    DType.INT32: Format(32),
    DType.FP32: Format(32, 8),
}

FP32 = FORMATS[DType.FP32]


def by_format(dtype, value):
    """``value(format)`` of the format that `dtype`, a signal, names: a constant or a wiring."""
    return Array(value(FORMATS[key]) for key in DType)[dtype]
