"""An MXM plane: L x L multiply-accumulators with their accumulators and four queues."""

from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tsp.hw.export import assembly, shared
from tsp.hw.fault import FAULT_KINDS, FaultKind
from tsp.hw.isa import Unit, timing
from tsp.hw.mxm.accumulator import Accumulator
from tsp.hw.mxm.checks import Checks
from tsp.hw.mxm.mac import mac_of
from tsp.hw.mxm.ops import Decoder
from tsp.hw.mxm.reskew import Reskew
from tsp.hw.mxm.rounding import Rounder
from tsp.hw.mxm.tile import Tile
from tsp.hw.stream import Drive, Issue, StreamRow

SUPERCELL = 2  # cycles from an activation in a supercell to its sums on the north side


class Plane(wiring.Component):
    """One plane: weights, activations, dot products, and exact sums rounded once.

    Dot products that no ACC takes in their one cycle at the accumulators are lost.

    Latency
    -------
    As the table says: ``LW_SAMPLE``, ``LW_BUFFER``, ``ABC_SAMPLE``, :func:`array_latency`,
    ``ACC_SAMPLE``, ``ACC_EMIT``.

    Parameters
    ----------
    config : Config

    Members
    -------
    lw, iw, abc, acc : In(Issue)
    east, west : In(StreamRow).array(superlanes)
    drive : Out(Drive(lanes, 4)).array(superlanes)
    fault : Out(FAULT_KINDS)
    vectors : Out(1)
        Tile 0 takes an activation vector in this cycle, a held one included.
    """

    def __init__(self, config):
        self.config = config
        row = In(StreamRow(config.lanes, config.streams)).array(config.superlanes)
        super().__init__(
            {
                "lw": In(Issue(Unit.LW)),
                "iw": In(Issue(Unit.IW)),
                "abc": In(Issue(Unit.ABC)),
                "acc": In(Issue(Unit.ACC)),
                "east": row,
                "west": row,
                "drive": Out(Drive(config.lanes, 4)).array(config.superlanes),
                "fault": Out(FAULT_KINDS),
                "vectors": Out(1),
            }
        )
        _check_table(config)

    def elaborate(self, platform):
        m = Module()
        m.submodules.decoder = decoder = Decoder()
        for name in ("lw", "iw", "abc", "acc"):
            issue = getattr(decoder, f"{name}_issue")
            wiring.connect(m, wiring.flipped(getattr(self, name)), issue)

        tiles = self._tiles(m, platform, decoder)
        mac = mac_of(self.config)
        m.submodules.reskew = reskew = Reskew(mac, self.config.lanes, self.config.superlanes)
        wiring.connect(m, tiles[-1].north, reskew.top)
        self._accumulators(m, platform, decoder, reskew)

        m.submodules.checks = checks = Checks(self.config)
        m.d.comb += [
            checks.lw.eq(decoder.lw),
            checks.iw.eq(decoder.iw),
            checks.abc.eq(decoder.abc),
            checks.acc.eq(decoder.acc),
            self.fault[FaultKind.UNWRITTEN].eq(checks.unwritten),
            self.fault[FaultKind.INVALID].eq(
                checks.no_dots | Cat(tile.invalid for tile in tiles).any()
            ),
        ]
        return m

    def _tiles(self, m, platform, decoder):
        """The tiles, each passing instructions and sums to the next."""
        tiles = []
        lw, iw, abc = decoder.lw, decoder.iw, decoder.abc
        for i in range(self.config.superlanes):
            tile = Tile(self.config)
            m.submodules[f"tile{i}"] = assembly(platform, tile.module_name, tile)
            m.d.comb += [tile.lw.eq(lw), tile.iw.eq(iw), tile.abc.eq(abc)]
            m.d.comb += [tile.east.eq(self.east[i]), tile.west.eq(self.west[i])]
            if tiles:
                wiring.connect(m, tiles[-1].north, tile.south)
            lw, iw, abc = tile.lw_north, tile.iw_north, tile.abc_north
            tiles.append(tile)
        m.d.comb += self.vectors.eq(tiles[0].abc_north.valid)
        return tiles

    def _accumulators(self, m, platform, decoder, reskew):
        """The accumulators of every superlane."""
        op = decoder.acc
        for i in range(self.config.superlanes):
            accumulator = Accumulator(self.config)
            name = accumulator.module_name
            m.submodules[f"accumulator{i}"] = shared(platform, name, accumulator)
            m.d.comb += [accumulator.op.eq(op), self.drive[i].eq(accumulator.drive)]
            for source, sink in zip(reskew.dots[i], accumulator.dots, strict=True):
                m.d.comb += sink.assign(source)
            op = accumulator.north


def _check_table(config):
    """Refuse a table of latencies that this pipeline does not have."""
    built = {
        "LW_SAMPLE": 1,
        "LW_BUFFER": 2,
        "ABC_SAMPLE": 1,
        "ACC_SAMPLE": 2,
        "ACC_EMIT": 2 + 1 + Rounder.LATENCY,
    }
    for name, cycles in built.items():
        if getattr(timing, name) != cycles:
            raise ValueError(f"{name} must be {cycles} for this pipeline, not the table's")
    climb = 2 * (config.superlanes - 1)
    cycles = timing.ABC_SAMPLE + 1 + SUPERCELL + 1 + climb
    if timing.array_latency(config) != cycles:
        raise ValueError(f"array_latency must be {cycles} for this pipeline, not the table's")
