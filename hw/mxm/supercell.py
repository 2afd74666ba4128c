"""The supercells of a plane: lanes x lanes multiply-accumulators each."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tsp.hw.export import repeated
from tsp.hw.mxm.activation import Activation
from tsp.hw.mxm.column import Column
from tsp.hw.mxm.fixed import FixedRow, assign_to_row
from tsp.hw.mxm.ops import POSITIONS
from tsp.hw.mxm.weights import column_words


class Supercells(wiring.Component):
    """The supercells of all tiles: in each, `lanes` activations meet the columns of all superlanes.

    The sums of a tile's columns go on to those of the tile above.

    Latency
    -------
    That of :class:`~tsp.hw.mxm.column.Column`.

    Parameters
    ----------
    mac : Int8Mac or Fp16Mac
    lanes : int
    columns : int
        Columns of all supercells of a tile, `lanes` in each.
    tiles : int

    Members
    -------
    words : In(8 * lanes).array(tiles, 16)
        What each :class:`~tsp.hw.mxm.weights.WeightLoader` sampled.
    dtype : In(3).array(tiles)
        Their format; only if the datapath has special values.
    write : In(columns).array(tiles)
        Columns that are written to the spare buffer.
    install, active : In(1).array(tiles)
    activation : In(Activation).array(tiles)
    north : Out(FixedRow)
        The sums of the last tile.
    """

    COMMON = ("dtype", "install", "active", "activation")

    def __init__(self, mac, lanes, columns, tiles):
        self.mac, self.lanes, self.columns, self.tiles = mac, lanes, columns, tiles
        ports = {
            "words": In(8 * lanes).array(tiles, POSITIONS),
            "write": In(columns).array(tiles),
            "install": In(1).array(tiles),
            "active": In(1).array(tiles),
            "activation": In(Activation(mac, lanes)).array(tiles),
            "north": Out(FixedRow(mac.partial, columns)),
        }
        if mac.special:
            ports["dtype"] = In(3).array(tiles)
        super().__init__(ports)

    @property
    def module_name(self):
        """A module name, unique among those of one core with different parameters."""
        width = self.mac.partial.widths[0]
        return f"mxm_supercells_{self.mac.name}_l{self.lanes}c{self.columns}p{width}t{self.tiles}"

    def elaborate(self, platform):
        m = Module()
        tiles = [
            [Column(self.mac, self.lanes) for _ in range(self.columns)] for _ in range(self.tiles)
        ]
        name = f"mxm_column_{self.mac.name}_l{self.lanes}p{self.mac.partial.widths[0]}"
        # Columns of one position are given the same words.
        periods = dict.fromkeys(("low", "high"), min(POSITIONS, self.columns))
        columns = [column for tile in tiles for column in tile]
        m.submodules.columns = repeated(
            platform, name, columns, self.COMMON, periods=periods, blocks=self.tiles
        )
        for tile, columns in enumerate(tiles):
            for n, column in enumerate(columns):
                self._connect(m, tile, n, column)
                if tile:
                    m.d.comb += column.south.assign(tiles[tile - 1][n].north)
        for n, column in enumerate(tiles[-1]):
            m.d.comb += assign_to_row(self.north, column.north, n)
        return m

    def _connect(self, m, tile, n, column):
        """Give column `n` of a tile its weights and activations."""
        low, high = column_words(self.words[tile], n)
        m.d.comb += [
            column.low.eq(low),
            column.write.eq(self.write[tile][n]),
            column.install.eq(self.install[tile]),
            column.active.eq(self.active[tile]),
            column.activation.eq(self.activation[tile]),
        ]
        if self.mac.special:
            m.d.comb += [column.high.eq(high), column.dtype.eq(self.dtype[tile])]
