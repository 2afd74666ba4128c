"""One lane of one ALU: 32-bit operands in, 32-bit result out."""

from typing import ClassVar

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tsp.hw.vxm.control import Control
from tsp.hw.vxm.stages import Normal, Terms, finish, normalise, operate


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
    a, b, c : its operands, byte by byte, as they come from four streams
    result : its result, likewise
    """

    LATENCY: ClassVar = 3

    valid: In(1)
    control: In(Control)
    a: In(8).array(4)
    b: In(8).array(4)
    c: In(8).array(4)
    result: Out(8).array(4)

    def elaborate(self, platform):
        m = Module()
        a, b, result = Signal(32), Signal(32), Signal(32, reset_less=True)
        terms, normal = Terms("terms"), Normal("normal")
        work, control = [self.valid], [self.control]
        for i in (1, 2):
            work.append(Signal(name=f"work_{i}"))
            control.append(Signal(Control, name=f"control_{i}", reset_less=True))

        m.d.comb += [
            a.eq(Cat(self.a)),
            b.eq(Mux(self.control.relu, 0, Cat(self.b))),
            Cat(self.result).eq(result),
        ]
        operated = operate(m, control[0], a, b, Cat(self.c).any())
        normalised = normalise(m, control[1], terms)
        finished = finish(m, control[2], normal)
        m.d.sync += [work[1].eq(work[0]), work[2].eq(work[1])]
        with m.If(work[0]):
            m.d.sync += [control[1].eq(control[0]), terms.eq(operated)]
        with m.If(work[1]):
            m.d.sync += [control[2].eq(control[1]), normal.eq(normalised)]
        with m.If(work[2]):
            m.d.sync += result.eq(finished)
        return m
