"""The VXM: a column of tiles, and in each tile the ALUs of one superlane."""

from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from tsp.hw.export import repeated
from tsp.hw.fault import FAULT_KINDS, FaultKind
from tsp.hw.isa import Unit
from tsp.hw.stream import Drive, Issue, StreamRow
from tsp.hw.vxm.alu import Alu
from tsp.hw.vxm.lane import Lane
from tsp.hw.vxm.operands import Condition, EarlyReader, Reader
from tsp.hw.vxm.special_lane import SpecialLane


class Tile:
    """The ALUs of one superlane, with the readers of their operands and their lanes.

    They are submodules of the :class:`Vxm`, which connects them to the streams.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config):
        self.alus = [Alu(config, number < config.special_alus) for number in range(config.alus)]
        self.early = [EarlyReader(config) for _ in self.alus]
        self.late = [Reader(config) for _ in self.alus]
        self.conditions = [Condition(config) for _ in self.alus]
        self.lanes = [
            [(SpecialLane if alu.is_special else Lane)(config.deep) for _ in range(config.lanes)]
            for alu in self.alus
        ]

    def connect(self, m, east, west, drives):
        """Connect the parts with each other, and with the streams at the stop."""
        results = [
            [Cat(lane.result[k] for lane in lanes) for k in range(4)] for lanes in self.lanes
        ]
        valid = Cat(alu.result for alu in self.alus)
        for number, (alu, drive) in enumerate(zip(self.alus, drives, strict=True)):
            early, late, condition = (x[number] for x in (self.early, self.late, self.conditions))
            m.d.comb += [alu.east.eq(east.valid), alu.west.eq(west.valid), alu.alus.eq(valid)]
            for reader, request in zip((early, late, condition), alu.requests, strict=True):
                connect(m, request, reader.request)
                m.d.comb += [reader.east.eq(east.data), reader.west.eq(west.data)]
                for port, words in zip(reader.alus, results, strict=True):
                    m.d.comb += [word.eq(w) for word, w in zip(port, words, strict=True)]
            connect(m, alu.waiting, early.waiting)
            for n, lane in enumerate(self.lanes[number]):
                m.d.comb += [
                    lane.valid.eq(alu.work),
                    lane.control.eq(alu.control),
                    lane.swap.eq(alu.swap),
                    lane.condition.eq(condition.lanes[n]),
                ]
                for k in range(4):
                    m.d.comb += [
                        lane.early[k].eq(early.operand[k].word_select(n, 8)),
                        lane.late[k].eq(late.operand[k].word_select(n, 8)),
                    ]
                if alu.is_special:
                    m.d.comb += lane.special.eq(alu.special)
            m.d.comb += [
                drive.data.eq(Cat(results[number])),
                drive.stream.eq(alu.target.which),
                drive.westward.eq(alu.target.westward),
                drive.log2.eq(alu.target.log2),
                drive.valid.eq(alu.drives),
            ]


class Vxm(wiring.Component):
    """The vector execution module: `config.alus` ALUs in every lane, a queue for each.

    Every tile does what the tile below it did one cycle earlier.

    Latency
    -------
    See :func:`tsp.hw.isa.timing.vxm`.

    Parameters
    ----------
    config : Config

    Members
    -------
    issue : what each ALU's queue issues; tile 0 has it a cycle later
    east, west : stream words at the stop, by tile
    drive : what each ALU drives in this cycle, by tile
    fault : offences of the last cycle in any tile, a bit per :class:`~tsp.hw.fault.FaultKind`
    pending : operations wait in tile 0, or the last that did samples its late operands
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
                "pending": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        tiles = [Tile(self.config) for _ in range(self.config.superlanes)]
        self._add(m, platform, tiles)
        issue = self.issue
        for tile, east, west, drives in zip(tiles, self.east, self.west, self.drive, strict=True):
            tile.connect(m, east, west, drives)
            for alu, below in zip(tile.alus, issue, strict=True):
                m.d.comb += [alu.issue.valid.eq(below.valid), alu.issue.word.eq(below.word)]
            issue = [alu.north for alu in tile.alus]
        alus = [alu for tile in tiles for alu in tile.alus]
        m.d.comb += [
            self.fault[FaultKind.INVALID].eq(Cat(alu.invalid for alu in alus).any()),
            self.fault[FaultKind.CONFLICT].eq(Cat(alu.conflict for alu in alus).any()),
            self.pending.eq(Cat(alu.pending for alu in tiles[0].alus).any()),
        ]
        return m

    def _add(self, m, platform, tiles):
        """Make the parts of all tiles submodules: what is alike is one."""
        config = self.config
        for special in (False, True):
            pairs = [p for tile in tiles for p in zip(tile.alus, tile.lanes, strict=True)]
            pairs = [(alu, lanes) for alu, lanes in pairs if alu.is_special == special]
            if not pairs:
                continue
            kind, name = ("special" if special else "plain"), pairs[0][0].module_name
            alus, lanes = [alu for alu, _ in pairs], [lane for _, many in pairs for lane in many]
            m.submodules[f"{kind}_alus"] = repeated(platform, name, alus)
            m.submodules[f"{kind}_lanes"] = repeated(
                platform, f"vxm_{kind}_lane", lanes, lanes[0].COMMON, blocks=len(alus)
            )
        for kind in ("early", "late", "conditions"):
            parts = [part for tile in tiles for part in getattr(tile, kind)]
            name = f"vxm_{kind}_{config.lanes}_{config.streams}_{config.alus}"
            m.submodules[kind] = repeated(platform, name, parts, Reader.COMMON, blocks=len(tiles))
