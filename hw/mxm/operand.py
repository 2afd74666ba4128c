"""Operands of the array: every storage format as an integer times a power of two."""

from amaranth.hdl import Cat, Const, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from tsp.hw.isa import DType
from tsp.hw.mxm.fixed import registers


class Specials(wiring.Signature):
    """What is special about a vector of operands, a bit per lane."""

    def __init__(self, lanes):
        super().__init__(
            {"nan": Out(lanes), "infinite": Out(lanes), "zero": Out(lanes), "negative": Out(lanes)}
        )


class OperandRegisters:
    """Registers of a vector of operands: ``factors`` and, for the fp16 datapath, ``special``.

    An operand is ``significand * 2**(exponent - 24)``, the significand a signed integer of 12
    bits, which is 0 for an infinity or NaN. No format needs to be normalised to get there, because
    a fixed-point sum does not care.

    Parameters
    ----------
    mac : Int8Mac or Fp16Mac
    lanes : int
    name : str
        Prefix of the registers' names.
    """

    def __init__(self, mac, lanes, name):
        self.mac = mac
        self.factors = [registers(mac.factor, name, k) for k in range(lanes)]
        self.special = registers(Specials(lanes), name) if mac.special else None

    def convert(self, m, low, high, dtype):
        """Take the elements that the words `low` and, for fp16, `high` mean in format `dtype`.

        It is called where there is a condition. All of it is conditions and assignments, with no
        value that two of them share, so that a simulator passes it over when there is nothing to
        convert.
        """
        for k, factor in enumerate(self.factors):
            bytes_ = low.word_select(k, 8), high.word_select(k, 8)
            element = _Element(m, factor, self.special, k)
            if self.mac.special:
                element.convert(*bytes_, dtype)
            else:
                element.int8(bytes_[0])


class _Element:
    """One lane of :class:`OperandRegisters` and the statements that set it."""

    def __init__(self, m, factor, special, lane):
        self.m, self.factor, self.flags = m, factor, {}
        if special is not None:
            members = special.signature.members
            self.flags = {name: getattr(special, name)[lane] for name in members}

    def set(self, **flags):
        """Set every flag: to a value, or to 0."""
        self.m.d.sync += [flag.eq(flags.get(name, 0)) for name, flag in self.flags.items()]

    def number(self, magnitude, minus):
        """Set the significand."""
        self.m.d.sync += self.factor.significand.eq(Mux(minus, -magnitude, magnitude))

    def int8(self, byte):
        self.m.d.sync += self.factor.significand.eq(byte.as_signed())

    def convert(self, low, high, dtype):
        m = self.m
        with m.Switch(dtype):
            with m.Case(DType.INT8):
                self.int8(low)
                m.d.sync += self.factor.exponent.eq(24)
                self.set(negative=low[7], zero=low == 0)
            with m.Case(DType.FP8_E4M3):
                self.e4m3(low)
            with m.Case(DType.FP8_E5M2):
                self.half(Cat(Const(0, 8), low))
            with m.Default():
                self.half(Cat(low, high))

    def half(self, bits):
        m = self.m
        fraction, exponent, negative = bits[:10], bits[10:15], bits[15]
        with m.Switch(exponent):
            with m.Case(0):
                self.number(fraction, negative)
                m.d.sync += self.factor.exponent.eq(0)
                self.set(negative=negative, zero=fraction == 0)
            with m.Case(31):
                m.d.sync += self.factor.significand.eq(0)
                self.set(negative=negative, infinite=fraction == 0, nan=fraction != 0)
            with m.Default():
                self.number(Cat(fraction, Const(1, 1)), negative)
                m.d.sync += self.factor.exponent.eq(exponent - 1)
                self.set(negative=negative)

    def e4m3(self, byte):
        # The "fn" variant: no infinities, and only the all-ones pattern of either sign is NaN.
        m = self.m
        fraction, exponent, negative = byte[:3], byte[3:7], byte[7]
        with m.Switch(byte[:7]):
            with m.Case("0000---"):
                self.number(fraction, negative)
                m.d.sync += self.factor.exponent.eq(15)
                self.set(negative=negative, zero=fraction == 0)
            with m.Case("1111111"):
                m.d.sync += self.factor.significand.eq(0)
                self.set(negative=negative, nan=1)
            with m.Default():
                self.number(Cat(fraction, Const(1, 1)), negative)
                m.d.sync += self.factor.exponent.eq(exponent + 14)
                self.set(negative=negative)
