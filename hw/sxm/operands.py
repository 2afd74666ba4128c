"""The operands of an SXM unit: stream groups, sampled as aligned quads."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out


class GroupSelect(data.Struct):
    """A stream group of an instruction, as :class:`~tsp.hw.isa.codecs.Group` encodes it."""

    first: 5
    westward: 1
    log2: 2


class Request(wiring.Signature):
    """Which group is sampled in this cycle, if ``enable`` is set."""

    def __init__(self):
        super().__init__({"enable": Out(1), "select": Out(GroupSelect)})


class Reader(wiring.Component):
    """The words of one stream group, valid or not.

    A group of one or two streams fills the quad again and again, so that each word stands at every
    place of a quad at which its stream, or that of a result, may lie.

    Latency
    -------
    1 cycle. The words stay until the next request.

    Parameters
    ----------
    lanes, streams : int
    words : int
        Words of the quad that are wanted, from the first on.

    Members
    -------
    request : what is sampled in this cycle
    east, west : data of the streams
    quad : what was sampled
    """

    COMMON = ("east", "west")

    def __init__(self, *, lanes, streams, words=4):
        word = 8 * lanes
        super().__init__(
            {
                "request": In(Request()),
                "east": In(data.ArrayLayout(word, streams)),
                "west": In(data.ArrayLayout(word, streams)),
                "quad": Out(word).array(words),
            }
        )

    def elaborate(self, platform):
        m = Module()
        select = self.request.select
        vector = data.ArrayLayout(len(self.quad[0]), 4)
        quad = Signal(vector)
        chosen = Signal(vector)
        bits = len(self.quad) * len(self.quad[0])
        sampled = Signal(bits, reset_less=True)
        with m.Switch(Cat(select.first[2:], select.westward)):
            for westward, row in enumerate((list(self.east), list(self.west))):
                for first in range(0, len(row), 4):
                    with m.Case(westward << 3 | first >> 2):
                        m.d.comb += quad.eq(Cat(row[first : first + 4]))
        single, pair = Array(quad)[select.first[:2]], select.first[1]
        with m.Switch(select.log2):
            with m.Case(0):
                m.d.comb += chosen.eq(Cat(single, single, single, single))
            with m.Case(1):
                low, high = Mux(pair, quad[2], quad[0]), Mux(pair, quad[3], quad[1])
                m.d.comb += chosen.eq(Cat(low, high, low, high))
            with m.Default():
                m.d.comb += chosen.eq(quad)
        with m.If(self.request.enable):
            m.d.sync += sampled.eq(chosen.as_value())
        m.d.comb += Cat(self.quad).eq(sampled)
        return m


def valid_bits(m, select, east, west, many=4):
    """Valid bits of streams from the first of a group on, as many as a group may have, a cycle ago.

    Returns
    -------
    (Signal, Signal)
        A bit for each of `many` streams, and log2 of how many belong to the group: 0, 1, or more
        for all of them.
    """
    words, log2 = Signal(many, name="valid_words"), Signal(2, name="valid_log2")
    m.d.sync += [
        words.eq(Mux(select.westward, west, east) >> select.first),
        log2.eq(select.log2),
    ]
    return words, log2


def is_valid(words, log2):
    """Whether all streams of a group are valid, given what :func:`valid_bits` found."""
    return Mux(log2 == 0, words[0], Mux(log2 == 1, words[:2].all(), words.all()))


def mask_of(select):
    """Which streams of its quad a group takes, a bit each."""
    single = Mux(select.first[1], 0b0100, 0b0001) << select.first[0]
    pair = Mux(select.first[1], 0b1100, 0b0011)
    return Mux(select.log2 == 0, single, Mux(select.log2 == 1, pair, 0b1111))[:4]
