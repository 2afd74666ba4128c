"""The accumulators of a plane: memory, adder, and the path to the streams."""

from itertools import pairwise

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tsp.hw.isa import DType
from tsp.hw.mxm.fixed import add, registers
from tsp.hw.mxm.ops import AccOp, mask_of, north_count
from tsp.hw.mxm.rounding import Rounder


class AccumulatorLane(wiring.Component):
    """The exact sums of one lane, and their rounding.

    Latency
    -------
    That of :class:`Accumulator`, whose lanes these are.

    Parameters
    ----------
    mac : Int8Mac or Fp16Mac
    rows : int

    Members
    -------
    op, acting : In(AccOp)
        The operation of which the row is read, and the one that writes it a cycle later.
    rounding : In(1)
        The sum that was written, or kept, in the last cycle is rounded.
    dtype : In(3)
    used : In(1)
        Format of what is rounded; without `used` it is 0.
    dot : In(Fixed)
    bits : Out(32)
    """

    COMMON = ("op", "acting", "rounding", "dtype")

    def __init__(self, mac, rows):
        self.mac, self.rows = mac, rows
        super().__init__(
            {
                "op": In(AccOp),
                "acting": In(AccOp),
                "rounding": In(1),
                "dtype": In(3),
                "used": In(1),
                "dot": In(mac.dot),
                "bits": Out(32),
            }
        )

    def elaborate(self, platform):
        # The row is read in t + 1 and written in t + 2. When the step one cycle ahead was at the
        # same row, the memory has not got its result yet, but the result register has.
        m = Module()
        number, acting, dot = self.mac.row, self.acting, self.dot
        new, kept = number.create(path=("new",)), number.create(path=("kept",))
        result = registers(number, "result")
        for d in range(len(number.widths)):
            stored = self._memory(m, f"row_{d}", new.digits[d])
            m.d.comb += kept.digits[d].eq(Mux(acting.again, result.digits[d], stored))
        taken = [Mux(acting.take, digit, 0) for digit in dot.digits]
        base = [Mux(acting.take & ~acting.add, 0, digit) for digit in kept.digits]
        sums = add(base, taken, number.widths)
        m.d.comb += [a.eq(b) for a, b in zip(new.digits, sums, strict=True)]
        if number.special:
            stored = self._memory(m, "row_flags", new.flags.as_value())
            m.d.comb += kept.flags.eq(Mux(acting.again, result.flags, stored))
            m.d.comb += new.flags.eq(
                Mux(acting.take & ~acting.add, 0, kept.flags.as_value())
                | Mux(acting.take, dot.flags.as_value(), 0)
            )
        with m.If(acting.valid):
            m.d.sync += result.assign(new)

        m.submodules.rounder = rounder = Rounder(number, self.mac.lsb, self.mac.deep)
        m.d.comb += [
            *rounder.number.assign(result),
            rounder.valid.eq(self.rounding),
            rounder.dtype.eq(self.dtype),
            rounder.used.eq(self.used),
            self.bits.eq(rounder.bits),
        ]
        return m

    def _memory(self, m, name, new):
        """One digit's memory; the stored digit of the row acted upon."""
        op, acting = self.op, self.acting
        m.submodules[name] = memory = Memory(shape=unsigned(len(new)), depth=self.rows, init=[])
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [
            read.addr.eq(op.row),
            read.en.eq(op.valid),
            write.addr.eq(acting.row),
            write.data.eq(new),
            write.en.eq(acting.valid & acting.take),
        ]
        return read.data


class Accumulator(wiring.Component):
    """What the lanes of one superlane are told: rows of exact sums, written, added to and emitted.

    All lanes of a row are written and added to; a lane beyond the count is only not emitted.

    Latency
    -------
    An operation on `op` in cycle t is on `north` in t + 1, its lanes take the dot products of
    t + 2 (``ACC_SAMPLE``), and `emitting` stands in t + 6, or t + 7 in a deep pipeline
    (``acc_emit``).

    Parameters
    ----------
    config : Config

    Members
    -------
    op : In(AccOp)
    north : Out(AccOp)
        Its ``count`` is that of the tile to the north.
    reading, acting : Out(AccOp)
        What the lanes read the row of, and what they do with it.
    rounding : Out(1)
    dtype : Out(3)
    used : Out(lanes)
        What the lanes round.
    emitting : Out(AccOp)
        The operation whose results stand.
    """

    def __init__(self, config):
        self.config = config
        super().__init__(
            {
                "op": In(AccOp),
                "north": Out(AccOp),
                "reading": Out(AccOp),
                "acting": Out(AccOp),
                "rounding": Out(1),
                "dtype": Out(3),
                "used": Out(config.lanes),
                "emitting": Out(AccOp),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes = self.config.lanes
        stages = range(Rounder.latency(self.config.deep))
        emitting = [Signal(AccOp, name=f"emitting{stage}") for stage in stages]
        steps = [self.op, self.reading, self.acting, *emitting, self.emitting]
        for before, after in pairwise(steps):
            with m.If(before.valid | after.valid):
                m.d.sync += after.eq(before)
        m.d.comb += [
            self.north.eq(self.reading),
            self.north.count.eq(north_count(self.reading.count, lanes)),
            self.rounding.eq(emitting[0].valid & emitting[0].emit),
            self.dtype.eq(emitting[0].dtype),
            self.used.eq(mask_of(emitting[0].count, lanes)),
        ]
        return m

    def connect(self, m, lanes, dots, drive):
        """Tell `lanes` what to do with `dots`, and drive what they emit."""
        for n, (lane, dot) in enumerate(zip(lanes, dots, strict=True)):
            m.d.comb += [
                *lane.dot.assign(dot),
                lane.op.eq(self.reading),
                lane.acting.eq(self.acting),
                lane.rounding.eq(self.rounding),
                lane.dtype.eq(self.dtype),
                lane.used.eq(self.used[n]),
            ]
        bits, last = [lane.bits for lane in lanes], self.emitting
        m.d.comb += [
            drive.data.eq(Cat(b.word_select(byte, 8) for byte in range(4) for b in bits)),
            drive.stream.eq(last.stream),
            drive.westward.eq(last.westward),
            drive.log2.eq(Mux(last.dtype == DType.FP16, 1, 2)),
            drive.valid.eq(last.valid & last.emit),
        ]
