"""The instruction queues: the issues of each cycle, and the words that are trapped instead."""

from tsp.hw.isa import Nop, Notify, Repeat, Sync, refusal


def issues(config, queue, instructions):
    """``(cycle, instruction, value, fault)`` of everything that `queue` issues, in order.

    `value` is the strided field after the strides of a Repeat, modulo its width as in hardware.
    `fault` is the kind of fault that the queue raises instead of issuing, or None.
    A NOP appears in its last cycle and has no value; the barrier does not appear.
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
                last, value, fault = last
                strided = last.strided if stride else None
                modulus = 1 << last.field(strided).width if strided else 1
                for cycle in range(now - 1 + interval, now + count * interval, interval):
                    if strided:
                        value = (value + stride) % modulus
                        fault = _fault(config, queue, last, value)
                    yield cycle, last, value, fault
                now, last = now + count * interval, None
            case _:
                strided = instruction.strided
                value = getattr(instruction, strided) if strided else 0
                fault = _fault(config, queue, instruction)
                yield now, instruction, value, fault
                now, last = now + 1, (instruction, value, fault)


def _fault(config, queue, instruction, value=None):
    found = refusal(instruction, config, queue, value)
    return found and found.kind
