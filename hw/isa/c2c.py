"""Instructions of the chip-to-chip links, which this core decodes and traps."""

from tsp.hw.isa.base import Instruction, StreamGroup, Unit, field
from tsp.hw.isa.codecs import Group, Unsigned

_LINK = Unsigned(4)


class Send(Instruction, unit=Unit.C2C, opcode=0xC0, executed=False):
    """Send the vector on a stream over a link."""

    stream: StreamGroup = field(Group((1,)), 8, "stream that is sampled")
    link: int = field(_LINK, 16, "link")


class Receive(Instruction, unit=Unit.C2C, opcode=0xC1, executed=False):
    """Drive the next vector received on a link onto a stream."""

    stream: StreamGroup = field(Group((1,)), 8, "stream that is driven")
    link: int = field(_LINK, 16, "link")


class Deskew(Instruction, unit=Unit.C2C, opcode=0xC2, executed=False):
    """Wait for the next epoch of the aligned counter."""
