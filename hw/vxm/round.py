"""The rounding of a lane: a number is normalised, cut where its format ends, and rounded."""

from typing import ClassVar

from amaranth.hdl import Cat, Const, Mux, Signal, signed

from tsp.hw.pipeline import Registers
from tsp.hw.shift import leading, shift_right
from tsp.hw.vxm.control import Path
from tsp.hw.vxm.formats import by_format
from tsp.hw.vxm.operate import FLAGS, OVER_BITS, WORK, Sum, spare

_LEAST = WORK - 1 - 32  # bits below the guard bit in any format


class Words(Registers):
    """A simple result, or a number less 32 leading zeros."""

    shapes: ClassVar = {**Sum.shapes, "zeros": 1}


class Halves(Registers):
    """A simple result, or a number less 32 and 16 leading zeros."""

    shapes: ClassVar = {**Sum.shapes, "zeros": 2}


class Normal(Registers):
    """A simple result, or a normalised number."""

    shapes: ClassVar = {
        "simple": 32,
        "top": WORK,  # the highest bit is set, unless all are 0
        "zeros": 6,
        "over": signed(OVER_BITS),
        **FLAGS,
    }


class Place(Registers):
    """A simple result, or a normalised number, and where it is cut."""

    shapes: ClassVar = {
        "simple": 32,
        "top": WORK,
        "amount": 6,  # of bits that are cut, beyond the fewest
        "field": 9,  # of the exponent, less 1
        **FLAGS,
    }


class Cut(Registers):
    """A code that is rounded, and what takes its place if it is over.

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


def first_zeros(m, total):
    """The :class:`Words` of a :class:`Sum`."""
    words = Words("words")
    words.take(m, total)
    top, zeros = leading(m, total.word, [32])
    m.d.comb += [words.word.eq(top), words.zeros.eq(zeros)]
    return words


def more_zeros(m, words):
    """The :class:`Halves` of :class:`Words`."""
    halves = Halves("halves")
    halves.take(m, words)
    top, zeros = leading(m, words.word, [16])
    m.d.comb += [halves.word.eq(top), halves.zeros.eq(Cat(zeros, words.zeros))]
    return halves


def last_zeros(m, halves):
    """The :class:`Normal` number that :class:`Halves` are."""
    normal = Normal("normalised")
    normal.take(m, halves)
    top, zeros = leading(m, halves.word, [8, 4, 2, 1])
    m.d.comb += [
        normal.top.eq(top),
        normal.zeros.eq(Cat(zeros, halves.zeros)),
        normal.sign.eq(halves.sign & (top[-1] | ~halves.vanishing)),
    ]
    return normal


def locate(m, control, normal):
    """The :class:`Place` where a number is cut."""
    place = Place("located")
    place.take(m, normal)
    # Either as many bits are kept as the format has, or the cut stands at its finest step.
    kept_all = by_format(control.result, lambda f: spare(f) - _LEAST - 1)
    over = Signal(signed(OVER_BITS))
    below = Signal(signed(OVER_BITS))
    coarse = Signal()
    m.d.comb += [
        over.eq(normal.over + normal.zeros),
        below.eq(normal.over + normal.zeros + kept_all),
        coarse.eq(over > 0),
        place.amount.eq(Mux(coarse, below[:6] | below[6:].any().replicate(6), kept_all)),
        place.field.eq(Mux(coarse | ~normal.top[-1], 0, 1 - over)),
    ]
    return place


def cut(m, control, place):
    """The :class:`Cut` number, whose code is in its format but not yet rounded."""
    short = Cut("short")

    def of(choice):
        return by_format(control.result, choice)

    word, lost = shift_right(m, place.top[_LEAST:], place.amount)
    kept = word[1:33]
    field = place.field
    huge = Signal()
    m.d.comb += [
        short.sign.eq(place.sign),
        short.guard.eq(word[0]),
        short.sticky.eq(lost | place.top[:_LEAST].any()),
        # The highest bit of a float's significand is where its exponent field has its lowest.
        short.code.eq(
            of(
                lambda f: (
                    kept if f.integer else Cat(kept[: f.precision - 1], field[: f.exponent_bits])
                )
            )
        ),
        huge.eq(field > of(lambda f: 1 if f.integer else (f.largest >> f.fraction_bits))),
        short.use_other.eq((control.path != Path.ROUNDED) | place.nan | place.infinite | huge),
    ]
    with m.If(control.path != Path.ROUNDED):
        m.d.comb += short.other.eq(place.simple)
    with m.Elif(place.nan):
        m.d.comb += short.other.eq(of(lambda f: f.nan))
    with m.Else():
        m.d.comb += short.other.eq(Mux(place.sign, of(_beyond(1)), of(_beyond(0))))
    return short


def finish(m, control, short):
    """The result; a number is rounded and packed."""

    def of(choice):
        return by_format(control.result, choice)

    up = Signal()
    negative = Signal()
    over = Signal()
    limit = Signal(32)
    code = Signal(32)
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


def _beyond(negative):
    """What a number of a sign becomes that is larger than all of a format."""

    def of(f):
        if f.integer:
            return (-(f.largest + 1) & 0xFFFFFFFF) if negative else f.largest
        if not f.infinities:
            return f.nan
        return f.infinity | negative << (f.bits - 1)

    return of
