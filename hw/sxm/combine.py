"""Sum or maximum of two fp32 numbers."""

from typing import ClassVar

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tsp.hw.pipeline import Pipeline, Registers
from tsp.hw.shift import shift_right

NAN = 0x7FC00000
MINUS_INFINITY = 0xFF800000
_BELOW = 3  # guard, round and sticky bit


class Pair(Registers):
    """Two numbers, and how they compare.

    Members
    -------
    a, b : the numbers
    swap : b has the larger magnitude
    ahead, behind : the exponent of a less that of b, and the reverse
    largest : the maximum is wanted and not the sum
    """

    shapes: ClassVar = {"a": 32, "b": 32, "swap": 1, "ahead": 8, "behind": 8, "largest": 1}


class Aligned(Registers):
    """Terms of a sum, of which the smaller is shifted by a multiple of 4.

    Members
    -------
    large, small : significands, the smaller with three bits below
    rest : how far the smaller one is still to be shifted
    lost : a 1 fell out of it
    minus : it is subtracted
    sign, exponent : those of the larger
    fixed, value : the result is `value`
    """

    shapes: ClassVar = {
        "large": 24,
        "small": 24 + _BELOW,
        "rest": 2,
        "lost": 1,
        "minus": 1,
        "sign": 1,
        "exponent": 8,
        "fixed": 1,
        "value": 32,
    }


class Summed(Registers):
    """A sum, not normalised, or a fixed result."""

    shapes: ClassVar = {
        "total": 25 + _BELOW,
        "minus": 1,
        "sign": 1,
        "exponent": 8,
        "fixed": 1,
        "value": 32,
    }


class Counted(Registers):
    """A sum :class:`Summed`, and its leading zeros; 31 if there is nothing else."""

    shapes: ClassVar = {**Summed.shapes, "zeros": 5}


class Normal(Registers):
    """A sum that is normalised as far as the exponent allows, or a fixed result.

    Members
    -------
    word : the significand with three bits below
    field : the exponent's, if the highest bit of the word is set
    sign, fixed, value : as before
    """

    shapes: ClassVar = {"word": 25 + _BELOW, "field": 9, "sign": 1, "fixed": 1, "value": 32}


class Combine(wiring.Component):
    """The sum of two fp32 numbers, rounded to nearest even, or the larger of them.

    Subnormals are kept and NaN is canonical. For the maximum -0 is below +0, and it is NaN if
    either number is.

    Latency
    -------
    ``latency(deep)``, the ``sxm_combine`` of the timing table: 3 cycles in a short pipeline, 6 in a
    deep one. Bit k of `work` is set k cycles after the numbers are there. The result stays until
    the next.

    Parameters
    ----------
    deep : bool
        Whether its pipeline is deep.

    Members
    -------
    work : In(latency)
    largest : In(1)
        The maximum is wanted and not the sum; in the cycle of the numbers.
    a, b : In(32)
    total : Out(32)
    """

    COMMON = ("work", "largest")

    def __init__(self, deep=False):
        self.deep = deep
        super().__init__({**self._operands(), **self._control(), "total": Out(32)})

    @staticmethod
    def latency(deep):
        """Cycles from numbers to result."""
        return 6 if deep else 3

    def elaborate(self, platform):
        m = Module()
        self._combine(m, self.a, self.b)
        return m

    def _control(self):
        return {"work": In(self.latency(self.deep)), "largest": In(1)}

    def _operands(self):
        return {"a": In(32), "b": In(32)}

    def _combine(self, m, a, b):
        pipe = Pipeline(m, list(self.work), self.deep)
        pair = pipe.in_deep(_compare(m, a, b, self.largest))
        aligned = pipe.always(_align(m, pair))
        summed = pipe.in_deep(_add(m, aligned))
        counted = pipe.always(_count(m, summed))
        normal = pipe.in_deep(_normalise(m, counted))
        m.d.comb += self.total.eq(pipe.end(_round(m, normal), self.latency(self.deep)))


class Leaf(Combine):
    """:class:`Combine` for two adjacent lanes of a superlane; lanes that are masked are neutral.

    Members
    -------
    work, largest, total : as in :class:`Combine`
    kept : In(2)
        Lanes of the pair that are not masked.
    pair : In(16).array(4)
        The bytes of the pair, least significant first.
    """

    def elaborate(self, platform):
        m = Module()
        neutral = Mux(self.largest, MINUS_INFINITY, 0)
        values = []
        for side in range(2):
            value = Signal(32, name=f"value{side}")
            element = Cat(word[8 * side : 8 * side + 8] for word in self.pair)
            m.d.comb += value.eq(Mux(self.kept[side], element, neutral))
            values.append(value)
        self._combine(m, *values)
        return m

    def _operands(self):
        return {"kept": In(2), "pair": In(16).array(4)}


def _compare(m, a, b, largest):
    """The :class:`Pair` of a and b."""
    pair = Pair("compared")
    fields = [_field(number) for number in (a, b)]
    m.d.comb += [
        pair.largest.eq(largest),
        pair.a.eq(a),
        pair.b.eq(b),
        pair.swap.eq(b[:31] > a[:31]),
        pair.ahead.eq(fields[0] - fields[1]),
        pair.behind.eq(fields[1] - fields[0]),
    ]
    return pair


def _align(m, pair):
    """The numbers of a pair :class:`Aligned`.

    Of what falls out below three bits it is enough to know whether it is 0.
    """
    aligned, largest = Aligned("terms"), pair.largest
    high = Signal(32)
    low = Signal(32)
    distance = Signal(5)
    nan = Signal()
    invalid = Signal()
    far = Mux(pair.swap, pair.behind, pair.ahead)
    m.d.comb += [
        high.eq(Mux(pair.swap, pair.b, pair.a)),
        low.eq(Mux(pair.swap, pair.a, pair.b)),
        distance.eq(far[:5] | far[5:].any().replicate(5)),
        # A NaN has the larger magnitude; two infinities of different sign have no sum.
        invalid.eq(~largest & (low[:31] == 0x7F800000) & (high[31] ^ low[31])),
        nan.eq((high[:31] > 0x7F800000) | invalid),
    ]
    below = Cat(Const(0, _BELOW), _significand(low))
    coarse, lost = shift_right(m, below, distance, (16, 8, 4))
    m.d.comb += [
        aligned.large.eq(_significand(high)),
        aligned.small.eq(coarse),
        aligned.rest.eq(distance[:2]),
        aligned.lost.eq(lost),
        aligned.minus.eq(high[31] ^ low[31]),
        aligned.sign.eq(high[31]),
        aligned.exponent.eq(Mux(pair.swap, _field(pair.b), _field(pair.a))),
        aligned.fixed.eq(largest | nan | high[23:31].all()),
        # If `high` is negative, `low` is not below it: also for zeros.
        aligned.value.eq(Mux(nan, NAN, Mux(largest & high[31], low, high))),
    ]
    return aligned


def _add(m, aligned):
    """The terms :class:`Summed`."""
    made = Summed("added")
    made.take(m, aligned)
    fine, lost = shift_right(m, aligned.small, aligned.rest, (2, 1))
    width, minus = len(made.total), aligned.minus
    small = Signal(width)
    m.d.comb += [
        small.eq(Cat(fine[0] | lost | aligned.lost, fine[1:]) ^ minus.replicate(width)),
        made.total.eq(
            (Cat(minus, Const(0, _BELOW), aligned.large) + Cat(minus, small))[1 : width + 1]
        ),
    ]
    return made


def _count(m, summed):
    """A sum :class:`Counted`."""
    counted = Counted("zeros")
    counted.take(m, summed)
    m.d.comb += counted.zeros.eq(_zeros(m, summed.total))
    return counted


def _normalise(m, counted):
    """The :class:`Normal` sum."""
    normal = Normal("normalised")
    normal.take(m, counted)
    room = Signal(5)
    shift = Signal(5)
    word = counted.total
    exponent, zeros = counted.exponent, counted.zeros
    m.d.comb += [
        room.eq(exponent[:5] | exponent[5:].any().replicate(5)),
        shift.eq(Mux(zeros > room, room, zeros)),
    ]
    for step in (16, 8, 4, 2, 1):
        shifted = Signal(len(word), name=f"word_{step}")
        chosen = shift[step.bit_length() - 1]
        m.d.comb += shifted.eq(Mux(chosen, Cat(Const(0, step), word), word))
        word = shifted
    m.d.comb += [
        normal.word.eq(word),
        normal.field.eq(exponent + 1 - shift),
        normal.sign.eq(counted.sign & (counted.total.any() | ~counted.minus)),
    ]
    return normal


def _round(m, normal):
    """The result, rounded."""
    word = normal.word
    field = normal.field
    packed = Signal(32)
    up = Signal()
    m.d.comb += [
        up.eq(word[3] & (word[:3].any() | word[4])),
        packed.eq(
            (Cat(Const(1, 1), word[4:27], Mux(word[27], field, 0)) + Cat(up, Const(0, 32)))[1:33]
        ),
    ]
    # A number that is rounded up to 2^128 has the code of infinity by itself.
    over = word[27] & field[:8].all()
    number = Cat(Mux(over, 0xFF << 23, packed)[:31], normal.sign)
    return Mux(normal.fixed, normal.value, number)


def _field(number):
    """The exponent's field, and 1 where that is 0, as subnormals have it."""
    return Cat(number[23] | ~number[23:31].any(), number[24:31])


def _significand(number):
    return Cat(number[:23], number[23:31].any())


def _zeros(m, word):
    """Leading zeros of 28 bits; 31 if there is nothing else."""
    # Of every group of bits it is known whether it is empty, and its zeros otherwise.
    padded = Cat(Const(0b1111, 4), word)
    groups = [(~bit, Const(0, 0)) for bit in padded[::-1]]
    for level in range(5):
        merged = []
        for (empty, zeros), (other, others) in zip(groups[::2], groups[1::2], strict=True):
            both, count = Signal(name=f"empty{level}"), Signal(level + 1, name=f"zeros{level}")
            inner = Mux(empty, others, zeros) if level else Const(0, 0)
            m.d.comb += [both.eq(empty & other), count.eq(Cat(inner[:level], empty))]
            merged.append((both, count))
        groups = merged
    return groups[0][1]
