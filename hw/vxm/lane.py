"""One lane of one ALU: 32-bit operands in, 32-bit result out."""

from amaranth.hdl import Module, Signal
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
    4 cycles.

    Members
    -------
    valid : there is an operation
    control : what it is
    a, b : its operands
    condition : its operand c is not 0
    result : its result
    """

    valid: In(1)
    control: In(Control)
    a: In(32)
    b: In(32)
    condition: In(1)
    result: Out(32)

    def elaborate(self, platform):
        """Control is kept beside the data in every lane. It costs few registers, and a lane whose
        logic reads its own registers alone is code that a simulator shares among all lanes.
        """
        m = Module()
        work = [Signal(name=f"work_{i}") for i in range(3)]
        control = [Signal(Control, name=f"control_{i}", reset_less=True) for i in range(3)]
        a, b = Signal(32, reset_less=True), Signal(32, reset_less=True)
        condition = Signal(reset_less=True)
        terms, normal = Terms("terms"), Normal("normal")

        m.d.sync += [now.eq(before) for now, before in zip(work, (self.valid, *work))]
        with m.If(self.valid):
            m.d.sync += [
                control[0].eq(self.control),
                a.eq(self.a),
                b.eq(self.b),
                condition.eq(self.condition),
            ]
        operated = operate(m, control[0], a, b, condition)
        with m.If(work[0]):
            m.d.sync += [control[1].eq(control[0]), terms.eq(operated)]
        normalised = normalise(m, control[1], terms)
        with m.If(work[1]):
            m.d.sync += [control[2].eq(control[1]), normal.eq(normalised)]
        finished = finish(m, control[2], normal)
        with m.If(work[2]):
            m.d.sync += self.result.eq(finished)
        return m
