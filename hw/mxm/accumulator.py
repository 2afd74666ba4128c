"""The accumulators of one superlane: memory, adder, and the way out to the streams."""

from itertools import pairwise

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tsp.hw.export import repeated
from tsp.hw.isa import DType
from tsp.hw.mxm.fixed import add, registers
from tsp.hw.mxm.mac import mac_of
from tsp.hw.mxm.ops import AccOp, mask_of, north_count
from tsp.hw.mxm.rounding import Rounder
from tsp.hw.stream import Drive


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

        m.submodules.rounder = rounder = Rounder(number, self.mac.lsb)
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
        m = Module()
        lanes = self.config.lanes
        op, acting = Signal(AccOp), Signal(AccOp)
        emitting = [Signal(AccOp, name=f"emitting{stage}") for stage in range(Rounder.LATENCY + 1)]
        for before, after in pairwise([self.op, op, acting, *emitting]):
            with m.If(before.valid | after.valid):
                m.d.sync += after.eq(before)
        m.d.comb += [self.north.eq(op), self.north.count.eq(north_count(op.count, lanes))]

        lane = [AccumulatorLane(self.mac, self.config.acc_rows) for _ in self.dots]
        name = f"{self.module_name}_lane"
        m.submodules.lanes = repeated(platform, name, lane, AccumulatorLane.COMMON)
        used = mask_of(emitting[0].count, lanes)
        for n, (dot, here) in enumerate(zip(self.dots, lane, strict=True)):
            m.d.comb += [
                *here.dot.assign(dot),
                here.op.eq(op),
                here.acting.eq(acting),
                here.rounding.eq(emitting[0].valid & emitting[0].emit),
                here.dtype.eq(emitting[0].dtype),
                here.used.eq(used[n]),
            ]
        bits = [here.bits for here in lane]
        m.d.comb += [
            self.drive.data.eq(Cat(b.word_select(byte, 8) for byte in range(4) for b in bits)),
            self.drive.stream.eq(emitting[-1].stream),
            self.drive.westward.eq(emitting[-1].westward),
            self.drive.log2.eq(Mux(emitting[-1].dtype == DType.FP16, 1, 2)),
            self.drive.valid.eq(emitting[-1].valid & emitting[-1].emit),
        ]
        return m
