"""A delay for words, which does not toggle while it holds none."""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tsp.hw.export import shared

SHORT = 4
"""Cycles up to which a delay is a chain of registers and not a memory."""


class Delay(wiring.Component):
    """A word, so many cycles later; there may be one in every cycle.

    Latency
    -------
    `cycles`, at least 1.

    Parameters
    ----------
    width, cycles : int

    Members
    -------
    enable : In(1)
        There is a word.
    word : In(width)
    valid : Out(1)
        A word stands on `delayed`; it stays until the next.
    delayed : Out(width)
    """

    def __init__(self, width, cycles):
        if cycles < 1:
            raise ValueError(f"a delay takes at least 1 cycle, not {cycles}; connect the word")
        self.width, self.cycles = width, cycles
        super().__init__(
            {"enable": In(1), "word": In(width), "valid": Out(1), "delayed": Out(width)}
        )

    @property
    def module_name(self):
        """A module name, unique among delays with different parameters."""
        return f"sxm_delay_{self.width}_{self.cycles}"

    def elaborate(self, platform):
        m = Module()
        under_way = Signal(self.cycles)
        m.d.sync += under_way.eq(Cat(self.enable, under_way))
        m.d.comb += self.valid.eq(under_way[-1])
        if self.cycles <= SHORT:
            source, there = self.word, self.enable
            for step in range(self.cycles):
                stage = Signal(self.width, name=f"stage{step}", reset_less=True)
                with m.If(there):
                    m.d.sync += stage.eq(source)
                source, there = stage, under_way[step]
            m.d.comb += self.delayed.eq(source)
            return m

        # A ring read and written at one place: the old word leaves as a new one enters.
        depth = self.cycles - 1
        m.submodules.ring = ring = Memory(shape=unsigned(self.width), depth=depth, init=[])
        write = ring.write_port()
        read = ring.read_port()
        place = Signal(range(depth))
        m.d.sync += place.eq(place + 1)
        with m.If(place == depth - 1):
            m.d.sync += place.eq(0)
        m.d.comb += [
            write.en.eq(self.enable),
            write.addr.eq(place),
            write.data.eq(self.word),
            read.en.eq(under_way[-2]),
            read.addr.eq(place),
            self.delayed.eq(read.data),
        ]
        return m


def delayed(m, platform, name, enable, word, cycles):
    """``(valid, word)`` so many cycles later, 0 included; a submodule `name` of `m`."""
    if not cycles:
        return enable, word
    delay = Delay(len(word), cycles)
    m.submodules[name] = shared(platform, delay.module_name, delay)
    m.d.comb += [delay.enable.eq(enable), delay.word.eq(word)]
    return delay.valid, delay.delayed
