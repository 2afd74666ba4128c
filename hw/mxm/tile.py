"""One tile of a plane's array: one superlane of weights, for the columns of all superlanes."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tsp.hw.export import shared
from tsp.hw.mxm.activation import ActivationLoader
from tsp.hw.mxm.mac import mac_of
from tsp.hw.mxm.ops import AbcOp, LwOp
from tsp.hw.mxm.supercell import Supercell
from tsp.hw.mxm.weights import WeightLoader, column_words
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
    south : In(Fixed).array(superlanes, lanes)
    north : Out(Fixed).array(superlanes, lanes)
    invalid : Out(1)
        A stream sampled in this cycle carries nothing.
    """

    def __init__(self, config):
        self.config, self.mac = config, mac_of(config)
        row = In(StreamRow(config.lanes, config.streams))
        size = config.superlanes, config.lanes
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
                "south": In(self.mac.partial).array(*size),
                "north": Out(self.mac.partial).array(*size),
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
        for j in range(self.config.superlanes):
            supercell = Supercell(self.mac, self.config.lanes)
            m.submodules[f"supercell{j}"] = shared(platform, supercell.module_name, supercell)
            self._feed(m, j, supercell, weights)
            self._activate(m, supercell, activations)
            for column in range(self.config.lanes):
                m.d.comb += supercell.south[column].assign(self.south[j][column])
                m.d.comb += self.north[j][column].assign(supercell.north[column])
        return m

    def _feed(self, m, j, supercell, weights):
        """Weights for supercell `j`."""
        for column in range(self.config.lanes):
            low, high = column_words(weights.words, j * self.config.lanes + column)
            m.d.comb += supercell.low[column].eq(low)
            if self.mac.special:
                m.d.comb += supercell.high[column].eq(high)
        if self.mac.special:
            m.d.comb += supercell.dtype.eq(weights.dtype)
        m.d.comb += [supercell.write.eq(weights.write[j]), supercell.install.eq(self.iw_north)]

    def _activate(self, m, supercell, activations):
        """Activations for a supercell."""
        for source, sink in zip(activations.factors, supercell.factors, strict=True):
            wiring.connect(m, source, sink)
        m.d.comb += supercell.active.eq(activations.active)
        if self.mac.special:
            m.d.comb += supercell.used.eq(activations.used)
            wiring.connect(m, activations.special, supercell.special)
