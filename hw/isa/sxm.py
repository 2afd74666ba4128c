"""Instructions of the SXM slices: they move elements between lanes, and reduce over them.

An element is what the 1, 2 or 4 streams of a group carry in one lane; ``+0`` has all its bits 0.
"""

from tsp.hw.isa import timing
from tsp.hw.isa.base import SG1, EncodingError, FieldEnum, Instruction, Unit, field
from tsp.hw.isa.codecs import Choice, Group, Operand, Signed, Unsigned

_SOURCE = "stream group that is read"
_TARGET = "stream group that is driven"
_COUNT = Unsigned(10, high=512)


class SxmInstruction:
    """What all SXM instructions can say of themselves."""

    def reads(self, config):
        """The stream groups that are sampled, all in the same cycle."""
        return (self.source,)

    def drives(self, config):
        """The stream groups that are driven, all in the same cycle."""
        return (self.target,)

    def fits(self, config):
        """Whether a core of `config` has the lanes and streams for it."""
        return True

    def _equal(self, one, other):
        a, b = getattr(self, one), getattr(self, other)
        if a.size != b.size:
            raise EncodingError(
                f"{self.mnemonic} {other} must have the size of {one}, SG{a.size}, not {b!r}"
            )


class Shift(SxmInstruction, Instruction, unit=Unit.SXM, opcode=0x80, timing=timing.sxm_crossing):
    """Shift the lanes of the whole vector north by `amount`, south if it is negative.

    Lane l of the result is lane l - `amount` of the source, +0 if there is no such lane.
    """

    source: object = field(Group(), 8, _SOURCE)
    target: object = field(Group(), 16, _TARGET)
    amount: int = field(Signed(10), 24, "lanes, north positive")

    def validate(self):
        self._equal("source", "target")


class SelectLanes(
    SxmInstruction,
    Instruction,
    unit=Unit.SXM,
    opcode=0x81,
    timing=timing.sxm_local,
    mnemonic="selectlanes",
):
    """The paper's Select: per lane, `north` where the map is not 0, else `south`."""

    north: object = field(Group(), 8, "stream group taken where the map is not 0")
    south: object = field(Group(), 32, "stream group taken where the map is 0")
    map: object = field(Group((1,)), 24, "stream of selections, one per lane")
    target: object = field(Group(), 16, _TARGET)

    def validate(self):
        self._equal("north", "south")
        self._equal("north", "target")

    def reads(self, config):
        return self.north, self.south, self.map


class Permute(SxmInstruction, Instruction, unit=Unit.SXM, opcode=0x82, timing=timing.sxm_crossing):
    """Rearrange the lanes of the whole vector: lane l of the result is source lane map[l].

    Any map will do, also one that names a lane twice; a number without a lane gives +0.
    """

    source: object = field(Group(), 8, _SOURCE)
    map: object = field(Group((2,)), 24, "stream pair of source lanes, little end first")
    target: object = field(Group(), 16, _TARGET)

    def validate(self):
        self._equal("source", "target")

    def reads(self, config):
        return self.source, self.map


class Distribute(SxmInstruction, Instruction, unit=Unit.SXM, opcode=0x83, timing=timing.sxm_local):
    """Rearrange, replicate or zero lanes inside each superlane.

    Lane l of the result is lane map[l] of the same superlane, which counts its lanes from 0.
    A number without a lane gives +0, and so do lanes of the vector from `count` on.
    """

    source: object = field(Group(), 8, _SOURCE)
    map: object = field(Group((1,)), 24, "stream of source lanes; 255 gives +0")
    target: object = field(Group(), 16, _TARGET)
    count: int = field(_COUNT, 32, "valid lanes (beyond the paper)")

    def validate(self):
        self._equal("source", "target")

    def reads(self, config):
        return self.source, self.map


class Rotate(SxmInstruction, Instruction, unit=Unit.SXM, opcode=0x84, timing=timing.sxm_local):
    """All rotations of the first n x n lanes of each superlane, on n x n streams.

    Stream ``target + j`` carries in lane l the source lane (l + j) mod n x n of the superlane;
    lanes from n x n on are +0. The number of `target` is a multiple of 4.
    A core with fewer lanes a superlane, or without all the streams, decodes it to nothing.
    """

    source: object = field(Group((1,)), 8, _SOURCE)
    target: object = field(Group((1,), step=4), 16, "first of the streams that are driven")
    size: int = field(Unsigned(3, low=3, high=4), 24, "n")

    def drives(self, config):
        return _streams(self.target, self.size**2)

    def fits(self, config):
        many = self.size**2
        return many <= config.lanes and self.target.first + many <= config.streams


class Transpose(SxmInstruction, Instruction, unit=Unit.SXM, opcode=0x85, timing=timing.sxm_local):
    """Transpose as many streams as a superlane has lanes, inside each superlane.

    Lane j of stream ``target + i`` is lane i of stream ``source + j``.
    The numbers of both are multiples of 4, and a core must have all the streams.
    """

    source: object = field(Group((1,), step=4), 8, "first of the streams that are read")
    target: object = field(Group((1,), step=4), 16, "first of the streams that are driven")

    def reads(self, config):
        return _streams(self.source, config.lanes)

    def drives(self, config):
        return _streams(self.target, config.lanes)

    def fits(self, config):
        return max(self.source.first, self.target.first) + config.lanes <= config.streams


class ReduceKind(FieldEnum):
    """What Reduce computes across lanes."""

    MAX = 0
    SUM = 1


class Reduce(
    SxmInstruction, Instruction, unit=Unit.SXM, opcode=0x86, timing=timing.sxm_reduce, paper=False
):
    """The maximum or sum of the first `count` lanes, fp32, on every lane.

    ``max``: -0 is below +0; NaN if any of the lanes is; -inf if there are none.
    ``sum``: each addition is rounded to nearest even, in a fixed order: inside a superlane the
    sums of adjacent lanes, then of adjacent pairs, and so on; then superlane by superlane from
    south to north. Lanes from `count` on add +0, whatever they hold.
    A companion, if there is one, is delayed by the same latency.
    """

    source: object = field(Group((4,)), 8, _SOURCE)
    target: object = field(Group((4,)), 16, _TARGET)
    companion: object = field(
        Operand(optional=True, group_only=True), 24, "stream group that is delayed", None
    )
    companion_target: object = field(
        Operand(optional=True, group_only=True), 34, "stream group on which it leaves", None
    )
    kind: ReduceKind = field(Choice(ReduceKind, 1), 44, "max or sum")
    count: int = field(_COUNT, 45, "valid lanes")

    def validate(self):
        if (self.companion is None) != (self.companion_target is None):
            raise EncodingError(
                "reduce needs companion and companion_target, or neither, "
                f"not {self.companion!r} and {self.companion_target!r}"
            )
        if self.companion is not None:
            self._equal("companion", "companion_target")

    def reads(self, config):
        return (self.source,) if self.companion is None else (self.source, self.companion)

    def drives(self, config):
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
    """One lane's element on every lane of the vector."""

    source: object = field(Group(), 8, _SOURCE)
    target: object = field(Group(), 16, _TARGET)
    lane: int = field(Unsigned(9), 24, "lane that is broadcast")

    def validate(self):
        self._equal("source", "target")


def _streams(first, many):
    """`many` single streams from `first` on."""
    return tuple(SG1(first.direction, first.index + i) for i in range(many))
