"""The VXM: a column of tiles, and in each tile the ALUs of one superlane."""

from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from tsp.hw.export import assembly, repeated, shared
from tsp.hw.fault import FAULT_KINDS, FaultKind
from tsp.hw.isa import Unit
from tsp.hw.stream import Drive, Issue, StreamRow
from tsp.hw.vxm.alu import Alu
from tsp.hw.vxm.operands import Condition, Reader


class Tile(wiring.Component):
    """The ALUs of one superlane.

    Latency
    -------
    An instruction in `issue` in cycle t is at `north` in cycle t + 1, and takes effect as the
    timing table says.

    Parameters
    ----------
    config : Config

    Members
    -------
    issue : an instruction for each ALU
    north : the same, for the next tile
    east, west : stream words at the stop
    drive : what each ALU drives in this cycle
    fault : offences of this cycle, a bit per :class:`~tsp.hw.fault.FaultKind`
    """

    def __init__(self, config):
        self.config = config
        row = In(StreamRow(config.lanes, config.streams))
        super().__init__(
            {
                "issue": In(Issue(Unit.VXM)).array(config.alus),
                "north": Out(Issue(Unit.VXM)).array(config.alus),
                "east": row,
                "west": row,
                "drive": Out(Drive(config.lanes, 4)).array(config.alus),
                "fault": Out(FAULT_KINDS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        alus = [Alu(config, number < config.special_alus) for number in range(config.alus)]
        for number, alu in enumerate(alus):
            m.submodules[f"alu_{number}"] = shared(platform, alu.module_name, alu)
            issue, north = self.issue[number], self.north[number]
            m.d.sync += north.valid.eq(issue.valid)
            with m.If(issue.valid):
                m.d.sync += north.word.eq(issue.word)
            m.d.comb += [
                alu.issue.valid.eq(north.valid),
                alu.issue.word.eq(north.word),
                alu.coming.valid.eq(issue.valid),
                alu.coming.word.eq(issue.word),
                alu.east.eq(self.east.valid),
                alu.west.eq(self.west.valid),
                alu.alus.eq(Cat(other.value.valid for other in alus)),
                self.drive[number].eq(alu.drive),
            ]

        readers = [(Reader(config), Reader(config), Condition(config)) for _ in alus]
        for kind, some in (
            ("reader", [reader for pair in readers for reader in pair[:2]]),
            ("condition", [group[2] for group in readers]),
        ):
            name = f"vxm_{kind}_{config.lanes}_{config.streams}_{config.alus}"
            m.submodules[f"{kind}s"] = repeated(platform, name, some, Reader.COMMON)
        for alu, group in zip(alus, readers, strict=True):
            for reader, request in zip(group, alu.requests, strict=True):
                connect(m, request, reader.request)
                m.d.comb += [reader.east.eq(self.east.data), reader.west.eq(self.west.data)]
                for port, other in zip(reader.alus, alus, strict=True):
                    m.d.comb += [word.eq(other.value.data[k]) for k, word in enumerate(port)]
            for operand, reader in zip(alu.operands, group, strict=False):
                m.d.comb += [a.eq(b) for a, b in zip(operand, reader.operand, strict=True)]
            m.d.comb += alu.condition.eq(group[2].lanes)

        for alu in alus:
            with m.If(alu.invalid):
                m.d.comb += self.fault[FaultKind.INVALID].eq(1)
            with m.If(alu.conflict):
                m.d.comb += self.fault[FaultKind.CONFLICT].eq(1)
        return m


class Vxm(wiring.Component):
    """The vector execution module: `config.alus` ALUs in every lane, a queue for each.

    Every tile does what the one below it did a cycle before.

    Latency
    -------
    See :func:`tsp.hw.isa.timing.vxm`.

    Parameters
    ----------
    config : Config

    Members
    -------
    issue : what each ALU's queue issues, to tile 0
    east, west : stream words at the stop, by tile
    drive : what each ALU drives in this cycle, by tile
    fault : offences of this cycle in any tile, a bit per :class:`~tsp.hw.fault.FaultKind`
    """

    def __init__(self, config):
        self.config = config
        row = In(StreamRow(config.lanes, config.streams)).array(config.superlanes)
        super().__init__(
            {
                "issue": In(Issue(Unit.VXM)).array(config.alus),
                "east": row,
                "west": row,
                "drive": Out(Drive(config.lanes, 4)).array(config.superlanes, config.alus),
                "fault": Out(FAULT_KINDS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        name = f"vxm_tile_{config.lanes}_{config.streams}_{config.alus}_{config.special_alus}"
        issue, fault = self.issue, 0
        for number in range(config.superlanes):
            tile = Tile(config)
            m.submodules[f"tile_{number}"] = assembly(platform, name, tile)
            for here, below in zip(tile.issue, issue, strict=True):
                m.d.comb += [here.valid.eq(below.valid), here.word.eq(below.word)]
            m.d.comb += [tile.east.eq(self.east[number]), tile.west.eq(self.west[number])]
            m.d.comb += [
                drive.eq(at) for drive, at in zip(self.drive[number], tile.drive, strict=True)
            ]
            issue, fault = tile.north, fault | tile.fault
        m.d.comb += self.fault.eq(fault)
        return m
