"""Sum or maximum of two fp32 numbers, in three cycles."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tsp.hw.shift import shift_right

NAN = 0x7FC00000
MINUS_INFINITY = 0xFF800000


class Combine(wiring.Component):
    """The sum of two fp32 numbers, rounded to nearest even, or the larger of them.

    Subnormals are kept and NaN is canonical. For the maximum -0 is below +0, and it is NaN if
    either number is.

    Latency
    -------
    3 cycles, the ``SXM_COMBINE`` of the timing table: `first` is set in the cycle of the numbers,
    `second` in the next one and `third` in that after it. The result stays until the next.

    Members
    -------
    first, second, third : In(1)
    largest : In(1)
        The maximum is wanted and not the sum; with `first`.
    a, b : In(32)
    total : Out(32)
    """

    COMMON = ("first", "second", "third", "largest")

    first: In(1)
    second: In(1)
    third: In(1)
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
    That of :class:`Combine`.

    Members
    -------
    first, second, third, largest : as in :class:`Combine`
    kept : In(2)
        Lanes of the pair that are not masked.
    pair : In(16).array(4)
        The bytes of the pair, least significant first.
    total : Out(32)
    """

    COMMON = Combine.COMMON

    first: In(1)
    second: In(1)
    third: In(1)
    largest: In(1)
    kept: In(2)
    pair: In(16).array(4)
    total: Out(32)

    def elaborate(self, platform):
        m = Module()
        neutral = Mux(self.largest, MINUS_INFINITY, 0)
        values = []
        for side in range(2):
            value = Signal(32, name=f"value{side}")
            element = Cat(word[8 * side : 8 * side + 8] for word in self.pair)
            m.d.comb += value.eq(Mux(self.kept[side], element, neutral))
            values.append(value)
        combine(m, self, *values)
        return m


def combine(m, ports, a, b):
    """The logic of :class:`Combine`, between its `ports`."""
    # First cycle: of the two the one with the larger magnitude is `high`. The other is shifted by
    # the difference of the exponents, here by multiples of 4. Of what falls out below three bits
    # it is enough to know whether it is 0.
    swap, high, low = Signal(), Signal(32), Signal(32)
    m.d.comb += [
        swap.eq(b[:31] > a[:31]),
        high.eq(Mux(swap, b, a)),
        low.eq(Mux(swap, a, b)),
    ]
    nan, invalid = Signal(), Signal()
    m.d.comb += [
        invalid.eq(~ports.largest & (low[:31] == 0x7F800000) & (high[31] ^ low[31])),
        nan.eq((high[:31] > 0x7F800000) | invalid),
    ]  # a NaN has the larger magnitude; two infinities of different sign have no sum
    fields = [Cat(v[23] | ~v[23:31].any(), v[24:31]) for v in (a, b)]
    ahead, behind, distance = Signal(8), Signal(8), Signal(5)
    far = Mux(swap, behind, ahead)
    m.d.comb += [
        ahead.eq(fields[0] - fields[1]),
        behind.eq(fields[1] - fields[0]),
        distance.eq(far[:5] | far[5:].any().replicate(5)),
    ]
    coarse, lost = shift_right(m, Cat(Const(0, 3), _significand(low)), distance, (16, 8, 4))

    registers = {"large": 24, "small": 27, "rest": 2, "lost": 1, "sign": 1, "minus": 1, "fixed": 1}
    registers |= {"exponent": 8, "value": 32}
    first = {n: Signal(bits, name=n, reset_less=True) for n, bits in registers.items()}
    with m.If(ports.first):
        m.d.sync += [
            first["large"].eq(_significand(high)),
            first["small"].eq(coarse),
            first["rest"].eq(distance[:2]),
            first["lost"].eq(lost),
            first["sign"].eq(high[31]),
            first["minus"].eq(high[31] ^ low[31]),
            first["exponent"].eq(Mux(swap, fields[1], fields[0])),
            first["fixed"].eq(ports.largest | nan | high[23:31].all()),
            # If `high` is negative, `low` is not below it: also for zeros.
            first["value"].eq(Mux(nan, NAN, Mux(ports.largest & high[31], low, high))),
        ]

    # Second cycle: add, and count the leading zeros.
    fine, lost = shift_right(m, first["small"], first["rest"], (2, 1))
    small, total, minus = Signal(28), Signal(28), first["minus"]
    m.d.comb += [
        small.eq(Cat(fine[0] | lost | first["lost"], fine[1:]) ^ minus.replicate(28)),
        total.eq((Cat(minus, Const(0, 3), first["large"]) + Cat(minus, small))[1:29]),
    ]
    second = {"total": Signal(28, name="summed", reset_less=True)}
    second["zeros"] = Signal(5, name="zeros", reset_less=True)
    for name in ("sign", "minus", "fixed", "exponent", "value"):
        second[name] = Signal.like(first[name], name=f"later_{name}", reset_less=True)
    with m.If(ports.second):
        m.d.sync += [second[name].eq(first[name]) for name in first if name in second]
        m.d.sync += [second["total"].eq(total), second["zeros"].eq(_zeros(m, total))]

    # Third cycle: normalise as far as the exponent allows, and round.
    room, shift, word = Signal(5), Signal(5), second["total"]
    exponent, zeros = second["exponent"], second["zeros"]
    m.d.comb += [
        room.eq(exponent[:5] | exponent[5:].any().replicate(5)),
        shift.eq(Mux(zeros > room, room, zeros)),
    ]
    for step in (16, 8, 4, 2, 1):
        shifted = Signal(28, name=f"word_{step}")
        chosen = shift[step.bit_length() - 1]
        m.d.comb += shifted.eq(Mux(chosen, Cat(Const(0, step), word), word))
        word = shifted
    field, packed, up = Signal(9), Signal(32), Signal()
    m.d.comb += [
        field.eq(exponent + 1 - shift),
        up.eq(word[3] & (word[:3].any() | word[4])),
        packed.eq(
            (Cat(Const(1, 1), word[4:27], Mux(word[27], field, 0)) + Cat(up, Const(0, 32)))[1:33]
        ),
    ]
    result = Signal(32, reset_less=True)
    negative = second["sign"] & (second["total"].any() | ~second["minus"])
    with m.If(ports.third):
        with m.If(second["fixed"]):
            m.d.sync += result.eq(second["value"])
        with m.Else():
            # A number that is rounded up to 2^128 has the code of infinity by itself.
            over = word[27] & field[:8].all()
            m.d.sync += result.eq(Cat(Mux(over, 0xFF << 23, packed)[:31], negative))
    m.d.comb += ports.total.eq(result)


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
