"""The listing: the instructions of every queue with their cycles."""

from collections.abc import Iterable, Iterator

from tsp.hw.isa import Instruction, Nop, Notify, Repeat, Sync
from tsp.sim.asm import format_instruction
from tsp.sim.program import Program


def listing(program: Program) -> str:
    """The listing of a program as text.

    Cycle 0 is the first issue after the barrier. A NOP is listed with the cycles that it waits, a
    Repeat with the cycles in which it issues: ``4..10 by 2`` is 4, 6, 8 and 10.
    """
    config = program.config
    lines = [f"; {program.name} on {config.name}: {program.cycles} cycles"]
    for name, instructions in program.queues.items():
        rows = [(_cycles(c), format_instruction(i)) for c, i in timeline(instructions)]
        width = max((len(cycles) for cycles, _ in rows), default=0)
        lines += ["", f"{name}: {len(rows)} of {config.queue_depth} instructions"]
        lines += [f"  {cycles:>{width}}  {text}" for cycles, text in rows]
    return "\n".join(lines) + "\n"


def timeline(instructions: Iterable[Instruction]) -> Iterator[tuple[range, Instruction]]:
    """``(cycles, instruction)`` for all instructions of a queue; `cycles` is a range.

    The barrier has no cycles: its range is empty.
    """
    now = 0
    for instruction in instructions:
        match instruction:
            case Sync() | Notify():
                now = 0
                yield range(0), instruction
                continue
            case Nop(count=count):
                cycles = range(now, now + count)
            case Repeat(count=count, interval=interval):
                cycles = range(now - 1 + interval, now + count * interval, interval)
            case _:
                cycles = range(now, now + 1)
        yield cycles, instruction
        now = cycles[-1] + 1


def _cycles(cycles):
    match len(cycles):
        case 0:
            return "barrier"
        case 1:
            return str(cycles[0])
    by = f" by {cycles.step}" if cycles.step > 1 else ""
    return f"{cycles[0]}..{cycles[-1]}{by}"
