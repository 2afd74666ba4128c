"""Instructions of the MXM planes; LW, IW, ABC and ACC each have a queue per plane."""

from tsp.hw.isa import timing
from tsp.hw.isa.base import DType, EncodingError, FieldEnum, Instruction, Unit, field
from tsp.hw.isa.codecs import Choice, Flag, Group, StreamList, Unsigned

STORAGE = (DType.INT8, DType.FP8_E4M3, DType.FP8_E5M2, DType.FP16)
EMITTED = (DType.FP16, DType.INT32, DType.FP32)
_COUNT = Unsigned(10, high=512)


class AccMode(FieldEnum):
    """What ACC does with the accumulator row."""

    WRITE = 0
    ADD = 1
    KEEP = 2


class Lw(Instruction, unit=Unit.LW, opcode=0x20, timing=timing.lw, strided="column"):
    """Load weight columns from streams into the spare buffer.

    Lane k of a column's stream carries W[k, n].
    An 8-bit format takes one stream per column: stream i of the list is column ``column + i``.
    fp16 takes two: streams 2i (low byte) and 2i + 1 (high byte) are column ``column + i``.
    """

    column: int = field(Unsigned(9), 8, "first column n")
    dtype: DType = field(Choice(DType, 3, STORAGE), 17, "format of the weights")
    streams: tuple = field(StreamList(), 20, "streams, in the order of the columns' bytes")

    def validate(self):
        if len(self.streams) % self.dtype.bytes:
            raise EncodingError(f"lw streams must come in pairs for fp16, not {len(self.streams)}")

    @property
    def columns(self):
        """Columns that this instruction loads."""
        return len(self.streams) // self.dtype.bytes


class Iw(Instruction, unit=Unit.IW, opcode=0x21, timing=timing.iw):
    """Install the spare buffer in the array, superlane by superlane along the wave.

    Every column of the buffer must have been loaded since reset.
    """


class Abc(Instruction, unit=Unit.ABC, opcode=0x22, timing=timing.abc):
    """Stream one activation vector into the array and start its dot products.

    Lanes from `count` on contribute nothing, whatever they and their weights hold.
    """

    source: object = field(Group((1, 2)), 8, "stream group of the vector; not read with hold")
    dtype: DType = field(Choice(DType, 3, STORAGE), 16, "format of the vector")
    hold: bool = field(Flag(), 19, "use the previous vector again (beyond the paper)", False)
    count: int = field(_COUNT, 20, "valid lanes (beyond the paper)")

    def validate(self):
        if self.source.size != self.dtype.bytes:
            raise EncodingError(
                f"abc source must be SG{self.dtype.bytes} for {self.dtype.name.lower()}, "
                f"not {self.source!r}"
            )


class Acc(Instruction, unit=Unit.ACC, opcode=0x23, timing=timing.acc, strided="row"):
    """Write or add the dot products to an accumulator row, and emit the row's new value or not.

    ``keep`` takes no dot products and leaves the row as it is; with `emit` it emits it again.
    Emitting rounds once, to nearest even. Lanes from `count` on emit +0.
    """

    row: int = field(Unsigned(16), 8, "accumulator row")
    mode: AccMode = field(Choice(AccMode, 2), 24, "write, add, or keep")
    emit: bool = field(Flag(), 26, "drive the row's new value", False)
    dtype: DType = field(Choice(DType, 3, EMITTED), 27, "format emitted", DType.FP32)
    target: object = field(Group((2, 4)), 30, "stream group that is driven when emitting")
    count: int = field(_COUNT, 38, "valid lanes (beyond the paper)")

    def validate(self):
        if self.emit and self.target.size != self.dtype.bytes:
            raise EncodingError(
                f"acc target must be SG{self.dtype.bytes} for {self.dtype.name.lower()}, "
                f"not {self.target!r}"
            )
        if self.mode is AccMode.KEEP and not self.emit:
            raise EncodingError("acc with mode keep must emit, or it does nothing")
