"""One tile of a plane's array: one superlane of weights, for the columns of all superlanes."""

from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tsp.hw.export import assembly, shared
from tsp.hw.mxm.activation import ActivationLoader
from tsp.hw.mxm.fixed import FixedRow
from tsp.hw.mxm.mac import mac_of
from tsp.hw.mxm.ops import AbcOp, LwOp
from tsp.hw.mxm.supercell import Supercells
from tsp.hw.mxm.weights import WeightLoader
from tsp.hw.stream import StreamRow


class Tile(wiring.Component):
    """A row of supercells with the multiplexers that feed them.

    Latency
    -------
    An operation in cycle t is on the north side in t + 1, where streams are sampled. The dot
    products of a vector so sampled join those on `south` in t + 3 and leave on `north` in t + 4.

    Parameters
    ----------
    config : Config

    Members
    -------
    lw, abc, iw : In
    lw_north, abc_north, iw_north : Out
    east, west : In(StreamRow)
    south : In(FixedRow)
    north : Out(FixedRow)
    invalid : Out(1)
        A stream sampled in this cycle carries nothing.
    """

    def __init__(self, config):
        self.config, self.mac = config, mac_of(config)
        row = In(StreamRow(config.lanes, config.streams))
        sums = FixedRow(self.mac.partial, config.vector)
        super().__init__(
            {
                "lw": In(LwOp),
                "abc": In(AbcOp),
                "iw": In(1),
                "lw_north": Out(LwOp),
                "abc_north": Out(AbcOp),
                "iw_north": Out(1),
                "east": row,
                "west": row,
                "south": In(sums),
                "north": Out(sums),
                "invalid": Out(1),
            }
        )

    @property
    def module_name(self):
        """A name that tells apart any two tiles that differ."""
        c = self.config
        return f"mxm_tile_{c.datapath}_l{c.lanes}t{c.superlanes}s{c.streams}"

    def elaborate(self, platform):
        m = Module()
        weights, activations = WeightLoader(self.config), ActivationLoader(self.config)
        name = self.module_name.removeprefix("mxm_tile_")
        m.submodules.weights = shared(platform, f"mxm_weights_{name}", weights)
        m.submodules.activations = shared(platform, f"mxm_activations_{name}", activations)
        m.d.comb += [
            weights.op.eq(self.lw),
            self.lw_north.eq(weights.north),
            activations.op.eq(self.abc),
            self.abc_north.eq(activations.north),
            self.invalid.eq(weights.invalid | activations.invalid),
        ]
        m.d.sync += self.iw_north.eq(self.iw)
        for loader in (weights, activations):
            m.d.comb += [loader.east.eq(self.east), loader.west.eq(self.west)]
        lanes = self.config.lanes
        cells = Supercells(self.mac, lanes, lanes * self.config.superlanes)
        m.submodules.supercells = assembly(platform, cells.module_name, cells)
        wiring.connect(m, wiring.flipped(self.south), cells.south)
        wiring.connect(m, wiring.flipped(self.north), cells.north)
        m.d.comb += [
            Cat(cells.words).eq(Cat(weights.words)),
            cells.write.eq(Cat(weights.write)),
            cells.install.eq(self.iw_north),
            cells.active.eq(activations.active),
        ]
        for source, sink in zip(activations.factors, cells.factors, strict=True):
            wiring.connect(m, source, sink)
        if self.mac.special:
            m.d.comb += [cells.dtype.eq(weights.dtype), cells.used.eq(activations.used)]
            wiring.connect(m, activations.special, cells.special)
        return m
