"""The path of weights from the streams to the supercells of one tile."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tsp.hw.mxm.ops import POSITIONS, LwOp
from tsp.hw.mxm.taps import arriving, valid_bits
from tsp.hw.stream import StreamRow


class WeightLoader(wiring.Component):
    """The multiplexers that take up to 16 streams a cycle for one tile.

    Latency
    -------
    An operation on `op` in cycle t is on `north` in t + 1, where the streams are sampled;
    `words`, `write` and `dtype` stand in t + 2.

    Parameters
    ----------
    config : Config

    Members
    -------
    op : In(LwOp)
    north : Out(LwOp)
    east, west : In(StreamRow)
    words : Out(8 * lanes).array(16)
        What each position's multiplexer sampled. The column at position p has its low byte in
        word p and, for fp16, its high byte in word ``(p + 8) % 16``.
    write : Out(lanes).array(superlanes)
        Columns of each supercell to which the words are to be written now.
    dtype : Out(3)
    invalid : Out(1)
        A stream sampled in the last cycle carried nothing.
    """

    def __init__(self, config):
        self.config = config
        row = In(StreamRow(config.lanes, config.streams))
        super().__init__(
            {
                "op": In(LwOp),
                "north": Out(LwOp),
                "east": row,
                "west": row,
                "words": Out(8 * config.lanes).array(POSITIONS),
                "write": Out(config.lanes).array(config.superlanes),
                "dtype": Out(3),
                "invalid": Out(1),
            }
        )

    @property
    def positions(self):
        """Positions whose multiplexer this configuration can use."""
        columns = set(range(min(POSITIONS, self.config.vector)))
        if self.config.datapath == "fp16":
            columns |= {(p + 8) % POSITIONS for p in columns}
        return sorted(columns)

    def elaborate(self, platform):
        m = Module()
        op, lanes = self.north, self.config.lanes
        m.d.sync += [op.eq(self.op), self.dtype.eq(op.dtype)]

        valid = valid_bits(m, self)
        missing = Signal(POSITIONS)
        with m.If(op.valid | self.invalid):
            m.d.sync += self.invalid.eq(op.valid & (missing & op.used).any())
        for p in self.positions:
            m.d.comb += missing[p].eq(~valid.bit_select(op.streams[p], 1))
            with m.If(op.valid), m.Switch(op.streams[p]):
                for code, word in arriving(self):
                    with m.Case(code):
                        m.d.sync += self.words[p].eq(word)

        for j, write in enumerate(self.write):
            block, first = divmod(j * lanes, POSITIONS)
            here = Mux(op.block == block, op.here, 0)
            above = Mux(op.block + 1 == block, op.above, 0)
            m.d.sync += write.eq(Mux(op.valid, here | above, 0)[first : first + lanes])
        return m


def column_words(words, column):
    """The low and the high word of absolute column number `column`."""
    return words[column % POSITIONS], words[(column + 8) % POSITIONS]
