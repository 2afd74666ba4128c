"""The way of finished dot products from the top of the array back to their superlanes."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tsp.hw.export import shared
from tsp.hw.mxm.fixed import FixedRow, assign_from_row

SHORT = 4
"""Cycles from which a delay is a memory and not a chain of registers."""


class Wait(wiring.Component):
    """The hand-over and the delay of the sums of one superlane.

    Latency
    -------
    `cycles` + 1.

    Parameters
    ----------
    mac : Int8Mac or Fp16Mac
    lanes, cycles : int

    Members
    -------
    top : In(Fixed).array(lanes)
    dots : Out(Fixed).array(lanes)
    """

    def __init__(self, mac, lanes, cycles):
        self.mac, self.lanes, self.cycles = mac, lanes, cycles
        super().__init__({"top": In(mac.partial).array(lanes), "dots": Out(mac.dot).array(lanes)})

    @property
    def module_name(self):
        """A name that tells apart any two that differ."""
        width = self.mac.partial.widths[0]
        return f"mxm_wait_{self.mac.name}_l{self.lanes}p{width}c{self.cycles}"

    def elaborate(self, platform):
        m = Module()
        depth = self.cycles - 1
        if self.cycles >= SHORT:
            self.place = place = Signal(range(depth))
            m.d.sync += place.eq(place + 1)
            with m.If(place == depth - 1):
                m.d.sync += place.eq(0)
        for n, (top, dot) in enumerate(zip(self.top, self.dots, strict=True)):
            settled = self.mac.dot.create(path=("settled", n))
            digits = self.mac.settle(top.digits)
            m.d.sync += [a.eq(b) for a, b in zip(settled.digits, digits, strict=True)]
            if self.mac.special:
                m.d.sync += settled.flags.eq(top.flags)
            self._delay(m, n, settled, dot)
        return m

    def _delay(self, m, n, source, target):
        if not self.cycles:
            m.d.comb += target.assign(source)
        elif self.cycles < SHORT:
            for step in range(self.cycles - 1):
                stage = self.mac.dot.create(path=(f"stage{step}", n))
                m.d.sync += stage.assign(source)
                source = stage
            m.d.sync += target.assign(source)
        else:
            # A ring read and written at one place: the old word leaves as the new one enters.
            for d, (old, new) in enumerate(zip(target.digits, source.digits, strict=True)):
                m.d.comb += old.eq(self._ring(m, f"ring{n}_{d}", new))
            if self.mac.special:
                flags = self._ring(m, f"ring{n}_flags", source.flags.as_value())
                m.d.comb += target.flags.eq(flags)

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
        for j in range(self.superlanes):
            wait = Wait(self.mac, self.lanes, self.superlanes - 1 + j)
            m.submodules[f"wait{j}"] = shared(platform, wait.module_name, wait)
            for n, sink in enumerate(wait.top):
                m.d.comb += assign_from_row(sink, self.top, j * self.lanes + n)
            for source, sink in zip(wait.dots, self.dots[j], strict=True):
                m.d.comb += sink.assign(source)
        return m
