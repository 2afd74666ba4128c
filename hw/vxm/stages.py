"""The three stages of a lane, as functions of their input registers.

Sums, products and conversions of floats share one path, in which a number is a sign, a significand
of up to 48 bits and an exponent.
The first stage aligns or multiplies, the second adds and normalises, the third rounds and packs.
All else is done in the first stage (products of integers in the second too) and travels along.
"""

from typing import ClassVar

from amaranth.hdl import Cat, Const, Mux, Signal, signed

from tsp.hw.vxm.control import Path, Simple
from tsp.hw.vxm.formats import FP32, by_format
from tsp.hw.vxm.leading import leading
from tsp.hw.vxm.unpack import unpack

_WORK = 2 * FP32.precision  # bits of a product of significands
_BELOW = 3  # guard, round and sticky bit of a sum
_TERM = FP32.precision + _BELOW
_ONES = 0xFFFFFFFF


class Registers:
    """Signals that are registered together; one signal each, as simulators like it best.

    Subclasses give ``shapes``, a dict of shape by name.
    """

    def __init__(self, prefix):
        for name, shape in self.shapes.items():
            setattr(self, name, Signal(shape, name=f"{prefix}_{name}", reset_less=True))

    def eq(self, other):
        """Assignments of all signals of `other`."""
        return [getattr(self, name).eq(getattr(other, name)) for name in self.shapes]


class Terms(Registers):
    """What the first stage leaves: a simple result, a product, or the terms of a sum."""

    shapes: ClassVar = {
        "simple": 32,
        "product": signed(64),
        "big": 32,
        "small": _TERM,  # aligned to big, with the bits below
        "minus": 1,  # small is subtracted
        "exponent": signed(10),  # of the lowest bit of the sum or product
        "sign": 1,
        "infinite": 1,
        "nan": 1,
    }


class Normal(Registers):
    """What the second stage leaves: a simple result, or a normalised number to be rounded."""

    shapes: ClassVar = {
        "simple": 32,
        "top": _WORK,  # the highest bit is set, unless all are 0
        "shift": 6,  # bits below the guard bit
        "binade": 9,  # of the number; the lowest of the format is 0
        "sign": 1,
        "infinite": 1,
        "nan": 1,
    }


def operate(m, control, a, b, condition):
    """First stage: the :class:`Terms` of an operation on a and b."""
    terms = Terms("operated")
    x = unpack(m, a, lambda choice: by_format(control.source, choice))
    y = unpack(m, b)

    # The term of larger magnitude comes first; the other is shifted right by the difference of
    # their exponents, and what it loses is gathered in its lowest bit.
    swap, distance = Signal(), Signal(8)
    exponent, small, aligned = Signal(signed(9)), Signal(FP32.precision), Signal(2 * _TERM)
    m.d.comb += [
        swap.eq(~control.alone & (b[:31] > a[:31])),
        exponent.eq(Mux(swap, y.exponent, x.exponent)),
        small.eq(Mux(swap, x.significand, y.significand)),
        distance.eq(exponent - Mux(swap, x.exponent, y.exponent)),
        aligned.eq(Cat(Const(0, _TERM + _BELOW), small) >> _at_most(distance, _TERM)),
        terms.big.eq(Mux(swap, y.significand, x.significand)),
        terms.small.eq(Mux(control.alone, 0, aligned[_TERM:] | aligned[:_TERM].any())),
    ]

    factors = [Signal(signed(32), name=f"factor_{n}") for n in "ab"]
    for factor, number, operand in zip(factors, (x, y), (a, b), strict=True):
        m.d.comb += factor.eq(Mux(control.multiply, number.significand[: FP32.precision], operand))
    m.d.comb += terms.product.eq(factors[0] * factors[1])

    y_sign, unlike = Signal(), Signal()
    undefined = Mux(
        control.multiply,
        (x.infinite & ~y.significand.any()) | (y.infinite & ~x.significand.any()),
        x.infinite & y.infinite & unlike,
    )
    m.d.comb += [
        y_sign.eq(y.sign ^ control.subtract),
        unlike.eq(x.sign ^ y_sign),
        terms.minus.eq(unlike),
        terms.sign.eq(Mux(control.multiply, unlike, Mux(swap, y_sign, x.sign))),
        terms.exponent.eq(
            Mux(control.multiply, x.exponent + y.exponent, exponent - _BELOW),
        ),
        terms.infinite.eq(x.infinite | (y.infinite & ~control.alone)),
        terms.nan.eq(x.nan | ((y.nan | undefined) & ~control.alone)),
        terms.simple.eq(_simple(m, control, a, b, condition, x.nan | y.nan)),
    ]
    return terms


def _simple(m, control, a, b, condition, either_nan):
    """The result of ``Path.SIMPLE``."""
    # Of fp32, which is sign and magnitude, an order of integers is made: -0 just below +0.
    keys = [Signal(signed(32), name=f"key_{n}") for n in "ab"]
    for key, operand in zip(keys, (a, b), strict=True):
        m.d.comb += key.eq(Mux(control.real & operand[31], operand ^ 0x7FFFFFFF, operand))
    less, same, zeros, nan = Signal(), Signal(), Signal(), Signal()
    m.d.comb += [
        zeros.eq(control.real & ~(a[:31] | b[:31]).any()),
        nan.eq(control.real & either_nan),
        less.eq(keys[0] < keys[1]),
        same.eq((a == b) | zeros),
    ]

    term, total, overflow = Signal(32), Signal(32), Signal()
    m.d.comb += [
        term.eq(Mux(control.subtract, ~b, b)),
        total.eq(a + term + control.subtract),
        overflow.eq(control.saturate & (a[31] == term[31]) & (a[31] != total[31])),
    ]

    distance, entering = Signal(6), Signal()
    m.d.comb += [
        distance.eq(_at_most(b, 32)),
        entering.eq(a[31] & (control.simple == Simple.SRA)),
    ]

    simple = Signal(32)
    with m.Switch(control.simple):
        with m.Case(Simple.MOV):
            m.d.comb += simple.eq(a)
        with m.Case(Simple.SELECT):
            m.d.comb += simple.eq(Mux(condition, a, b))
        with m.Case(Simple.SUM):
            m.d.comb += simple.eq(Mux(overflow, _extreme(a[31]), total))
        with m.Case(Simple.MAX):
            m.d.comb += simple.eq(Mux(nan, FP32.nan, Mux(less, b, a)))
        with m.Case(Simple.MIN):
            m.d.comb += simple.eq(Mux(nan, FP32.nan, Mux(less, a, b)))
        with m.Case(Simple.EQ):
            m.d.comb += simple.eq(Mux(same & ~nan, _ONES, 0))
        with m.Case(Simple.LT):
            m.d.comb += simple.eq(Mux(less & ~zeros & ~nan, _ONES, 0))
        with m.Case(Simple.LE):
            m.d.comb += simple.eq(Mux((less | same) & ~nan, _ONES, 0))
        with m.Case(Simple.AND):
            m.d.comb += simple.eq(a & b)
        with m.Case(Simple.OR):
            m.d.comb += simple.eq(a | b)
        with m.Case(Simple.XOR):
            m.d.comb += simple.eq(a ^ b)
        with m.Case(Simple.SHL):
            m.d.comb += simple.eq(a << distance)
        with m.Case(Simple.SHR, Simple.SRA):
            m.d.comb += simple.eq(Cat(a, entering.replicate(32)) >> distance)
    return simple


def normalise(m, control, terms):
    """Second stage: the :class:`Normal` number of a sum or product."""
    normal = Normal("normalised")
    scaled = Cat(Const(0, _BELOW), terms.big)
    total, difference = Signal(len(scaled)), Signal(len(scaled))
    work = Signal(_WORK)
    m.d.comb += [
        total.eq(scaled + terms.small),
        difference.eq(scaled - terms.small),
        work.eq(Mux(control.multiply, terms.product, Mux(terms.minus, difference, total))),
    ]
    top, zeros = leading(m, work)

    # A number whose highest bit has the weight 2^e keeps, in a format of p bits, the bits from
    # 2^max(e - p + 1, finest) on. So either p bits are kept, or the cut stands at `finest`.
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
        normal.sign.eq(terms.sign & (top[-1] | ~terms.minus | control.multiply | control.alone)),
        normal.infinite.eq(terms.infinite),
        normal.nan.eq(terms.nan),
    ]
    integer = terms.product
    fits = integer[31:].all() | ~integer[31:].any()
    with m.If(control.path != Path.PRODUCT):
        m.d.comb += normal.simple.eq(terms.simple)
    with m.Elif(control.saturate & ~fits):
        m.d.comb += normal.simple.eq(_extreme(integer[-1]))
    with m.Else():
        m.d.comb += normal.simple.eq(integer)
    return normal


def finish(m, control, normal):
    """Third stage: the result; a number is rounded and packed."""

    def of(choice):
        return by_format(control.result, choice)

    # The binade on top of the significand is the code of a float: the significand's highest bit,
    # where it has one, and the carry of the rounding each add 1 to the exponent field.
    cut, sticky, code = Signal(33), Signal(), Signal(9 + 31)
    guard, kept = cut[0], cut[1:]
    below = Const((1 << _WORK) - 1) >> (_WORK - normal.shift)[:6]
    m.d.comb += [
        cut.eq(normal.top >> normal.shift),
        sticky.eq((normal.top & below).any()),
        code.eq(
            of(lambda f: normal.binade << (f.precision - 1)) + kept + (guard & (sticky | kept[0]))
        ),
    ]

    # An integer reaches one step further below zero, and shows its sign by complement.
    limit, over, magnitude = Signal(32), Signal(), Signal(32)
    negative = Signal()
    m.d.comb += [
        negative.eq(normal.sign & of(lambda f: int(f.integer))),
        limit.eq(of(lambda f: f.largest) + negative),
        over.eq(normal.infinite | (code > limit)),
        magnitude.eq(Mux(over, limit + of(lambda f: int(f.infinities and not f.integer)), code)),
    ]

    result = Signal(32)
    signs = normal.sign << of(lambda f: 0 if f.integer else f.bits - 1)
    with m.If(control.path != Path.ROUNDED):
        m.d.comb += result.eq(normal.simple)
    with m.Elif(normal.nan | (over & of(lambda f: int(not f.integer and not f.infinities)))):
        m.d.comb += result.eq(of(lambda f: f.nan))
    with m.Elif(of(lambda f: int(f.integer))):
        m.d.comb += result.eq(Mux(normal.sign, -magnitude, magnitude))
    with m.Else():
        m.d.comb += result.eq(magnitude | signs)
    return result


def _extreme(sign):
    """The int32 farthest from zero on the side of `sign`."""
    return Mux(sign, 1 << 31, (1 << 31) - 1)


def _at_most(value, limit):
    """The smaller of `value` and `limit`, in as many bits as `limit` needs."""
    return Mux(value > limit, limit, value)[: limit.bit_length()]
