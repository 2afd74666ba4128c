"""The multiply-accumulate of either datapath.

A class here says what a multiplier is given of an operand, what a product is, how the products of
a column are summed, in which digits that sum climbs the array, and how these become one number at
its top.
"""

from amaranth.hdl import Cat, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import Out
from amaranth.utils import ceil_log2

from tsp.hw.config import LONGEST_SUM
from tsp.hw.mxm.fixed import Fixed


class Int8Mac:
    """8 x 8 bit products in one integer; sums of up to 65,536 fit int32.

    Parameters
    ----------
    vector : int
        Products of one dot product (L).
    deep : bool
        Whether products have a cycle of their own before they are summed.
    """

    name = "int8"
    special = False
    lsb = 0

    def __init__(self, vector, deep=False):
        self.deep = deep
        total = 15 + ceil_log2(vector) + 1
        self.partial = Fixed((total,), special=False)
        self.dot = Fixed((total,), special=False)
        self.row = Fixed((32,), special=False)
        self.factor = wiring.Signature({"significand": Out(signed(8))})

    def products(self, m, vector, weights):
        """The products of two equally long lists of factors, each a tuple of values."""
        return [(a.significand * w.significand,) for a, w in zip(vector, weights, strict=True)]

    def sum(self, m, products):
        """The digits of the sum of products."""
        first, *others = (product for (product,) in products)
        return [sum(others, first)]

    def settle(self, partial):
        """The digits of `dot` for the digits of `partial`."""
        return partial


class Fp16Mac:
    """Exact products of 2^-48 and up, in two sums of which one counts 2^32.

    A product of two 12-bit significands is shifted by the low five bits of its exponent, 0 to 58.
    All products so shifted are added; those of exponent 32 and more are also added apart. At the
    top of the array the second sum is taken from the first and put back 32 bits further up.

    Parameters
    ----------
    vector, deep : int, bool
        As of :class:`Int8Mac`.
    """

    name = "fp16"
    special = True
    lsb = -48

    def __init__(self, vector, deep=False):
        self.deep = deep
        grow = ceil_log2(vector)
        self.partial = Fixed((54 + grow, 49 + grow), special=True)
        self.dot = Fixed((48, 81 + grow - 48), special=True)
        self.row = Fixed((48, 81 + ceil_log2(LONGEST_SUM) + 1 - 48), special=True)
        self.factor = wiring.Signature({"significand": Out(signed(12)), "exponent": Out(5)})

    def products(self, m, vector, weights):
        """The products of two equally long lists of factors, as significand and exponent."""
        products = []
        for k, (a, w) in enumerate(zip(vector, weights, strict=True)):
            exponent = Signal(6, name=f"exponent{k}")
            m.d.comb += exponent.eq(a.exponent + w.exponent)
            products.append(((a.significand * w.significand)[:23].as_signed(), exponent))
        return products

    def sum(self, m, products):
        """The digits of the sum of products."""
        every, upper = [], []
        for k, (significand, exponent) in enumerate(products):
            product = Signal(63, name=f"product{k}")
            m.d.comb += product.eq(significand << exponent[:5])
            every.append(product)
            upper.append(Mux(exponent[5], product, 0))
        return [total(every), total(upper)]

    def settle(self, partial):
        """The digits of `dot` for the digits of `partial`."""
        every, upper = partial
        lower = every.as_signed() - upper
        bottom = lower[:48] + Cat(lower[:32] & 0, upper[:16])
        top = lower[48:].as_signed() + upper[16:].as_signed() + bottom[48]
        return [bottom[:48], top]


def total(values):
    """The sum of values, added in pairs, modulo 2^63; their number is a power of two.

    With its carry each addition fits a machine word, which simulators add fastest; the bits of it
    that are not used become no gates.
    """
    while len(values) > 1:
        values = [(a + b)[:63] for a, b in zip(values[::2], values[1::2], strict=True)]
    return values[0]


def mac_of(config):
    """The multiply-accumulate of the datapath of `config`."""
    return {"int8": Int8Mac, "fp16": Fp16Mac}[config.datapath](config.vector, config.deep)
