"""The way of finished dot products from the top of the array back to their superlanes."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

SHORT = 4
"""Cycles from which a delay is a memory and not a chain of registers."""


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
    top : In(Fixed).array(superlanes, lanes)
    dots : Out(Fixed).array(superlanes, lanes)
    """

    def __init__(self, mac, lanes, superlanes):
        self.mac, self.lanes, self.superlanes = mac, lanes, superlanes
        super().__init__(
            {
                "top": In(mac.partial).array(superlanes, lanes),
                "dots": Out(mac.dot).array(superlanes, lanes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        for j in range(self.superlanes):
            for n, (top, dot) in enumerate(zip(self.top[j], self.dots[j], strict=True)):
                settled = self.mac.dot.create(path=("settled", j, n))
                digits = self.mac.settle(top.digits)
                m.d.sync += [a.eq(b) for a, b in zip(settled.digits, digits, strict=True)]
                if self.mac.special:
                    m.d.sync += settled.flags.eq(top.flags)
                self._delay(m, j, n, settled, dot)
        return m

    def _delay(self, m, j, n, source, target):
        cycles = self.superlanes - 1 + j
        if not cycles:
            m.d.comb += target.assign(source)
        elif cycles < SHORT:
            for step in range(cycles - 1):
                stage = self.mac.dot.create(path=(f"stage{step}", j, n))
                m.d.sync += stage.assign(source)
                source = stage
            m.d.sync += target.assign(source)
        else:
            # A ring read and written at one place: the old word leaves as the new one enters.
            place = self._place(m, j, n, cycles - 1)
            for d, (old, new) in enumerate(zip(target.digits, source.digits, strict=True)):
                m.d.comb += old.eq(_ring(m, f"ring{j}_{n}_{d}", place, new, cycles - 1))
            if self.mac.special:
                flags = _ring(m, f"ring{j}_{n}_flags", place, source.flags.as_value(), cycles - 1)
                m.d.comb += target.flags.eq(flags)

    def _place(self, m, j, n, depth):
        """The counter modulo `depth` of group j."""
        if n == 0:
            self._places = place = Signal(range(depth), name=f"place{j}")
            m.d.sync += place.eq(place + 1)
            with m.If(place == depth - 1):
                m.d.sync += place.eq(0)
        return self._places


def _ring(m, name, place, word, depth):
    m.submodules[name] = ring = Memory(shape=unsigned(len(word)), depth=depth, init=[])
    write, read = ring.write_port(), ring.read_port()
    m.d.comb += [
        write.en.eq(1),
        write.addr.eq(place),
        write.data.eq(word),
        read.en.eq(1),
        read.addr.eq(place),
    ]
    return read.data
