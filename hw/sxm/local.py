"""SXM operations within a superlane: distribute, select, rotate, transpose."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tsp.hw import isa

KINDS = {op: op.opcode & 7 for op in (isa.Distribute, isa.SelectLanes, isa.Rotate, isa.Transpose)}
"""What an operation is called inside a unit: the low bits of its opcode."""


class LocalWord(wiring.Component):
    """One of the words that an operation inside a superlane drives.

    Latency
    -------
    1 cycle. The word stays until the next.

    Parameters
    ----------
    lanes : int

    Members
    -------
    enable : In(1)
        There is an operation that drives this word.
    number : In(4)
        Which word this is, counted from the operation's first quad.
    kind : In(3)
        The operation, one of ``KINDS``.
    three : In(1)
        Rotate 3 x 3 lanes, not 4 x 4.
    kept : In(lanes)
        Lanes that a Distribute does not zero.
    rows : In(8 * lanes).array(lanes)
        The source: a quad, or as many words as there are lanes.
    map : In(8 * lanes)
    source, south : In(8 * lanes)
        What this word is made of where words do not mix.
    word : Out(8 * lanes)
    """

    COMMON = ("kind", "three", "kept", "rows", "map")

    def __init__(self, *, lanes):
        self.lanes, bits = lanes, 8 * lanes
        super().__init__(
            {
                "enable": In(1),
                "number": In(4),
                "kind": In(3),
                "three": In(1),
                "kept": In(lanes),
                "rows": In(bits).array(lanes),
                "map": In(bits),
                "source": In(bits),
                "south": In(bits),
                "word": Out(bits),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes = self.lanes
        choice = Signal(8 * lanes)
        word = Signal(8 * lanes, reset_less=True)
        with m.Switch(self.kind):
            with m.Case(KINDS[isa.Distribute]):
                for lane, (part, index) in enumerate(
                    zip(_bytes(choice), _bytes(self.map), strict=True)
                ):
                    inside = (index < lanes) & self.kept[lane]
                    byte = Array(_bytes(self.source))[index[: (lanes - 1).bit_length()]]
                    m.d.comb += part.eq(Mux(inside, byte, 0))
            with m.Case(KINDS[isa.SelectLanes]):
                for part, pick, north, south in zip(
                    *map(_bytes, (choice, self.map, self.source, self.south)), strict=True
                ):
                    m.d.comb += part.eq(Mux(pick.any(), north, south))
            with m.Case(KINDS[isa.Transpose]):
                for part, row in zip(_bytes(choice), self.rows, strict=True):
                    m.d.comb += part.eq(row.word_select(self.number, 8))
            if lanes >= 9:
                with m.Case(KINDS[isa.Rotate]):
                    turned = [self._rotated(n * n) for n in (3, 4)]
                    m.d.comb += choice.eq(Mux(self.three, *turned))
        with m.If(self.enable):
            m.d.sync += word.eq(choice)
        m.d.comb += self.word.eq(word)
        return m

    def _rotated(self, many):
        """The first `many` lanes of the source, rotated by this word's number."""
        part = self.rows[0][: 8 * many]
        return (Cat(part, part) >> (self.number << 3))[: 8 * many]


def _bytes(word):
    return [word[at : at + 8] for at in range(0, len(word), 8)]
