"""One unit of an SXM: a column of tiles, the exchange between them, and the sums over them."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from tsp.hw.export import shared
from tsp.hw.fault import FAULT_KINDS, FaultKind
from tsp.hw.isa import Unit, timing
from tsp.hw.stream import Issue, Quad, StreamRow
from tsp.hw.sxm.combine import Combine
from tsp.hw.sxm.exchange import Exchange
from tsp.hw.sxm.reduce import Total
from tsp.hw.sxm.tile import SxmTile, drive_ports


class SxmUnit(wiring.Component):
    """One unit of an SXM: it executes any SXM instruction, one per cycle.

    Results of different latency that are ready in the same cycle are all driven.

    Latency
    -------
    See :mod:`tsp.hw.isa.timing`.

    Parameters
    ----------
    config : Config

    Members
    -------
    issue : In(Issue(SXM))
        What the unit's queue issues, to tile 0.
    east, west : In(StreamRow).array(superlanes)
    drive : Out(Quad).array(superlanes, drive_ports(config))
    fault : Out(FAULT_KINDS)
        Offences in any tile in the cycle before the last.
    """

    def __init__(self, config):
        built = 1, 3, Combine.latency(config.deep)
        if (timing.SXM_SAMPLE, timing.SXM_LOCAL, timing.sxm_combine(config)) != built:
            raise ValueError(
                f"SXM_SAMPLE, SXM_LOCAL and sxm_combine must be {built} for this pipeline, not the "
                "table's"
            )
        self.config = config
        row = In(StreamRow(config.lanes, config.streams)).array(config.superlanes)
        drive = Out(Quad(config.lanes)).array(config.superlanes, drive_ports(config))
        super().__init__(
            {
                "issue": In(Issue(Unit.SXM)),
                "east": row,
                "west": row,
                "drive": drive,
                "fault": Out(FAULT_KINDS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes, superlanes = self.config.lanes, self.config.superlanes
        tiles = [SxmTile(self.config) for _ in range(superlanes)]
        m.submodules.exchange = exchange = Exchange(lanes=lanes, superlanes=superlanes)
        m.submodules.total = total = Total(superlanes, self.config.deep)
        issue = flipped(self.issue)
        for i, tile in enumerate(tiles):
            m.submodules[f"tile{i}"] = shared(platform, tile.module_name, tile)
            connect(m, issue, tile.issue)
            issue = tile.north
            m.d.comb += [
                tile.first.eq(i * lanes),
                tile.east.eq(self.east[i]),
                tile.west.eq(self.west[i]),
                exchange.enable[i].eq(tile.crosses),
                *(a.eq(b) for a, b in zip(exchange.source[i], tile.source, strict=True)),
                exchange.low[i].eq(tile.low),
                exchange.high[i].eq(tile.high),
                *(a.eq(b) for a, b in zip(tile.exchanged, exchange.quad[i], strict=True)),
                total.valid[i].eq(tile.valid),
                total.maximum[i].eq(tile.maximum),
                total.part[i].eq(tile.part),
                tile.total.eq(total.total[i]),
                *(a.eq(b) for a, b in zip(self.drive[i], tile.drive, strict=True)),
            ]
            with m.If(tile.invalid):
                m.d.comb += self.fault[FaultKind.INVALID].eq(1)
        m.d.comb += exchange.op.eq(tiles[-1].crossing)
        return m
