"""Proofs of the one rounding: what leaves is the nearest to the exact number, ties to even.

The claims are the definition of rounding, not a way to round: they look at the bits that came out
and judge whether they are right, and no two results are.
"""

from functools import partial

from amaranth.hdl import Assert, Assume, Cat, Const, Module, Mux, ResetSignal, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from tsp.hw.isa import DType
from tsp.hw.mxm.mac import Fp16Mac, Int8Mac
from tsp.hw.mxm.rounding import Rounder
from tsp.sim.formal.proof import Method, Proof


class Float:
    """A binary format: its exponent's and fraction's bits, and the highest exponent field."""

    def __init__(self, exponent, fraction):
        self.exponent, self.fraction = exponent, fraction
        self.bias = (1 << exponent - 1) - 1
        self.special = (1 << exponent) - 1
        self.infinity = self.special << fraction
        self.nan = self.infinity | 1 << fraction - 1
        self.bits = 1 + exponent + fraction
        self.least = 1 - self.bias - fraction
        """Exponent of the lowest bit of a subnormal number: the finest spacing there is."""
        self.end = ((4 << fraction) - 1) << self.special - 3
        """From here on numbers round to infinity: the largest and half a step, in that unit."""


SINGLE, HALF = Float(8, 23), Float(5, 10)


class RoundingProperties(wiring.Component):
    """A rounder of one lane with free inputs, and what its bits must be.

    Parameters
    ----------
    mac : Int8Mac or Fp16Mac
        Whose accumulator rows are rounded.
    dtype : DType
        The format that is judged.

    Members
    -------
    valid : In(1)
    number : In(mac.row)
    dtype : In(3)
    used : In(1)
    """

    def __init__(self, mac, dtype):
        self.mac, self.judged = mac, dtype
        self.rounder = Rounder(mac.row, mac.lsb, mac.deep)
        super().__init__({"valid": In(1), "number": In(mac.row), "dtype": In(3), "used": In(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.rounder = rounder = self.rounder
        m.d.comb += rounder.valid.eq(self.valid)
        m.d.comb += [rounder.dtype.eq(self.dtype), rounder.used.eq(self.used)]
        wiring.connect(m, rounder.number, wiring.flipped(self.number))
        number = Cat(*self.number.digits).as_signed()
        flags = self.number.flags if self.mac.special else None
        nan = (flags.nan | (flags.plus & flags.minus)) if flags is not None else Const(0, 1)
        minus = flags.minus if flags is not None else Const(0, 1)
        infinite = (flags.plus | flags.minus) if flags is not None else Const(0, 1)

        # What went in, as long ago as the rounder takes.
        past = []
        for name, value in (
            ("number", number),
            ("nan", nan),
            ("minus", minus),
            ("infinite", infinite),
            ("used", self.used),
            ("valid", self.valid),
            ("right", self.dtype == self.judged),
        ):
            for stage in range(Rounder.latency(self.mac.deep)):
                register = Signal(value.shape(), name=f"{name}{stage}", reset_less=True)
                m.d.sync += register.eq(value)
                value = register
            past.append(value)
        number, nan, minus, infinite, used, valid, right = past
        m.d.comb += Assume(~ResetSignal())
        bits = rounder.bits
        with m.If(valid & ~used):
            m.d.comb += Assert(bits == 0)
        with m.Elif(valid & right):
            if self.judged is DType.INT32:
                self._integer(m, bits, number, nan, minus, infinite)
            else:
                form = SINGLE if self.judged is DType.FP32 else HALF
                self._float(m, form, bits, number, nan, minus, infinite)
        return m

    def _float(self, m, form, bits, number, nan, minus, infinite):
        sign, magnitude = bits[form.bits - 1], bits[: form.bits - 1]
        m.d.comb += Assert(bits[form.bits :] == 0)
        with m.If(nan):
            m.d.comb += Assert(bits[: form.bits] == form.nan)
        with m.Elif(infinite):
            m.d.comb += Assert((magnitude == form.infinity) & (sign == minus))
        with m.Elif(number == 0):
            m.d.comb += Assert(bits == 0)
        with m.Else():
            m.d.comb += Assert(sign == (number < 0))
            exact = Signal(len(number))
            m.d.comb += exact.eq(Mux(number < 0, -number, number))
            self._nearest(m, form, magnitude, exact)

    def _nearest(self, m, form, magnitude, exact):
        # All is counted in units so small that a quarter of the spacing of floats is whole.
        lsb, least = self.mac.lsb, form.least
        unit = min(lsb, max(least, lsb - form.fraction) - 2)
        fraction, exponent = magnitude[: form.fraction], magnitude[form.fraction :]
        step = Signal(range(form.special))  # by which power of two the spacing is above the finest
        m.d.comb += step.eq(Mux(exponent == 0, 0, exponent - 1))
        finest = least - unit
        with m.If(exponent == form.special):
            # At the end of the range too a tie goes to the even one, which is infinity.
            beyond = form.end >> -finest if finest < 0 else form.end << finest
            m.d.comb += Assert((fraction == 0) & ((exact << lsb - unit) >= beyond))
        with m.Else():
            wide = len(exact) + lsb - unit + 2
            scaled, nearest, half = (Signal(wide, name=n) for n in ("scaled", "nearest", "half"))
            below = Signal(wide)
            significand = Cat(fraction, exponent != 0)
            shift = Signal(range(wide))
            m.d.comb += [
                # Floats of a finer or coarser spacing lie below or beyond all these numbers.
                Assert(step >= max(2 - finest, 0)),
                Assert(step <= wide - 2 - form.fraction - finest),
                shift.eq(step + finest),
                scaled.eq(exact << lsb - unit),
                nearest.eq(significand << shift),
                half.eq((1 << shift) >> 1),
                # Below a power of two floats lie twice as close.
                below.eq(Mux((fraction == 0) & (exponent > 1), half >> 1, half)),
            ]
            even = ~fraction[0]
            over, under = scaled - nearest, nearest - scaled
            with m.If(scaled >= nearest):
                m.d.comb += Assert((over[:wide] < half) | ((over[:wide] == half) & even))
            with m.Else():
                m.d.comb += Assert((under[:wide] < below) | ((under[:wide] == below) & even))

    def _integer(self, m, bits, number, nan, minus, infinite):
        point = -self.mac.lsb
        low, high = -(1 << 31), (1 << 31) - 1
        value, half = bits.as_signed(), 1 << point
        off = Signal(signed(len(number) + 34))  # counted in halves of the lowest bit
        m.d.comb += off.eq((number << 1) - (value << point + 1))
        with m.If(nan):
            m.d.comb += Assert(bits == 0)
        with m.Elif(infinite):
            m.d.comb += Assert(value == Mux(minus, low, high))
        with m.Else():
            tie = (off == half) | (off == -half)
            m.d.comb += [
                Assert((off <= half) | (value == high)),
                Assert((off >= -half) | (value == low)),
                Assert(~tie | ~bits[0] | ((off == half) & (value == high))),
            ]


_FORMATS = {DType.FP32: "fp32", DType.FP16: "fp16", DType.INT32: "int32"}
_CLAIM = {
    DType.FP32: "{} bits give the nearest fp32, ties to even, and +0 if they are zero",
    DType.FP16: "{} bits give the nearest fp16, ties to even, with subnormals, infinity from "
    "65,520 on, and +0 if they are zero",
    DType.INT32: "{} bits give the nearest integer, ties to even, saturated",
}
_FLAGS = {
    DType.FP32: "; flags give NaN and infinities",
    DType.FP16: "; flags give NaN and infinities",
    DType.INT32: "; the flag of NaN gives 0, those of infinities the end of the range",
}


def _proof(mac, dtype):
    claim = _CLAIM[dtype].format(sum(mac.row.widths))
    return Proof(
        name=f"round-{mac.name}-{_FORMATS[dtype]}{'-deep' * mac.deep}",
        claim=claim + _FLAGS[dtype] * mac.special + "; deep pipeline" * mac.deep,
        properties=partial(RoundingProperties, mac, dtype),
        depth=Rounder.latency(mac.deep),
        method=Method.ANY_STATE,
    )


PROOFS = [
    _proof(mac, dtype)
    for mac in (Int8Mac(8), Fp16Mac(16), Int8Mac(8, deep=True), Fp16Mac(16, deep=True))
    for dtype in (DType.INT32, DType.FP16, DType.FP32)
]
