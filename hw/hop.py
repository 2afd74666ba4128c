"""The stream registers of one stop and one superlane."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tsp.hw.stream import Drive, Quad, StreamWord


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
    east, west : In(StreamWord).array(streams)
        Words that arrive at the stop.
    east_next, west_next : Out(StreamWord).array(streams)
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
        word = StreamWord(lanes)
        ports = {
            "east": In(word).array(streams),
            "west": In(word).array(streams),
            "east_next": Out(word).array(streams),
            "west_next": Out(word).array(streams),
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
        m = Module()
        for here, there in ((self.east, self.east_next), (self.west, self.west_next)):
            for word, register in zip(here, there, strict=True):
                m.d.sync += register.eq(word)
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

    def _drive(self, m, masks, counts):
        # One mask per driver with a bit per register, so that a register's choice tests one bit.
        for n, drive in enumerate(self.drive):
            mask = Signal(2 * self.streams, name=f"mask{n}")
            group = Mux(drive.log2 == 2, 0b1111, Mux(drive.log2 == 1, 0b11, 0b1))
            onto = Signal(self.streams, name=f"onto{n}")
            m.d.comb += onto.eq(Mux(drive.valid, group << drive.stream, 0))
            m.d.comb += mask.eq(Mux(drive.westward, Cat(onto & 0, onto), onto))
            masks.append(mask)
            for position, word in enumerate(self._words(m, n, drive)):
                for direction, there in enumerate((self.east_next, self.west_next)):
                    for s in range(position, self.streams, self.width):
                        with m.If(mask[direction * self.streams + s]):
                            m.d.sync += there[s].eq(word)
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
        # Whether anything is driven at all is tested first: mostly nothing is.
        registers = [*self.east_next, *self.west_next]
        with m.If(Cat(port.valid for port in self.quad).any()):
            for port, mask in zip(self.quad, driving, strict=True):
                for register, (bit, there) in enumerate(zip(mask, registers, strict=True)):
                    at = bits * (register % 4)
                    with m.If(bit):
                        m.d.sync += there.eq(Cat(port.data[at : at + bits], Const(1, 1)))
        masks += driving

    def _words(self, m, n, drive):
        """What a driver has for streams 0, 1, ... modulo the width."""
        bits = 8 * self.lanes
        valid = Const(1, 1)
        parts = [Cat(drive.data[i * bits : (i + 1) * bits], valid) for i in range(self.width)]
        if self.width == 1:
            return parts
        words = []
        for position in range(4):
            word = Signal(bits + 1, name=f"word{n}_{position}")
            m.d.comb += word.eq(
                Mux(
                    drive.log2 == 2, parts[position], Mux(drive.log2, parts[position % 2], parts[0])
                )
            )
            words.append(word)
        return words

    def _tap(self, m, tap):
        choice = Cat(self.stream[tap], self.westward[tap])
        arriving = [(s, w) for s, w in enumerate(self.east)]
        arriving += [(32 + s, w) for s, w in enumerate(self.west)]
        with m.If(self.enable[tap]), m.Switch(choice):
            for code, word in arriving:
                with m.Case(code):
                    m.d.sync += self.sample[tap].eq(word)
                    m.d.comb += self.invalid[tap].eq(~word.valid)


def any_of(bits):
    """The OR of values, 0 if there are none."""
    return reduce(or_, bits, 0)
