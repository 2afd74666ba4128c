"""Instructions of the MEM slices; one queue per bank."""

from tsp.hw.isa import timing
from tsp.hw.isa.base import Instruction, Unit, field
from tsp.hw.isa.codecs import Group, Unsigned

_ADDRESS = "word address in the bank"


class Read(Instruction, unit=Unit.MEM, opcode=0x10, timing=timing.mem_read, strided="address"):
    """Load the vector at `address` onto `stream`."""

    address: int = field(Unsigned(16), 8, _ADDRESS)
    stream: object = field(Group((1,)), 24, "stream that is driven")


class Write(Instruction, unit=Unit.MEM, opcode=0x11, timing=timing.mem_write, strided="address"):
    """Store the vector on `stream` at `address`."""

    address: int = field(Unsigned(16), 8, _ADDRESS)
    stream: object = field(Group((1,)), 24, "stream that is sampled")


class Gather(Instruction, unit=Unit.MEM, opcode=0x12, executed=False):
    """Indirect read: each superlane loads from the address in its own map word."""

    stream: object = field(Group((1,)), 24, "stream that is driven")
    map: object = field(Group((1,)), 32, "stream of addresses: lanes 0 and 1, little end first")


class Scatter(Instruction, unit=Unit.MEM, opcode=0x13, executed=False):
    """Indirect write: each superlane stores to the address in its own map word."""

    stream: object = field(Group((1,)), 24, "stream that is sampled")
    map: object = field(Group((1,)), 32, "stream of addresses: lanes 0 and 1, little end first")
