"""The way of an activation vector from its streams to the multipliers of one tile."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tsp.hw.isa import DType
from tsp.hw.mxm.mac import mac_of
from tsp.hw.mxm.ops import AbcOp, mask_of, north_count
from tsp.hw.mxm.taps import arriving, valid_bits
from tsp.hw.stream import StreamWord


class Specials(wiring.Signature):
    """What is special about a vector of operands, a bit per lane."""

    def __init__(self, lanes):
        super().__init__({name: Out(lanes) for name in ("nan", "infinite", "zero", "negative")})


def activation(flow, mac, lanes):
    """Ports, `flow` In or Out, of what one tile multiplies.

    ``factors`` has a factor per lane. If the datapath has special values, ``special`` are theirs,
    and ``used`` are the lanes that count; the others hold a factor of zero and have no bit set.
    """
    ports = {"factors": flow(mac.factor).array(lanes)}
    if mac.special:
        ports |= {"used": flow(lanes), "special": flow(Specials(lanes))}
    return ports


class ActivationLoader(wiring.Component):
    """The sampling, conversion and masking of activations for one tile.

    Latency
    -------
    An operation on `op` in cycle t is on `north` in t + 1, where the streams are sampled; the
    vector stands on `factors` in t + 2.

    Parameters
    ----------
    config : Config

    Members
    -------
    op : In(AbcOp)
    north : Out(AbcOp)
        Its ``count`` is that of the tile to the north.
    east, west : In(StreamWord).array(streams)
    factors, used, special : Out
        As :func:`activation` says.
    invalid : Out(1)
        A stream sampled in this cycle carries nothing.
    """

    def __init__(self, config):
        self.config, self.mac = config, mac_of(config)
        word = StreamWord(config.lanes)
        super().__init__(
            {
                "op": In(AbcOp),
                "north": Out(AbcOp),
                "east": In(word).array(config.streams),
                "west": In(word).array(config.streams),
                "invalid": Out(1),
            }
            | activation(Out, self.mac, config.lanes)
        )

    def elaborate(self, platform):
        m = Module()
        op, lanes = Signal(AbcOp), self.config.lanes
        m.d.sync += op.eq(self.op)
        m.d.comb += [self.north.eq(op), self.north.count.eq(north_count(op.count, lanes))]

        low, high = Signal(8 * lanes), Signal(8 * lanes)
        first = op.as_value()[:6]
        with m.Switch(first):
            for code, word in arriving(self):
                with m.Case(code):
                    m.d.comb += low.eq(word.data)
        with m.Switch(first[1:]):
            for code, word in arriving(self)[1::2]:
                with m.Case(code >> 1):
                    m.d.comb += high.eq(word.data)
        wide = op.dtype == DType.FP16
        valid = valid_bits(m, self)
        missing = ~valid.bit_select(first, 1) | (wide & ~valid.bit_select(first | 1, 1))
        m.d.comb += self.invalid.eq(op.valid & ~op.hold & missing)

        used = Signal(lanes)
        m.d.comb += used.eq(mask_of(op.count, lanes))
        for k in range(lanes):
            self._lane(m, op, k, used[k], low.word_select(k, 8), high.word_select(k, 8))
        if self.mac.special:
            m.d.sync += self.used.eq(used)
        return m

    def _lane(self, m, op, k, used, low, high):
        # The held element is kept unmasked: a later vector may hold it with another count.
        held = Signal(self.mac.element, name=f"held{k}")
        element = Signal(self.mac.element, name=f"element{k}")
        with m.If(op.hold):
            m.d.comb += element.eq(held)
        with m.Else():
            self.mac.convert(m, element, low, high, op.dtype)
        with m.If(op.valid):
            m.d.sync += held.eq(element)
        factor = self.mac.factor_of(element)
        for name, value in factor.items():
            m.d.sync += getattr(self.factors[k], name).eq(Mux(used, value, 0))
        if self.mac.special:
            for name in self.special.signature.members:
                bits = getattr(self.special, name)
                m.d.sync += bits[k].eq(used & getattr(element, name))
