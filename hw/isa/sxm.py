"""Instructions of the SXM slices: they move elements between lanes, and reduce across lanes.

An element is what the 1, 2 or 4 streams of a group carry in one lane; all bits of ``+0`` are 0.
"""

from typing import TYPE_CHECKING, Any

from tsp.hw.fault import FaultKind
from tsp.hw.isa import timing
from tsp.hw.isa.base import SG1, FieldEnum, Instruction, StreamGroup, Unit, field
from tsp.hw.isa.codecs import Choice, Group, Operand, Signed, Unsigned
from tsp.hw.isa.mxm import COUNTED
from tsp.hw.isa.rules import Rule, any_of

if TYPE_CHECKING:
    from tsp.hw.config import Config

_SOURCE = "stream group that is read"
_TARGET = "stream group that is driven"
_COUNT = Unsigned(10, high=512)


class SxmInstruction:
    """Common to all SXM instructions: they sample in one cycle and drive in another."""

    def samples(self: Any, config: "Config") -> tuple[tuple[StreamGroup, int], ...]:
        skew = self.timing(config).skew
        return tuple((group, skew) for group in self._read(config))

    def drives(self: Any, config: "Config") -> tuple[tuple[StreamGroup, int], ...]:
        func = self.timing(config).func
        return tuple((group, func) for group in self._driven(config))

    def _read(self, config):
        return (self.source,)

    def _driven(self, config):
        return (self.target,)


def _equal(one, other):
    """The rule that two fields are groups of the same size."""

    def says(_, i):
        a, b = getattr(i, one), getattr(i, other)
        return f"{other} must have the size of {one}, SG{a.size}, not {b!r}"

    def breaks(_, a, b):
        return a.log2 != b.log2

    doc = f"`{other}` has the same size as `{one}`"
    return Rule(FaultKind.DECODE, (one, other), breaks, says, everywhere=True, doc=doc)


def _all_there(name):
    """The rule that the core has one stream per lane of a superlane, from field `name` on."""

    def breaks(config, first):
        return first.first + config.lanes > config.streams

    def says(config, i):
        return _beyond(config, getattr(i, name), config.lanes, name)

    doc = f"from `{name}` on the core has one stream per lane of a superlane"
    return Rule(FaultKind.DECODE, (name,), breaks, says, doc=doc)


def _beyond(config, first, many, name):
    return (
        f"{name} must begin {many} streams within 0 to {config.streams - 1} of {config.name}, "
        f"not {first}; use a lower one or a config with more streams"
    )


class Shift(SxmInstruction, Instruction, unit=Unit.SXM, opcode=0x80, timing=timing.sxm_crossing):
    """Shift the lanes of the whole vector north by `amount`, or south if it is negative.

    Lane l of the result is lane l - `amount` of the source, or +0 if there is no such lane.
    """

    rules = (_equal("source", "target"),)

    source: StreamGroup = field(Group(), 8, _SOURCE)
    target: StreamGroup = field(Group(), 16, _TARGET)
    amount: int = field(Signed(10), 24, "lanes, north positive")


class SelectLanes(
    SxmInstruction,
    Instruction,
    unit=Unit.SXM,
    opcode=0x81,
    timing=timing.sxm_local,
    mnemonic="selectlanes",
):
    """Select, in the paper: in each lane `north` where the map is not 0, else `south`."""

    rules = (_equal("north", "south"), _equal("north", "target"))

    north: StreamGroup = field(Group(), 8, "stream group taken where the map is not 0")
    south: StreamGroup = field(Group(), 32, "stream group taken where the map is 0")
    map: StreamGroup = field(Group((1,)), 24, "stream of selections, one per lane")
    target: StreamGroup = field(Group(), 16, _TARGET)

    def _read(self, config):
        return self.north, self.south, self.map


class Permute(SxmInstruction, Instruction, unit=Unit.SXM, opcode=0x82, timing=timing.sxm_crossing):
    """Rearrange the lanes of the whole vector: lane l of the result is source lane map[l].

    A map need not be a permutation: it may name a lane twice, and a number beyond the lanes of the
    vector gives +0.
    """

    rules = (_equal("source", "target"),)

    source: StreamGroup = field(Group(), 8, _SOURCE)
    map: StreamGroup = field(Group((2,)), 24, "stream pair of source lanes, low byte first")
    target: StreamGroup = field(Group(), 16, _TARGET)

    def _read(self, config):
        return self.source, self.map


class Distribute(SxmInstruction, Instruction, unit=Unit.SXM, opcode=0x83, timing=timing.sxm_local):
    """Rearrange, replicate or zero lanes within each superlane.

    Lane l of the result is lane map[l] of the same superlane, whose lanes are counted from 0.
    A number beyond the lanes of a superlane gives +0. Lanes of the vector from `count` on are +0.
    """

    rules = (_equal("source", "target"), COUNTED)

    source: StreamGroup = field(Group(), 8, _SOURCE)
    map: StreamGroup = field(Group((1,)), 24, "stream of source lanes; 255 gives +0")
    target: StreamGroup = field(Group(), 16, _TARGET)
    count: int = field(_COUNT, 32, "valid lanes (beyond the paper)")

    def _read(self, config):
        return self.source, self.map


class Rotate(SxmInstruction, Instruction, unit=Unit.SXM, opcode=0x84, timing=timing.sxm_local):
    """All rotations of the first n x n lanes of each superlane, on n x n streams.

    Stream ``target + j`` carries in lane l the source lane (l + j) mod n x n of the superlane;
    lanes from n x n on are +0. The number of `target` is a multiple of 4.
    """

    rules = (
        Rule(
            FaultKind.DECODE,
            ("size",),
            lambda config, size: any_of((size == n) for n in (3, 4) if n * n > config.lanes),
            lambda config, i: (
                f"size must be n for n x n of the {config.lanes} lanes that a superlane of "
                f"{config.name} has, not {i.size}; use a config with more lanes"
            ),
            when=lambda config: config.lanes < 16,
            doc="a superlane has n x n lanes",
        ),
        Rule(
            FaultKind.DECODE,
            ("target", "size"),
            lambda config, target, size: any_of(
                (size == n) & (target.first + n * n > config.streams) for n in (3, 4)
            ),
            lambda config, i: _beyond(config, i.target, i.size**2, "target"),
            doc="from `target` on the core has n x n streams",
        ),
    )

    source: StreamGroup = field(Group((1,)), 8, _SOURCE)
    target: StreamGroup = field(Group((1,), step=4), 16, "first of the streams that are driven")
    size: int = field(Unsigned(3, low=3, high=4), 24, "n")

    def _driven(self, config):
        return _streams(self.target, self.size**2)


class Transpose(SxmInstruction, Instruction, unit=Unit.SXM, opcode=0x85, timing=timing.sxm_local):
    """Transpose as many streams as a superlane has lanes, within each superlane.

    Lane j of stream ``target + i`` is lane i of stream ``source + j``.
    The numbers of `source` and `target` are multiples of 4.
    """

    rules = (_all_there("source"), _all_there("target"))

    source: StreamGroup = field(Group((1,), step=4), 8, "first of the streams that are read")
    target: StreamGroup = field(Group((1,), step=4), 16, "first of the streams that are driven")

    def _read(self, config):
        return _streams(self.source, config.lanes)

    def _driven(self, config):
        return _streams(self.target, config.lanes)


class ReduceKind(FieldEnum):
    """What Reduce computes across lanes."""

    MAX = 0
    SUM = 1


class Reduce(
    SxmInstruction, Instruction, unit=Unit.SXM, opcode=0x86, timing=timing.sxm_reduce, paper=False
):
    """The maximum or sum of the first `count` lanes, fp32, on every lane.

    ``max``: -0 is below +0; NaN if any of the lanes is NaN; -infinity if `count` is 0.
    ``sum``: each addition is rounded to nearest even, in a fixed order: within a superlane adjacent
    lanes are added, then adjacent pairs, and so on; then superlane by superlane from south to
    north. Lanes from `count` on add +0, whatever they hold.
    A companion, if there is one, is delayed by the same latency.
    """

    rules = (
        Rule(
            FaultKind.DECODE,
            ("companion", "companion_target"),
            lambda _, one, other: one.form != other.form,
            lambda _, i: (
                "companion and companion_target must be groups of the same size, or both none, "
                f"not {i.companion!r} and {i.companion_target!r}"
            ),
            everywhere=True,
            doc="`companion` and `companion_target` are groups of the same size, or both none",
        ),
        COUNTED,
    )

    source: StreamGroup = field(Group((4,)), 8, _SOURCE)
    target: StreamGroup = field(Group((4,)), 16, _TARGET)
    companion: object = field(
        Operand(optional=True, group_only=True), 24, "stream group that is delayed", default=None
    )
    companion_target: object = field(
        Operand(optional=True, group_only=True), 34, "stream group on which it leaves", default=None
    )
    kind: ReduceKind = field(Choice(ReduceKind, 1), 44, "max or sum")
    count: int = field(_COUNT, 45, "valid lanes")

    def _read(self, config):
        return (self.source,) if self.companion is None else (self.source, self.companion)

    def _driven(self, config):
        target, other = self.target, self.companion_target
        return (target,) if other is None else (target, other)


class Broadcast(
    SxmInstruction,
    Instruction,
    unit=Unit.SXM,
    opcode=0x87,
    timing=timing.sxm_crossing,
    paper=False,
):
    """The element of one lane on every lane of the vector."""

    rules = (
        _equal("source", "target"),
        Rule(
            FaultKind.ADDRESS,
            ("lane",),
            lambda config, lane: lane >= config.vector,
            lambda config, i: (
                f"lane must be 0 to {config.vector - 1} on {config.name}, not {i.lane}"
            ),
            when=lambda config: config.vector < 512,
            doc="`lane` is below the number of lanes in a vector",
        ),
    )

    source: StreamGroup = field(Group(), 8, _SOURCE)
    target: StreamGroup = field(Group(), 16, _TARGET)
    lane: int = field(Unsigned(9), 24, "lane that is broadcast")


def _streams(first, many):
    """`many` single streams from `first` on."""
    return tuple(SG1(first.direction, first.index + i) for i in range(many))
