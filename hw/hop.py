"""The stream registers of one stop and one superlane."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tsp.hw.stream import Drive, Quad, StreamRow, StreamWord


class Hop(wiring.Component):
    """The step of all streams past one stop: pass a word on, or take one that a unit drives.

    Each tap samples one stream for a MEM bank.

    All outputs are registers. In simulation and in exported Verilog the registers of a direction
    keep their data while no arriving word is valid, so that idle streams do not toggle; the
    version that ``tsp synth`` maps loads them in every cycle.

    Latency
    -------
    A word on `east` or `west`, or a driven word, appears on `east_next` or `west_next` one cycle
    later; a sampled word appears on `sample`, and faults are reported, at the same time.

    Parameters
    ----------
    lanes : int
    streams : int
        Streams per direction.
    drivers : int
        Number of units that can drive streams here.
    width : int
        The most streams that one unit drives: 1 or 4.
    taps : int
    quads : int
        Ports that can drive an aligned quad here, for units that drive more than one group.

    Members
    -------
    east, west : In(StreamRow)
        Words arriving at the stop.
    east_next, west_next : Out(StreamRow)
        Registers whose words arrive at the next stop to the east and to the west.
    drive : In(Drive).array(drivers)
    quad : In(Quad).array(quads)
    conflict : Out(1)
        Two units drove one register in the last cycle.
    driven : Out(8)
        Registers driven in the last cycle.
    enable, stream, westward, sample, invalid : taps
        With `enable`, the stream is registered into `sample`; `invalid` is set if the word was not
        valid.
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
        """A module name, unique among hops with different parameters."""
        size = f"l{self.lanes}s{self.streams}d{self.drivers}w{self.width}t{self.taps}"
        return f"hop_{size}q{self.quads}"

    def elaborate(self, platform):
        # A driver that is idle is passed over by simulators: its one bit is tested first. Of a
        # register that is driven twice only the conflict is known, so gates may OR what drives it.
        m = Module()
        drives, counts = [], []  # `drives`: of each unit `valid`, mask, words by stream
        if self.drivers:
            self._drive(m, drives, counts)
        if self.quads:
            self._drive_quads(m, drives, counts)
        masks = [mask for _, mask, _ in drives]
        driven = Signal(2 * self.streams)
        m.d.comb += driven.eq(reduce(or_, masks, 0))
        take = self._or_all if getattr(platform, "synthesis", False) else self._take_last
        take(m, drives, driven)
        for n, name in enumerate(("east", "west")):
            self._valid(m, name, driven[n * self.streams : (n + 1) * self.streams])
        if masks:
            self._check(m, masks, counts)
        for tap in range(self.taps):
            self._tap(m, tap)
        return m

    def _rows(self, m):
        """Of each direction what arrives, and the data of its registers."""
        for name in ("east", "west"):
            row = getattr(self, f"{name}_next")
            words = Signal(row.data.shape(), name=f"{name}_data", reset_less=True)
            m.d.comb += row.data.eq(words)
            yield getattr(self, name), words

    def _take_last(self, m, drives, driven):
        """The data of all registers; of two units that drive one the last one counts."""
        rows = []
        for arriving, words in self._rows(m):
            with m.If(arriving.valid.any()):
                m.d.sync += words.eq(arriving.data)
            rows.extend(words)
        for valid, mask, driving in drives:
            with m.If(valid):
                for n, register in enumerate(rows):
                    with m.If(mask[n]):
                        m.d.sync += register.eq(driving[n % len(driving)])

    def _or_all(self, m, drives, driven):
        """The same as sums of products, as a look-up table holds two products."""
        n = 0
        for arriving, words in self._rows(m):
            for word, register in zip(arriving.data, words, strict=True):
                taken = [Mux(mask[n], driving[n % len(driving)], 0) for _, mask, driving in drives]
                m.d.sync += register.eq(reduce(or_, taken, Mux(driven[n], 0, word)))
                n += 1

    def _valid(self, m, name, driven):
        """The valid bits of a direction's registers; those `driven` are set."""
        arriving = getattr(self, name).valid
        valid = Signal(self.streams, name=f"{name}_valid")
        with m.If(arriving.any() | valid.any() | driven.any()):
            m.d.sync += valid.eq(arriving | driven)
        m.d.comb += getattr(self, f"{name}_next").valid.eq(valid)

    def _check(self, m, masks, counts):
        """Count what is driven, and find out whether anything is driven twice."""
        seen, twice = masks[0], 0
        for mask in masks[1:]:
            twice = twice | (seen & mask)
            seen = seen | mask
        units = [*(self.drive if self.drivers else ()), *(self.quad if self.quads else ())]
        driving = Cat(unit.valid for unit in units).any()
        with m.If(driving | self.driven.any() | self.conflict):
            m.d.sync += [self.conflict.eq(twice != 0), self.driven.eq(sum(counts))]

    def _drive(self, m, drives, counts):
        # One mask per driver with a bit per register, so that a register's choice tests one bit.
        for n, drive in enumerate(self.drive):
            mask = Signal(2 * self.streams, name=f"mask{n}")
            group = Mux(drive.log2 == 2, 0b1111, Mux(drive.log2 == 1, 0b11, 0b1))
            onto = Signal(self.streams, name=f"onto{n}")
            m.d.comb += onto.eq(Mux(drive.valid, group << drive.stream, 0))
            m.d.comb += mask.eq(Mux(drive.westward, Cat(onto & 0, onto), onto))
            drives.append((drive.valid, mask, self._words(m, n, drive)))
        counts += [Mux(d.valid, 1 << d.log2, 0)[:3] for d in self.drive]

    def _drive_quads(self, m, drives, counts):
        bits = 8 * self.lanes
        for n, port in enumerate(self.quad):
            # Ports that do not drive may hold anything, so `valid` is the last word.
            onto = Signal(self.streams, name=f"onto_quad{n}")
            placed = Signal(2 * self.streams, name=f"mask_quad{n}")
            m.d.comb += [
                onto.eq(Mux(port.valid, port.mask << (port.quad << 2), 0)),
                placed.eq(Mux(port.westward, Cat(onto & 0, onto), onto)),
            ]
            words = [port.data[at : at + bits] for at in range(0, 4 * bits, bits)]
            drives.append((port.valid, placed, words))
            counts.append(Mux(port.valid, sum(port.mask[k] for k in range(4)), 0))

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
        stream, westward = self.stream[tap], self.westward[tap]
        word = Signal(StreamWord(self.lanes), name=f"sample{tap}", reset_less=True)
        invalid = Signal(name=f"invalid{tap}")
        m.d.comb += [self.sample[tap].eq(word), self.invalid[tap].eq(invalid)]
        here = Signal(StreamWord(self.lanes), name=f"here{tap}")
        for row in (self.east, self.west):
            with m.If(westward == (row is self.west)):
                m.d.comb += [
                    here.data.eq(row.data[stream]),
                    here.valid.eq(row.valid.bit_select(stream, 1)),
                ]
        with m.If(self.enable[tap]):
            m.d.sync += word.eq(here)
        with m.If(self.enable[tap] | invalid):
            m.d.sync += invalid.eq(self.enable[tap] & ~here.valid)


def any_of(bits):
    """The OR of values, 0 if there are none."""
    return reduce(or_, bits, 0)
