"""The steps of a lane from its operands up to a sum, before the result is rounded.

Sums, products and conversions of floats share one path, in which a number is a sign, a significand
of up to 48 bits and an exponent: its parts are taken, aligned or multiplied, added, and then
normalised, cut where the format of the result ends, and rounded by :mod:`tsp.hw.vxm.round`.
All else is done on the way and travels along.
"""

from typing import ClassVar

from amaranth.hdl import Cat, Const, Mux, Signal, Value, signed

from tsp.hw.pipeline import Registers
from tsp.hw.shift import shift_right
from tsp.hw.vxm.control import Path, Simple
from tsp.hw.vxm.formats import FP32, by_format
from tsp.hw.vxm.unpack import unpack

WORK = 2 * FP32.precision  # bits of a product of significands
OVER_BITS = 12  # of the sums that say where a number is cut
FLAGS = {"sign": 1, "infinite": 1, "nan": 1}
_BELOW = 3  # guard, round and sticky bit of a sum
_TERM = FP32.precision + _BELOW
_HALF = 16  # bits of one factor of a partial product


class Operands(Registers):
    """What an operation is done with; b is 0 where it is compared with 0."""

    shapes: ClassVar = {"a": 32, "b": 32, "condition": 1}


class Parts(Registers):
    """Operands taken apart: what makes a simple result, factors, or significands and exponents.

    A bit of a simple result that is not a sum is 1 where both operands are 1, or only a, or only b;
    or everywhere; or those bits of a NaN are that `invalid` asks for.
    """

    shapes: ClassVar = {
        "total": 32,
        "overflow": 1,
        "both": 1,
        "only_a": 1,
        "only_b": 1,
        "everywhere": 1,
        "invalid": 1,
        "factor_a": signed(32),
        "factor_b": signed(32),
        "big": 32,
        "word": 32,  # to be shifted right: the smaller significand, or an integer
        "field_big": 8,
        "field_small": 8,
        "minus": 1,  # the smaller one is subtracted
        **FLAGS,
    }


class Measured(Registers):
    """A simple result that is not a shift, partial products, and how far a word is to be shifted.

    Halves of the factors make the partial products: a multiplier of an FPGA takes one.
    """

    shapes: ClassVar = {
        "simple": 32,
        "low": 2 * _HALF,
        "middle": signed(2 * _HALF),
        "other_middle": signed(2 * _HALF),
        "high": signed(2 * _HALF),
        "big": 32,
        "word": 32,
        "amount": 5,
        "all": 1,  # an integer is shifted by 32 or more
        "fill": 1,
        "exponent": signed(10),  # of the lowest bit of the sum or product
        "minus": 1,
        **FLAGS,
    }


class Terms(Registers):
    """A simple result, a product, or the aligned terms of a sum."""

    shapes: ClassVar = {
        "simple": 32,
        "product": signed(64),
        "big": 32,
        "small": _TERM,  # aligned to big, with the bits below
        "minus": 1,
        "exponent": signed(10),
        **FLAGS,
    }


class Sum(Registers):
    """A simple result, or a number to be normalised."""

    shapes: ClassVar = {
        "simple": 32,
        "word": WORK,
        "over": signed(OVER_BITS),  # with the leading zeros: bits cut beyond those of precision
        "vanishing": 1,  # the sign of zero is +
        **FLAGS,
    }


def choose(m, control, swap, early, late, condition):
    """The :class:`Operands`, of which the early one is b with `swap`, and else a."""
    operands = Operands("chosen")
    b = Cat(Mux(swap, e, o) for e, o in zip(early, late, strict=True))
    m.d.comb += [
        operands.a.eq(Cat(Mux(swap, o, e) for e, o in zip(early, late, strict=True))),
        operands.b.eq(Mux(control.relu, 0, b)),
        operands.condition.eq(condition),
    ]
    return operands


def part(m, control, operands):
    """The :class:`Parts` of operands."""
    parts = Parts("parted")
    a, b = operands.a, operands.b
    x = unpack(m, a, lambda choice: by_format(control.source, choice))
    y = unpack(m, b)
    integer = by_format(control.source, lambda f: int(f.integer))

    # The term of larger magnitude comes first.
    below = Signal()
    swap = Signal()
    same = Signal()
    m.d.comb += [
        below.eq(a[:31] < b[:31]),
        same.eq(a == b),
        swap.eq(below & ~control.alone),
        parts.big.eq(Mux(swap, y.significand, x.significand)),
        parts.field_big.eq(Mux(swap, y.field, x.field)),
        parts.field_small.eq(Mux(swap | control.alone, x.field, y.field)),
    ]
    # What is shifted. To a negative integer, which is a complement, 1 is added.
    small = Signal(32)
    one = Const(1 << _BELOW, 32)
    m.d.comb += small.eq(Cat(Const(0, _BELOW), Mux(swap, x.significand, y.significand)))
    with m.If(control.simple == Simple.SHL):
        m.d.comb += parts.word.eq(a[::-1])
    with m.Elif(_shifts(control)):
        m.d.comb += parts.word.eq(a)
    with m.Elif(control.alone):
        m.d.comb += parts.word.eq(Mux(integer & x.sign, one, 0))
    with m.Else():
        m.d.comb += parts.word.eq(small[:_TERM])

    for factor, operand in ((parts.factor_a, a), (parts.factor_b, b)):
        significand = Cat(operand[:23], operand[23:31].any(), Const(0, 8))
        m.d.comb += factor.eq(Mux(control.multiply, significand, operand))

    y_sign = Signal()
    unlike = Signal()
    undefined = Signal()
    zero_a, zero_b = ~a[:31].any(), ~b[:31].any()
    m.d.comb += [
        y_sign.eq(y.sign ^ control.subtract),
        unlike.eq((x.sign ^ y_sign) & ~control.alone),
        undefined.eq(
            Mux(
                control.multiply,
                (x.infinite & zero_b) | (y.infinite & zero_a),
                x.infinite & y.infinite & unlike,
            )
        ),
        parts.minus.eq(unlike),
        parts.sign.eq(Mux(control.multiply, unlike, Mux(swap, y_sign, x.sign))),
        parts.infinite.eq(x.infinite | (y.infinite & ~control.alone)),
        parts.nan.eq(x.nan | ((y.nan | undefined) & ~control.alone)),
    ]
    _compare(m, control, parts, operands, below, same, x.nan | y.nan)
    return parts


def _compare(m, control, parts, operands, below, same, either_nan):
    """What `parts` have for a simple result; `below` compares the bits below the sign."""
    a, b, condition = operands.a, operands.b, operands.condition
    less = Signal()
    equal = Signal()
    nan = Signal()
    zeros = control.real & ~(a[:31] | b[:31]).any()
    m.d.comb += [
        nan.eq(control.real & either_nan),
        # Of two negative floats the one of larger magnitude is less; -0 is just below +0.
        less.eq(Mux(a[31] ^ b[31], a[31], Mux(control.real & a[31], ~below & ~same, below))),
        equal.eq(same | zeros),
    ]
    term = Signal(32)
    m.d.comb += [
        term.eq(b ^ control.subtract.replicate(32)),
        parts.total.eq((Cat(control.subtract, a) + Cat(control.subtract, term))[1:]),
        parts.overflow.eq(control.saturate & (a[31] == term[31]) & (a[31] != parts.total[31])),
    ]

    def take(of_both, of_a, of_b):
        m.d.comb += [parts.both.eq(of_both), parts.only_a.eq(of_a), parts.only_b.eq(of_b)]

    def larger(of_a):
        take(~nan, of_a & ~nan, ~(of_a | nan))
        m.d.comb += parts.invalid.eq(nan)

    with m.Switch(control.simple):
        with m.Case(Simple.MOV):
            take(1, 1, 0)
        with m.Case(Simple.SELECT):
            take(1, condition, ~condition)
        with m.Case(Simple.MAX):
            larger(~less)
        with m.Case(Simple.MIN):
            larger(less)
        with m.Case(Simple.EQ):
            m.d.comb += parts.everywhere.eq(equal & ~nan)
        with m.Case(Simple.LT):
            m.d.comb += parts.everywhere.eq(less & ~zeros & ~nan)
        with m.Case(Simple.LE):
            m.d.comb += parts.everywhere.eq((less | equal) & ~nan)
        with m.Case(Simple.AND):
            take(1, 0, 0)
        with m.Case(Simple.OR):
            take(1, 1, 1)
        with m.Case(Simple.XOR):
            take(0, 1, 1)


def _simple(m, control, parts):
    """The result of ``Path.SIMPLE``, but for shifts."""
    a = parts.factor_a.as_unsigned()
    b = parts.factor_b.as_unsigned()
    bits = Signal(32)
    m.d.comb += bits.eq(
        (a & b & parts.both.replicate(32))
        | (a & ~b & parts.only_a.replicate(32))
        | (~a & b & parts.only_b.replicate(32))
    )
    fixed = parts.everywhere.replicate(32) | Mux(parts.invalid, FP32.nan, 0)
    summed = Mux(parts.overflow, _extreme(a[31]), parts.total)
    return Mux(control.simple == Simple.SUM, summed, bits | fixed)


def measure(m, control, parts):
    """How far words are shifted, and partial products: the :class:`Measured` of `parts`."""
    measured = Measured("measured")
    measured.take(m, parts)
    distance = Signal(8)
    shifts = _shifts(control)
    unit = by_format(control.source, lambda f: (-1 if f.integer else -f.bias - 23) - _BELOW)
    m.d.comb += [
        measured.simple.eq(_simple(m, control, parts)),
        distance.eq(parts.field_big - parts.field_small),
        measured.amount.eq(
            Mux(shifts, parts.factor_b[:5], distance[:5] | distance[5:].any().replicate(5))
        ),
        measured.all.eq(parts.factor_b[5:].any()),
        measured.fill.eq(parts.factor_a[31] & (control.simple == Simple.SRA)),
        measured.exponent.eq(
            parts.field_big
            + Mux(control.multiply, parts.field_small, 0)
            + Mux(control.multiply, -2 * (FP32.bias + 23), unit)
        ),
    ]
    (a, a_high), (b, b_high) = (
        (f[:_HALF], f[_HALF:].as_signed()) for f in (parts.factor_a, parts.factor_b)
    )
    m.d.comb += [
        measured.low.eq(a * b),
        measured.middle.eq(a_high * b),
        measured.other_middle.eq(a * b_high),
        measured.high.eq(a_high * b_high),
    ]
    return measured


def align(m, control, measured):
    """The :class:`Terms`; all shifts to the right, and those of integers."""
    terms = Terms("aligned")
    terms.take(m, measured)
    fill = measured.fill
    word, lost = shift_right(m, measured.word, measured.amount, fill=fill)
    shifted = Mux(control.simple == Simple.SHL, word[::-1], word)
    shifted = Mux(measured.all, fill.replicate(32), shifted)
    ends = Cat(measured.low, measured.high).as_signed()
    m.d.comb += [
        terms.small.eq(Cat(word[0] | lost, word[1:_TERM])),
        terms.simple.eq(Mux(_shifts(control), shifted, measured.simple)),
        terms.product.eq(ends + ((measured.middle + measured.other_middle) << _HALF)),
    ]
    return terms


def add(m, control, terms):
    """The :class:`Sum` that a sum or product is."""
    made = Sum("added")
    made.take(m, terms)
    scaled = Cat(Const(0, _BELOW), terms.big)
    term = Signal(len(scaled))
    total = Signal(len(scaled))
    m.d.comb += [
        term.eq(terms.small ^ terms.minus.replicate(len(scaled))),
        total.eq((Cat(terms.minus, scaled) + Cat(terms.minus, term))[1:]),
        made.word.eq(Mux(control.multiply, terms.product[:WORK], total)),
        # A number whose highest bit has the weight 2^e keeps, in a format of p bits, the bits from
        # 2^max(e - p + 1, finest) on. Where the latter is more, `over` says by how much.
        made.over.eq(by_format(control.result, lambda f: f.finest - spare(f)) - terms.exponent),
        # A difference of equal numbers is +0.
        made.vanishing.eq(terms.minus & ~control.multiply),
    ]
    integer = terms.product
    fits = integer[31:].all() | ~integer[31:].any()
    with m.If(control.path == Path.PRODUCT):
        m.d.comb += made.simple.eq(
            Mux(control.saturate & ~fits, _extreme(integer[-1]), integer[:32])
        )
    return made


def spare(f):
    """Bits of a normalised number below those of a format's precision."""
    return WORK - f.precision


def _shifts(control):
    return Value.cast(control.simple).matches(Simple.SHL, Simple.SHR, Simple.SRA)


def _extreme(sign):
    """The int32 farthest from zero on the side of `sign`."""
    return Mux(sign, 1 << 31, (1 << 31) - 1)
