"""The special functions: bit widths and table, from which hardware and golden model are made.

Every function is looked up on intervals that are cut into segments. A position in an interval is
``POSITION`` bits of fraction: the highest say which segment, the others where in it. On a segment

    y = base +- u*(slope + u*curve)

with u the distance from one of its ends. Slope and curve are never negative, so y is monotonic in
u however the products are truncated; and it meets its neighbours exactly, because it passes
through the function at both ends. The third point is in the middle.
"""

from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from enum import IntEnum
from functools import cache

FRACTION = 30  # fraction bits of y, which is 1/2 to 2
OFFSET = 23  # fraction bits of u; u is 0 to 1, with both
POSITION = 30  # bits of a position in an interval

# exp: a times log2(e) as an integer and a fraction.
LOG2E_BITS = 38
EXP_BITS = 29  # of the fraction
EXP_LIMIT = 8  # from 2**8 in magnitude on, exp overflows or vanishes

# tanh: below 2**-12 it is its argument, from 2**4 on it is 1, when rounded to fp32.
TANH_LOW, TANH_HIGH = -12, 4

NAN, INFINITY, ONE, SIGN = 0x7FC00000, 0x7F800000, 0x3F800000, 1 << 31


class Function(IntEnum):
    """The special functions, as an ALU's lanes are told."""

    EXP = 0
    TANH = 1
    RSQRT = 2
    RECIP = 3


@dataclass(frozen=True)
class Interval:
    """A part of a function's arguments, in ``1 << bits`` segments of the table from `first` on.

    `part` tells apart those of one function: for rsqrt 0 and 1 are arguments from 1 and from 2,
    for tanh it is the binary exponent. `first` is a multiple of the number of segments.
    """

    function: Function
    part: int
    bits: int
    first: int


@dataclass(frozen=True)
class Segment:
    """The integers of one segment: y has ``FRACTION`` fraction bits, and so have they."""

    base: int
    slope: int
    curve: int


# As many segments as keep the error of the quadratic near a quarter of the last place.
_SIZES = {
    (Function.EXP, 0): 6,
    (Function.RECIP, 0): 7,
    (Function.RSQRT, 0): 7,
    (Function.RSQRT, 1): 7,
    **{
        (Function.TANH, TANH_LOW + i): bits
        for i, bits in enumerate((0, 0, 0, 1, 2, 2, 3, 4, 4, 5, 5, 6, 6, 7, 6, 4))
    },
}


def _exp(_, x):
    return (x * Decimal(2).ln()).exp()


def _tanh(part, x):
    # Below 1 the result has its argument's exponent, from there on that of numbers below 1.
    scale = Decimal(2) ** part
    return (1 - 2 / ((2 * scale * (1 + x)).exp() + 1)) / min(scale, Decimal(1))


def _rsqrt(part, x):
    return 1 / ((1 + part) * (1 + x)).sqrt()


def _recip(_, x):
    return 1 / (1 + x)


_VALUES = {
    Function.EXP: _exp,
    Function.TANH: _tanh,
    Function.RSQRT: _rsqrt,
    Function.RECIP: _recip,
}

LOG2E = int((1 / Context(prec=40).ln(Decimal(2)) * (1 << LOG2E_BITS)).to_integral_value())
"""log2(e) with ``LOG2E_BITS`` fraction bits."""


@cache
def intervals() -> tuple[Interval, ...]:
    """All of :class:`Interval`, in the order of the table: those of more segments first."""
    result, first = [], 0
    for (function, part), bits in sorted(_SIZES.items(), key=lambda item: -item[1]):
        result.append(Interval(function, part, bits, first))
        first += 1 << bits
    return tuple(result)


@cache
def table() -> tuple[Segment, ...]:
    """All of :class:`Segment`, those of each interval from its `first` on.

    Decimal arithmetic is the same on every machine, and so is the table.
    """
    with localcontext(prec=40):
        return tuple(s for interval in intervals() for s in _segments(interval))


def _segments(interval):
    function, part, count = interval.function, interval.part, 1 << interval.bits
    scale = Decimal(1 << FRACTION)

    def value(x):
        return _VALUES[function](part, x) * scale

    ends = [value(Decimal(i) / count) for i in range(count + 1)]
    nodes = [int(end.to_integral_value()) for end in ends]
    if function is Function.TANH and part < 0:
        # The next binade begins with a number of half as many steps; it must not lie below.
        following = (_tanh(part + 1, Decimal(0)) * scale).to_integral_value()
        nodes[-1] = min(nodes[-1], 2 * int(following))
    for i in range(count):
        middle = value(Decimal(2 * i + 1) / (2 * count))
        # exp is measured from its left end, the others from the right.
        near, far = (i, i + 1) if function is Function.EXP else (i + 1, i)
        rise, half = abs(ends[far] - ends[near]), abs(middle - ends[near])
        curve = int((2 * rise - 4 * half).to_integral_value())
        slope = abs(nodes[far] - nodes[near]) - curve
        if curve < 0 or slope < 0:
            raise AssertionError(f"{function.name} {part}, segment {i}, is not convex")
        yield Segment(nodes[near], slope, curve)
