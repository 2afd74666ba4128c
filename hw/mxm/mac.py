"""The multiply-accumulate of one column of a supercell, for either datapath.

A class here says what a multiplier is given of an operand, how a column of products is summed, in
which digits the sum climbs the array, and how these become one number at its top.
See docs/mac-forms.md for the forms that were measured against each other.
"""

from amaranth.hdl import Cat, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import Out
from amaranth.utils import ceil_log2

from tsp.hw.mxm.fixed import Fixed
from tsp.hw.mxm.operand import Operand, convert

LONGEST_SUM = 65_536


class Int8Mac:
    """8 x 8 bit products in one integer; sums of up to 65,536 fit int32.

    Parameters
    ----------
    vector : int
        Products of one dot product (L).
    """

    name = "int8"
    special = False
    lsb = 0

    def __init__(self, vector):
        total = 15 + ceil_log2(vector) + 1
        self.partial = Fixed((total,), special=False)
        self.dot = Fixed((total,), special=False)
        self.row = Fixed((32,), special=False)
        self.element = signed(8)
        self.factor = wiring.Signature({"significand": Out(signed(8))})

    def convert(self, m, element, low, high, dtype):
        """Drive the element that a byte means; the queue lets no other format pass."""
        m.d.comb += element.eq(low)

    def factor_of(self, element):
        """The members of a factor for an element."""
        return {"significand": element}

    def sum(self, m, vector, weights):
        """The digits of the sum of the products of two equally long lists of factors."""
        return [sum(a.significand * w.significand for a, w in zip(vector, weights, strict=True))]

    def settle(self, partial):
        """The digits of `dot` for the digits of `partial`."""
        return partial


class Fp16Mac:
    """Exact products of 2^-48 and up, in two buckets 32 bits apart.

    A product of two 12-bit significands is shifted by the low five bits of its exponent and added
    to the bucket that the sixth bit names; the buckets meet once, at the top of the array.

    Parameters
    ----------
    vector : int
        Products of one dot product (L).
    """

    name = "fp16"
    special = True
    lsb = -48

    def __init__(self, vector):
        grow = ceil_log2(vector)
        self.partial = Fixed((54 + grow, 49 + grow), special=True)
        self.dot = Fixed((48, 81 + grow - 48), special=True)
        self.row = Fixed((48, 81 + ceil_log2(LONGEST_SUM) + 1 - 48), special=True)
        self.element = Operand
        self.factor = wiring.Signature({"significand": Out(signed(12)), "exponent": Out(5)})

    def convert(self, m, element, low, high, dtype):
        """Drive the element that bytes `low` and, for fp16, `high` mean."""
        convert(m, element, low, high, dtype)

    def factor_of(self, element):
        """The members of a factor for an element."""
        return {"significand": element.significand, "exponent": element.exponent}

    def sum(self, m, vector, weights):
        """The digits of the sum of the products of two equally long lists of factors."""
        low, high = [], []
        for k, (a, w) in enumerate(zip(vector, weights, strict=True)):
            exponent, product = Signal(6, name=f"exponent{k}"), Signal(signed(54), name=f"p{k}")
            significand = (a.significand * w.significand)[:23].as_signed()
            m.d.comb += exponent.eq(a.exponent + w.exponent)
            m.d.comb += product.eq(significand << exponent[:5])
            low.append(Mux(exponent[5], 0, product))
            high.append(Mux(exponent[5], product, 0)[:49].as_signed())
        return [sum(low), sum(high)]

    def settle(self, partial):
        """The digits of `dot` for the digits of `partial`."""
        low, high = partial
        bottom = low[:48] + Cat(low[:32] & 0, high[:16])
        top = low[48:].as_signed() + high[16:].as_signed() + bottom[48]
        return [bottom[:48], top]


def mac_of(config):
    """The multiply-accumulate of the datapath of `config`."""
    return {"int8": Int8Mac, "fp16": Fp16Mac}[config.datapath](config.vector)
