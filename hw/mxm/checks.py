"""The faults that are detected at tile 0, because all tiles do the same."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tsp.hw.isa.timing import array_latency
from tsp.hw.mxm.ops import POSITIONS, AbcOp, AccOp, LwOp


class Checks(wiring.Component):
    """What has been written since reset, and the offences of those who use what has not.

    Latency
    -------
    Each output is high in the cycle after the offence in tile 0, as :mod:`tsp.hw.fault` says.

    Parameters
    ----------
    config : Config

    Members
    -------
    lw : In(LwOp)
    iw : In(1)
    abc : In(AbcOp)
    acc : In(AccOp)
    unwritten : Out(1)
    no_dots : Out(1)
        An ACC takes dot products where there are none.
    """

    def __init__(self, config):
        self.config = config
        super().__init__(
            {
                "lw": In(LwOp),
                "iw": In(1),
                "abc": In(AbcOp),
                "acc": In(AccOp),
                "unwritten": Out(1),
                "no_dots": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.unwritten.eq(self._buffer(m) | self._array(m) | self._rows(m))
        return m

    def _buffer(self, m):
        """IW while a column was never loaded."""
        loads = [Signal(LwOp, name=f"load{stage}") for stage in (1, 2)]
        m.d.sync += [loads[0].eq(self.lw), loads[1].eq(loads[0])]
        load = loads[1]
        loaded = Signal(self.config.vector)
        with m.If(load.valid):
            for block in range(0, self.config.vector, POSITIONS):
                columns = loaded[block : block + POSITIONS]
                with m.If(load.block == block // POSITIONS):
                    m.d.sync += columns.eq(columns | load.here)
                with m.If(load.block + 1 == block // POSITIONS):
                    m.d.sync += columns.eq(columns | load.above)
        self.installing = Signal()
        m.d.sync += self.installing.eq(self.iw)
        return self.installing & ~loaded.all()

    def _array(self, m):
        """ABC while no weights were ever installed, or with nothing to hold."""
        abc = Signal(AbcOp)
        installed = Signal()
        taken = Signal()
        m.d.sync += abc.eq(self.abc)
        with m.If(self.installing):
            m.d.sync += installed.eq(1)
        with m.If(abc.valid):
            m.d.sync += taken.eq(1)
        return abc.valid & (~(installed | self.installing) | (abc.hold & ~taken))

    def _rows(self, m):
        """ACC adding to or keeping a row never written, or taking what is not there."""
        steps = [Signal(AccOp, name=f"step{stage}") for stage in (1, 2)]
        m.d.sync += [steps[0].eq(self.acc), steps[1].eq(steps[0])]
        step = steps[1]
        dots = Signal(array_latency(self.config))
        m.d.sync += dots.eq(dots << 1 | self.abc.valid)
        takes = step.valid & step.take
        m.d.sync += self.no_dots.eq(takes & ~dots[-1])
        written = Signal(self.config.acc_rows)
        with m.If(takes):
            m.d.sync += written.bit_select(step.row, 1).eq(1)
        rewrites = step.take & ~step.add
        return step.valid & ~rewrites & ~written.bit_select(step.row, 1)
