"""Instructions of the SXM slices. They decode, and this core traps them."""

from tsp.hw.isa.base import FieldEnum, Instruction, Unit, field
from tsp.hw.isa.codecs import Choice, Group, Signed, Unsigned

_SOURCE = "stream group that is read"
_TARGET = "stream group that is driven"
_COUNT = Unsigned(10, high=512)


class Shift(Instruction, unit=Unit.SXM, opcode=0x80, executed=False):
    """Shift lanes north by `amount`, south if it is negative."""

    source: object = field(Group(), 8, _SOURCE)
    target: object = field(Group(), 16, _TARGET)
    amount: int = field(Signed(10), 24, "lanes, north positive")


class SelectLanes(Instruction, unit=Unit.SXM, opcode=0x81, executed=False, mnemonic="selectlanes"):
    """The paper's Select: per lane, the shifted (north or south) or the unshifted stream."""

    north: object = field(Group(), 8, "stream group taken where the map says 1")
    south: object = field(Group(), 16, "stream group taken where the map says 0")
    map: object = field(Group((1,)), 24, "stream of selections, one per lane")
    target: object = field(Group(), 32, _TARGET)


class Permute(Instruction, unit=Unit.SXM, opcode=0x82, executed=False):
    """Rearrange all lanes by a map of source lanes."""

    source: object = field(Group(), 8, _SOURCE)
    map: object = field(Group((2,)), 16, "stream pair of source lanes, little end first")
    target: object = field(Group(), 24, _TARGET)


class Distribute(Instruction, unit=Unit.SXM, opcode=0x83, executed=False):
    """Rearrange, replicate or zero lanes inside each superlane."""

    source: object = field(Group(), 8, _SOURCE)
    map: object = field(Group((1,)), 16, "stream of source lanes; 255 gives +0")
    target: object = field(Group(), 24, _TARGET)
    count: int = field(_COUNT, 32, "valid lanes (beyond the paper)")


class Rotate(Instruction, unit=Unit.SXM, opcode=0x84, executed=False):
    """All rotations of n x n input lanes onto n^2 output streams."""

    source: object = field(Group((1,)), 8, _SOURCE)
    target: object = field(Group((1,)), 16, "first of the streams that are driven")
    size: int = field(Unsigned(3, low=3, high=4), 24, "n")


class Transpose(Instruction, unit=Unit.SXM, opcode=0x85, executed=False):
    """Transpose 16 streams x 16 lanes inside each superlane."""

    source: object = field(Group((1,)), 8, "first of 16 streams that are read")
    target: object = field(Group((1,)), 16, "first of 16 streams that are driven")


class ReduceKind(FieldEnum):
    """What Reduce computes across lanes."""

    MAX = 0
    SUM = 1


class Reduce(Instruction, unit=Unit.SXM, opcode=0x86, executed=False, paper=False):
    """The maximum or sum of all lanes, fp32, on every lane; a companion keeps step."""

    source: object = field(Group((4,)), 8, _SOURCE)
    target: object = field(Group((4,)), 16, _TARGET)
    companion: object = field(Group(), 24, "stream group delayed by the same latency")
    companion_target: object = field(Group(), 32, "stream group on which it leaves")
    kind: ReduceKind = field(Choice(ReduceKind, 1), 40, "max or sum")
    count: int = field(_COUNT, 41, "valid lanes")


class Broadcast(Instruction, unit=Unit.SXM, opcode=0x87, executed=False, paper=False):
    """One lane's element on every lane."""

    source: object = field(Group(), 8, _SOURCE)
    target: object = field(Group(), 16, _TARGET)
    lane: int = field(Unsigned(9), 24, "lane that is broadcast")
