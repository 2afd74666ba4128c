"""The accumulators of one superlane: memory, adder, and the way out to the streams."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tsp.hw.isa import DType
from tsp.hw.mxm.fixed import add
from tsp.hw.mxm.mac import mac_of
from tsp.hw.mxm.ops import AccOp, mask_of, north_count
from tsp.hw.mxm.rounding import Rounder
from tsp.hw.stream import Drive


class Accumulator(wiring.Component):
    """Rows of exact sums, one per lane, written or added to and emitted.

    All lanes of a row are written and added to; a lane beyond the count is only not emitted.

    Latency
    -------
    An operation on `op` in cycle t is on `north` in t + 1, takes the dot products of t + 2
    (``ACC_SAMPLE``) and drives in t + 6 (``ACC_EMIT``).

    Parameters
    ----------
    config : Config

    Members
    -------
    op : In(AccOp)
    north : Out(AccOp)
        Its ``count`` is that of the tile to the north.
    dots : In(Fixed).array(lanes)
    drive : Out(Drive(lanes, 4))
    """

    def __init__(self, config):
        self.config, self.mac = config, mac_of(config)
        lanes = config.lanes
        super().__init__(
            {
                "op": In(AccOp),
                "north": Out(AccOp),
                "dots": In(self.mac.dot).array(lanes),
                "drive": Out(Drive(lanes, 4)),
            }
        )

    @property
    def module_name(self):
        """A name that tells apart any two that differ."""
        c = self.config
        width = self.mac.dot.widths[-1]
        return f"mxm_accumulator_{c.datapath}_l{c.lanes}w{width}r{c.acc_rows}"

    def elaborate(self, platform):
        # The row is read in t + 1 and written in t + 2. When the step one cycle ahead was at the
        # same row, the memory has not got its result yet, but the result register has.
        m = Module()
        lanes = self.config.lanes
        op, acting = Signal(AccOp), Signal(AccOp)
        m.d.sync += [op.eq(self.op), acting.eq(op)]
        m.d.comb += [self.north.eq(op), self.north.count.eq(north_count(op.count, lanes))]

        m.submodules.rounder = rounder = Rounder(lanes, self.mac.row, self.mac.lsb)
        for n, (dot, result) in enumerate(zip(self.dots, rounder.numbers, strict=True)):
            self._lane(m, n, op, acting, dot, result)

        emitting = [Signal(AccOp, name=f"emitting{stage}") for stage in range(4)]
        m.d.sync += [a.eq(b) for a, b in zip(emitting, [acting, *emitting], strict=False)]
        m.d.comb += [
            rounder.dtype.eq(emitting[0].dtype),
            rounder.used.eq(mask_of(emitting[0].count, lanes)),
            self.drive.data.eq(
                Cat(bits.word_select(byte, 8) for byte in range(4) for bits in rounder.bits)
            ),
            self.drive.stream.eq(emitting[3].stream),
            self.drive.westward.eq(emitting[3].westward),
            self.drive.log2.eq(Mux(emitting[3].dtype == DType.FP16, 1, 2)),
            self.drive.valid.eq(emitting[3].valid & emitting[3].emit),
        ]
        return m

    def _lane(self, m, n, op, acting, dot, result):
        """One lane: its memory and adder; `result` is a number that stands one cycle later."""
        number = self.mac.row
        new = number.create(path=("new", n))
        kept = number.create(path=("kept", n))
        register = number.create(path=("result", n))
        for d in range(len(number.widths)):
            stored = self._memory(m, f"row{n}_{d}", op, acting, new.digits[d])
            m.d.comb += kept.digits[d].eq(Mux(acting.again, register.digits[d], stored))
        taken = [Mux(acting.take, digit, 0) for digit in dot.digits]
        base = [Mux(acting.take & ~acting.add, 0, digit) for digit in kept.digits]
        sums = add(base, taken, number.widths)
        m.d.comb += [a.eq(b) for a, b in zip(new.digits, sums, strict=True)]
        if number.special:
            stored = self._memory(m, f"row{n}_flags", op, acting, new.flags.as_value())
            m.d.comb += kept.flags.eq(Mux(acting.again, register.flags, stored))
            m.d.comb += new.flags.eq(
                Mux(acting.take & ~acting.add, 0, kept.flags.as_value())
                | Mux(acting.take, dot.flags.as_value(), 0)
            )
        m.d.sync += register.assign(new)
        m.d.comb += result.assign(register)

    def _memory(self, m, name, op, acting, new):
        """One digit's memory; the stored digit of the row acted upon."""
        rows = self.config.acc_rows
        m.submodules[name] = memory = Memory(shape=unsigned(len(new)), depth=rows, init=[])
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            read.addr.eq(op.row),
            read.en.eq(op.valid),
            write.addr.eq(acting.row),
            write.data.eq(new),
            write.en.eq(acting.valid & acting.take),
        ]
        return read.data
