"""The six stages of a lane, as functions of their input registers.

Sums, products and conversions of floats share one path, in which a number is a sign, a significand
of up to 48 bits and an exponent: its parts are taken, aligned or multiplied, added, normalised,
cut where the format of the result ends, and rounded.
All else is done on the way and travels along.
"""

from typing import ClassVar

from amaranth.hdl import Cat, Const, Mux, Signal, Value, signed

from tsp.hw.shift import leading, shift_right
from tsp.hw.vxm.control import Path, Simple
from tsp.hw.vxm.formats import FP32, by_format
from tsp.hw.vxm.unpack import unpack

_WORK = 2 * FP32.precision  # bits of a product of significands
_BELOW = 3  # guard, round and sticky bit of a sum
_TERM = FP32.precision + _BELOW
_LEAST = _WORK - 1 - 32  # bits below the guard bit in any format
_OVER_BITS = 12  # of the sums that say where a number is cut


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

    def take(self, m, other):
        """Those signals of `other` that this has too, unchanged."""
        same = [name for name in self.shapes if name in other.shapes]
        m.d.comb += [getattr(self, name).eq(getattr(other, name)) for name in same]


_FLAGS = {"sign": 1, "infinite": 1, "nan": 1}


class Parts(Registers):
    """What the first stage leaves: what makes a simple result, factors, or significands and
    exponents.

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
        **_FLAGS,
    }


class Terms(Registers):
    """What the second stage leaves: a simple result, a product, or the terms of a sum."""

    shapes: ClassVar = {
        "simple": 32,
        "product": signed(64),
        "big": 32,
        "small": _TERM,  # aligned to big, with the bits below
        "minus": 1,
        "exponent": signed(10),  # of the lowest bit of the sum or product
        **_FLAGS,
    }


class Work(Registers):
    """What the third stage leaves: a simple result, or a number to be normalised."""

    shapes: ClassVar = {
        "simple": 32,
        "word": _WORK,
        "zeros": 1,  # 32 leading zeros were taken away
        "over": signed(_OVER_BITS),  # with the leading zeros: bits cut beyond those of precision
        "sign": 1,
        "vanishing": 1,  # the sign of zero is +
        "infinite": 1,
        "nan": 1,
    }


class Normal(Registers):
    """What the fourth stage leaves: a simple result, or a normalised number."""

    shapes: ClassVar = {
        "simple": 32,
        "top": _WORK,  # the highest bit is set, unless all are 0
        "zeros": 6,
        "over": signed(_OVER_BITS),
        **_FLAGS,
    }


class Cut(Registers):
    """What the fifth stage leaves: a code that is rounded, and what takes its place if it is over.

    A float's code is its magnitude; the carry of the rounding adds 1 to its exponent field.
    """

    shapes: ClassVar = {
        "other": 32,
        "use_other": 1,
        "code": 32,
        "guard": 1,
        "sticky": 1,
        "sign": 1,
    }


def part(m, control, a, b, condition):
    """First stage: the :class:`Parts` of a and b."""
    parts = Parts("parted")
    x = unpack(m, a, lambda choice: by_format(control.source, choice))
    y = unpack(m, b)
    integer = by_format(control.source, lambda f: int(f.integer))

    # The term of larger magnitude comes first.
    below, swap, same = Signal(), Signal(), Signal()
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

    y_sign, unlike, undefined = Signal(), Signal(), Signal()
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
    _compare(m, control, parts, a, b, condition, below, same, x.nan | y.nan)
    return parts


def _compare(m, control, parts, a, b, condition, below, same, either_nan):
    """What `parts` have for a simple result; `below` compares the bits below the sign."""
    less, equal, nan = Signal(), Signal(), Signal()
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
    a, b, bits = parts.factor_a.as_unsigned(), parts.factor_b.as_unsigned(), Signal(32)
    m.d.comb += bits.eq(
        (a & b & parts.both.replicate(32))
        | (a & ~b & parts.only_a.replicate(32))
        | (~a & b & parts.only_b.replicate(32))
    )
    fixed = parts.everywhere.replicate(32) | Mux(parts.invalid, FP32.nan, 0)
    summed = Mux(parts.overflow, _extreme(a[31]), parts.total)
    return Mux(control.simple == Simple.SUM, summed, bits | fixed)


def align(m, control, parts):
    """Second stage: the :class:`Terms`; all shifts to the right, and those of integers."""
    terms = Terms("aligned")
    terms.take(m, parts)
    shifts, distance, amount = Signal(), Signal(8), Signal(5)
    fill = parts.factor_a[31] & (control.simple == Simple.SRA)
    m.d.comb += [
        shifts.eq(_shifts(control)),
        distance.eq(parts.field_big - parts.field_small),
        amount.eq(Mux(shifts, parts.factor_b[:5], distance[:5] | distance[5:].any().replicate(5))),
    ]
    word, lost = shift_right(m, parts.word, amount, fill=fill)
    shifted = Mux(control.simple == Simple.SHL, word[::-1], word)
    shifted = Mux(parts.factor_b[5:].any(), fill.replicate(32), shifted)
    m.d.comb += [
        terms.small.eq(Cat(word[0] | lost, word[1:_TERM])),
        terms.simple.eq(Mux(shifts, shifted, _simple(m, control, parts))),
    ]

    m.d.comb += terms.product.eq(parts.factor_a * parts.factor_b)
    unit = by_format(control.source, lambda f: (-1 if f.integer else -f.bias - 23) - _BELOW)
    m.d.comb += terms.exponent.eq(
        parts.field_big
        + Mux(control.multiply, parts.field_small, 0)
        + Mux(control.multiply, -2 * (FP32.bias + 23), unit)
    )
    return terms


def add(m, control, terms):
    """Third stage: the :class:`Work` that a sum or product is."""
    work = Work("added")
    work.take(m, terms)
    scaled = Cat(Const(0, _BELOW), terms.big)
    term, total, word = Signal(len(scaled)), Signal(len(scaled)), Signal(_WORK)
    m.d.comb += [
        term.eq(terms.small ^ terms.minus.replicate(len(scaled))),
        total.eq((Cat(terms.minus, scaled) + Cat(terms.minus, term))[1:]),
        word.eq(Mux(control.multiply, terms.product[:_WORK], total)),
    ]
    top, zeros = leading(m, word, [32])
    m.d.comb += [
        work.word.eq(top),
        work.zeros.eq(zeros),
        # A number whose highest bit has the weight 2^e keeps, in a format of p bits, the bits from
        # 2^max(e - p + 1, finest) on. Where the latter is more, `over` says by how much.
        work.over.eq(by_format(control.result, lambda f: f.finest - _spare(f)) - terms.exponent),
        # A difference of equal numbers is +0.
        work.vanishing.eq(terms.minus & ~control.multiply),
    ]
    integer = terms.product
    fits = integer[31:].all() | ~integer[31:].any()
    with m.If(control.path == Path.PRODUCT):
        m.d.comb += work.simple.eq(
            Mux(control.saturate & ~fits, _extreme(integer[-1]), integer[:32])
        )
    return work


def normalise(m, control, work):
    """Fourth stage: the :class:`Normal` number."""
    normal = Normal("normalised")
    normal.take(m, work)
    top, zeros = leading(m, work.word, [16, 8, 4, 2, 1])
    m.d.comb += [
        normal.top.eq(top),
        normal.zeros.eq(Cat(zeros, work.zeros)),
        normal.sign.eq(work.sign & (top[-1] | ~work.vanishing)),
    ]
    return normal


def cut(m, control, normal):
    """Fifth stage: the :class:`Cut` number, whose code is in its format but not yet rounded."""
    short = Cut("short")
    m.d.comb += short.sign.eq(normal.sign)

    def of(choice):
        return by_format(control.result, choice)

    # Either as many bits are kept as the format has, or the cut stands at its finest step.
    over, below, field = Signal(signed(_OVER_BITS)), Signal(signed(_OVER_BITS)), Signal(9)
    amount, kept_all, coarse = Signal(6), of(lambda f: _spare(f) - _LEAST - 1), Signal()
    m.d.comb += [
        over.eq(normal.over + normal.zeros),
        below.eq(normal.over + normal.zeros + kept_all),
        coarse.eq(over > 0),
        amount.eq(Mux(coarse, below[:6] | below[6:].any().replicate(6), kept_all)),
        field.eq(Mux(coarse | ~normal.top[-1], 0, 1 - over)),
    ]
    word, lost = shift_right(m, normal.top[_LEAST:], amount)
    kept = word[1:33]
    m.d.comb += [
        short.guard.eq(word[0]),
        short.sticky.eq(lost | normal.top[:_LEAST].any()),
        # The highest bit of a float's significand is where its exponent field has its lowest.
        short.code.eq(
            of(lambda f: kept if f.integer else Cat(kept[: f.precision - 1], field[: _field(f)]))
        ),
    ]

    huge, negative = Signal(), Signal()
    m.d.comb += [
        huge.eq(field > of(lambda f: 1 if f.integer else (f.largest >> f.fraction_bits))),
        negative.eq(normal.sign),
        short.use_other.eq((control.path != Path.ROUNDED) | normal.nan | normal.infinite | huge),
    ]
    with m.If(control.path != Path.ROUNDED):
        m.d.comb += short.other.eq(normal.simple)
    with m.Elif(normal.nan):
        m.d.comb += short.other.eq(of(lambda f: f.nan))
    with m.Else():
        m.d.comb += short.other.eq(Mux(negative, of(_beyond(1)), of(_beyond(0))))
    return short


def finish(m, control, short):
    """Sixth stage: the result; a number is rounded and packed."""

    def of(choice):
        return by_format(control.result, choice)

    up, negative, over = Signal(), Signal(), Signal()
    limit, code = Signal(32), Signal(32)
    m.d.comb += [
        up.eq(short.guard & (short.sticky | short.code[0])),
        negative.eq(short.sign & of(lambda f: int(f.integer))),
        # An integer reaches one step further below zero, and shows its sign by complement.
        limit.eq(Mux(negative, of(lambda f: f.largest + 1), of(lambda f: f.largest))),
        over.eq(short.use_other | (Cat(up, short.code) >= Cat(Const(1, 1), limit))),
        code.eq(
            (
                Cat(Const(1, 1), short.code ^ negative.replicate(32))
                + Cat(up ^ negative, Const(0, 32))
            )[1:33]
        ),
    ]
    signs = of(lambda f: 0 if f.integer else short.sign << (f.bits - 1))
    return Mux(over, short.other, code | signs)


def _shifts(control):
    return Value.cast(control.simple).matches(Simple.SHL, Simple.SHR, Simple.SRA)


def _spare(f):
    """Bits of a normalised number below those of the format's precision."""
    return _WORK - f.precision


def _field(f):
    return f.exponent_bits


def _beyond(negative):
    """What a number of a sign becomes that is larger than all of a format."""

    def of(f):
        if f.integer:
            return (-(f.largest + 1) & 0xFFFFFFFF) if negative else f.largest
        if not f.infinities:
            return f.nan
        return f.infinity | negative << (f.bits - 1)

    return of


def _extreme(sign):
    """The int32 farthest from zero on the side of `sign`."""
    return Mux(sign, 1 << 31, (1 << 31) - 1)
