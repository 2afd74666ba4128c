"""The fault recorder."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tsp.hw.fault import FAULT_KINDS
from tsp.hw.hop import any_of
from tsp.hw.host.address import FaultRecord


class FaultRecorder(wiring.Component):
    """Sticky registers for the first fault and for all fault kinds seen.

    Latency
    -------
    A fault in cycle t is on the outputs in t + 1.

    Parameters
    ----------
    slices : int

    Members
    -------
    cycle : In(32)
    faults : In(FAULT_KINDS).array(slices)
    record : Out(FaultRecord)
    kinds : Out(FAULT_KINDS)
        One bit per kind seen since reset.
    held : Out(FAULT_KINDS).array(slices)
        The same for each slice.
    """

    def __init__(self, slices):
        self.slices = slices
        super().__init__(
            {
                "cycle": In(32),
                "faults": In(FAULT_KINDS).array(slices),
                "record": Out(FaultRecord),
                "kinds": Out(FAULT_KINDS),
                "held": Out(FAULT_KINDS).array(slices),
            }
        )

    def elaborate(self, platform):
        m = Module()
        first = Signal(8)
        kinds = Signal(FAULT_KINDS)
        for index in reversed(range(self.slices)):
            fault = self.faults[index]
            m.d.sync += self.held[index].eq(self.held[index] | fault)
            with m.If(fault.any()):
                m.d.comb += [first.eq(index), kinds.eq(fault)]
        m.d.sync += self.kinds.eq(self.kinds | any_of(self.faults))
        with m.If(kinds.any() & ~self.record.valid):
            m.d.sync += [
                self.record.valid.eq(1),
                self.record.cycle.eq(self.cycle),
                self.record.slice.eq(first),
            ]
            for kind in reversed(range(FAULT_KINDS)):
                with m.If(kinds[kind]):
                    m.d.sync += self.record.kind.eq(kind)
        return m
