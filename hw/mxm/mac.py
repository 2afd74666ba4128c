"""The multiply-accumulate of either datapath.

A class here says what a multiplier is given of an operand, how the products of a column are
summed, in which digits that sum climbs the array, and how these become one number at its top.
"""

from functools import reduce

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from tsp.hw.mxm.fixed import Fixed, registers

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
        self.factor = wiring.Signature({"significand": Out(signed(32))})

    def sum(self, m, vector, weights):
        """The digits of the sum of the products of two equally long lists of factors."""
        products = [
            (a.significand * w.significand)[:32] for a, w in zip(vector, weights, strict=True)
        ]
        return [total(products, 32)]

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
        self.factor = wiring.Signature({"significand": Out(signed(64)), "exponent": Out(5)})

    def sum(self, m, vector, weights):
        """The digits of the sum of the products of two equally long lists of factors."""
        every, upper = [], []
        for k, (a, w) in enumerate(zip(vector, weights, strict=True)):
            exponent, product = Signal(6, name=f"exponent{k}"), Signal(64, name=f"product{k}")
            m.d.comb += exponent.eq(a.exponent + w.exponent)
            m.d.comb += product.eq((a.significand * w.significand)[:64] << exponent[:5])
            every.append(product)
            upper.append(Mux(exponent[5], product, 0))
        return [total(every, 64), total(upper, 64)]

    def settle(self, partial):
        """The digits of `dot` for the digits of `partial`."""
        every, upper = partial
        lower = every.as_signed() - upper
        bottom = lower[:48] + Cat(lower[:32] & 0, upper[:16])
        top = lower[48:].as_signed() + upper[16:].as_signed() + bottom[48]
        return [bottom[:48], top]


def total(values, width):
    """The sum of values modulo ``2**width``."""
    return reduce(lambda a, b: (a + b)[:width], values)


class Dot(wiring.Component):
    """The sum of the products of two vectors of factors.

    Factors are sign-extended to whole machine words and sums are taken modulo such a word. In
    gates the copies of the sign are one flip-flop and the multiplier is that of 12 bits, while a
    simulator need not extend each operand of each product. There is no condition in here: only
    so does Yosys cut the multipliers, which Amaranth makes twice as wide, on export.

    Latency
    -------
    `sum` follows `a` and `w` by 1 cycle.

    Parameters
    ----------
    mac : Int8Mac or Fp16Mac
    lanes : int

    Members
    -------
    a, w : In(factor).array(lanes)
    sum : Out(Fixed)
        The digits only; there are no flags.
    """

    def __init__(self, mac, lanes):
        self.mac = mac
        digits = Fixed(mac.partial.widths, special=False)
        super().__init__(
            {
                "a": In(mac.factor).array(lanes),
                "w": In(mac.factor).array(lanes),
                "sum": Out(digits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        register = registers(self.sum.signature, "register")
        digits = self.mac.sum(m, self.a, self.w)
        m.d.sync += [a.eq(b) for a, b in zip(register.digits, digits, strict=True)]
        m.d.comb += self.sum.assign(register)
        return m


def mac_of(config):
    """The multiply-accumulate of the datapath of `config`."""
    return {"int8": Int8Mac, "fp16": Fp16Mac}[config.datapath](config.vector)
