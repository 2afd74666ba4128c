"""The special functions of one lane: exp, tanh, 1 / square root, 1 / a.

The argument is reduced to a position in an interval; a table gives a quadratic for the segment
where it lies; its value is scaled and rounded once. :mod:`tsp.hw.isa.special` has the table.
Where the result is known beforehand, it takes the place of the table's value and goes along.
"""

from typing import ClassVar

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
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
from tsp.hw.vxm.leading import leading
from tsp.hw.vxm.stages import Registers

_BIAS = 127


class Reduced(Registers):
    """What the first stage leaves: the argument taken apart, and its product with log2(e)."""

    shapes: ClassVar = {
        "function": Function,
        "sign": 1,
        "exponent": signed(9),
        "fraction": 23,
        "product": 24 + LOG2E_BITS + 1,
        "known": 1,  # the result is `value`
        "value": 32,
    }


class Chosen(Registers):
    """What the second stage leaves: the quadratic, and where to evaluate it."""

    shapes: ClassVar = {
        "base": 32,
        "slope": max(s.slope for s in table()).bit_length(),
        "curve": max(s.curve for s in table()).bit_length(),
        "u": OFFSET + 1,
        "falling": 1,
        "exponent": signed(10),  # of the result
        "sign": 1,
        "known": 1,
    }


class Sloped(Registers):
    """What the third stage leaves: a straight line."""

    shapes: ClassVar = {**Chosen.shapes, "slope": 32}
    del shapes["curve"]


class Valued(Registers):
    """What the fourth stage leaves: y with ``FRACTION`` fraction bits, or the known result."""

    shapes: ClassVar = {"y": 32, "exponent": signed(10), "sign": 1, "known": 1}


class Special(wiring.Component):
    """One lane of a special ALU, beside its :class:`~tsp.hw.vxm.lane.Lane`.

    fp32 to fp32, within 1 ulp of the correctly rounded result and monotonic; subnormals are kept,
    NaN is canonical. A stage without work keeps its registers, so an idle lane does not toggle.

    Latency
    -------
    ``LATENCY`` cycles.

    Members
    -------
    valid : there is an operation
    operation : which function
    a : its operand, byte by byte, as it comes from four streams
    result : its result, likewise
    """

    LATENCY: ClassVar = 5

    valid: In(1)
    operation: In(Function)
    a: In(8).array(4)
    result: Out(8).array(4)

    def elaborate(self, platform):
        m = Module()
        a, result = Signal(32), Signal(32, reset_less=True)
        stages = [Reduced("reduced"), Chosen("chosen"), Sloped("sloped"), Valued("valued")]
        m.d.comb += [a.eq(Cat(self.a)), Cat(self.result).eq(result)]
        after = [
            _reduce(m, self.operation, a),
            _choose(m, stages[0]),
            _slope(m, stages[1]),
            _value(m, stages[2]),
        ]
        rounded = _round(m, stages[-1])
        work = self.valid
        for number, (stage, value) in enumerate(zip(stages, after, strict=True)):
            with m.If(work):
                m.d.sync += stage.eq(value)
            before, work = work, Signal(name=f"work_{number + 1}")
            m.d.sync += work.eq(before)
        with m.If(work):
            m.d.sync += result.eq(rounded)
        return m


def _reduce(m, function, a):
    """First stage: the :class:`Reduced` argument."""
    reduced = Reduced("parted")
    field, fraction, sign = a[23:31], a[:23], a[31]
    top, zeros = leading(m, Cat(fraction, field.any()))
    m.d.comb += [
        reduced.function.eq(function),
        reduced.sign.eq(sign),
        reduced.exponent.eq(Mux(field.any(), field, 1) - _BIAS - zeros),
        reduced.fraction.eq(top),
        reduced.product.eq(Cat(fraction, field.any()) * LOG2E),
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


def _choose(m, reduced):
    """Second stage: the :class:`Chosen` quadratic."""
    chosen = Chosen("found")
    # exp: the product has LOG2E_BITS + 23 - exponent fraction bits, of which EXP_BITS are kept.
    right, size, scaled = Signal(9), Signal(6), Signal(signed(10 + EXP_BITS))
    magnitude = Signal(10 + EXP_BITS)
    m.d.comb += [
        right.eq(LOG2E_BITS + 23 - EXP_BITS - reduced.exponent),
        size.eq(Mux(right > 63, 63, right)),
        magnitude.eq(reduced.product >> size),
        scaled.eq(Mux(reduced.sign, -magnitude, magnitude)),
    ]

    position = Signal(POSITION)
    m.d.comb += position.eq(Cat(Const(0, POSITION - 23), reduced.fraction))
    part, halved = Signal(range(TANH_HIGH - TANH_LOW)), Signal(signed(9))
    m.d.comb += [
        part.eq(reduced.exponent - TANH_LOW),
        halved.eq(reduced.exponent >> 1),
    ]
    with m.Switch(reduced.function):
        with m.Case(Function.EXP):
            m.d.comb += [
                position.eq(Cat(Const(0, POSITION - EXP_BITS), scaled[:EXP_BITS])),
                chosen.exponent.eq(scaled >> EXP_BITS),
            ]
        with m.Case(Function.TANH):
            negative = reduced.exponent < 0
            m.d.comb += [
                chosen.exponent.eq(Mux(negative, reduced.exponent, 0)),
                chosen.sign.eq(reduced.sign),
                chosen.falling.eq(1),
            ]
        with m.Case(Function.RSQRT):
            m.d.comb += [part.eq(reduced.exponent[0]), chosen.exponent.eq(-halved)]
        with m.Case(Function.RECIP):
            m.d.comb += [
                chosen.exponent.eq(-reduced.exponent),
                chosen.sign.eq(reduced.sign),
            ]

    # An interval's segments begin at a multiple of their number, so no adder finds one.
    segment, offset = Signal(range(len(table()))), Signal(OFFSET)
    several = reduced.function.matches(Function.TANH, Function.RSQRT)
    with m.Switch(Cat(reduced.function, Mux(several, part, 0))):
        for i in intervals():
            key = i.part - (TANH_LOW if i.function is Function.TANH else 0)
            with m.Case(key << len(reduced.function) | i.function):
                top = position[POSITION - i.bits :]
                rest = Cat(Const(0, i.bits), position[: POSITION - i.bits])
                m.d.comb += [
                    segment.eq(Cat(top, Const(i.first >> i.bits, len(segment) - i.bits))),
                    offset.eq(rest[POSITION - OFFSET :]),
                ]
    steps = Cat(chosen.slope, chosen.curve)
    packed = [Const(s.curve << len(chosen.slope) | s.slope, len(steps)) for s in table()]
    from_left = reduced.function == Function.EXP
    m.d.comb += [
        chosen.known.eq(reduced.known),
        chosen.u.eq(Mux(from_left, offset, (1 << OFFSET) - offset)),
        chosen.base.eq(Array(Const(s.base, 32) for s in table())[segment]),
        steps.eq(Array(packed)[segment]),
    ]
    with m.If(reduced.known):
        m.d.comb += [chosen.base.eq(reduced.value), chosen.u.eq(0)]
    return chosen


def _slope(m, chosen):
    """Third stage: the quadratic :class:`Sloped`."""
    sloped = Sloped("line")
    same = [name for name in sloped.shapes if name != "slope"]
    m.d.comb += [getattr(sloped, name).eq(getattr(chosen, name)) for name in same]
    m.d.comb += sloped.slope.eq(chosen.slope + (chosen.u * chosen.curve >> OFFSET))
    return sloped


def _value(m, sloped):
    """Fourth stage: the quadratic's :class:`Valued`."""
    valued = Valued("sum")
    change = Signal(32)
    m.d.comb += [
        change.eq(sloped.u * sloped.slope >> OFFSET),
        valued.y.eq(Mux(sloped.falling, sloped.base - change, sloped.base + change)),
        valued.exponent.eq(sloped.exponent),
        valued.sign.eq(sloped.sign),
        valued.known.eq(sloped.known),
    ]
    return valued


def _round(m, valued):
    """Fifth stage: the result. y is made 1 to 2, and cut where fp32 ends."""
    small, y, biased, normal = Signal(), Signal(32), Signal(signed(11)), Signal()
    m.d.comb += [
        small.eq(~valued.y[FRACTION:].any()),
        y.eq(Mux(small, valued.y << 1, valued.y)),
        biased.eq(valued.exponent + _BIAS - small),
        normal.eq(biased > 0),
    ]
    # Of the bits below the last place, the highest is cut[0]; below it all are gathered.
    dropped, most = FRACTION - 23, FRACTION + 2
    right, shift = Signal(11), Signal(6)
    cut, sticky, code = Signal(32), Signal(), Signal(35)
    m.d.comb += [
        right.eq(Mux(normal, dropped - 1, dropped - biased)),
        shift.eq(Mux(right > most, most, right)),
        cut.eq(y >> shift),
        sticky.eq((y & ~((Const((1 << 32) - 1, 32) << shift)[:32])).any()),
        code.eq((Mux(normal, biased - 1, 0)[:10] << 23) + cut[1:] + (cut[0] & (sticky | cut[1]))),
    ]
    rounded = Cat(Mux(code > INFINITY, INFINITY, code)[:31], valued.sign)
    return Mux(valued.known, valued.y, rounded)
