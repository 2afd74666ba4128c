"""Proof of the MEM bank: what is read is what was last written there, at the time of the table."""

from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, Cat, Module, ResetSignal, Signal
from amaranth.lib import wiring

from tsp.hw.isa import timing
from tsp.hw.mem import BankOp, BankTile
from tsp.sim.formal.proof import Proof

LANES, WORDS = 2, 8


class WatchedTile(BankTile):
    """A tile whose SRAM has one more port, through which the proof sees one word of it."""

    def __init__(self, **sizes):
        super().__init__(**sizes)
        self.watched = Signal(range(self.words))
        self.content = Signal(8 * self.lanes)

    def elaborate(self, platform):
        m = super().elaborate(platform)
        port = m.submodules.sram.read_port(domain="comb")
        m.d.comb += [port.addr.eq(self.watched), self.content.eq(port.data)]
        return m


class BankProperties(wiring.Component):
    """A tile with free inputs, and the history of one word of it, no matter which.

    Assumed is that no address lies beyond the SRAM, which the queue traps, and that the core is
    not reset: SRAM keeps its words then, but the instructions under way are lost.

    Parameters
    ----------
    tile : WatchedTile
    """

    def __init__(self, tile):
        self.tile = tile
        super().__init__(tile.signature)

    def elaborate(self, platform):
        m = Module()
        m.submodules.tile = tile = self.tile
        wiring.connect(m, wiring.flipped(self), tile)
        m.d.comb += [
            Assume(~ResetSignal()),
            Assume(~(self.op.read & self.op.write)),
            Assume(self.op.address < tile.words),
            Assume(self.host_address < tile.words),
        ]

        # The instructions of the last cycles: ops[n] came n cycles ago.
        ops = [self.op]
        for n in range(1, timing.MEM_READ + 1):
            ops.append(Signal(BankOp, name=f"op{n}"))
            m.d.sync += ops[n].eq(ops[n - 1])
        before = ops[timing.MEM_SAMPLE]
        m.d.comb += Assert(Cat(self.north.read, self.north.write) == Cat(before.read, before.write))
        with m.If(before.read | before.write):
            m.d.comb += Assert(self.north.as_value() == before.as_value())

        # One address, and the word that was last written there.
        address = Signal(range(tile.words))
        word = Signal(8 * tile.lanes)
        m.d.comb += [address.eq(AnyConst(range(tile.words))), tile.watched.eq(address)]
        access = ops[timing.MEM_BANK]
        with m.If(self.select), m.If(self.host_write & (self.host_address == address)):
            m.d.sync += word.eq(self.host_data)
        with m.Elif(access.write & (access.address == address)):
            m.d.sync += word.eq(self.sample.data)
        m.d.comb += Assert(tile.content == word)

        # What was read of it, and by whom.
        expected = Signal.like(word)
        host_read = Signal()
        by_host = Signal()
        by_core = Signal()
        m.d.sync += [
            expected.eq(word),
            host_read.eq(self.select & ~self.host_write),
            by_host.eq(self.select & ~self.host_write & (self.host_address == address)),
            by_core.eq(~self.select & access.read & (access.address == address)),
        ]
        driving = ops[timing.MEM_READ]
        m.d.comb += Assert(self.drive.valid == driving.read)
        with m.If(driving.read):
            m.d.comb += [
                Assert(self.drive.stream == driving.stream),
                Assert(self.drive.westward == driving.westward),
                Assert(self.drive.log2 == 0),
            ]
        with m.If(by_core):
            m.d.comb += Assert(self.drive.valid & (self.drive.data == expected))
        # The host has it a cycle later.
        answer = Signal.like(word)
        was_read = Signal()
        was_by_host = Signal()
        m.d.sync += [answer.eq(expected), was_read.eq(host_read), was_by_host.eq(by_host)]
        with m.If(was_by_host):
            m.d.comb += Assert(self.read_data == answer)
        with m.If(~was_read):
            m.d.comb += Assert(self.read_data == 0)
        return m


PROOFS = [
    Proof(
        name="bank",
        claim="a read drives, on its stream and when the table says, the word last written to its "
        "address, by a Write or the host; so does a host read, whose port is 0 otherwise; "
        f"{WORDS} words",
        properties=lambda: BankProperties(WatchedTile(lanes=LANES, words=WORDS)),
        depth=timing.MEM_READ + 2,
    )
]
