"""One column of a supercell: its weights, their spare copy, and the sum of its products."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tsp.hw.mxm.activation import Activation
from tsp.hw.mxm.fixed import registers
from tsp.hw.mxm.operand import OperandRegisters


class Column(wiring.Component):
    """The weights of `lanes` lanes for one output, and their multipliers.

    Weights wait in the spare buffer in their storage format and are converted as they are
    installed, so that the buffer is small and the conversion has a cycle to itself.

    Latency
    -------
    Weights on `low`, `high` under `write` in cycle t can be installed by `install` in t + 1.
    Weights installed in cycle t meet the factors of t + 1. The products of factors in cycle t are
    added to the partial sum on `south` in t + 1 and stand on `north` in t + 2; both a cycle later
    if `mac` is deep.

    Parameters
    ----------
    mac : Int8Mac or Fp16Mac
    lanes : int

    Members
    -------
    low, high : In(8 * lanes)
        A weight per lane, low and high byte; `high` and `dtype` only if the datapath has them.
    dtype : In(3)
    write, install, active : In(1)
        `active` says that there are factors; without them all sums keep their value.
    activation : In(Activation)
    south : In(Fixed)
    north : Out(Fixed)
    """

    def __init__(self, mac, lanes):
        self.mac, self.lanes = mac, lanes
        ports = {
            "low": In(8 * lanes),
            "write": In(1),
            "install": In(1),
            "active": In(1),
            "activation": In(Activation(mac, lanes)),
            "south": In(mac.partial),
            "north": Out(mac.partial),
        }
        if mac.special:
            ports |= {"high": In(8 * lanes), "dtype": In(3)}
        super().__init__(ports)

    def elaborate(self, platform):
        m = Module()
        low = Signal(8 * self.lanes, reset_less=True)
        high = Signal.like(low)
        dtype = Signal(3, reset_less=True)
        with m.If(self.write):
            m.d.sync += low.eq(self.low)
            if self.mac.special:
                m.d.sync += [high.eq(self.high), dtype.eq(self.dtype)]
        weights = OperandRegisters(self.mac, self.lanes, "weight")
        with m.If(self.install):
            weights.convert(m, low, high, dtype)

        summed, north = (registers(self.mac.partial, name) for name in ("dot", "sum"))
        adding = Signal()
        products = self.mac.products(m, list(self.activation.factors), weights.factors)
        flags = self._flags(weights.special) if self.mac.special else None
        active = self.active
        if self.mac.deep:
            active, products, flags = self._hold(m, products, flags)
        digits = self.mac.sum(m, products)
        m.d.sync += adding.eq(active)
        with m.If(active):
            m.d.sync += [a.eq(b) for a, b in zip(summed.digits, digits, strict=True)]
            if self.mac.special:
                m.d.sync += summed.flags.eq(flags)
        with m.If(adding):
            lists = (summed.digits, self.south.digits, north.digits)
            m.d.sync += [above.eq(own + below) for own, below, above in zip(*lists, strict=True)]
            if self.mac.special:
                both = summed.flags.as_value() | self.south.flags.as_value()
                m.d.sync += north.flags.eq(both)
        m.d.comb += self.north.assign(north)
        return m

    def _hold(self, m, products, flags):
        """Products of lanes that count, a cycle later; also whether they are new, and `flags`."""
        active, held = Signal(name="multiplied"), []
        m.d.sync += active.eq(self.active)
        for k, values in enumerate(products):
            later = [
                Signal(value.shape(), name=f"held{k}_{n}", reset_less=True)
                for n, value in enumerate(values)
            ]
            with m.If(self.active):
                m.d.sync += [
                    register.eq(Mux(self.activation.used[k], value, 0))
                    for register, value in zip(later, values, strict=True)
                ]
            held.append(tuple(later))
        if flags is None:
            return active, held, None
        later = Signal(len(flags), name="held_flags", reset_less=True)
        with m.If(self.active):
            m.d.sync += later.eq(flags)
        return active, held, later

    def _flags(self, w):
        """What is special about the products, a bit per lane at a time."""
        a, used = self.activation.special, self.activation.used
        nan = a.nan | (w.nan & used) | (a.infinite & w.zero) | (a.zero & w.infinite)
        infinite = (a.infinite & ~w.zero) | (used & ~a.zero & w.infinite)
        negative = a.negative ^ w.negative
        return Cat(nan.any(), (infinite & ~negative).any(), (infinite & negative).any())
