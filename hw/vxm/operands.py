"""The sources of operands: stream groups, outputs of ALUs, the immediate."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tsp.hw.isa.vxm import Mov
from tsp.hw.pipeline import Pipeline, Registers

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
    put, put_place : the operand requested in the last cycle waits at this place
    fetch, fetch_place : the turn of the operand at this place comes in the next cycle
    take : it is the turn of what was fetched in the last cycle
    brief : it is the turn of what was requested in the last cycle
    direct : it is the turn of what is requested in this cycle
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


class Sampled(Registers):
    """What a reader chose, before it knows which part of it is the operand.

    Members
    -------
    words : the quad that holds a stream group, the output of an ALU, or copies of the immediate
    at, log2 : the group begins at this stream of the quad, and log2 of its size; all of it if it is
        not a group
    """

    def __init__(self, prefix, word):
        self.shapes = {"words": data.ArrayLayout(word, 4), "at": 2, "log2": 2}
        super().__init__(prefix)


class Reader(wiring.Component):
    """The data of one operand of an ALU, valid or not.

    A stream group of 1 or 2 words is sign-extended.

    Latency
    -------
    ``latency(deep)``: 1 cycle in a short pipeline; in a deep one 2, of which the first chooses
    where the operand comes from. The operand stays until the next request.

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
        self.deep = config.deep
        super().__init__({**_sources(config), "operand": Out(8 * config.lanes).array(4)})

    @staticmethod
    def latency(deep):
        """Cycles from a request to its operand."""
        return 2 if deep else 1

    def elaborate(self, platform):
        m = Module()
        pipe = Pipeline(m, self.request.enable, self.deep)
        sampled = pipe.in_deep(self._sample(m))
        operand = pipe.end(self._extend(m, sampled), self.latency(self.deep))
        m.d.comb += Cat(self.operand).eq(operand)
        return m

    def _sample(self, m):
        """Choose a source; groups are aligned, so the quad of streams that holds the group."""
        select, immediate = self.request.select, self.request.immediate
        lanes = len(self.operand[0]) // 8
        sampled = Sampled("chosen", 8 * lanes)
        is_group = select.kind == _GROUP
        m.d.comb += [
            sampled.at.eq(Mux(is_group, select.which, 0)),
            sampled.log2.eq(Mux(is_group, select.log2, 2)),
        ]
        with m.Switch(select.kind):
            with m.Case(_GROUP), m.Switch(Cat(select.which[2:], select.westward)):
                for westward, row in enumerate((list(self.east), list(self.west))):
                    for first in range(0, len(row), 4):
                        with m.Case(westward << 3 | first >> 2):
                            m.d.comb += sampled.words.eq(Cat(row[first : first + 4]))
            with m.Case(_ALU), m.Switch(select.which):
                for number, alu in enumerate(self.alus):
                    with m.Case(number):
                        m.d.comb += sampled.words.eq(Cat(alu))
            with m.Case(_IMMEDIATE):
                copies = [immediate[8 * k : 8 * k + 8].replicate(lanes) for k in range(4)]
                m.d.comb += sampled.words.eq(Cat(copies))
        return sampled

    def _extend(self, m, sampled):
        """The operand: its words of those that were chosen, and copies of its sign."""
        words, at = sampled.words, sampled.at
        word = words.shape().elem_shape
        low, high, highest, extension = (Signal(word, name=f"word_{n}") for n in range(4))
        single, whole = sampled.log2 == 0, sampled.log2 == 2
        m.d.comb += [
            low.eq(Array(words)[at]),
            high.eq(Mux(at[1], words[3], words[1])),
            highest.eq(Mux(single, low, high)),
            extension.eq(Cat(Mux(highest[at], 0xFF, 0) for at in range(7, word, 8))),
        ]
        return Cat(
            low,
            Mux(single, extension, high),
            Mux(whole, words[2], extension),
            Mux(whole, words[3], extension),
        )


class EarlyReader(wiring.Component):
    """A :class:`Reader` whose operands may wait in a buffer until they are needed.

    Latency
    -------
    That of a :class:`Reader`, counted from the request or, if the operand waits, from its turn.

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
        waiting = self._heard(m)
        at_once = Signal()
        waited = Signal(vector, reset_less=True)
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

    def _heard(self, m):
        """`waiting`, in the time of the reader."""
        heard = self.waiting
        for number in range(1, Reader.latency(self.config.deep)):
            before, heard = heard, Waiting().create(path=(f"waiting_{number}",))
            m.d.sync += [
                getattr(heard, name).eq(getattr(before, name))
                for name in self.waiting.signature.members
            ]
        return heard


class Nonzero(Registers):
    """What a condition is made of.

    Members
    -------
    lanes : for every lane a bit per stream, eastward ones first, per ALU and for the immediate: its
        number in the lane is not 0
    mask : which of these bits count
    """

    def __init__(self, prefix, lanes, sources):
        self.shapes = {"lanes": data.ArrayLayout(sources, lanes), "mask": sources}
        super().__init__(prefix)


class Condition(wiring.Component):
    """The condition of an ALU's `Select`: in which lanes an operand is not 0.

    Latency
    -------
    As that of a :class:`Reader`. The condition stays until the next request.

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
        self.deep = config.deep
        super().__init__({**_sources(config), "lanes": Out(config.lanes)})

    def elaborate(self, platform):
        m = Module()
        pipe = Pipeline(m, self.request.enable, self.deep)
        found = pipe.in_deep(self._find(m))
        chosen = Cat((lane & found.mask).any() for lane in found.lanes)
        m.d.comb += self.lanes.eq(pipe.end(chosen, Reader.latency(self.deep)))
        return m

    def _find(self, m):
        """A sign-extended number is not 0 if its bytes are not all 0."""
        select, immediate = self.request.select, self.request.immediate
        streams, alus = len(self.east), len(self.alus)
        found = Nonzero("found", len(self.lanes), 2 * streams + alus + 1)
        for n, lane in enumerate(found.lanes):
            words = [Cat(word.word_select(n, 8) for word in alu) for alu in self.alus]
            words = [word.word_select(n, 8) for word in [*self.east, *self.west]] + words
            m.d.comb += lane.eq(Cat(*(word.any() for word in words), immediate.any()))
        group = Signal(4)
        of_group = Signal(2 * streams)
        of_alu = Signal(alus)
        m.d.comb += [
            group.eq(Mux(select.log2 == 2, 0b1111, Mux(select.log2 == 1, 0b11, 0b1))),
            of_group.eq(
                (group << Cat(select.which, 0))[:streams] << Mux(select.westward, streams, 0)
            ),
            of_alu.eq(1 << select.which),
            found.mask.eq(
                Cat(
                    Mux(select.kind == _GROUP, of_group, 0),
                    Mux(select.kind == _ALU, of_alu, 0),
                    select.kind == _IMMEDIATE,
                )
            ),
        ]
        return found


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
    select = request.select
    words = Signal(4)
    valid = Signal()
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
