"""One column of a supercell: its weights, their spare copy, and the sum of its products."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tsp.hw.mxm.activation import activation
from tsp.hw.mxm.fixed import Flags, registers
from tsp.hw.mxm.mac import Dot
from tsp.hw.mxm.operand import OperandRegisters


class Column(wiring.Component):
    """The weights of `lanes` lanes for one output, and their multipliers.

    Weights wait in the spare buffer in their storage format and are converted as they are
    installed, so that the buffer is small and the conversion has a cycle to itself.

    Latency
    -------
    Weights on `low`, `high` under `write` in cycle t can be installed by `install` in t + 1.
    Weights installed in cycle t meet the factors of t + 1. The products of factors in cycle t are
    added to the partial sum on `south` in t + 1 and stand on `north` in t + 2.

    Parameters
    ----------
    mac : Int8Mac or Fp16Mac
    lanes : int

    Members
    -------
    low, high : In(8 * lanes)
        A weight per lane, low and high byte; `high` and `dtype` only if the datapath has them.
    dtype : In(3)
    write, install : In(1)
    factors, used, special : In
        As :func:`~tsp.hw.mxm.activation.activation` says.
    south : In(Fixed)
    north : Out(Fixed)
    """

    def __init__(self, mac, lanes):
        self.mac, self.lanes = mac, lanes
        ports = {
            "low": In(8 * lanes),
            "write": In(1),
            "install": In(1),
            "south": In(mac.partial),
            "north": Out(mac.partial),
        }
        if mac.special:
            ports |= {"high": In(8 * lanes), "dtype": In(3)}
        super().__init__(ports | activation(In, mac, lanes))

    @property
    def module_name(self):
        """A name that tells apart any two columns that differ."""
        return f"mxm_column_{self.mac.name}_l{self.lanes}p{self.mac.partial.widths[0]}"

    def elaborate(self, platform):
        m = Module()
        low = Signal(8 * self.lanes, reset_less=True)
        high, dtype = Signal.like(low), Signal(3, reset_less=True)
        with m.If(self.write):
            m.d.sync += low.eq(self.low)
            if self.mac.special:
                m.d.sync += [high.eq(self.high), dtype.eq(self.dtype)]
        weights = OperandRegisters(self.mac, self.lanes, "weight")
        with m.If(self.install):
            weights.convert(m, low, high, dtype)

        m.submodules.dot = dot = Dot(self.mac, self.lanes)
        for here, there in ((self.factors, dot.a), (weights.factors, dot.w)):
            for source, sink in zip(here, there, strict=True):
                for name in self.mac.factor.members:
                    m.d.comb += getattr(sink, name).eq(getattr(source, name))
        north = registers(self.mac.partial, "sum")
        m.d.comb += self.north.assign(north)
        for mine, below, above in zip(dot.sum.digits, self.south.digits, north.digits, strict=True):
            m.d.sync += above.eq(mine + below)
        if self.mac.special:
            flags = Signal(Flags, reset_less=True)
            m.d.sync += flags.eq(self._flags(weights.special))
            m.d.sync += north.flags.eq(flags.as_value() | self.south.flags.as_value())
        return m

    def _flags(self, w):
        """What is special about the products, a bit per lane at a time."""
        a, used = self.special, self.used
        nan = a.nan | (w.nan & used) | (a.infinite & w.zero) | (a.zero & w.infinite)
        infinite = (a.infinite & ~w.zero) | (used & ~a.zero & w.infinite)
        negative = a.negative ^ w.negative
        return Cat(nan.any(), (infinite & ~negative).any(), (infinite & negative).any())
