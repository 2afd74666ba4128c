"""One column of a supercell: its weights, their spare copy, and the sum of its products."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tsp.hw.mxm.activation import Specials, activation
from tsp.hw.mxm.fixed import registers


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
        elements = self._buffer(m)
        weights = self._weights(m, elements)
        local = registers(self.mac.partial, "local")
        north = registers(self.mac.partial, "sum")
        m.d.comb += self.north.assign(north)
        sums = self.mac.sum(m, self.factors, weights)
        m.d.sync += [register.eq(s) for register, s in zip(local.digits, sums, strict=True)]
        for mine, below, above in zip(local.digits, self.south.digits, north.digits, strict=True):
            m.d.sync += above.eq(mine + below)
        if self.mac.special:
            m.d.sync += local.flags.eq(self._flags(m, elements))
            flags = local.flags.as_value() | self.south.flags.as_value()
            m.d.sync += north.flags.eq(flags)
        return m

    def _buffer(self, m):
        """The spare copy, lane by lane as elements while it is being installed."""
        low = Signal(8 * self.lanes, reset_less=True)
        high, dtype = Signal.like(low), Signal(3, reset_less=True)
        with m.If(self.write):
            m.d.sync += low.eq(self.low)
            if self.mac.special:
                m.d.sync += [high.eq(self.high), dtype.eq(self.dtype)]
        elements = [Signal(self.mac.element, name=f"element{k}") for k in range(self.lanes)]
        with m.If(self.install):
            for k, element in enumerate(elements):
                self.mac.convert(m, element, low.word_select(k, 8), high.word_select(k, 8), dtype)
        return elements

    def _weights(self, m, elements):
        """The installed factors."""
        weights = []
        for k, element in enumerate(elements):
            weight = registers(self.mac.factor, "weight", k)
            with m.If(self.install):
                for name, value in self.mac.factor_of(element).items():
                    m.d.sync += getattr(weight, name).eq(value)
            weights.append(weight)
        return weights

    def _flags(self, m, elements):
        """What is special about the products, a bit per lane at a time."""
        a, used = self.special, self.used
        w = registers(Specials(self.lanes), "special")
        with m.If(self.install):
            for name in w.signature.members:
                m.d.sync += getattr(w, name).eq(Cat(getattr(e, name) for e in elements))
        nan = a.nan | (w.nan & used) | (a.infinite & w.zero) | (a.zero & w.infinite)
        infinite = (a.infinite & ~w.zero) | (used & ~a.zero & w.infinite)
        negative = a.negative ^ w.negative
        return Cat(nan.any(), (infinite & ~negative).any(), (infinite & negative).any())
