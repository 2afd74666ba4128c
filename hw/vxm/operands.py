"""Where operands come from: stream groups, outputs of ALUs, the immediate."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tsp.hw.isa.vxm import Mov

WAITS = 1 << Mov.field("wait").width
"""Cycles that an early operand may wait, 0 included."""

BLOCK = {"ram_style": "block"}
"""Of what waits: FPGAs would make it of look-up tables, and larger."""

_GROUP, _ALU, _IMMEDIATE = range(3)


class OperandSelect(data.Struct):
    """An operand field of an instruction, as :class:`~tsp.hw.isa.codecs.Operand` encodes it.

    Members
    -------
    which : lowest stream of a group, or number of an ALU
    westward, log2 : direction and log2 of the size of a group
    kind : a group, an ALU, the immediate, or nothing
    """

    which: 5
    westward: 1
    log2: 2
    kind: 2


class Request(wiring.Signature):
    """Which operand is sampled in this cycle, if ``enable`` is set."""

    def __init__(self):
        super().__init__({"enable": Out(1), "select": Out(OperandSelect), "immediate": Out(32)})


class Waiting(wiring.Signature):
    """Where early operands wait.

    Members
    -------
    put, put_place : the operand sampled in the last cycle waits at this place
    fetch, fetch_place : the operand at this place is needed in two cycles
    take : what was fetched in the last cycle is needed in the next
    brief : what was sampled in the last cycle is
    direct : what is sampled in this cycle is
    """

    def __init__(self):
        place = Out(range(WAITS))
        super().__init__(
            {
                "put": Out(1),
                "put_place": place,
                "fetch": Out(1),
                "fetch_place": place,
                "take": Out(1),
                "brief": Out(1),
                "direct": Out(1),
            }
        )


def _sources(config):
    """The ports of a request, and of what it may ask for."""
    word = 8 * config.lanes
    return {
        "request": In(Request()),
        "east": In(data.ArrayLayout(word, config.streams)),
        "west": In(data.ArrayLayout(word, config.streams)),
        "alus": In(word).array(config.alus, 4),
    }


class Reader(wiring.Component):
    """The data of one operand of an ALU, valid or not.

    A stream group of 1 or 2 words is sign-extended.

    Latency
    -------
    1 cycle. The operand stays until the next request.

    Parameters
    ----------
    config : Config

    Members
    -------
    request : what is sampled in this cycle
    east, west : data of the streams
    alus : data of the outputs of all ALUs
    operand : what was sampled
    """

    COMMON = ("east", "west", "alus")

    def __init__(self, config):
        super().__init__({**_sources(config), "operand": Out(8 * config.lanes).array(4)})

    def elaborate(self, platform):
        m = Module()
        select, immediate = self.request.select, self.request.immediate
        vector = data.ArrayLayout(len(self.operand[0]), 4)
        chosen, operand = Signal(vector), Signal(vector, reset_less=True)
        with m.Switch(select.kind):
            with m.Case(_GROUP):
                m.d.comb += chosen.eq(self._group(m, vector))
            with m.Case(_ALU), m.Switch(select.which):
                for number, alu in enumerate(self.alus):
                    with m.Case(number):
                        m.d.comb += chosen.eq(Cat(alu))
            with m.Case(_IMMEDIATE):
                lanes = len(self.operand[0]) // 8
                copies = [immediate[8 * k : 8 * k + 8].replicate(lanes) for k in range(4)]
                m.d.comb += chosen.eq(Cat(copies))
        with m.If(self.request.enable):
            m.d.sync += operand.eq(chosen)
        m.d.comb += [word.eq(operand[k]) for k, word in enumerate(self.operand)]
        return m

    def _group(self, m, vector):
        # Groups are aligned: the quad that holds the group is chosen first, then its part.
        select, quad = self.request.select, Signal(vector)
        with m.Switch(Cat(select.which[2:], select.westward)):
            for westward, row in enumerate((list(self.east), list(self.west))):
                for first in range(0, len(row), 4):
                    with m.Case(westward << 3 | first >> 2):
                        m.d.comb += quad.eq(Cat(row[first : first + 4]))

        word = vector.elem_shape
        low, high, highest, extension = (Signal(word, name=f"word_{n}") for n in range(4))
        single, whole = select.log2 == 0, select.log2 == 2
        m.d.comb += [
            low.eq(Array(quad)[select.which[:2]]),
            high.eq(Mux(select.which[1], quad[3], quad[1])),
            highest.eq(Mux(single, low, high)),
            extension.eq(Cat(Mux(highest[at], 0xFF, 0) for at in range(7, word, 8))),
        ]
        return Cat(
            low,
            Mux(single, extension, high),
            Mux(whole, quad[2], extension),
            Mux(whole, quad[3], extension),
        )


class EarlyReader(wiring.Component):
    """A :class:`Reader` whose operands may wait in a buffer until they are needed.

    Latency
    -------
    1 cycle after `waiting` says that an operand is needed in the next.

    Parameters
    ----------
    config : Config

    Members
    -------
    request, east, west, alus : as those of a :class:`Reader`
    waiting : In(Waiting)
    operand : what is needed in this cycle
    """

    COMMON = Reader.COMMON

    def __init__(self, config):
        self.config = config
        word = Out(8 * config.lanes).array(4)
        super().__init__({**_sources(config), "waiting": In(Waiting()), "operand": word})

    def elaborate(self, platform):
        m = Module()
        m.submodules.reader = reader = Reader(self.config)
        for name in ("east", "west"):
            m.d.comb += getattr(reader, name).eq(getattr(self, name))
        for port, alu in zip(reader.alus, self.alus, strict=True):
            m.d.comb += [a.eq(b) for a, b in zip(port, alu, strict=True)]
        wiring.connect(m, wiring.flipped(self.request), reader.request)

        vector = data.ArrayLayout(len(self.operand[0]), 4)
        m.submodules.buffer = buffer = Memory(shape=vector, depth=WAITS, init=[], attrs=BLOCK)
        put = buffer.write_port()
        taken = buffer.read_port(transparent_for=(put,))
        waiting, at_once, waited = self.waiting, Signal(), Signal(vector, reset_less=True)
        sampled = Cat(reader.operand)
        m.d.comb += [
            put.en.eq(waiting.put),
            put.addr.eq(waiting.put_place),
            put.data.eq(sampled),
            taken.en.eq(waiting.fetch),
            taken.addr.eq(waiting.fetch_place),
        ]
        with m.If(waiting.brief | waiting.take):
            m.d.sync += waited.eq(Mux(waiting.brief, sampled, taken.data))
        with m.If(waiting.direct | waiting.take):
            m.d.sync += at_once.eq(waiting.direct)
        m.d.comb += Cat(self.operand).eq(Mux(at_once, sampled, waited))
        return m


class Condition(wiring.Component):
    """The condition of an ALU's `Select`: in which lanes an operand is not 0.

    Latency
    -------
    1 cycle. The condition stays until the next request.

    Parameters
    ----------
    config : Config

    Members
    -------
    request, east, west, alus : as those of a :class:`Reader`
    lanes : a bit per lane
    """

    COMMON = Reader.COMMON

    def __init__(self, config):
        super().__init__({**_sources(config), "lanes": Out(config.lanes)})

    def elaborate(self, platform):
        m = Module()
        select, immediate = self.request.select, self.request.immediate
        lanes, streams = len(self.lanes), len(self.east)
        chosen, held = Signal(lanes), Signal(lanes, reset_less=True)

        def nonzero(words):
            return [Cat(word[8 * n : 8 * n + 8] for word in words).any() for n in range(lanes)]

        # A sign-extended number is not 0 if its bytes are not all 0.
        group, mask, found = Signal(4), Signal(2 * streams), [[] for _ in range(lanes)]
        m.d.comb += [
            group.eq(Mux(select.log2 == 2, 0b1111, Mux(select.log2 == 1, 0b11, 0b1))),
            mask.eq((group << Cat(select.which, 0))[:streams] << Mux(select.westward, streams, 0)),
        ]
        for stream, word in enumerate([*self.east, *self.west]):
            for bits, here in zip(found, nonzero([word]), strict=True):
                bits.append(here & mask[stream])
        with m.Switch(select.kind):
            with m.Case(_GROUP):
                m.d.comb += chosen.eq(Cat(Cat(bits).any() for bits in found))
            with m.Case(_ALU), m.Switch(select.which):
                for number, alu in enumerate(self.alus):
                    with m.Case(number):
                        m.d.comb += chosen.eq(Cat(nonzero(alu)))
            with m.Case(_IMMEDIATE):
                m.d.comb += chosen.eq(immediate.any().replicate(lanes))
        with m.If(self.request.enable):
            m.d.sync += held.eq(chosen)
        m.d.comb += self.lanes.eq(held)
        return m


def is_valid(m, request, east, west, alus):
    """Whether what is requested is valid in this cycle, if anything is.

    Parameters
    ----------
    m : Module
        Where the logic goes.
    request : interface of Request
    east, west, alus : Value
        A bit per stream or ALU: it is valid.
    """
    select, words, valid = request.select, Signal(4), Signal()
    m.d.comb += words.eq(Mux(select.westward, west, east) >> select.which)
    with m.Switch(select.kind):
        with m.Case(_GROUP):
            parts = Array(words[: 1 << log2].all() for log2 in range(3))
            m.d.comb += valid.eq(parts[select.log2])
        with m.Case(_ALU):
            m.d.comb += valid.eq(alus >> select.which)
        with m.Case(_IMMEDIATE):
            m.d.comb += valid.eq(1)
    return valid
