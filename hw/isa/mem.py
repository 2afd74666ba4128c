"""Instructions of the MEM slices; one queue per bank."""

from typing import TYPE_CHECKING

from tsp.hw.fault import FaultKind
from tsp.hw.isa import timing
from tsp.hw.isa.base import Instruction, StreamGroup, Unit, field
from tsp.hw.isa.codecs import Group, Unsigned
from tsp.hw.isa.rules import Rule

if TYPE_CHECKING:
    from tsp.hw.config import Config

_ADDRESS = "word address in the bank"

_IN_BANK = Rule(
    FaultKind.ADDRESS,
    ("address",),
    lambda config, address: address >= config.bank_words,
    lambda config, i: (
        f"address must be 0 to {config.bank_words - 1} on {config.name}, not {i.address}; "
        "use a lower one or a config with more bank_words"
    ),
    when=lambda config: config.bank_words < 1 << 16,
    doc="`address` is below `bank_words`",
)


class Read(Instruction, unit=Unit.MEM, opcode=0x10, timing=timing.mem_read, strided="address"):
    """Load the vector at `address` onto `stream`."""

    rules = (_IN_BANK,)

    address: int = field(Unsigned(16), 8, _ADDRESS)
    stream: StreamGroup = field(Group((1,)), 24, "stream that is driven")

    def drives(self, config: "Config") -> tuple[tuple[StreamGroup, int], ...]:
        return ((self.stream, timing.MEM_READ),)


class Write(Instruction, unit=Unit.MEM, opcode=0x11, timing=timing.mem_write, strided="address"):
    """Store the vector on `stream` at `address`."""

    rules = (_IN_BANK,)

    address: int = field(Unsigned(16), 8, _ADDRESS)
    stream: StreamGroup = field(Group((1,)), 24, "stream that is sampled")

    def samples(self, config: "Config") -> tuple[tuple[StreamGroup, int], ...]:
        return ((self.stream, timing.MEM_SAMPLE),)


class Gather(Instruction, unit=Unit.MEM, opcode=0x12, executed=False):
    """Indirect read: each superlane loads from the address in its own map word."""

    stream: StreamGroup = field(Group((1,)), 24, "stream that is driven")
    map: StreamGroup = field(Group((1,)), 32, "stream of addresses: lanes 0 and 1, low byte first")


class Scatter(Instruction, unit=Unit.MEM, opcode=0x13, executed=False):
    """Indirect write: each superlane stores to the address in its own map word."""

    stream: StreamGroup = field(Group((1,)), 24, "stream that is sampled")
    map: StreamGroup = field(Group((1,)), 32, "stream of addresses: lanes 0 and 1, low byte first")
