"""The instruction queues: what issues when, and what is trapped instead."""

from tsp.hw.fault import FaultKind
from tsp.hw.isa import (
    Abc,
    Acc,
    Alu,
    Broadcast,
    Distribute,
    DType,
    Lw,
    Nop,
    Notify,
    Reduce,
    Repeat,
    StreamGroup,
    Sync,
    Unit,
)


def issues(config, queue, instructions):
    """``(cycle, instruction, value, fault)`` of everything that `queue` issues, in order.

    `value` is the strided field after the strides of a Repeat, modulo its width as in hardware.
    `fault` is the kind that the queue traps instead of issuing, or None.
    A NOP stands in its last cycle and has no value; the barrier does not appear.
    """
    now, last = 0, None
    for instruction in instructions:
        match instruction:
            case Sync() | Notify():
                now, last = 0, None
            case Nop(count=count):
                now, last = now + count, None
                yield now - 1, instruction, None, None
            case Repeat(count=count, interval=interval, stride=stride) if last:
                last, value, modulus, undecodable, limit = last
                for cycle in range(now - 1 + interval, now + count * interval, interval):
                    value = (value + stride) % modulus
                    yield cycle, last, value, undecodable or _beyond(value, limit)
                now, last = now + count * interval, None
            case _:
                value, modulus = _strided(instruction)
                undecodable = None if decodes(config, queue, instruction) else FaultKind.DECODE
                limit = _limit(config, instruction)
                yield now, instruction, value, undecodable or _beyond(value, limit)
                now, last = now + 1, (instruction, value, modulus, undecodable, limit)


def decodes(config, queue, instruction):
    """Whether `queue` of a core of `config` executes `instruction` at all."""
    if not instruction.executed or instruction.unit is Unit.ICU:
        return False
    if instruction.special and not queue.special:
        return False
    for info in instruction.fields():
        match getattr(instruction, info.name):
            case StreamGroup() as group:
                groups = (group,)
            case tuple() as groups:
                pass
            case Alu(index=index) if index >= config.alus:
                return False
            case _:
                continue
        if any(group.first >= config.streams for group in groups):
            return False
    if instruction.unit is Unit.SXM:
        return instruction.fits(config)
    if isinstance(instruction, Lw | Abc) and config.datapath == "int8":
        return instruction.dtype is DType.INT8
    return True


def _strided(instruction):
    """The value of the strided field, or 0 if there is none, and the modulus of its strides."""
    if instruction.strided is None:
        return 0, 1
    width = instruction.field(instruction.strided).width
    return getattr(instruction, instruction.strided), 1 << width


def _limit(config, instruction):
    """The largest legal value of the strided field; below 0 if another field is out of range."""
    counted = isinstance(instruction, Abc | Acc | Distribute | Reduce)
    if counted and instruction.count > config.vector:
        return -1
    if isinstance(instruction, Broadcast) and instruction.lane >= config.vector:
        return -1
    match instruction:
        case Lw():
            return config.vector - instruction.columns
        case Acc():
            return config.acc_rows - 1
    return config.bank_words - 1 if instruction.unit is Unit.MEM else 0


def _beyond(value, limit):
    return FaultKind.ADDRESS if value > limit else None
