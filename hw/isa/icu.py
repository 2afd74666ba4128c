"""Instructions of the instruction control unit, legal in every queue."""

from tsp.hw.isa import timing
from tsp.hw.isa.base import Instruction, StreamGroup, Unit, field
from tsp.hw.isa.codecs import Flag, Group, Signed, Unsigned


class Nop(Instruction, unit=Unit.ICU, opcode=0x01):
    """Issue nothing for `count` cycles."""

    count: int = field(Unsigned(16, low=1), 8, "cycles the queue waits", default=1)


class Repeat(Instruction, unit=Unit.ICU, opcode=0x02):
    """Issue the previous instruction `count` times more, `interval` cycles apart.

    A Repeat takes no issue slot: after an instruction issued in cycle t the repetitions issue in
    t + interval, t + 2 interval, ..., and the next instruction one cycle after the last of them.
    Repetition i adds i x `stride` to the strided field of the instruction, if it has one.
    A Repeat may follow any instruction of the queue's own unit, but none of the ICU's.
    """

    count: int = field(Unsigned(16, low=1), 8, "repetitions beyond the first issue")
    interval: int = field(Unsigned(16, low=1), 24, "cycles between repetitions", default=1)
    stride: int = field(
        Signed(16), 40, "added each time to the strided field (beyond the paper)", default=0
    )


class Sync(Instruction, unit=Unit.ICU, opcode=0x03):
    """Park the queue until a Notify releases the barrier."""


class Notify(Instruction, unit=Unit.ICU, opcode=0x04, timing=timing.notify):
    """Release the barrier for every parked queue, and for this one."""


class Ifetch(Instruction, unit=Unit.ICU, opcode=0x05, executed=False):
    """Append the instructions that arrive on a stream to this queue."""

    stream: StreamGroup = field(Group((1,)), 8, "stream that carries the instruction words")


class Config(Instruction, unit=Unit.ICU, opcode=0x06, executed=False, mnemonic="config"):
    """Set the power state of one superlane."""

    superlane: int = field(Unsigned(5), 8, "superlane that is switched")
    on: bool = field(Flag(), 13, "1: powered, 0: low power")
