"""Numbers taken apart: any format as a sign, a significand and an exponent."""

from amaranth.hdl import Cat, Const, Mux, Signal, signed

from tsp.hw.vxm.formats import FP32


class Unpacked:
    """``(-1)**sign * significand * 2**exponent``, unless it is infinite or NaN.

    A float's significand has 24 bits; that of a narrower format ends in zeros.
    """

    def __init__(self):
        self.sign = Signal()
        self.significand = Signal(32)
        self.exponent = Signal(signed(9))
        self.infinite = Signal()
        self.nan = Signal()


def unpack(m, bits, of=lambda choice: choice(FP32)):
    """The :class:`Unpacked` number that stands in `bits`.

    Parameters
    ----------
    m : Module
        Where the logic goes.
    bits : Value
        32 bits; a narrower format stands in the low ones.
    of : function
        Makes, from a function of a :class:`~tsp.hw.vxm.formats.Format`, its value for the format
        of `bits`. Without it that is fp32.
    """
    # Every format's fields are first wired to the places of fp32's; the rest is then common.
    number = Unpacked()
    field, fraction, lowest = Signal(8), Signal(FP32.fraction_bits), Signal(signed(9))
    integer, whole, special = Signal(), Signal(signed(32)), Signal()

    def fraction_of(f):
        return Cat(Const(0, FP32.fraction_bits - f.fraction_bits), bits[: f.fraction_bits])

    def special_of(f):
        return bits[f.fraction_bits if f.infinities else 0 : f.bits - 1].all()

    m.d.comb += [
        field.eq(of(lambda f: 0 if f.integer else bits[f.fraction_bits : f.bits - 1])),
        fraction.eq(of(lambda f: 0 if f.integer else fraction_of(f))),
        lowest.eq(of(lambda f: 0 if f.integer else 1 - f.bias - FP32.fraction_bits)),
        special.eq(of(lambda f: 0 if f.integer else special_of(f))),
        whole.eq(of(lambda f: bits[: f.bits].as_signed() if f.integer else 0)),
        integer.eq(of(lambda f: int(f.integer))),
        number.significand.eq(Mux(integer, abs(whole), Cat(fraction, field.any()))),
        number.exponent.eq(lowest + Mux(field.any(), field - 1, 0)),
        number.sign.eq(of(lambda f: bits[f.bits - 1])),
        # E4M3's only special code has a fraction of ones, so it is NaN.
        number.infinite.eq(special & ~fraction.any()),
        number.nan.eq(special & fraction.any()),
    ]
    return number
