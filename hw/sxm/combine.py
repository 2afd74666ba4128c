"""Sum or maximum of two fp32 numbers, in two cycles."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

NAN = 0x7FC00000
MINUS_INFINITY = 0xFF800000


class Combine(wiring.Component):
    """The sum of two fp32 numbers, rounded to nearest even, or the larger of them.

    Subnormals are kept and NaN is canonical. For the maximum -0 is below +0, and it is NaN if
    either number is.

    Latency
    -------
    2 cycles: `first` is set in the cycle of the numbers, `second` in the next one. The result
    stays until the next.

    Members
    -------
    first, second : In(1)
    largest : In(1)
        The maximum is wanted and not the sum; with `first`.
    a, b : In(32)
    total : Out(32)
    """

    COMMON = ("first", "second", "largest")

    first: In(1)
    second: In(1)
    largest: In(1)
    a: In(32)
    b: In(32)
    total: Out(32)

    def elaborate(self, platform):
        m = Module()
        combine(m, self, self.a, self.b)
        return m


class Leaf(wiring.Component):
    """:class:`Combine` for two adjacent lanes of a superlane; lanes that are masked are neutral.

    Latency
    -------
    2 cycles, as :class:`Combine`.

    Parameters
    ----------
    lanes : int

    Members
    -------
    first, second, largest : as in :class:`Combine`
    kept : In(signed(11))
        Lanes of this superlane that are not masked; all if it is large, none below 1.
    quad : In(8 * lanes).array(4)
        The bytes of all lanes, least significant first.
    number : In(3)
        Number of this pair of lanes.
    total : Out(32)
    """

    COMMON = (*Combine.COMMON, "kept", "quad")

    def __init__(self, *, lanes):
        super().__init__(
            {
                "first": In(1),
                "second": In(1),
                "largest": In(1),
                "kept": In(signed(11)),
                "quad": In(8 * lanes).array(4),
                "number": In(3),
                "total": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes = len(self.quad[0]) // 8
        pairs = [word.word_select(self.number[: (lanes // 2 - 1).bit_length()], 16)
                 for word in self.quad]  # fmt: skip
        neutral = Mux(self.largest, MINUS_INFINITY, 0)
        values = []
        for side in range(2):
            value = Signal(32, name=f"value{side}")
            kept = self.kept > Cat(Const(side, 1), self.number)
            element = Cat(pair[8 * side : 8 * side + 8] for pair in pairs)
            m.d.comb += value.eq(Mux(kept, element, neutral))
            values.append(value)
        combine(m, self, *values)
        return m


def combine(m, ports, a, b):
    """The logic of :class:`Combine`, between its `ports`."""
    # Of the two the one with the larger magnitude is `high`.
    swap = Signal()
    high, low = Signal(32), Signal(32)
    m.d.comb += [
        swap.eq(b[:31] > a[:31]),
        high.eq(Mux(swap, b, a)),
        low.eq(Mux(swap, a, b)),
    ]
    nan = (high[:31] > 0x7F800000) | (
        ~ports.largest & (low[:31] == 0x7F800000) & (high[31] ^ low[31])
    )  # a NaN has the larger magnitude; two infinities of different sign have no sum
    infinite = high[23:31] == 0xFF

    # First cycle: align. Three bits below the last one, of which the lowest says that anything
    # below it is set, are enough to round right.
    exponent, distance = Signal(8), Signal(8)
    m.d.comb += [
        exponent.eq(Mux(high[23:31].any(), high[23:31], 1)),
        distance.eq(exponent - Mux(low[23:31].any(), low[23:31], 1)),
    ]
    aligned, lost = Signal(27), Signal(27)
    whole = Cat(Const(0, 3), low[:23], low[23:31].any())
    short = Signal(5)
    m.d.comb += [
        short.eq(Mux(distance > 27, 27, distance)),
        Cat(lost, aligned).eq(Cat(Const(0, 27), whole) >> short),
    ]

    large, small = Signal(27, reset_less=True), Signal(27, reset_less=True)
    sign, minus, fixed = (Signal(name=n, reset_less=True) for n in ("sign", "minus", "fixed"))
    e, value = Signal(8, reset_less=True), Signal(32, reset_less=True)
    with m.If(ports.first):
        m.d.sync += [
            large.eq(Cat(Const(0, 3), high[:23], high[23:31].any())),
            small.eq(Cat(aligned[0] | lost.any(), aligned[1:])),
            sign.eq(high[31]),
            minus.eq(high[31] ^ low[31]),
            e.eq(exponent),
            fixed.eq(ports.largest | nan | infinite),
            # If `high` is negative, `low` is not below it: also for zeros.
            value.eq(Mux(nan, NAN, Mux(ports.largest & high[31], low, high))),
        ]

    # Second cycle: add, normalise, round.
    total = Signal(28)
    m.d.comb += total.eq(Mux(minus, large - small, large + small))
    word, power = Signal(27, name="word_0"), Signal(9, name="power_0")
    m.d.comb += [
        word.eq(Mux(total[27], Cat(total[1] | total[0], total[2:28]), total[:27])),
        power.eq(Mux(total[27], e + 1, e)),
    ]
    for step in (16, 8, 4, 2, 1):
        shifted, less = Signal(27, name=f"word_{step}"), Signal(9, name=f"power_{step}")
        room = ~word[27 - step :].any() & (power > step)
        m.d.comb += [
            shifted.eq(Mux(room, word << step, word)),
            less.eq(Mux(room, power - step, power)),
        ]
        word, power = shifted, less
    packed, up = Signal(32), Signal()
    m.d.comb += [
        up.eq(word[2] & (word[1] | word[0] | word[3])),
        packed.eq(Cat(word[3:26], Mux(word[26], power, 0)) + up),
    ]
    result = Signal(32, reset_less=True)
    negative = sign & (total.any() | ~minus)
    with m.If(ports.second):
        with m.If(fixed):
            m.d.sync += result.eq(value)
        with m.Else():
            infinity = Const(0xFF << 23, 31)
            over = packed[23:] >= 0xFF
            m.d.sync += result.eq(Cat(Mux(over, infinity, packed[:31]), negative))
    m.d.comb += ports.total.eq(result)
