"""The supercell: lanes x lanes multiply-accumulators."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tsp.hw.export import repeated
from tsp.hw.mxm.activation import activation
from tsp.hw.mxm.column import Column


class Supercell(wiring.Component):
    """A block of the array: `lanes` activations meet `lanes` columns of weights.

    Latency
    -------
    That of :class:`~tsp.hw.mxm.column.Column`.

    Parameters
    ----------
    mac : Int8Mac or Fp16Mac
    lanes : int

    Members
    -------
    low, high : In(8 * lanes).array(lanes)
        Weights of every column; `high` and `dtype` only if the datapath has them.
    dtype : In(3)
    write : In(lanes)
        Columns that are written to the spare buffer.
    install, active : In(1)
    factors, used, special : In
        As :func:`~tsp.hw.mxm.activation.activation` says.
    south : In(Fixed).array(lanes)
    north : Out(Fixed).array(lanes)
    """

    COMMON = ("dtype", "install", "active", "factors", "used", "special")

    def __init__(self, mac, lanes):
        self.mac, self.lanes = mac, lanes
        ports = {
            "low": In(8 * lanes).array(lanes),
            "write": In(lanes),
            "install": In(1),
            "active": In(1),
            "south": In(mac.partial).array(lanes),
            "north": Out(mac.partial).array(lanes),
        }
        if mac.special:
            ports |= {"high": In(8 * lanes).array(lanes), "dtype": In(3)}
        super().__init__(ports | activation(In, mac, lanes))

    @property
    def module_name(self):
        """A name that tells apart any two supercells that differ."""
        return f"mxm_supercell_{self.mac.name}_l{self.lanes}p{self.mac.partial.widths[0]}"

    def elaborate(self, platform):
        m = Module()
        columns = [Column(self.mac, self.lanes) for _ in range(self.lanes)]
        name = self.module_name.replace("supercell", "column")
        m.submodules.columns = repeated(platform, name, columns, self.COMMON)
        for n, column in enumerate(columns):
            m.d.comb += [
                column.low.eq(self.low[n]),
                column.write.eq(self.write[n]),
                column.install.eq(self.install),
                column.active.eq(self.active),
                *column.south.assign(self.south[n]),
                *self.north[n].assign(column.north),
            ]
            for source, sink in zip(self.factors, column.factors, strict=True):
                wiring.connect(m, wiring.flipped(source), sink)
            if self.mac.special:
                m.d.comb += [
                    column.high.eq(self.high[n]),
                    column.dtype.eq(self.dtype),
                    column.used.eq(self.used),
                ]
                wiring.connect(m, wiring.flipped(self.special), column.special)
        return m
