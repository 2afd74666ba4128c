"""The one rounding: fixed point to fp32, fp16 or int32, to nearest even."""

from itertools import pairwise

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tsp.hw.isa import DType
from tsp.hw.mxm.fixed import absolute

_WORD = 32  # bits by which the window on a long number moves
_WINDOW = 64
_FP32_NAN, _FP32_INFINITY = 0x7FC0_0000, 0x7F80_0000
_FP16_NAN, _FP16_INFINITY = 0x7E00, 0x7C00


class Rounder(wiring.Component):
    """Fixed-point numbers of one lane as the bits of a float or an integer.

    A zero is +0; a negative number that rounds to zero is -0 in a float. Integers saturate, and
    fp16 overflows to infinity. NaN, and infinities of both signs, give the canonical NaN, or 0 as
    an integer.

    Latency
    -------
    ``latency(deep)`` from `number`, `dtype` and `used` to `bits`, which stay until the next: 3
    cycles, or 4 in a deep pipeline.

    Parameters
    ----------
    fixed : Fixed
        The number's digits.
    lsb : int
        Exponent of the lowest bit: -126 to 0.
    deep : bool
        Whether its pipeline is deep.

    Members
    -------
    valid : In(1)
        There is a number.
    number : In(fixed)
    dtype : In(3)
        FP32, FP16 or INT32.
    used : In(1)
        The lane does not give 0.
    bits : Out(32)
    """

    def __init__(self, fixed, lsb, deep=False):
        width = sum(fixed.widths)
        if not -126 <= lsb <= 0:
            raise ValueError(f"lsb must be -126 to 0, not {lsb}: fp32 would need subnormals")
        if width + lsb > 127:
            raise ValueError(f"width must be at most {127 - lsb}, not {width}: fp32 would overflow")
        self.fixed, self.lsb, self.width, self.deep = fixed, lsb, width, deep
        super().__init__(
            {"valid": In(1), "number": In(fixed), "dtype": In(3), "used": In(1), "bits": Out(32)}
        )

    @staticmethod
    def latency(deep):
        """Cycles from number to bits."""
        return 4 if deep else 3

    def elaborate(self, platform):
        # First stage: sign and magnitude. Second: leading one to the top of a window, for which a
        # deep pipeline has a third; integer and fp16 subnormal are mere slices of the magnitude.
        # Last: each format's fields as one integer, plus one if it rounds up, so that a carry out
        # of the fraction raises the exponent by itself.
        m = Module()
        stages = range(2, self.latency(self.deep) + 1)
        self.work = [self.valid, *(Signal(name=f"work{stage}") for stage in stages)]
        m.d.sync += [after.eq(before) for before, after in pairwise(self.work)]
        dtype = self._follow(m, "dtype", self.dtype)
        used = self._follow(m, "used", self.used)
        magnitude = Signal(self.width, reset_less=True)
        with m.If(self.work[0]):
            m.d.sync += magnitude.eq(Cat(*absolute(self.number.digits, self.fixed.widths)))
        negative = self._follow(m, "negative", self.number.digits[-1][-1])
        if self.fixed.special:
            flags = self.number.flags
            nan = self._follow(m, "nan", flags.nan | (flags.plus & flags.minus))
            infinite = self._follow(m, "infinite", flags.plus | flags.minus)
            finite, negative = negative, Signal(name="sign")
            minus = self._follow(m, "minus", flags.minus)
            m.d.comb += negative.eq(Mux(infinite, minus, finite))
        else:
            nan = infinite = Const(0, 1)

        single, half = self._floats(m, magnitude)
        integer = self._integer(m, magnitude, negative, nan, infinite)
        single = Mux(infinite, _FP32_INFINITY, single)[:31]
        half = Mux(infinite, _FP16_INFINITY, half)[:15]
        single = Mux(nan, _FP32_NAN, Cat(single, negative))
        half = Mux(nan, _FP16_NAN, Cat(half, negative))
        bits = Signal(32, name="rounded_bits", reset_less=True)
        m.d.comb += self.bits.eq(bits)
        with m.If(self.work[-1]):
            with m.If(~used):
                m.d.sync += bits.eq(0)
            with m.Else(), m.Switch(dtype):
                with m.Case(DType.FP32):
                    m.d.sync += bits.eq(single)
                with m.Case(DType.FP16):
                    m.d.sync += bits.eq(half)
                with m.Default():
                    m.d.sync += bits.eq(integer)
        return m

    def _until(self, m, name, value, first, last):
        """`value` of stage `first` in stage `last`."""
        for stage in range(first, last):
            register = Signal(value.shape(), name=f"{name}{stage + 1}", reset_less=True)
            with m.If(self.work[stage - 1]):
                m.d.sync += register.eq(value)
            value = register
        return value

    def _follow(self, m, name, value):
        """`value` of the first stage in the last."""
        return self._until(m, name, value, 1, len(self.work))

    def _second(self, m, name, value):
        """`value` of the second stage in the last."""
        return self._until(m, name, value, 2, len(self.work))

    def _floats(self, m, magnitude):
        """The fields below the sign of fp32 and fp16, in the last stage."""
        last = len(self.work)
        window, rest, top = _window(m, magnitude)
        coarse, many = _normalise(m, window, (5, 4))
        coarse, rest, top, many = (
            self._until(m, name, Value.cast(value), 2, last - 1)
            for name, value in zip(
                ("coarse", "rest", "top", "many"), (coarse, rest, top, many), strict=True
            )
        )
        normal, few = _normalise(m, coarse, (3, 2, 1, 0))
        place = Signal(range(-256, 256))
        m.d.comb += place.eq(top - Cat(few, many) + self.lsb)
        head, sticky, exponent, nonzero = (
            self._until(m, name, value, last - 1, last)
            for name, value in (
                ("head", normal[-25:]),
                ("sticky", normal[:-25].any() | rest),
                ("exponent", place),
                ("nonzero", normal[-1]),
            )
        )
        # head is 24 bits and the half bit of fp32; the leading one is not stored.
        single = Cat(head[1:24], (exponent + 127)[:8]) + (head[0] & (sticky | head[1]))
        half_up = head[13] & (sticky | head[:13].any() | head[14])
        half = Cat(head[14:24], (exponent + 15)[:5]) + half_up

        # Below its normal range fp16 is fixed point, with the lowest bit at 2^-24.
        if self.lsb < -14:
            padded = Cat(Const(0, 26), magnitude)
            at = 26 - 24 - self.lsb
            small = self._second(m, "small", padded[at - 1 : at + 10])
            below = self._second(m, "below", padded[: at - 1].any())
            tiny = small[1:] + (small[0] & (below | small[1]))
            half = Mux(exponent < -14, tiny, half)
        half = Mux(exponent > 15, _FP16_INFINITY, half)
        return Mux(nonzero, single, 0), Mux(nonzero, half, 0)

    def _integer(self, m, magnitude, negative, nan, infinite):
        """The bits of int32, in the last stage."""
        point = -self.lsb
        integer = Signal(32)
        m.d.comb += integer.eq(magnitude[point:])
        whole = self._second(m, "whole", integer)
        beyond = self._second(m, "beyond", magnitude[point + 32 :].any())
        rounded = Signal(33)
        if point:
            half = self._second(m, "int_half", magnitude[point - 1])
            below = self._second(m, "int_below", magnitude[: point - 1].any())
            m.d.comb += rounded.eq(whole + (half & (below | whole[0])))
        else:
            m.d.comb += rounded.eq(whole)
        saturated = beyond | infinite | rounded[32] | rounded[31]
        limit = Mux(negative, 1 << 31, (1 << 31) - 1)
        value = Mux(saturated, limit, Mux(negative, -rounded, rounded)[:32])
        return Mux(nan, 0, value)


def _window(m, magnitude):
    """The 64 bits around the leading one, whether bits below them are set, and the top's position.

    The leading one is in the window, though not at its top.
    """
    words = [magnitude[at : at + _WORD] for at in range(0, len(magnitude), _WORD)]
    window = Signal(_WINDOW)
    rest = Signal()
    top = Signal(range(len(words) * _WORD + _WINDOW))
    m.d.comb += [window.eq(Cat(*words[:2])), top.eq(_WINDOW - 1)]
    for i in range(2, len(words)):  # a later assignment has precedence: the highest word wins
        with m.If(words[i].any()):
            m.d.comb += [
                window.eq(Cat(*words[i - 1 : i + 1])),
                rest.eq(Cat(*words[: i - 1]).any()),
                top.eq(_WORD * (i + 1) - 1),
            ]
    return window, rest, top


def _normalise(m, window, powers):
    """The window shifted left by powers of two that empty its top, and by which: the least first.

    With all powers its leading one is at its top.
    """
    value, shift = window, []
    for power in powers:
        step = 1 << power
        empty, shifted = Signal(name=f"empty{step}"), Signal(_WINDOW, name=f"shifted{step}")
        m.d.comb += [
            empty.eq(~value[-step:].any()),
            shifted.eq(Mux(empty, value << step, value)),
        ]
        shift.insert(0, empty)
        value = shifted
    return value, Cat(*shift)
