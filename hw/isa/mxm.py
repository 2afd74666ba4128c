"""Instructions of the MXM planes; LW, IW, ABC and ACC each have a queue per plane."""

from typing import TYPE_CHECKING

from tsp.hw.fault import FaultKind
from tsp.hw.isa import timing
from tsp.hw.isa.base import DType, FieldEnum, Instruction, StreamGroup, Unit, field
from tsp.hw.isa.codecs import Choice, Flag, Group, StreamList, Unsigned
from tsp.hw.isa.rules import Rule

if TYPE_CHECKING:
    from tsp.hw.config import Config

STORAGE = (DType.INT8, DType.FP8_E4M3, DType.FP8_E5M2, DType.FP16)
EMITTED = (DType.FP16, DType.INT32, DType.FP32)
_COUNT = Unsigned(10, high=512)

COUNTED = Rule(
    FaultKind.ADDRESS,
    ("count",),
    lambda config, count: count > config.vector,
    lambda config, i: (
        f"count must be 0 to {config.vector}, which are the lanes of {config.name}, not {i.count}"
    ),
    when=lambda config: config.vector < 512,
    doc="`count` is at most the number of lanes in a vector",
)
"""A count of lanes is at most the number of lanes in a vector."""

_EIGHT_BITS = Rule(
    FaultKind.DECODE,
    ("dtype",),
    lambda config, dtype: dtype != DType.INT8,
    lambda config, i: (
        f"dtype must be int8 on the int8 datapath of {config.name}, not {i.dtype.name.lower()}; "
        "use int8 or a config with datapath fp16"
    ),
    when=lambda config: config.datapath == "int8",
    doc="`dtype` is int8 on an int8 datapath",
)


class AccMode(FieldEnum):
    """What ACC does with the accumulator row."""

    WRITE = 0
    ADD = 1
    KEEP = 2


class Lw(Instruction, unit=Unit.LW, opcode=0x20, timing=timing.lw, strided="column"):
    """Load weight columns from streams into the spare buffer.

    Lane k of a column's stream carries W[k, n].
    An 8-bit format takes one stream per column: stream i of the list carries column ``column + i``.
    fp16 takes two: streams 2i (low byte) and 2i + 1 (high byte) carry column ``column + i``.
    """

    rules = (
        Rule(
            FaultKind.DECODE,
            ("dtype", "streams"),
            lambda _, dtype, streams: (dtype == DType.FP16) & (streams.length & 1),
            lambda _, i: f"streams must come in pairs for fp16, not {len(i.streams)}",
            everywhere=True,
            doc="`streams` has an even number of streams for fp16",
        ),
        _EIGHT_BITS,
        Rule(
            FaultKind.ADDRESS,
            ("column", "dtype", "streams"),
            lambda config, column, dtype, streams: (
                column + (streams.length >> (dtype == DType.FP16)) > config.vector
            ),
            lambda config, i: (
                f"columns must be within 0 to {config.vector - 1} of {config.name}, "
                f"not {i.column} to {i.column + i.columns - 1}"
            ),
            doc="the last column is below the number of lanes in a vector",
        ),
    )

    column: int = field(Unsigned(9), 8, "first column n")
    dtype: DType = field(Choice(DType, 3, STORAGE), 17, "format of the weights")
    streams: tuple = field(StreamList(), 20, "streams, in the order of the columns' bytes")

    @property
    def columns(self) -> int:
        """Columns that this instruction loads."""
        return len(self.streams) // self.dtype.bytes

    def samples(self, config: "Config") -> tuple[tuple[StreamGroup, int], ...]:
        return tuple((stream, timing.LW_SAMPLE) for stream in self.streams)


class Iw(Instruction, unit=Unit.IW, opcode=0x21, timing=timing.iw):
    """Install the spare buffer in the array, superlane by superlane along the wave.

    Every column of the buffer must have been loaded since reset.
    """


class Abc(Instruction, unit=Unit.ABC, opcode=0x22, timing=timing.abc):
    """Stream one activation vector into the array and start its dot products.

    Lanes from `count` on contribute nothing, whatever they and their weights hold.
    """

    rules = (
        Rule(
            FaultKind.DECODE,
            ("source", "dtype"),
            lambda _, source, dtype: (source.log2 == 1) != (dtype == DType.FP16),
            lambda _, i: (
                f"source must be SG{i.dtype.bytes} for {i.dtype.name.lower()}, not {i.source!r}"
            ),
            everywhere=True,
            doc="`source` has as many streams as `dtype` has bytes",
        ),
        _EIGHT_BITS,
        COUNTED,
    )

    source: StreamGroup = field(
        Group((1, 2)), 8, "stream group of the vector; not sampled with hold"
    )
    dtype: DType = field(Choice(DType, 3, STORAGE), 16, "format of the vector")
    hold: bool = field(
        Flag(), 19, "use the previous vector again (beyond the paper)", default=False
    )
    count: int = field(_COUNT, 20, "valid lanes (beyond the paper)")

    def samples(self, config: "Config") -> tuple[tuple[StreamGroup, int], ...]:
        return () if self.hold else ((self.source, timing.ABC_SAMPLE),)


class Acc(Instruction, unit=Unit.ACC, opcode=0x23, timing=timing.acc, strided="row"):
    """Write or add the dot products to an accumulator row, and optionally emit its new value.

    ``keep`` takes no dot products and leaves the row unchanged; it emits the row once more.
    Emitting rounds once, to nearest even. Lanes from `count` on emit +0.
    """

    rules = (
        Rule(
            FaultKind.DECODE,
            ("emit", "target", "dtype"),
            lambda _, emit, target, dtype: emit & ((target.log2 == 1) != (dtype == DType.FP16)),
            lambda _, i: (
                f"target must be SG{i.dtype.bytes} for {i.dtype.name.lower()}, not {i.target!r}"
            ),
            everywhere=True,
            doc="`target` has as many streams as `dtype` has bytes, if `emit` is set",
        ),
        Rule(
            FaultKind.DECODE,
            ("mode", "emit"),
            lambda _, mode, emit: (mode == AccMode.KEEP) & (emit == 0),
            lambda _, i: "with mode keep must emit, or it does nothing",
            everywhere=True,
            doc="`emit` is set if `mode` is keep",
        ),
        COUNTED,
        Rule(
            FaultKind.ADDRESS,
            ("row",),
            lambda config, row: row >= config.acc_rows,
            lambda config, i: (
                f"row must be 0 to {config.acc_rows - 1} on {config.name}, not {i.row}; "
                "use a lower one or a config with more acc_rows"
            ),
            doc="`row` is below `acc_rows`",
        ),
    )

    row: int = field(Unsigned(16), 8, "accumulator row")
    mode: AccMode = field(Choice(AccMode, 2), 24, "write, add, or keep")
    emit: bool = field(Flag(), 26, "drive the row's new value", default=False)
    dtype: DType = field(Choice(DType, 3, EMITTED), 27, "format emitted", default=DType.FP32)
    target: StreamGroup = field(Group((2, 4)), 30, "stream group that is driven, with emit")
    count: int = field(_COUNT, 38, "valid lanes (beyond the paper)")

    def drives(self, config: "Config") -> tuple[tuple[StreamGroup, int], ...]:
        return ((self.target, timing.acc_emit(config)),) if self.emit else ()
