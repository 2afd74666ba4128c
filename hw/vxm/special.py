"""The special functions of one lane: exp, tanh, 1 / square root, 1 / a.

The argument is reduced to a position in an interval; a table gives a quadratic for the segment
where it lies; its value is scaled and rounded once. :mod:`tsp.hw.isa.special` has the table.
Where the result is known beforehand, it takes the place of the table's value and goes along.
"""

from typing import ClassVar

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tsp.hw.isa.special import (
    EXP_BITS,
    EXP_LIMIT,
    FRACTION,
    INFINITY,
    LOG2E,
    LOG2E_BITS,
    NAN,
    OFFSET,
    ONE,
    POSITION,
    TANH_HIGH,
    TANH_LOW,
    Function,
    intervals,
    table,
)
from tsp.hw.pipeline import Pipeline, Registers
from tsp.hw.shift import leading, shift_right
from tsp.hw.vxm.lane import Piped

_BIAS = 127
_DROPPED = FRACTION - 23  # bits of y below those of a subnormal result of exponent 0
_SLOPE = max(s.slope for s in table()).bit_length()
_CURVE = max(s.curve for s in table()).bit_length()
_ENTRY = 32 + _SLOPE + _CURVE


def _entry(segment):
    """A segment as a word of the table."""
    return segment.base | (segment.slope | segment.curve << _SLOPE) << 32


class Argument(Registers):
    """An argument, and what is wanted of it."""

    shapes: ClassVar = {
        "function": Function,
        "a": 32,
        "top": 24,  # its significand less 16 and 8 leading zeros
        "zeros": 2,
    }


class Reduced(Registers):
    """The argument taken apart, and its product with log2(e)."""

    shapes: ClassVar = {
        "function": Function,
        "sign": 1,
        "exponent": signed(9),
        "fraction": 23,
        "product": 24 + LOG2E_BITS + 1,
        "right": 6,  # what exp shifts it by
        "known": 1,  # the result is `value`
        "value": 32,
    }


class Scaled(Registers):
    """The argument taken apart, and what exp makes a power of 2 of."""

    shapes: ClassVar = {**Reduced.shapes, "scaled": signed(10 + EXP_BITS)}
    del shapes["product"], shapes["right"]


class Found(Registers):
    """A segment of the table, and the place in it."""

    shapes: ClassVar = {
        "segment": range(len(table())),
        "offset": OFFSET,
        "from_left": 1,  # the place is counted from the left end
        "falling": 1,  # y is less than at the end that the place is counted from
        "exponent": signed(10),  # of the result
        "sign": 1,
        "known": 1,
        "value": 32,
    }


class Chosen(Registers):
    """The quadratic, and where to evaluate it."""

    shapes: ClassVar = {
        "base": 32,
        "slope": _SLOPE,
        "curve": _CURVE,
        "u": OFFSET + 1,
        "falling": 1,
        "exponent": signed(10),
        "sign": 1,
        "known": 1,
    }


class Sloped(Registers):
    """A straight line."""

    shapes: ClassVar = {**Chosen.shapes, "slope": 32}
    del shapes["curve"]


class Changed(Registers):
    """The value at one end, and what is added to it."""

    shapes: ClassVar = {**Sloped.shapes, "change": 32}
    del shapes["slope"], shapes["u"]


class Valued(Registers):
    """y with ``FRACTION`` fraction bits, or the known result.

    The result has an exponent field for y of 1 and up, and one less for y below 1.
    """

    shapes: ClassVar = {
        "y": 32,
        "shift": 6,  # y to the right, but for one more bit if y is 1 and up
        "below": 1,  # the result is subnormal whatever y is
        "lowest": 1,  # it is subnormal if y is below 1
        "field": 8,  # the exponent field - 1, if y is 1 and up
        "over": 1,  # the result is infinite
        "over_small": 1,  # it is so for y below 1 too
        "sign": 1,
        "known": 1,
    }


class Shifted(Registers):
    """y cut where fp32 ends, and the exponent field that goes with it; or the known result."""

    shapes: ClassVar = {
        "cut": 32,  # the bit below the last place is the lowest
        "sticky": 1,  # a bit below that is 1
        "exponent": 8,
        "infinite": 1,
        "sign": 1,
        "known": 1,
        "y": 32,
    }


class Special(Piped):
    """The special functions of one lane.

    fp32 to fp32, within 1 ulp of the correctly rounded result and monotonic; subnormals are kept,
    NaN is canonical. A stage without work keeps its registers, so an idle lane does not toggle.
    For synthesis the table is a memory, otherwise it is logic, which simulators like better.

    Latency
    -------
    ``latency(deep)``: 6 cycles in a short pipeline, 10 in a deep one.

    Parameters
    ----------
    deep : bool
        Whether its pipeline is deep.

    Members
    -------
    valid : there is an operation
    operation : which function
    a : its operand, byte by byte, as it comes from four streams
    result : its result, likewise
    """

    valid: In(1)
    operation: In(Function)
    a: In(8).array(4)
    result: Out(8).array(4)

    def elaborate(self, platform):
        m = Module()
        pipe = Pipeline(m, self.valid, self.deep)
        argument = pipe.in_deep(_begin(m, self.operation, Cat(self.a)))
        reduced = pipe.always(_reduce(m, argument))
        scaled = pipe.in_deep(_scale(m, reduced))
        wanted, work = _find(m, scaled), pipe.work
        found = pipe.always(wanted)
        if getattr(platform, "synthesis", False):
            m.submodules.table = memory = Memory(
                shape=unsigned(_ENTRY), depth=len(table()), init=[_entry(s) for s in table()]
            )
            port = memory.read_port()
            m.d.comb += [port.addr.eq(wanted.segment), port.en.eq(work)]
            entry = port.data
        else:
            entry = Array(Const(_entry(s), _ENTRY) for s in table())[found.segment]
        chosen = pipe.always(_choose(m, found, entry))
        sloped = pipe.always(_slope(m, chosen))
        changed = pipe.in_deep(_change(m, sloped))
        valued = pipe.always(_value(m, changed))
        shifted = pipe.in_deep(_shift(m, valued))
        m.d.comb += Cat(self.result).eq(pipe.end(_round(m, shifted), self.latency(self.deep)))
        return m


def _begin(m, function, a):
    """The :class:`Argument` a."""
    argument = Argument("taken")
    top, zeros = leading(m, Cat(a[:23], a[23:31].any()), [16, 8])
    m.d.comb += [
        argument.function.eq(function),
        argument.a.eq(a),
        argument.top.eq(top),
        argument.zeros.eq(zeros),
    ]
    return argument


def _reduce(m, argument):
    """The :class:`Reduced` argument."""
    reduced = Reduced("parted")
    function, a = argument.function, argument.a
    field, fraction, sign = a[23:31], a[:23], a[31]
    top, zeros = leading(m, argument.top, [4, 2, 1])
    right = Signal(9)
    m.d.comb += [
        reduced.function.eq(function),
        reduced.sign.eq(sign),
        reduced.exponent.eq(Mux(field.any(), field, 1) - _BIAS - Cat(zeros, argument.zeros)),
        reduced.fraction.eq(top),
        reduced.product.eq(Cat(fraction, field.any()) * LOG2E),
        # The product has LOG2E_BITS + 23 - exponent fraction bits, of which EXP_BITS are kept. Of
        # an argument too small for 6 bits of that nothing is.
        right.eq(LOG2E_BITS + 23 - EXP_BITS + _BIAS - field),
        reduced.right.eq(Mux(right > 63, 63, right)),
    ]

    full, empty, zero = field.all(), ~fraction.any(), ~a[:31].any()
    known, value = reduced.known, reduced.value
    with m.If(full & ~empty):
        m.d.comb += [known.eq(1), value.eq(NAN)]
    with m.Else(), m.Switch(function):
        with m.Case(Function.EXP):
            m.d.comb += [known.eq(field >= _BIAS + EXP_LIMIT), value.eq(Mux(sign, 0, INFINITY))]
        with m.Case(Function.TANH):
            low, high = field < _BIAS + TANH_LOW, field >= _BIAS + TANH_HIGH
            m.d.comb += [
                known.eq(low | high),
                value.eq(Cat(Mux(low, a[:31], ONE), sign)),
            ]
        with m.Case(Function.RSQRT):
            m.d.comb += [
                known.eq(zero | sign | full),
                value.eq(Mux(zero, Cat(Const(INFINITY, 31), sign), Mux(sign, NAN, 0))),
            ]
        with m.Case(Function.RECIP):
            m.d.comb += [
                known.eq(zero | full),
                value.eq(Cat(Mux(zero, Const(INFINITY, 31), 0), sign)),
            ]
    return reduced


def _scale(m, reduced):
    """The argument :class:`Scaled`."""
    scaled = Scaled("product")
    scaled.take(m, reduced)
    magnitude = Signal(10 + EXP_BITS)
    m.d.comb += [
        magnitude.eq(reduced.product >> reduced.right),
        scaled.scaled.eq(Mux(reduced.sign, -magnitude, magnitude)),
    ]
    return scaled


def _find(m, reduced):
    """The segment :class:`Found`, of an argument that is :class:`Scaled`."""
    found, scaled = Found("wanted"), reduced.scaled
    position = Signal(POSITION)
    m.d.comb += position.eq(Cat(Const(0, POSITION - 23), reduced.fraction))
    part = Signal(range(TANH_HIGH - TANH_LOW))
    halved = Signal(signed(9))
    m.d.comb += [
        part.eq(reduced.exponent - TANH_LOW),
        halved.eq(reduced.exponent >> 1),
    ]
    with m.Switch(reduced.function):
        with m.Case(Function.EXP):
            m.d.comb += [
                position.eq(Cat(Const(0, POSITION - EXP_BITS), scaled[:EXP_BITS])),
                found.exponent.eq(scaled >> EXP_BITS),
            ]
        with m.Case(Function.TANH):
            negative = reduced.exponent < 0
            m.d.comb += [
                found.exponent.eq(Mux(negative, reduced.exponent, 0)),
                found.sign.eq(reduced.sign),
                found.falling.eq(1),
            ]
        with m.Case(Function.RSQRT):
            m.d.comb += [part.eq(reduced.exponent[0]), found.exponent.eq(-halved)]
        with m.Case(Function.RECIP):
            m.d.comb += [
                found.exponent.eq(-reduced.exponent),
                found.sign.eq(reduced.sign),
            ]

    # An interval's segments begin at a multiple of their number, so no adder finds one.
    several = reduced.function.matches(Function.TANH, Function.RSQRT)
    with m.Switch(Cat(reduced.function, Mux(several, part, 0))):
        for i in intervals():
            key = i.part - (TANH_LOW if i.function is Function.TANH else 0)
            with m.Case(key << len(reduced.function) | i.function):
                top = position[POSITION - i.bits :]
                rest = Cat(Const(0, i.bits), position[: POSITION - i.bits])
                m.d.comb += [
                    found.segment.eq(
                        Cat(top, Const(i.first >> i.bits, len(found.segment) - i.bits))
                    ),
                    found.offset.eq(rest[POSITION - OFFSET :]),
                ]
    m.d.comb += [
        found.known.eq(reduced.known),
        found.value.eq(reduced.value),
        found.from_left.eq(reduced.function == Function.EXP),
    ]
    return found


def _choose(m, found, entry):
    """The :class:`Chosen` quadratic, which `entry` of the table has."""
    chosen = Chosen("looked_up")
    chosen.take(m, found)
    with m.If(found.known):
        m.d.comb += [chosen.base.eq(found.value), chosen.u.eq(0)]
    with m.Else():
        m.d.comb += [
            chosen.base.eq(entry[:32]),
            chosen.u.eq(Mux(found.from_left, found.offset, (1 << OFFSET) - found.offset)),
        ]
    m.d.comb += Cat(chosen.slope, chosen.curve).eq(entry[32:])
    return chosen


def _slope(m, chosen):
    """The quadratic :class:`Sloped`."""
    sloped = Sloped("line")
    sloped.take(m, chosen)
    m.d.comb += sloped.slope.eq(chosen.slope + (chosen.u * chosen.curve >> OFFSET))
    return sloped


def _change(m, sloped):
    """The quadratic :class:`Changed`."""
    changed = Changed("step")
    changed.take(m, sloped)
    change = sloped.u * sloped.slope >> OFFSET
    m.d.comb += changed.change.eq(change ^ sloped.falling.replicate(32))
    return changed


def _value(m, changed):
    """The quadratic's :class:`Valued`."""
    valued = Valued("sum")
    valued.take(m, changed)
    falling = changed.falling
    biased = Signal(signed(11))
    deep = Signal(signed(11))
    m.d.comb += [
        valued.y.eq((Cat(falling, changed.base) + Cat(falling, changed.change))[1:]),
        biased.eq(changed.exponent + _BIAS),
        deep.eq(_DROPPED - _BIAS - changed.exponent),
        valued.below.eq(biased < 1),
        valued.lowest.eq(biased == 1),
        valued.shift.eq(
            Mux(valued.below, Mux(deep > 63, 63, deep), _DROPPED - 2),
        ),
        valued.field.eq(biased - 1),
        valued.over.eq(biased >= 0xFF),
        valued.over_small.eq(biased > 0xFF),
    ]
    return valued


def _shift(m, valued):
    """The number :class:`Shifted`."""
    shifted = Shifted("cut_off")
    shifted.take(m, valued)
    small = Signal()
    normal = Signal()
    word, lost = shift_right(m, valued.y, valued.shift)
    wide = ~valued.below & (~small | valued.lowest)
    m.d.comb += [
        small.eq(~valued.y[FRACTION:].any()),
        normal.eq(~(valued.below | (valued.lowest & small))),
        shifted.cut.eq(Mux(wide, word >> 1, word)),
        shifted.sticky.eq(lost | (wide & word[0])),
        shifted.exponent.eq(Mux(normal, Mux(small, valued.field - 1, valued.field), 0)),
        shifted.infinite.eq(Mux(small, valued.over_small, valued.over)),
    ]
    return shifted


def _round(m, shifted):
    """The result, rounded."""
    code = Signal(33)
    cut = shifted.cut
    m.d.comb += code.eq(
        (
            Cat(Const(1, 1), cut[1:], Const(0, 1))
            + Cat(cut[0] & (shifted.sticky | cut[1]), Const(0, 23), shifted.exponent)
        )[1:]
    )
    rounded = Cat(Mux(shifted.infinite, INFINITY, code)[:31], shifted.sign)
    return Mux(shifted.known, shifted.y, rounded)
