"""One lane of one ALU: 32-bit operands in, 32-bit result out."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from tsp.hw.vxm.control import Control, Path, Simple
from tsp.hw.vxm.formats import FP32, by_format
from tsp.hw.vxm.unpack import unpack

_WORK = 2 * FP32.precision  # bits of the product of two significands


class Terms(data.Struct):
    """What the first stage leaves: a simple result, a product, or the terms of a sum."""

    whole: signed(64)  # simple result or product
    big: unsigned(32)
    small: unsigned(27)  # aligned to big, with guard, round and sticky bits below
    minus: unsigned(1)  # small is subtracted
    exponent: signed(10)  # of the lowest bit of the sum or product
    sign: unsigned(1)
    infinite: unsigned(1)
    nan: unsigned(1)


class Normal(data.Struct):
    """What the second stage leaves: a simple result, or a normalised number to be rounded."""

    simple: unsigned(32)
    top: unsigned(_WORK)  # the highest bit is set, unless all are 0
    shift: unsigned(6)  # bits below the guard bit
    binade: unsigned(9)  # of the number, the lowest of the format being 0
    sign: unsigned(1)
    infinite: unsigned(1)
    nan: unsigned(1)


class Stage(wiring.Signature):
    """Control of one stage of a lane; ``enable`` is low in cycles in which it has no work."""

    def __init__(self):
        super().__init__({"enable": Out(1), "control": Out(Control)})


class Lane(wiring.Component):
    """One lane of one ALU.

    Integer results are modulo 2^32 or saturated.
    Float results are rounded once to nearest even; subnormals are kept, NaN is canonical.

    Latency
    -------
    Operands loaded in cycle t give the result in cycle t + 4; stage i needs its control in cycle
    t + 1 + i. A register without work keeps its value, so an idle lane does not toggle.

    Members
    -------
    load : operands are loaded in this cycle
    a, b : operands
    condition : operand c is not 0
    stages : control of the three stages
    result : the result
    """

    load: In(1)
    a: In(32)
    b: In(32)
    condition: In(1)
    stages: In(Stage()).array(3)
    result: Out(32)

    def elaborate(self, platform):
        """Sums, products and conversions of floats share one path, in which a number is a sign,
        a significand of up to 48 bits and an exponent. The first stage aligns or multiplies,
        the second adds and normalises, the third rounds and packs.
        All else is done in the first stage (products of integers in the second) and travels along.
        """
        m = Module()
        operands = Signal(data.StructLayout({"a": 32, "b": 32, "condition": 1}), reset_less=True)
        terms = Signal(Terms, reset_less=True)
        normal = Signal(Normal, reset_less=True)
        operate, normalise, finish = self.stages

        with m.If(self.load):
            m.d.sync += [
                operands.a.eq(self.a),
                operands.b.eq(self.b),
                operands.condition.eq(self.condition),
            ]
        with m.If(operate.enable):
            m.d.sync += terms.eq(_operate(m, operate.control, operands))
        with m.If(normalise.enable):
            m.d.sync += normal.eq(_normalise(m, normalise.control, terms))
        with m.If(finish.enable):
            m.d.sync += self.result.eq(_finish(m, finish.control, normal))
        return m


def _operate(m, control, operands):
    """First stage: the :class:`Terms` of an operation."""
    a, b = operands.a, operands.b
    x = unpack(m, a, lambda choice: by_format(control.source, choice))
    y = unpack(m, b)
    terms = Signal(Terms)

    # The larger magnitude first, the other shifted right by the difference of their exponents;
    # the bits that leave are gathered into the lowest that stays.
    swap, distance, aligned = Signal(), Signal(8), Signal(2 * 27)
    big, small = Signal.like(x), Signal.like(x)
    m.d.comb += [
        swap.eq(~control.alone & (b[:31] > a[:31])),
        big.eq(Mux(swap, y, x)),
        small.eq(Mux(swap, x, y)),
        distance.eq(big.exponent - small.exponent),
        aligned.eq(Cat(Const(0, 27 + 3), small.significand[:24]) >> _at_most(distance, 27)),
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
    normal, work = Signal(Normal), Signal(_WORK)
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
