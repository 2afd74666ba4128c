"""SXM operations that cross superlanes: shift, permute, broadcast."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tsp.hw import isa
from tsp.hw.export import repeated
from tsp.hw.sxm.delay import delayed


class Crossing(data.Struct):
    """An operation that crosses superlanes.

    Members
    -------
    permute, shift : what it is, else a broadcast
    number : amount of the shift, or lane that is broadcast
    """

    permute: 1
    shift: 1
    number: 10


class Switch(wiring.Component):
    """The words of one superlane, gathered from the lanes of the whole vector.

    Latency
    -------
    1 cycle. The words stay until the next.

    Parameters
    ----------
    lanes, superlanes : int

    Members
    -------
    enable : In(1)
    op : In(Crossing)
    vector : In(8 * lanes * superlanes).array(4)
        The source, superlane 0 lowest.
    first : In(10)
        Number of the first lane of this superlane.
    low, high : In(8 * lanes)
        The bytes of its map.
    quad : Out(8 * lanes).array(4)
    """

    COMMON = ("enable", "op", "vector")

    def __init__(self, *, lanes, superlanes):
        self.lanes, self.vector_lanes = lanes, lanes * superlanes
        super().__init__(
            {
                "enable": In(1),
                "op": In(Crossing),
                "vector": In(8 * self.vector_lanes).array(4),
                "first": In(10),
                "low": In(8 * lanes),
                "high": In(8 * lanes),
                "quad": Out(8 * lanes).array(4),
            }
        )

    def elaborate(self, platform):
        m = Module()
        quads = Signal(32 * self.lanes, reset_less=True)
        amount = self.op.number.as_signed()
        parts = [[] for _ in self.quad]
        for lane in range(self.lanes):
            byte = slice(8 * lane, 8 * lane + 8)
            index = Signal(signed(18), name=f"index{lane}")
            with m.If(self.op.permute):
                m.d.comb += index.eq(Cat(self.low[byte], self.high[byte]))
            with m.Elif(self.op.shift):
                m.d.comb += index.eq(self.first + lane - amount)
            with m.Else():
                m.d.comb += index.eq(self.op.number)
            inside = (index >= 0) & (index < self.vector_lanes)
            place = index[: (self.vector_lanes - 1).bit_length()]
            for part, source in zip(parts, self.vector, strict=True):
                part.append(Mux(inside, source.word_select(place, 8), 0))
        with m.If(self.enable):
            m.d.sync += quads.eq(Cat(parts))
        bits = 8 * self.lanes
        m.d.comb += [word.eq(quads[k * bits : (k + 1) * bits]) for k, word in enumerate(self.quad)]
        return m


class Exchange(wiring.Component):
    """The path of vectors up to the last superlane, through the switch, and back.

    Words climb from tile to tile, so those of all superlanes stand at the last one at once. What
    comes out of the switch takes superlanes - 1 cycles down to the first superlane, and superlane
    j waits j cycles for its stagger.

    Latency
    -------
    The words of superlane i in cycle t + i give those of superlane j in cycle
    t + 2 (superlanes - 1) + 1 + j.

    Parameters
    ----------
    lanes, superlanes : int

    Members
    -------
    enable : In(1).array(superlanes)
        There is an operation that crosses superlanes, and the words of this superlane stand.
    op : In(Crossing)
        That operation, as it is in the last superlane.
    source : In(8 * lanes).array(superlanes, 4)
    low, high : In(8 * lanes).array(superlanes)
        The bytes of the map.
    quad : Out(8 * lanes).array(superlanes, 4)
    """

    def __init__(self, *, lanes, superlanes):
        self.lanes, self.superlanes = lanes, superlanes
        word = 8 * lanes
        super().__init__(
            {
                "enable": In(1).array(superlanes),
                "op": In(Crossing),
                "source": In(word).array(superlanes, 4),
                "low": In(word).array(superlanes),
                "high": In(word).array(superlanes),
                "quad": Out(word).array(superlanes, 4),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes, superlanes, bits = self.lanes, self.superlanes, 8 * self.lanes
        switches = [Switch(lanes=lanes, superlanes=superlanes) for _ in range(superlanes)]
        name = f"sxm_switch_{lanes}_{superlanes}"
        m.submodules.switches = repeated(platform, name, switches, Switch.COMMON)
        enable, planes = self.enable[superlanes - 1], [[] for _ in range(4)]
        for i, switch in enumerate(switches):
            words = Cat(self.source[i], self.low[i], self.high[i])
            _, words = delayed(m, platform, f"up{i}", self.enable[i], words, superlanes - 1 - i)
            parts = [words[k * bits : (k + 1) * bits] for k in range(6)]
            for plane, part in zip(planes, parts, strict=False):
                plane.append(part)
            m.d.comb += [switch.low.eq(parts[4]), switch.high.eq(parts[5])]
        through = Signal()
        m.d.sync += through.eq(enable)
        for j, switch in enumerate(switches):
            m.d.comb += [
                switch.enable.eq(enable),
                switch.op.eq(self.op),
                switch.first.eq(j * lanes),
            ]
            m.d.comb += [port.eq(Cat(p)) for port, p in zip(switch.vector, planes, strict=True)]
            wait = superlanes - 1 + j
            _, words = delayed(m, platform, f"down{j}", through, Cat(switch.quad), wait)
            m.d.comb += Cat(self.quad[j]).eq(words)
        return m


def crossing(word):
    """The :class:`Crossing` that an instruction word means, and whether it means one."""
    shift, permute, broadcast = (
        word[:8] == op.opcode for op in (isa.Shift, isa.Permute, isa.Broadcast)
    )
    at = isa.Shift.field("amount").at
    lane = word[at : at + isa.Broadcast.field("lane").width]
    amount = word[at : at + isa.Shift.field("amount").width]
    return Cat(permute, shift, Mux(shift, amount, lane)), shift | permute | broadcast
