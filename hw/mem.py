"""One bank of a MEM slice: its instruction wave and its SRAM, tile by tile."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tsp.hw import isa
from tsp.hw.export import repeated
from tsp.hw.isa import Unit, timing
from tsp.hw.stream import Drive, InstructionLayout, Issue, StreamWord


class BankOp(data.Struct):
    """The operation of one tile of a bank in one cycle, as it travels north."""

    read: 1
    write: 1
    address: 16
    stream: 5
    westward: 1


class HostAccess(wiring.Signature):
    """An access of the host to a word of SRAM; it has precedence, so the core must be idle."""

    def __init__(self, bits):
        super().__init__({"select": Out(1), "write": Out(1), "address": Out(16), "data": Out(bits)})


class BankTile(wiring.Component):
    """One superlane of a bank. Registers without an operation do not toggle.

    Latency
    -------
    An operation on `op` in cycle t is on `north` in t + 1, where the hop samples the stream of a
    write; the SRAM is touched in t + 2 and a read drives in t + 3. A host read appears on
    `read_data` two cycles after its address.

    Parameters
    ----------
    lanes, words : int

    Members
    -------
    op : In(BankOp)
    north : Out(BankOp)
    sample : In(StreamWord)
        The word that the hop sampled for the write in `north` one cycle ago.
    drive : Out(Drive)
    select, host_write, host_address : In
        Access of the host to all tiles of the bank in this cycle.
    host_data : In(8 * lanes)
        Data that the host writes to this tile.
    read_data : Out(8 * lanes)
        Data that the host read two cycles ago, 0 if it read nothing.
    """

    COMMON = ("select", "host_write", "host_address")

    def __init__(self, *, lanes, words):
        self.lanes, self.words = lanes, words
        super().__init__(
            {
                "op": In(BankOp),
                "north": Out(BankOp),
                "sample": In(StreamWord(lanes)),
                "drive": Out(Drive(lanes, 1)),
                "select": In(1),
                "host_write": In(1),
                "host_address": In(16),
                "host_data": In(8 * lanes),
                "read_data": Out(8 * lanes),
            }
        )

    @property
    def module_name(self):
        """A module name, unique among tiles with different parameters."""
        return f"bank_tile_l{self.lanes}w{self.words}"

    def elaborate(self, platform):
        m = Module()
        access = Signal(BankOp)
        driving = Signal(BankOp)
        answering = Signal()
        answered = Signal()
        for before, after in ((self.op, self.north), (self.north, access), (access, driving)):
            with m.If(before.read | before.write | after.read | after.write):
                m.d.sync += after.eq(before)
        select = self.select
        with m.If(select | answering | answered):
            m.d.sync += [answering.eq(select & ~self.host_write), answered.eq(answering)]

        m.submodules.sram = sram = Memory(shape=unsigned(8 * self.lanes), depth=self.words, init=[])
        port = sram.write_port()
        read = sram.read_port()
        address = Signal(range(self.words))
        m.d.comb += [
            address.eq(Mux(select, self.host_address, access.address)),
            port.addr.eq(address),
            port.data.eq(Mux(select, self.host_data, self.sample.data)),
            port.en.eq(Mux(select, self.host_write, access.write)),
            read.addr.eq(address),
            read.en.eq(Mux(select, ~self.host_write, access.read)),
            self.drive.data.eq(read.data),
            self.drive.stream.eq(driving.stream),
            self.drive.westward.eq(driving.westward),
            self.drive.valid.eq(driving.read),
        ]
        # Answers to the host travel far, and SRAM is slow.
        with m.If(answering | answered):
            m.d.sync += self.read_data.eq(Mux(answering, read.data, 0))
        return m


class Bank(wiring.Component):
    """A bank of a MEM slice: a column of tiles.

    Latency
    -------
    As the table says: ``MEM_SAMPLE``, ``MEM_BANK``, ``MEM_READ``.

    Members
    -------
    issue : In(Issue(MEM))
    tap : Out(BankOp).array(superlanes)
        Operation whose stream the hop of that superlane samples in this cycle, if it is a write.
    sample : In(StreamWord).array(superlanes)
    drive : Out(Drive).array(superlanes)
    host : In(HostAccess)
    read_data : Out(8 * vector)
        Data that the host read two cycles ago, superlane 0 lowest; 0 if it read nothing.
    """

    def __init__(self, config):
        if (timing.MEM_SAMPLE, timing.MEM_BANK, timing.MEM_READ) != (1, 2, 3):
            raise ValueError("the pipeline of a bank is sample 1, SRAM 2, drive 3; see BankTile")
        self.config = config
        lanes, superlanes = config.lanes, config.superlanes
        super().__init__(
            {
                "issue": In(Issue(Unit.MEM)),
                "tap": Out(BankOp).array(superlanes),
                "sample": In(StreamWord(lanes)).array(superlanes),
                "drive": Out(Drive(lanes, 1)).array(superlanes),
                "host": In(HostAccess(8 * config.vector)),
                "read_data": Out(8 * config.vector),
            }
        )

    def elaborate(self, platform):
        m = Module()
        word = data.View(InstructionLayout(isa.Read), self.issue.word)
        op = Signal(BankOp)
        m.d.comb += [
            op.read.eq(self.issue.valid & (word.opcode == isa.Read.opcode)),
            op.write.eq(self.issue.valid & (word.opcode == isa.Write.opcode)),
            op.address.eq(word.address),
            op.stream.eq(word.stream[:5]),
            op.westward.eq(word.stream[5]),
        ]
        lanes, words = self.config.lanes, self.config.bank_words
        tiles = [BankTile(lanes=lanes, words=words) for _ in range(self.config.superlanes)]
        name = tiles[0].module_name
        host = self.host
        m.submodules.tiles = repeated(platform, name, tiles, BankTile.COMMON, shown=True)
        for i, tile in enumerate(tiles):
            m.d.comb += [
                tile.op.eq(op),
                self.tap[i].eq(tile.north),
                tile.sample.eq(self.sample[i]),
                self.drive[i].eq(tile.drive),
                tile.select.eq(host.select),
                tile.host_write.eq(host.write),
                tile.host_address.eq(host.address),
                tile.host_data.eq(host.data.word_select(i, 8 * lanes)),
            ]
            op = tile.north
        m.d.comb += self.read_data.eq(Cat(tile.read_data for tile in tiles))
        return m
