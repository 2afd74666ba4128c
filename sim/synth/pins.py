"""A harness for place and route: the host port as a shift register of a few pins."""

from amaranth.hdl import Cat, ClockSignal, Instance, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class Pins(wiring.Component):
    """The core behind five pins, as a package with fewer pins than the host port has bits needs it.

    Two of them are the clock and the reset.

    Latency
    -------
    A request is shifted in, lowest bit first: address, write, read, data. In the cycle after
    `load` the core takes it. An answer of the core is kept and shifted out.

    Parameters
    ----------
    core : str
        Name of the core's module.
    bits : int
        Of a host word.

    Members
    -------
    bit, load : In(1)
    out : Out(1)
    """

    bit: In(1)
    load: In(1)
    out: Out(1)

    def __init__(self, core, bits):
        self.core, self.bits = core, bits
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        shifted = Signal(40 + 2 + self.bits)
        request = Signal(40 + 2 + self.bits)
        answer = Signal(self.bits)
        data = Signal(self.bits)
        valid = Signal()
        loaded = Signal()
        m.d.sync += [shifted.eq(Cat(shifted[1:], self.bit)), loaded.eq(self.load)]
        with m.If(self.load):
            m.d.sync += request.eq(shifted)
        with m.If(valid):
            m.d.sync += answer.eq(data)
        with m.Else():
            m.d.sync += answer.eq(answer[1:])
        m.d.comb += self.out.eq(answer[0])
        m.submodules.chip = Instance(
            self.core,
            i_clk=ClockSignal(),
            i_rst=ResetSignal(),
            i_host__address=request[:40],
            i_host__write=request[40] & loaded,
            i_host__read=request[41] & loaded,
            i_host__write_data=request[42:],
            o_host__read_data=data,
            o_host__read_valid=valid,
        )
        return m
