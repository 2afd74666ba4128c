"""Operands of the array: every storage format as an integer times a power of two."""

from amaranth.hdl import Cat, Const, Mux, Signal
from amaranth.lib import data

from tsp.hw.isa import DType


class Operand(data.Struct):
    """A number ``+-magnitude * 2**(exponent - 24)``; the magnitude of infinity and NaN is 0.

    No format needs to be normalised to get here, because a fixed-point sum does not care.
    """

    magnitude: 11
    exponent: 5
    negative: 1
    infinite: 1
    nan: 1

    @property
    def significand(self):
        """The magnitude with its sign."""
        return Mux(self.negative, -self.magnitude, self.magnitude)

    @property
    def zero(self):
        """Whether it is a zero."""
        return (self.magnitude == 0) & ~self.infinite & ~self.nan


def convert(m, operand, low, high, dtype):
    """Drive `operand` with what bytes `low` and, for fp16, `high` mean in storage format `dtype`.

    Called in the context of a condition, it converts only under that condition.
    """
    half = Signal(16)
    with m.Switch(dtype):
        with m.Case(DType.INT8):
            m.d.comb += [
                operand.magnitude.eq(Mux(low[7], -low, low)[:8]),
                operand.exponent.eq(24),
                operand.negative.eq(low[7]),
            ]
        with m.Case(DType.FP8_E4M3):
            _e4m3(m, operand, low)
        with m.Case(DType.FP8_E5M2):
            m.d.comb += half.eq(Cat(Const(0, 8), low))
            _fp16(m, operand, half)
        with m.Default():
            m.d.comb += half.eq(Cat(low, high))
            _fp16(m, operand, half)


def _fp16(m, operand, half):
    fraction, exponent = half[:10], half[10:15]
    normal = exponent != 0
    m.d.comb += [
        operand.magnitude.eq(Cat(fraction, normal)),
        operand.exponent.eq(exponent - normal),
        operand.negative.eq(half[15]),
    ]
    with m.If(exponent == 31):
        m.d.comb += [
            operand.magnitude.eq(0),
            operand.infinite.eq(fraction == 0),
            operand.nan.eq(fraction != 0),
        ]


def _e4m3(m, operand, byte):
    # The "fn" variant: no infinities, and only the all-ones pattern of either sign is NaN.
    fraction, exponent = byte[:3], byte[3:7]
    normal = exponent != 0
    m.d.comb += [
        operand.magnitude.eq(Cat(fraction, normal)),
        operand.exponent.eq(Mux(normal, exponent + 14, 15)),
        operand.negative.eq(byte[7]),
    ]
    with m.If(byte[:7] == 0x7F):
        m.d.comb += [operand.magnitude.eq(0), operand.nan.eq(1)]
