"""One lane of one ALU: 32-bit operands in, 32-bit result out."""

from typing import ClassVar

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tsp.hw.vxm.control import Control
from tsp.hw.vxm.stages import (
    Cut,
    Normal,
    Parts,
    Terms,
    Work,
    add,
    align,
    cut,
    finish,
    normalise,
    part,
)

_STAGES = ((Parts, align), (Terms, add), (Work, normalise), (Normal, cut), (Cut, finish))
"""The registers between the stages, and what the stage after them does."""


class Lane(wiring.Component):
    """One lane of one ALU.

    Integer results are modulo 2^32 or saturated.
    Float results are rounded once to nearest even; subnormals are kept, NaN is canonical.
    A stage without work keeps its registers, so an idle lane does not toggle.

    Latency
    -------
    ``LATENCY`` cycles.

    Members
    -------
    valid : there is an operation
    control : what it is
    early, late : its operands, byte by byte, as they come from four streams
    swap : the early one is b, else it is a
    condition : whether its third operand is not 0
    result : its result, likewise
    """

    LATENCY: ClassVar = 6
    COMMON = ("valid", "control", "swap")

    valid: In(1)
    control: In(Control)
    swap: In(1)
    early: In(8).array(4)
    late: In(8).array(4)
    condition: In(1)
    result: Out(8).array(4)

    def elaborate(self, platform):
        m = Module()
        a, b, second, result = Signal(32), Signal(32), Signal(32), Signal(32, reset_less=True)
        m.d.comb += [
            a.eq(Cat(Mux(self.swap, self.late[k], self.early[k]) for k in range(4))),
            b.eq(Cat(Mux(self.swap, self.early[k], self.late[k]) for k in range(4))),
            second.eq(Mux(self.control.relu, 0, b)),
            Cat(self.result).eq(result),
        ]
        work, control = self.valid, self.control
        value = part(m, control, a, second, self.condition)
        for number, (kind, stage) in enumerate(_STAGES, 1):
            registers = kind(kind.__name__.lower())
            later = Signal(Control, name=f"control_{number}", reset_less=True)
            with m.If(work):
                m.d.sync += [later.eq(control), registers.eq(value)]
            before, work = work, Signal(name=f"work_{number}")
            m.d.sync += work.eq(before)
            control, value = later, stage(m, later, registers)
        with m.If(work):
            m.d.sync += result.eq(value)
        return m
