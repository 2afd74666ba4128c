"""One lane of one ALU: 32-bit operands in, 32-bit result out."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from tsp.hw.vxm.control import Control, Path, Simple
from tsp.hw.vxm.formats import FP32, by_format
from tsp.hw.vxm.unpack import unpack

_WORK = 2 * FP32.precision  # bits of the product of two significands


_OPERANDS = {"a": 32, "b": 32, "condition": 1}

_TERMS = {
    "whole": signed(64),  # simple result or product
    "big": 32,  # larger term of the sum
    "small": 27,  # smaller term, aligned, with guard, round and sticky bits below
    "minus": 1,  # the smaller is subtracted
    "exponent": signed(10),  # of the lowest bit of the sum or product
    "sign": 1,
    "infinite": 1,
    "nan": 1,
}
"""What the first stage leaves: a simple result, a product, or the terms of a sum."""

_NORMAL = {
    "simple": 32,
    "top": _WORK,  # the highest bit is set, unless all are 0
    "shift": 6,  # bits below the guard bit
    "binade": 9,  # of the number, the lowest of the format being 0
    "sign": 1,
    "infinite": 1,
    "nan": 1,
}
"""What the second stage leaves: a simple result, or a normalised number to be rounded."""


class Lane(wiring.Component):
    """One lane of one ALU.

    Integer results are modulo 2^32 or saturated.
    Float results are rounded once to nearest even; subnormals are kept, NaN is canonical.
    A register without work keeps its value, so an idle lane does not toggle.

    Latency
    -------
    4 cycles.

    Members
    -------
    valid : there is an operation
    control : what it is
    a, b : its operands
    condition : its operand c is not 0
    result : its result
    """

    valid: In(1)
    control: In(Control)
    a: In(32)
    b: In(32)
    condition: In(1)
    result: Out(32)

    def elaborate(self, platform):
        """Sums, products and conversions of floats share one path, in which a number is a sign,
        a significand of up to 48 bits and an exponent. The first stage aligns or multiplies,
        the second adds and normalises, the third rounds and packs.
        All else is done in the first stage (products of integers in the second) and travels along.

        The lane keeps its control with its data, and every member of a stage is a signal of its
        own: simulators then share the code of all lanes, and no wide words are taken apart.
        """
        m = Module()
        operands, terms, normal = (_signals(s) for s in (_OPERANDS, _TERMS, _NORMAL))
        work = [Signal(name=f"work_{i}") for i in range(3)]
        control = [Signal(Control, name=f"control_{i}", reset_less=True) for i in range(3)]
        m.d.sync += Cat(work).eq(Cat(self.valid, work))
        with m.If(self.valid):
            m.d.sync += [
                operands.a.eq(self.a),
                operands.b.eq(self.b),
                operands.condition.eq(self.condition),
                control[0].eq(self.control),
            ]
        terms_next = _operate(m, control[0], operands)
        with m.If(work[0]):
            m.d.sync += [control[1].eq(control[0]), *_copied(terms, terms_next)]
        normal_next = _normalise(m, control[1], terms)
        with m.If(work[1]):
            m.d.sync += [control[2].eq(control[1]), *_copied(normal, normal_next)]
        result = _finish(m, control[2], normal)
        with m.If(work[2]):
            m.d.sync += self.result.eq(result)
        return m


def _signals(shapes):
    return SimpleNamespace(
        **{name: Signal(shape, name=name, reset_less=True) for name, shape in shapes.items()}
    )


def _copied(target, source):
    return [signal.eq(getattr(source, name)) for name, signal in vars(target).items()]


def _operate(m, control, operands):
    """First stage: the :class:`Terms` of an operation."""
    a, b = operands.a, operands.b
    x = unpack(m, a, lambda choice: by_format(control.source, choice))
    y = unpack(m, b)
    terms = _signals(_TERMS)

    # The larger magnitude first, the other shifted right by the difference of their exponents;
    # the bits that leave are gathered into the lowest that stays.
    swap, distance, aligned = Signal(), Signal(8), Signal(2 * 27)
    exponents, significands = [Signal(signed(9)) for _ in range(2)], []
    m.d.comb += [
        swap.eq(~control.alone & (b[:31] > a[:31])),
        big.eq(Mux(swap, y.significand, x.significand)),
        small.eq(Mux(swap, x.significand, y.significand)),
        exponent.eq(Mux(swap, y.exponent, x.exponent)),
        distance.eq(Mux(swap, x.exponent, y.exponent)),
        aligned.eq(Cat(Const(0, 27 + 3), small) >> _at_most(distance, 27)),
    ]

    product = Signal(signed(64))
    factors = [Signal(signed(32), name=f"factor_{n}") for n in "ab"]
    for factor, number, operand in zip(factors, (x, y), (a, b), strict=True):
        m.d.comb += factor.eq(Mux(control.multiply, number.significand[:24], operand))
    m.d.comb += product.eq(factors[0] * factors[1])

    simple = _simple(m, control, operands, x.nan | y.nan)
    m.d.comb += terms.whole.eq(
        Mux(control.multiply | (control.path == Path.PRODUCT), product, simple)
    )
    with m.If(control.alone):
        m.d.comb += [
            terms.sign.eq(x.sign),
            terms.exponent.eq(x.exponent - 3),
            terms.big.eq(x.significand),
            terms.infinite.eq(x.infinite),
            terms.nan.eq(x.nan),
        ]
    with m.Elif(control.multiply):
        zero_by_infinity = (x.infinite & ~y.significand.any()) | (y.infinite & ~x.significand.any())
        m.d.comb += [
            terms.sign.eq(x.sign ^ y.sign),
            terms.exponent.eq(x.exponent + y.exponent),
            terms.infinite.eq(x.infinite | y.infinite),
            terms.nan.eq(x.nan | y.nan | zero_by_infinity),
        ]
    with m.Else():
        y_sign = y.sign ^ control.subtract
        minus = x.sign ^ y_sign
        m.d.comb += [
            terms.sign.eq(Mux(swap, y_sign, x.sign)),
            terms.exponent.eq(big.exponent - 3),
            terms.big.eq(big.significand),
            terms.small.eq(aligned[27:] | aligned[:27].any()),
            terms.minus.eq(minus),
            terms.infinite.eq(x.infinite | y.infinite),
            terms.nan.eq(x.nan | y.nan | (x.infinite & y.infinite & minus)),
        ]
    return terms


def _simple(m, control, operands, either_nan):
    """The result of ``Path.SIMPLE``."""
    a, b = operands.a, operands.b
    # Of fp32, as sign and magnitude, an order of integers is made: -0 just below +0.
    keys = [Signal(signed(32), name=f"key_{n}") for n in "ab"]
    for key, operand in zip(keys, (a, b), strict=True):
        m.d.comb += key.eq(operand ^ Cat((control.real & operand[31]).replicate(31), 0))
    less, same, both_zero, nan = Signal(), Signal(), Signal(), Signal()
    m.d.comb += [
        both_zero.eq(control.real & ~(a[:31] | b[:31]).any()),
        nan.eq(control.real & either_nan),
        less.eq(keys[0] < keys[1]),
        same.eq((a == b) | both_zero),
    ]

    total, simple = Signal(signed(33)), Signal(32)
    m.d.comb += total.eq(
        Mux(control.subtract, a.as_signed() - b.as_signed(), a.as_signed() + b.as_signed())
    )
    with m.Switch(control.simple):
        with m.Case(Simple.MOV):
            m.d.comb += simple.eq(a)
        with m.Case(Simple.SELECT):
            m.d.comb += simple.eq(Mux(operands.condition, a, b))
        with m.Case(Simple.SUM):
            m.d.comb += simple.eq(Mux(control.saturate, _saturated(total), total))
        with m.Case(Simple.MAX):
            m.d.comb += simple.eq(Mux(nan, FP32.nan, Mux(less, b, a)))
        with m.Case(Simple.MIN):
            m.d.comb += simple.eq(Mux(nan, FP32.nan, Mux(less, a, b)))
        with m.Case(Simple.EQ):
            m.d.comb += simple.eq((same & ~nan).replicate(32))
        with m.Case(Simple.LT):
            m.d.comb += simple.eq((less & ~both_zero & ~nan).replicate(32))
        with m.Case(Simple.LE):
            m.d.comb += simple.eq(((less | same) & ~nan).replicate(32))
    return simple


def _normalise(m, control, terms):
    """Second stage: the :class:`Normal` number of a sum or product."""
    normal, work = _signals(_NORMAL), Signal(_WORK)
    scaled = Cat(Const(0, 3), terms.big)
    m.d.comb += work.eq(
        Mux(
            control.multiply,
            terms.whole,
            Mux(terms.minus, scaled - terms.small, scaled + terms.small),
        )
    )
    top, zeros = _leading(m, work)

    # Of a number whose highest bit has the weight 2^e, a format of p bits keeps a last place of
    # 2^max(e - p + 1, finest). So the cut either leaves p bits, or is fixed by `finest`.
    spare = by_format(control.result, lambda f: _WORK - f.precision)
    finest = by_format(control.result, lambda f: f.finest)
    cut, fixed = Signal(signed(11)), Signal()
    m.d.comb += [
        cut.eq(zeros - terms.exponent + finest),
        fixed.eq((cut > spare) | ~top[-1]),
        normal.top.eq(top),
        normal.shift.eq(Mux(fixed, _at_most(cut, _WORK + 1), spare) - 1),
        normal.binade.eq(Mux(fixed, 0, spare - cut)),
        # A difference of equal numbers is +0.
        normal.sign.eq(terms.sign & ~(terms.minus & ~top[-1])),
        normal.infinite.eq(terms.infinite),
        normal.nan.eq(terms.nan),
        normal.simple.eq(terms.whole),
    ]
    with m.If(control.saturate & (control.path == Path.PRODUCT)):
        m.d.comb += normal.simple.eq(_saturated(terms.whole))
    return normal


def _finish(m, control, normal):
    """Third stage: the result, a number being rounded and packed."""

    def of(choice):
        return by_format(control.result, choice)

    # The binade, counted from the lowest, over the significand with its highest bit is the code of
    # a float: the highest bit, or a carry of the rounding, adds one to the exponent field.
    cut, guard, sticky, code = Signal(_WORK), Signal(), Signal(), Signal(9 + 32)
    below = ((Const(1, _WORK + 1) << normal.shift) - 1)[:_WORK]
    kept = cut[1:33]
    m.d.comb += [
        cut.eq(normal.top >> normal.shift),
        guard.eq(cut[0]),
        sticky.eq((normal.top & below).any()),
        code.eq(
            of(lambda f: normal.binade << (f.precision - 1)) + kept + (guard & (sticky | kept[0]))
        ),
    ]

    # Integers differ from floats in their negative limit and in how they show a sign.
    over, magnitude, result = Signal(), Signal(32), Signal(32)
    over_is_nan = of(lambda f: int(not f.integer and not f.infinities))
    limit = of(lambda f: f.largest + normal.sign if f.integer else f.largest)
    m.d.comb += [
        over.eq(normal.infinite | (code > limit)),
        magnitude.eq(code),
    ]
    with m.If(over):
        m.d.comb += magnitude.eq(of(lambda f: f.largest + normal.sign if f.integer else f.infinity))
    m.d.comb += result.eq(
        of(
            lambda f: (
                Mux(normal.sign, -magnitude, magnitude)[:32]
                if f.integer
                else Cat(magnitude[: f.bits - 1], normal.sign)
            )
        )
    )
    with m.If(normal.nan | (over & over_is_nan)):
        m.d.comb += result.eq(of(lambda f: f.nan))
    with m.If(control.path != Path.ROUNDED):
        m.d.comb += result.eq(normal.simple)
    return result


def _leading(m, value):
    """`value` shifted left until its highest bit is set, and by how much; 0 stays 0."""
    zeros = []
    for step in (32, 16, 8, 4, 2, 1):
        empty, shifted = Signal(name=f"empty_{step}"), Signal(len(value), name=f"top_{step}")
        m.d.comb += [
            empty.eq(~value[-step:].any()),
            shifted.eq(Mux(empty, value << step, value)),
        ]
        value = shifted
        zeros.insert(0, empty)
    return value, Cat(zeros)


def _saturated(value):
    """The int32 nearest to a wider signed `value`."""
    sign = value[-1]
    fits = value[31:-1] == sign.replicate(len(value) - 32)
    return Mux(fits, value[:32], Cat((~sign).replicate(31), sign))


def _at_most(value, limit):
    """The smaller of `value` and `limit`, in as many bits as `limit` needs."""
    return Mux(value > limit, limit, value)[: limit.bit_length()]
