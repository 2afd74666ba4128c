"""The stream registers of one stop and one superlane."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tsp.hw.stream import Drive, Quad, StreamRow, StreamWord


class Hop(wiring.Component):
    """The step of all streams past one stop: hold, or take what a unit at the stop drives.

    Taps sample one stream each on behalf of a MEM bank.

    Latency
    -------
    A word on `east` or `west`, and a word driven, stands on `east_next` or `west_next` one cycle
    later; so does a sampled word on `sample`.

    Parameters
    ----------
    lanes : int
    streams : int
        Streams per direction.
    drivers : int
        Units that can drive streams here.
    width : int
        Streams that one unit drives at most: 1 or 4.
    taps : int
    quads : int
        Ports that can drive an aligned quad here, for units that drive more than one group.

    Members
    -------
    east, west : In(StreamRow)
        Words that arrive at the stop.
    east_next, west_next : Out(StreamRow)
        Registers that arrive at the next stop east and west.
    drive : In(Drive).array(drivers)
    quad : In(Quad).array(quads)
    conflict : Out(1)
        Two units drive one register in this cycle.
    driven : Out(8)
        Registers driven in this cycle.
    enable, stream, westward, sample, invalid : taps
        With `enable`, the stream is registered into `sample`; `invalid` says in the same cycle
        that it carries nothing.
    """

    def __init__(self, *, lanes, streams, drivers=0, width=1, taps=0, quads=0):
        self.lanes, self.streams = lanes, streams
        self.drivers, self.width, self.taps, self.quads = drivers, width, taps, quads
        row, word = StreamRow(lanes, streams), StreamWord(lanes)
        ports = {
            "east": In(row),
            "west": In(row),
            "east_next": Out(row),
            "west_next": Out(row),
        }
        if drivers:
            ports["drive"] = In(Drive(lanes, width)).array(drivers)
        if quads:
            ports["quad"] = In(Quad(lanes)).array(quads)
        if drivers or quads:
            ports |= {"conflict": Out(1), "driven": Out(8)}
        if taps:
            ports |= {
                "enable": In(1).array(taps),
                "stream": In(5).array(taps),
                "westward": In(1).array(taps),
                "sample": Out(word).array(taps),
                "invalid": Out(1).array(taps),
            }
        super().__init__(ports)

    @property
    def module_name(self):
        """A name that tells apart any two hops that differ."""
        size = f"l{self.lanes}s{self.streams}d{self.drivers}w{self.width}t{self.taps}"
        return f"hop_{size}q{self.quads}"

    def elaborate(self, platform):
        # A driver that is idle is passed over by simulators: its one bit is tested first.
        m = Module()
        m.d.sync += [self.east_next.eq(self.east), self.west_next.eq(self.west)]
        masks, counts = [], []
        if self.drivers:
            self._drive(m, masks, counts)
        if self.quads:
            self._drive_quads(m, masks, counts)
        if masks:
            seen, twice = masks[0], 0
            for mask in masks[1:]:
                twice = twice | (seen & mask)
                seen = seen | mask
            m.d.comb += [self.conflict.eq(twice != 0), self.driven.eq(sum(counts))]
        for tap in range(self.taps):
            self._tap(m, tap)
        return m

    def _registers(self, direction):
        """Pairs of data and valid bit of the registers that arrive at the next stop."""
        row = (self.east_next, self.west_next)[direction]
        return [(row.data[s], row.valid[s]) for s in range(self.streams)]

    def _drive(self, m, masks, counts):
        # One mask per driver with a bit per register, so that a register's choice tests one bit.
        for n, drive in enumerate(self.drive):
            mask = Signal(2 * self.streams, name=f"mask{n}")
            group = Mux(drive.log2 == 2, 0b1111, Mux(drive.log2 == 1, 0b11, 0b1))
            onto = Signal(self.streams, name=f"onto{n}")
            m.d.comb += onto.eq(Mux(drive.valid, group << drive.stream, 0))
            m.d.comb += mask.eq(Mux(drive.westward, Cat(onto & 0, onto), onto))
            masks.append(mask)
            words = self._words(m, n, drive)
            with m.If(drive.valid):
                for direction in range(2):
                    for s, (data, valid) in enumerate(self._registers(direction)):
                        with m.If(mask[direction * self.streams + s]):
                            m.d.sync += [data.eq(words[s % self.width]), valid.eq(1)]
        counts += [Mux(d.valid, 1 << d.log2, 0)[:3] for d in self.drive]

    def _drive_quads(self, m, masks, counts):
        bits, driving = 8 * self.lanes, []
        for n, port in enumerate(self.quad):
            # Ports that do not drive may hold anything, so `valid` is the last word.
            onto = Signal(self.streams, name=f"onto_quad{n}")
            placed = Signal(2 * self.streams, name=f"mask_quad{n}")
            m.d.comb += [
                onto.eq(Mux(port.valid, port.mask << (port.quad << 2), 0)),
                placed.eq(Mux(port.westward, Cat(onto & 0, onto), onto)),
            ]
            driving.append(placed)
            counts.append(Mux(port.valid, sum(port.mask[k] for k in range(4)), 0))
        registers = [*self._registers(0), *self._registers(1)]
        for port, mask in zip(self.quad, driving, strict=True):
            with m.If(port.valid):
                for s, (data, valid) in enumerate(registers):
                    at = bits * (s % 4)
                    with m.If(mask[s]):
                        m.d.sync += [data.eq(port.data[at : at + bits]), valid.eq(1)]
        masks += driving

    def _words(self, m, n, drive):
        """What a driver has for streams 0, 1, ... modulo the width."""
        bits = 8 * self.lanes
        parts = [drive.data[i * bits : (i + 1) * bits] for i in range(self.width)]
        if self.width == 1:
            return parts
        words = []
        for position in range(4):
            word = Signal(bits, name=f"word{n}_{position}")
            m.d.comb += word.eq(
                Mux(
                    drive.log2 == 2, parts[position], Mux(drive.log2, parts[position % 2], parts[0])
                )
            )
            words.append(word)
        return words

    def _tap(self, m, tap):
        choice = Cat(self.stream[tap], self.westward[tap])
        with m.If(self.enable[tap]), m.Switch(choice):
            for direction, row in enumerate((self.east, self.west)):
                for s in range(self.streams):
                    with m.Case(32 * direction + s):
                        m.d.sync += self.sample[tap].data.eq(row.data[s])
                        m.d.sync += self.sample[tap].valid.eq(row.valid[s])
                        m.d.comb += self.invalid[tap].eq(~row.valid[s])


def any_of(bits):
    """The OR of values, 0 if there are none."""
    return reduce(or_, bits, 0)
