"""Numbers taken apart: any format as a sign, a significand and an exponent field."""

from amaranth.hdl import Cat, Const, Mux, Signal

from tsp.hw.vxm.formats import FP32


class Unpacked:
    """A number as its fields, which stand where those of an fp32 would.

    A float is ``(-1)**sign * significand * 2**(field - bias - 23)``, with the `bias` of its format;
    its significand has 24 bits, and that of a narrower format ends in zeros. An integer is
    `significand`, and one less if it is negative: its complement.
    """

    def __init__(self):
        self.sign = Signal()
        self.significand = Signal(32)
        self.field = Signal(8)  # of the exponent, and 1 where that is 0, as subnormals have it
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
    number = Unpacked()
    field = Signal(8)
    fraction = Signal(FP32.fraction_bits)
    special = Signal()
    integer = Signal()
    whole = Signal(32)

    def fraction_of(f):
        return Cat(Const(0, FP32.fraction_bits - f.fraction_bits), bits[: f.fraction_bits])

    def special_of(f):
        return bits[f.fraction_bits if f.infinities else 0 : f.bits - 1].all()

    def whole_of(f):
        return Cat(bits[: f.bits], bits[f.bits - 1].replicate(32 - f.bits))

    m.d.comb += [
        field.eq(of(lambda f: 0 if f.integer else bits[f.fraction_bits : f.bits - 1])),
        fraction.eq(of(lambda f: 0 if f.integer else fraction_of(f))),
        special.eq(of(lambda f: 0 if f.integer else special_of(f))),
        whole.eq(of(lambda f: whole_of(f) if f.integer else 0)),
        integer.eq(of(lambda f: int(f.integer))),
        number.sign.eq(of(lambda f: bits[f.bits - 1])),
        number.significand.eq(
            Mux(integer, whole ^ number.sign.replicate(32), Cat(fraction, field.any()))
        ),
        number.field.eq(Cat(field[0] | ~field.any(), field[1:])),
        # E4M3's only special code has a fraction of ones, so it is NaN.
        number.infinite.eq(special & ~fraction.any()),
        number.nan.eq(special & fraction.any()),
    ]
    return number
