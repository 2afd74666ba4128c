"""The words that travel north through a plane: instructions, decoded once at tile 0."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tsp.hw import isa
from tsp.hw.isa import DType, Unit
from tsp.hw.isa.mxm import AccMode
from tsp.hw.stream import InstructionLayout, Issue

POSITIONS = 16
"""Columns and streams that one LW takes at most; column n stands at position n mod 16."""


class LwOp(data.Struct):
    """A load of weight columns.

    Members
    -------
    streams : stream (bit 5: westward) that the multiplexer of each position selects
    used : positions whose multiplexer is used
    here, above : positions written in block `block` of 16 columns, and in the next block
    dtype, valid
    """

    streams: data.ArrayLayout(6, POSITIONS)
    used: POSITIONS
    here: POSITIONS
    above: POSITIONS
    block: 5
    dtype: 3
    valid: 1


class AbcOp(data.Struct):
    """An activation vector; `count` is what remains for this tile and those north of it."""

    stream: 5
    westward: 1
    dtype: 3
    hold: 1
    count: 10
    valid: 1


class AccOp(data.Struct):
    """An accumulator step; `take` says whether dot products are taken, `add` to what.

    `again` : the step one cycle ahead is at the same row.
    """

    row: 16
    take: 1
    add: 1
    again: 1
    emit: 1
    dtype: 3
    stream: 5
    westward: 1
    count: 10
    valid: 1


def mask_of(count, lanes):
    """One bit per lane, set in lanes below `count`."""
    return Mux(count >= lanes, (1 << lanes) - 1, ((1 << count[: lanes.bit_length()]) - 1)[:lanes])


def north_count(count, lanes):
    """The `count` that the tile to the north gets."""
    return Mux(count > lanes, count - lanes, 0)


class Decoder(wiring.Component):
    """The four queues' instructions as what tile 0 executes, in the cycle of issue.

    Members
    -------
    lw_issue, iw_issue, abc_issue, acc_issue : In(Issue)
    lw : Out(LwOp)
    iw : Out(1)
    abc : Out(AbcOp)
    acc : Out(AccOp)
    """

    lw_issue: In(Issue(Unit.LW))
    iw_issue: In(Issue(Unit.IW))
    abc_issue: In(Issue(Unit.ABC))
    acc_issue: In(Issue(Unit.ACC))
    lw: Out(LwOp)
    iw: Out(1)
    abc: Out(AbcOp)
    acc: Out(AccOp)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.iw.eq(self.iw_issue.valid)
        self._lw(m)
        self._abc(m)
        self._acc(m)
        return m

    def _lw(self, m):
        # Column n always leaves the multiplexer of position n mod 16, so the stream list is
        # rotated here and no wide word ever is. An fp16 column's high byte takes the multiplexer
        # 8 positions on: of 8 columns in a row no two are 8 apart, so that one is always free.
        word = data.View(InstructionLayout(isa.Lw), self.lw_issue.word)
        number = word.streams[:5]
        listed = [word.streams[5 + 6 * i :][:6] for i in range(POSITIONS)]
        pairs = listed[0::2] + listed[1::2]
        wide = word.dtype == DType.FP16
        streams = [Mux(wide, pair, one) for pair, one in zip(pairs, listed, strict=True)]
        columns = Mux(wide, number[1:], number)
        shift = word.column[:4]
        for bit in range(4):
            step = 1 << bit
            streams = [Mux(shift[bit], streams[p - step], streams[p]) for p in range(POSITIONS)]
        written = Signal(2 * POSITIONS)
        here, above = written[:POSITIONS], written[POSITIONS:]
        once = Signal(POSITIONS)
        m.d.comb += [
            written.eq(((1 << columns) - 1) << shift),
            self.lw.here.eq(here),
            self.lw.above.eq(above),
            once.eq(here | above),
            self.lw.used.eq(once | Mux(wide, once.rotate_left(8), 0)),
            self.lw.block.eq(word.column[4:]),
            self.lw.dtype.eq(word.dtype),
            self.lw.valid.eq(self.lw_issue.valid),
        ]
        m.d.comb += [self.lw.streams[p].eq(streams[p]) for p in range(POSITIONS)]

    def _abc(self, m):
        word = data.View(InstructionLayout(isa.Abc), self.abc_issue.word)
        m.d.comb += [
            Cat(self.abc.stream, self.abc.westward).eq(word.source),
            self.abc.dtype.eq(word.dtype),
            self.abc.hold.eq(word.hold),
            self.abc.count.eq(word.count),
            self.abc.valid.eq(self.abc_issue.valid),
        ]

    def _acc(self, m):
        word = data.View(InstructionLayout(isa.Acc), self.acc_issue.word)
        last_row = Signal(16)
        last_valid = Signal()
        m.d.sync += [last_row.eq(word.row), last_valid.eq(self.acc_issue.valid)]
        m.d.comb += [
            self.acc.row.eq(word.row),
            self.acc.take.eq(word.mode != AccMode.KEEP),
            self.acc.add.eq(word.mode == AccMode.ADD),
            self.acc.again.eq(last_valid & (last_row == word.row)),
            self.acc.emit.eq(word.emit),
            self.acc.dtype.eq(word.dtype),
            Cat(self.acc.stream, self.acc.westward).eq(word.target),
            self.acc.count.eq(word.count),
            self.acc.valid.eq(self.acc_issue.valid),
        ]
