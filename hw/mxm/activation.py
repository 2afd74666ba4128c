"""The path of an activation vector from its streams to the multipliers of one tile."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tsp.hw.isa import DType
from tsp.hw.mxm.mac import mac_of
from tsp.hw.mxm.operand import OperandRegisters, Specials
from tsp.hw.mxm.ops import AbcOp, mask_of, north_count
from tsp.hw.mxm.taps import arriving, valid_bits
from tsp.hw.stream import StreamRow


class Activation(data.StructLayout):
    """What one tile multiplies.

    ``factors`` has a factor per lane. If the datapath has special values, ``special`` are theirs.
    ``used`` are the lanes that count; the others have no bit of ``special`` set and a factor of
    zero, unless products have a cycle of their own, in which those that do not count become zero.
    It is there only if something needs it.

    Parameters
    ----------
    mac : Int8Mac or Fp16Mac
    lanes : int
    """

    def __init__(self, mac, lanes):
        fields = {"factors": data.ArrayLayout(_packed(mac.factor), lanes)}
        if mac.special or mac.deep:
            fields["used"] = lanes
        if mac.special:
            fields["special"] = _packed(Specials(lanes))
        super().__init__(fields)


def _packed(signature):
    """The members of a signature as one value: a column has thousands of the same."""
    return data.StructLayout({name: member.shape for name, member in signature.members.items()})


class ActivationLoader(wiring.Component):
    """The sampling, conversion and masking of activations for one tile.

    Latency
    -------
    An operation on `op` in cycle t is on `north` in t + 1, where the streams are sampled; the
    vector stands on `activation` in t + 2.

    Parameters
    ----------
    config : Config

    Members
    -------
    op : In(AbcOp)
    north : Out(AbcOp)
        Its ``count`` is that of the tile to the north.
    east, west : In(StreamRow)
    activation : Out(Activation)
    active : Out(1)
        They are those of a new operation.
    invalid : Out(1)
        A stream sampled in the last cycle carried nothing.
    """

    def __init__(self, config):
        self.config, self.mac = config, mac_of(config)
        row = In(StreamRow(config.lanes, config.streams))
        super().__init__(
            {
                "op": In(AbcOp),
                "north": Out(AbcOp),
                "east": row,
                "west": row,
                "active": Out(1),
                "invalid": Out(1),
                "activation": Out(Activation(self.mac, config.lanes)),
            }
        )

    def elaborate(self, platform):
        # The vector is kept unmasked: a later one may hold it with another count.
        m = Module()
        op = Signal(AbcOp)
        lanes = self.config.lanes
        m.d.sync += [op.eq(self.op), self.active.eq(op.valid)]
        m.d.comb += [self.north.eq(op), self.north.count.eq(north_count(op.count, lanes))]

        vector = OperandRegisters(self.mac, lanes, "vector")
        used = Signal(lanes, reset_less=True)
        with m.If(op.valid):
            m.d.sync += used.eq(mask_of(op.count, lanes))
            with m.If(~op.hold):
                vector.convert(m, *self._sample(m, op), op.dtype)
        with m.If(op.valid | self.invalid):
            m.d.sync += self.invalid.eq(op.valid & ~op.hold & self._missing(m, op))
        out = self.activation
        for k, here in enumerate(vector.factors):
            for name in self.mac.factor.members:
                factor = getattr(here, name)
                if not self.mac.deep:
                    factor = Mux(used[k], factor, 0)
                m.d.comb += out.factors[k][name].eq(factor)
        if self.mac.special or self.mac.deep:
            m.d.comb += out.used.eq(used)
        if self.mac.special:
            for name in vector.special.signature.members:
                m.d.comb += out.special[name].eq(getattr(vector.special, name) & used)
        return m

    def _sample(self, m, op):
        """The low and the high word of the operation's streams."""
        low = Signal(8 * self.config.lanes)
        high = Signal(8 * self.config.lanes)
        first, words = op.as_value()[:6], arriving(self)
        with m.Switch(first):
            for code, word in words:
                with m.Case(code):
                    m.d.comb += low.eq(word)
        with m.Switch(first[1:]):
            for code, word in words[1::2]:
                with m.Case(code >> 1):
                    m.d.comb += high.eq(word)
        return low, high

    def _missing(self, m, op):
        """Whether one of them carries nothing."""
        first = op.as_value()[:6]
        valid, wide = valid_bits(m, self), op.dtype == DType.FP16
        return ~valid.bit_select(first, 1) | (wide & ~valid.bit_select(first | 1, 1))
