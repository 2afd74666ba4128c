"""Proofs of the stream registers: what every one of them holds in the next cycle."""

from amaranth.hdl import Assert, Assume, Cat, Fragment, Module, Mux, Signal
from amaranth.lib import wiring

from tsp.hw.export import Exporter
from tsp.hw.hop import Hop
from tsp.sim.formal.proof import Method, Proof

LANES, STREAMS = 4, 8


class HopProperties(wiring.Component):
    """A hop with free inputs, and the timing rule written down register by register.

    Assumed of drivers is what the instruction words allow: groups are aligned, lie on streams
    that there are, and are no wider than the driver.

    Parameters
    ----------
    hop : Hop
    synthesis : bool
        It is the form that is synthesised, not the one that is simulated.
    """

    def __init__(self, hop, synthesis=False):
        self.hop, self.synthesis = hop, synthesis
        super().__init__(hop.signature)

    def elaborate(self, platform):
        # A register is judged in the cycle after the one that decides what it holds: `begun` says
        # that there was such a cycle.
        m = Module()
        hop = self.hop
        m.submodules.hop = Fragment.get(hop, Exporter(synthesis=self.synthesis))
        wiring.connect(m, wiring.flipped(self), hop)
        self.begun = Signal()
        m.d.sync += self.begun.eq(1)
        counts = []
        for westward in (0, 1):
            for stream in range(hop.streams):
                counts.append(self._register(m, westward, stream))
        if hop.drivers or hop.quads:
            twice = Signal()
            driven = Signal.like(hop.driven)
            m.d.sync += [twice.eq(Cat(count > 1 for count in counts).any())]
            m.d.sync += driven.eq(sum(self._sizes()))
            with m.If(self.begun):
                m.d.comb += [Assert(hop.conflict == twice), Assert(hop.driven == driven)]
        for tap in range(hop.taps):
            self._tap(m, tap)
        return m

    def _register(self, m, westward, stream):
        """Assert what the register of `stream` holds; how many drive it in this cycle."""
        hop = self.hop
        arriving = _word(hop.west if westward else hop.east, stream)
        register = _word(hop.west_next if westward else hop.east_next, stream)
        count = 0
        last = Signal(len(arriving))
        driven = Signal(8 * hop.lanes)
        for hit, word in self._drives(m, westward, stream):
            count = count + hit
            with m.If(hit):
                m.d.comb += driven.eq(word)
        count_before = Signal(5)
        driven_before = Signal.like(driven)
        m.d.sync += [last.eq(arriving), count_before.eq(count), driven_before.eq(driven)]
        with m.If(self.begun):
            with m.If(count_before == 0):
                m.d.comb += Assert(register[-1] == last[-1])
                with m.If(last[-1]):
                    m.d.comb += Assert(register == last)
            with m.If(count_before == 1):
                m.d.comb += Assert(register == Cat(driven_before, 1))
        return count

    def _drives(self, m, westward, stream):
        """Per driver and port: whether it drives the register, and its word if it does."""
        hop, bits = self.hop, 8 * self.hop.lanes
        for drive in hop.drive if hop.drivers else ():
            hit = Signal()
            word = Signal(bits)
            legal = 0
            for log2, size in enumerate((1, 2, 4)[: hop.width.bit_length()]):
                place = stream % size
                firsts = range(0, hop.streams, size)
                aligned = Cat(drive.stream == first for first in firsts).any()
                legal = legal | ((drive.log2 == log2) & aligned)
                with m.If((drive.log2 == log2) & (drive.stream == stream - place)):
                    m.d.comb += [
                        hit.eq(drive.valid & (drive.westward == westward)),
                        word.eq(drive.data[place * bits : (place + 1) * bits]),
                    ]
            m.d.comb += Assume(legal | ~drive.valid)
            yield hit, word
        for port in hop.quad if hop.quads else ():
            place = stream % 4
            here = port.valid & (port.westward == westward) & (port.quad == stream // 4)
            m.d.comb += Assume((port.quad < hop.streams // 4) | ~port.valid)
            yield here & port.mask[place], port.data[place * bits : (place + 1) * bits]

    def _sizes(self):
        """Per driver and port: how many registers it drives."""
        hop = self.hop
        for drive in hop.drive if hop.drivers else ():
            size = Mux(drive.log2 == 2, 4, Mux(drive.log2 == 1, 2, 1))
            yield Mux(drive.valid, size, 0)
        for port in hop.quad if hop.quads else ():
            yield Mux(port.valid, sum(port.mask), 0)

    def _tap(self, m, tap):
        hop = self.hop
        choice = Cat(hop.stream[tap], hop.westward[tap])
        m.d.comb += Assume((hop.stream[tap] < hop.streams) | ~hop.enable[tap])
        sampled = Signal()
        word = Signal(hop.sample[tap].shape())
        for westward, row in enumerate((hop.east, hop.west)):
            for stream in range(hop.streams):
                with m.If(hop.enable[tap] & (choice == 32 * westward + stream)):
                    m.d.comb += [sampled.eq(1), word.eq(_word(row, stream))]
        before = Signal.like(word)
        invalid = Signal()
        m.d.sync += before.eq(Mux(sampled, word, hop.sample[tap]))
        m.d.sync += invalid.eq(sampled & ~word.valid)
        with m.If(self.begun):
            m.d.comb += [Assert(hop.sample[tap] == before), Assert(hop.invalid[tap] == invalid)]


def _word(row, stream):
    """A word of a row as it was driven: data, and the valid bit above."""
    return Cat(row.data[stream], row.valid[stream])


_CLAIM = (
    "a valid word moves one hop unchanged unless one is driven in its place; conflict if and only "
    "if two drive one register"
)
_SIZES = {
    "mem": ({"drivers": 4, "taps": 4}, "taps sample the stream they name; four banks"),
    "vxm": ({"drivers": 3, "width": 4}, "three drivers of groups of 1, 2 and 4"),
    "sxm": (
        {"drivers": 2, "width": 4, "quads": 2},
        "two drivers of groups, two ports of quads",
    ),
}
"""What a hop has in each proof, and how the claim calls it."""


def _proof(kind, synthesis):
    sizes, having = _SIZES[kind]
    return Proof(
        name=f"hop-{kind}{'-synthesis' if synthesis else ''}",
        claim=f"{_CLAIM}; {having}{', as synthesised' if synthesis else ''}",
        properties=lambda: HopProperties(Hop(lanes=LANES, streams=STREAMS, **sizes), synthesis),
        depth=1,
        method=Method.ANY_STATE,
    )


PROOFS = [_proof(kind, synthesis) for synthesis in (False, True) for kind in _SIZES]
