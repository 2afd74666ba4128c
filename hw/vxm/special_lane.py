"""One lane of an ALU that has the special functions."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.wiring import In

from tsp.hw.vxm.lane import Lane
from tsp.hw.vxm.special import Special


class SpecialLane(Lane):
    """The ports of a :class:`~tsp.hw.vxm.lane.Lane`, and one with the special functions beside it.

    Latency
    -------
    That of a ``Lane``.

    Members
    -------
    valid, control, swap, early, late, condition, result : as those of a ``Lane``
    special : the operation is a special function, of a
    """

    COMMON = (*Lane.COMMON, "special")

    special: In(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.lane = lane = Lane(self.deep)
        m.submodules.functions = functions = Special(self.deep)
        m.d.comb += [
            lane.valid.eq(self.valid & ~self.special),
            functions.valid.eq(self.valid & self.special),
            lane.control.eq(self.control),
            functions.operation.eq(self.control.function),
            lane.swap.eq(self.swap),
            lane.condition.eq(self.condition),
        ]
        for k, (early, late) in enumerate(zip(self.early, self.late, strict=True)):
            m.d.comb += [lane.early[k].eq(early), lane.late[k].eq(late)]
            m.d.comb += functions.a[k].eq(Mux(self.swap, late, early))

        # Which of the two has the result that stands.
        valid, special = self.valid, self.special
        for number in range(self.latency(self.deep)):
            before = valid, special
            valid, special = Signal(name=f"valid_{number}"), Signal(name=f"special_{number}")
            m.d.sync += valid.eq(before[0])
            with m.If(before[0]):
                m.d.sync += special.eq(before[1])
        results = Mux(special, Cat(functions.result), Cat(lane.result))
        m.d.comb += Cat(self.result).eq(results)
        return m
