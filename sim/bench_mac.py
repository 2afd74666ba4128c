"""Forms of the exact fp16 multiply-accumulate, each measured as a bare 16 x 16 supercell.

Run as ``python -m tsp.sim.bench_mac``; the results kept are those of docs/mac-forms.md.
Every form is first checked against integer arithmetic in the C++ bench, then timed.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tsp.hw.export import shared
from tsp.hw.mxm.column import Column
from tsp.hw.mxm.fixed import Fixed
from tsp.hw.mxm.mac import Fp16Mac
from tsp.hw.mxm.operand import Operand
from tsp.hw.mxm.operand import convert as convert_operand

LANES = 16


class OneSum(Fp16Mac):
    """A: every product shifted into one 85-bit sum."""

    def __init__(self, vector):
        super().__init__(vector)
        self.partial = Fixed((85,), special=True)

    def sum(self, m, vector, weights):
        terms = []
        for a, w in zip(vector, weights, strict=True):
            product = (a.significand * w.significand)[:23].as_signed()
            terms.append((product << (a.exponent + w.exponent))[:85].as_signed())
        return [sum(terms)]

    def settle(self, partial):
        return [partial[0][:48], partial[0][48:].as_signed()]


class ThreeDigits(Fp16Mac):
    """B: shifted by the low five exponent bits, cut at 32 bits, added into three digits."""

    def __init__(self, vector):
        super().__init__(vector)
        self.partial = Fixed((36, 38, 32), special=True)

    def sum(self, m, vector, weights):
        digits = [], [], []
        for a, w in zip(vector, weights, strict=True):
            exponent = a.exponent + w.exponent
            product = (a.significand * w.significand)[:23].as_signed() << exponent[:5]
            low, high = product[:32], product[32:].as_signed()
            digits[0].append(Mux(exponent[5], 0, low))
            digits[1].append(
                Mux(exponent[5], low.as_signed(), high) if False else Mux(exponent[5], low, high)
            )
            digits[2].append(Mux(exponent[5], high, 0))
        return [sum(terms) for terms in digits]

    def settle(self, partial):
        low, middle, high = partial
        middle = middle.as_signed() + low[32:]
        high = high + (middle >> 32)
        return [Cat(low[:32], middle[:16]), Cat(middle[16:32], high).as_signed()]


class SignMagnitude(Fp16Mac):
    """C2: as C, with an unsigned product whose sign is applied by complement."""

    def __init__(self, vector):
        super().__init__(vector)
        self.factor = wiring.Signature(
            {"magnitude": Out(11), "exponent": Out(5), "negative": Out(1)}
        )

    def factor_of(self, element):
        return {n: getattr(element, n) for n in ("magnitude", "exponent", "negative")}

    def sum(self, m, vector, weights):
        low, high, ones = [], [], []
        for a, w in zip(vector, weights, strict=True):
            exponent = a.exponent + w.exponent
            product = ((a.magnitude * w.magnitude) << exponent[:5])[:60]
            negative = a.negative ^ w.negative
            flip = negative.replicate(60)
            low.append(Mux(exponent[5], 0, product) ^ flip)
            high.append(Mux(exponent[5], product, 0) ^ flip)
            ones.append(negative)
        return [(sum(part) + sum(ones))[:60].as_signed() for part in (low, high)]


class PreShifted(Fp16Mac):
    """D: operands shifted at the edge by their low four exponent bits; three buckets."""

    def __init__(self, vector):
        super().__init__(vector)
        self.partial = Fixed((60, 60, 60), special=True)
        self.factor = wiring.Signature({"value": Out(signed(26)), "upper": Out(1)})

    def factor_of(self, element):
        value = (element.significand << element.exponent[:4])[:26].as_signed()
        return {"value": value, "upper": element.exponent[4]}

    def sum(self, m, vector, weights):
        buckets = [], [], []
        for a, w in zip(vector, weights, strict=True):
            product = a.value * w.value
            both, one = a.upper & w.upper, a.upper ^ w.upper
            buckets[0].append(Mux(both | one, 0, product))
            buckets[1].append(Mux(one, product, 0))
            buckets[2].append(Mux(both, product, 0))
        return [sum(b) for b in buckets]

    def settle(self, partial):
        low, middle, high = (p.as_signed() for p in partial)
        return halves(low + (middle << 16) + (high << 32))


def halves(number):
    return [number[:48], number[48:90].as_signed()]


class Karatsuba(PreShifted):
    """E: as D, with the two ranges of an operand apart and three multipliers, no selection."""

    def __init__(self, vector):
        super().__init__(vector)
        members = {"value": Out(signed(26)), "low": Out(signed(26)), "high": Out(signed(26))}
        self.factor = wiring.Signature(members)

    def factor_of(self, element):
        value = (element.significand << element.exponent[:4])[:26].as_signed()
        upper = element.exponent[4]
        return {"value": value, "low": Mux(upper, 0, value), "high": Mux(upper, value, 0)}

    def sum(self, m, vector, weights):
        parts = [
            sum(getattr(a, n) * getattr(w, n) for a, w in zip(vector, weights, strict=True))
            for n in ("value", "low", "high")
        ]
        whole, low, high = parts
        return [low, whole - low - high, high]


class Wide32(Karatsuba):
    """E32: as E, with operands stored sign-extended to 32 bits."""

    def __init__(self, vector):
        super().__init__(vector)
        members = {n: Out(signed(32)) for n in ("value", "low", "high")}
        self.factor = wiring.Signature(members)

    def sum(self, m, vector, weights):
        parts = []
        for n in ("value", "low", "high"):
            products = [
                (getattr(a, n) * getattr(w, n))[:60] for a, w in zip(vector, weights, strict=True)
            ]
            parts.append(sum(products)[:60])
        whole, low, high = parts
        return [low, (whole - low - high)[:60], high]


def tree(values):
    """The sum of values, added in pairs."""
    values = list(values)
    while len(values) > 1:
        values = [a + b for a, b in zip(values[::2], values[1::2], strict=True)]
    return values[0]


class Tree(Fp16Mac):
    """Ct: as C, added in pairs."""

    def sum(self, m, vector, weights):
        low, high = [], []
        for k, (a, w) in enumerate(zip(vector, weights, strict=True)):
            exponent, product = Signal(6, name=f"exponent{k}"), Signal(signed(54), name=f"p{k}")
            significand = (a.significand * w.significand)[:23].as_signed()
            m.d.comb += exponent.eq(a.exponent + w.exponent)
            m.d.comb += product.eq(significand << exponent[:5])
            low.append(Mux(exponent[5], 0, product))
            high.append(Mux(exponent[5], product[:49].as_signed(), 0))
        return [tree(low), tree(high)]


class Wide(Fp16Mac):
    """Cw: as C, every operand and sum in 64 bits."""

    def __init__(self, vector):
        super().__init__(vector)
        self.partial = Fixed((63, 63), special=True)
        self.factor = wiring.Signature({"significand": Out(signed(32)), "exponent": Out(5)})

    def sum(self, m, vector, weights):
        low, high = [], []
        for k, (a, w) in enumerate(zip(vector, weights, strict=True)):
            exponent, product = Signal(6, name=f"exponent{k}"), Signal(64, name=f"p{k}")
            m.d.comb += exponent.eq(a.exponent + w.exponent)
            m.d.comb += product.eq((a.significand * w.significand).as_unsigned() << exponent[:5])
            low.append(Mux(exponent[5], 0, product))
            high.append(Mux(exponent[5], product, 0))
        return [tree64(low), tree64(high)]


def tree64(values):
    while len(values) > 1:
        values = [(a + b)[:64] for a, b in zip(values[::2], values[1::2], strict=True)]
    return values[0]


class KTree(Karatsuba):
    def sum(self, m, vector, weights):
        parts = [
            tree([getattr(a, n) * getattr(w, n) for a, w in zip(vector, weights, strict=True)])
            for n in ("value", "low", "high")
        ]
        whole, low, high = parts
        return [low, whole - low - high, high]


class K32(Wide32):
    def sum(self, m, vector, weights):
        parts = [
            tree64([getattr(a, n) * getattr(w, n) for a, w in zip(vector, weights, strict=True)])
            for n in ("value", "low", "high")
        ]
        whole, low, high = parts
        return [low, whole - low - high, high]

FORMS = {"Ct": Tree, "Cw": Wide, "Et": KTree, "E64": K32,
    "A": OneSum,
    "B": ThreeDigits,
    "C": Fp16Mac,
    "C2": SignMagnitude,
    "D": PreShifted,
    "E": Karatsuba,
    "E32": Wide32,
}


class Bare(wiring.Component):
    """A supercell with its operand conversion, and one word that folds all its sums.

    Members
    -------
    low, high : In(128)
        16 fp16 numbers: the activation, or weights of the columns in `write`.
    write : In(16)
    install : In(1)
    fold : Out(48)
    """

    low: In(8 * LANES)
    high: In(8 * LANES)
    write: In(LANES)
    install: In(1)
    fold: Out(48)

    def __init__(self, form):
        self.mac = form(LANES)
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        factors = []
        for k in range(LANES):
            operand = Signal(Operand, name=f"operand{k}")
            convert_operand(m, operand, self.low.word_select(k, 8), self.high.word_select(k, 8), 3)
            factor = self.mac.factor.create(path=("factor", k))
            for name, value in self.mac.factor_of(operand).items():
                m.d.sync += getattr(factor, name).eq(value)
            factors.append(factor)
        fold = Const(0, 48)
        for n in range(LANES):
            column = Column(self.mac, LANES)
            m.submodules[f"column{n}"] = shared(
                platform, f"column_{type(self.mac).__name__}", column
            )
            m.d.comb += [
                column.low.eq(self.low),
                column.high.eq(self.high),
                column.dtype.eq(3),
                column.write.eq(self.write[n]),
                column.install.eq(self.install),
                column.used.eq(-1),
            ]
            for a, b in zip(factors, column.factors, strict=True):
                for name in self.mac.factor.members:
                    m.d.comb += getattr(b, name).eq(getattr(a, name))
            dot = self.mac.dot.create(path=("dot", n))
            settled = self.mac.settle(column.north.digits)
            m.d.sync += [a.eq(b) for a, b in zip(dot.digits, settled, strict=True)]
            fold = (
                fold
                ^ dot.digits[0].rotate_left(n)
                ^ (dot.digits[1][:48].as_unsigned() if False else dot.digits[1].as_unsigned())
            )
        m.d.sync += self.fold.eq(fold)
        return m
