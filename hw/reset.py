"""The reset register at the edge of the exported core."""

from amaranth.hdl import ClockDomain, ClockSignal, DomainRenamer, Module, ResetSignal, Signal
from amaranth.lib import wiring

from tsp.hw.export import assembly


class ResetRegister(wiring.Component):
    """`inner`, reset by a register instead of the pin.

    The pin drives a single flip-flop, which eases its timing, and simulators need not evaluate the
    whole core again when an input changes.

    Latency
    -------
    The core leaves reset one cycle after the pin does.

    Parameters
    ----------
    inner : Component
        Its ports become this component's.
    """

    def __init__(self, inner):
        self.inner = inner
        super().__init__(inner.signature)

    def elaborate(self, platform):
        m = Module()
        reset = Signal(init=1, reset_less=True)
        m.domains.core = ClockDomain("core")
        m.d.sync += reset.eq(ResetSignal("sync"))
        m.d.comb += [ClockSignal("core").eq(ClockSignal("sync")), ResetSignal("core").eq(reset)]
        m.submodules.core = DomainRenamer("core")(assembly(platform, "tsp_core", self.inner))
        wiring.connect(m, wiring.flipped(self), self.inner)
        return m
