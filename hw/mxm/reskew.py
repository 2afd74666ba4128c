"""The path of finished dot products from the top of the array back to their superlanes."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tsp.hw.export import repeated
from tsp.hw.mxm.fixed import FixedRow, assign_from_row

SHORT = 4
"""Cycles from which a delay is a memory and not a chain of registers."""


class Wait(wiring.Component):
    """The hand-over and the delay of the sums of one lane.

    Latency
    -------
    `cycles` + 1.

    Parameters
    ----------
    mac : Int8Mac or Fp16Mac
    cycles : int

    Members
    -------
    place : In(range(cycles - 1))
        Counts round and round.
    top : In(Fixed)
    dot : Out(Fixed)
    """

    COMMON = ("place",)

    def __init__(self, mac, cycles):
        self.mac, self.cycles = mac, cycles
        places = range(max(2, cycles - 1))
        super().__init__({"place": In(places), "top": In(mac.partial), "dot": Out(mac.dot)})

    @property
    def module_name(self):
        """A module name, unique among delays with different parameters."""
        return f"mxm_wait_{self.mac.name}_p{self.mac.partial.widths[0]}c{self.cycles}"

    def elaborate(self, platform):
        m = Module()
        settled = self.mac.dot.create(path=("settled",))
        digits = self.mac.settle(self.top.digits)
        m.d.sync += [a.eq(b) for a, b in zip(settled.digits, digits, strict=True)]
        if self.mac.special:
            m.d.sync += settled.flags.eq(self.top.flags)
        if self.cycles < SHORT:
            source = settled
            for step in range(self.cycles):
                stage = self.mac.dot.create(path=(f"stage{step}",))
                m.d.sync += stage.assign(source)
                source = stage
            m.d.comb += self.dot.assign(source)
            return m
        # A ring read and written at one place: the old word leaves as the new one enters.
        for d, (old, new) in enumerate(zip(self.dot.digits, settled.digits, strict=True)):
            m.d.comb += old.eq(self._ring(m, f"ring_{d}", new))
        if self.mac.special:
            flags = self._ring(m, "ring_flags", settled.flags.as_value())
            m.d.comb += self.dot.flags.eq(flags)
        return m

    def _ring(self, m, name, word):
        shape, depth = unsigned(len(word)), self.cycles - 1
        m.submodules[name] = ring = Memory(shape=shape, depth=depth, init=[])
        write, read = ring.write_port(), ring.read_port()
        m.d.comb += [
            write.en.eq(1),
            write.addr.eq(self.place),
            write.data.eq(word),
            read.en.eq(1),
            read.addr.eq(self.place),
        ]
        return read.data


class Reskew(wiring.Component):
    """The hand-over of sums to one fixed-point number each, and their delay.

    Latency
    -------
    The sums of superlane j on `top` in cycle t stand on `dots` in t + 1 + (superlanes - 1) + j:
    time to travel down from the top, and to wait for the stagger of their superlane.

    Parameters
    ----------
    mac : Int8Mac or Fp16Mac
    lanes, superlanes : int

    Members
    -------
    top : In(FixedRow)
    dots : Out(Fixed).array(superlanes, lanes)
    """

    def __init__(self, mac, lanes, superlanes):
        self.mac, self.lanes, self.superlanes = mac, lanes, superlanes
        super().__init__(
            {
                "top": In(FixedRow(mac.partial, superlanes * lanes)),
                "dots": Out(mac.dot).array(superlanes, lanes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        for j, dots in enumerate(self.dots):
            cycles = self.superlanes - 1 + j
            waits = [Wait(self.mac, cycles) for _ in dots]
            name = waits[0].module_name
            m.submodules[f"waits{j}"] = repeated(platform, name, waits, Wait.COMMON)
            place = self._place(m, j, cycles - 1) if cycles >= SHORT else 0
            for n, (wait, dot) in enumerate(zip(waits, dots, strict=True)):
                m.d.comb += [
                    wait.place.eq(place),
                    *assign_from_row(wait.top, self.top, j * self.lanes + n),
                    *dot.assign(wait.dot),
                ]
        return m

    def _place(self, m, j, depth):
        """Where the rings of a superlane are read and written."""
        place = Signal(range(depth), name=f"place{j}")
        m.d.sync += place.eq(place + 1)
        with m.If(place == depth - 1):
            m.d.sync += place.eq(0)
        return place
