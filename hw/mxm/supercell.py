"""A row of supercells: lanes x lanes multiply-accumulators each."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tsp.hw.export import repeated
from tsp.hw.mxm.activation import activation
from tsp.hw.mxm.column import Column
from tsp.hw.mxm.fixed import FixedRow, assign_from_row, assign_to_row
from tsp.hw.mxm.ops import POSITIONS
from tsp.hw.mxm.weights import column_words


class Supercells(wiring.Component):
    """The supercells of one tile: `lanes` activations meet the columns of all superlanes.

    Latency
    -------
    That of :class:`~tsp.hw.mxm.column.Column`.

    Parameters
    ----------
    mac : Int8Mac or Fp16Mac
    lanes : int
    columns : int
        Columns of all supercells, `lanes` in each.

    Members
    -------
    words : In(8 * lanes).array(16)
        What :class:`~tsp.hw.mxm.weights.WeightLoader` sampled.
    dtype : In(3)
        Their format; only if the datapath has special values.
    write : In(columns)
        Columns that are written to the spare buffer.
    install, active : In(1)
    factors, used, special : In
        As :func:`~tsp.hw.mxm.activation.activation` says.
    south : In(FixedRow)
    north : Out(FixedRow)
    """

    COMMON = ("dtype", "install", "active", "factors", "used", "special")

    def __init__(self, mac, lanes, columns):
        self.mac, self.lanes, self.columns = mac, lanes, columns
        ports = {
            "words": In(8 * lanes).array(POSITIONS),
            "write": In(columns),
            "install": In(1),
            "active": In(1),
            "south": In(FixedRow(mac.partial, columns)),
            "north": Out(FixedRow(mac.partial, columns)),
        }
        if mac.special:
            ports["dtype"] = In(3)
        super().__init__(ports | activation(In, mac, lanes))

    @property
    def module_name(self):
        """A name that tells apart any two that differ."""
        width = self.mac.partial.widths[0]
        return f"mxm_supercells_{self.mac.name}_l{self.lanes}c{self.columns}p{width}"

    def elaborate(self, platform):
        m = Module()
        columns = [Column(self.mac, self.lanes) for _ in range(self.columns)]
        name = f"mxm_column_{self.mac.name}_l{self.lanes}p{self.mac.partial.widths[0]}"
        # Columns of one position are given the same words.
        periods = dict.fromkeys(("low", "high"), min(POSITIONS, self.columns))
        m.submodules.columns = repeated(platform, name, columns, self.COMMON, periods)
        for n, column in enumerate(columns):
            low, high = column_words(self.words, n)
            m.d.comb += [
                column.low.eq(low),
                column.write.eq(self.write[n]),
                column.install.eq(self.install),
                column.active.eq(self.active),
                *assign_from_row(column.south, self.south, n),
                *assign_to_row(self.north, column.north, n),
            ]
            for source, sink in zip(self.factors, column.factors, strict=True):
                wiring.connect(m, wiring.flipped(source), sink)
            if self.mac.special:
                m.d.comb += [
                    column.high.eq(high),
                    column.dtype.eq(self.dtype),
                    column.used.eq(self.used),
                ]
                wiring.connect(m, wiring.flipped(self.special), column.special)
        return m
