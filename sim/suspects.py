"""Which instructions of a program can have committed a fault, for a message that names them."""

from tsp.hw.fault import FaultKind
from tsp.hw.isa import Nop, Repeat
from tsp.sim.listing import timeline
from tsp.sim.program import Program
from tsp.sim.result import Fault


def suspects(program: Program, fault: Fault) -> list[tuple[str, int]]:
    """``(queue name, index of the instruction)`` of all that can have committed `fault`.

    They are the instructions of the faulting slice that issue, sample or drive in its cycle,
    depending on the kind of fault. A conflict names one of the slices that share a stop, but any of
    them may have caused it. A repetition counts as the instruction that it repeats. The list is
    empty if the fault comes after the end of the program.

    Parameters
    ----------
    program : Program
    fault : tsp.sim.result.Fault
    """
    found, plan = [], program.config.floorplan
    where, shared = plan.slice(fault.slice), fault.kind is FaultKind.CONFLICT
    for name, instructions in program.queues.items():
        queue = plan.queue(name)
        if queue.slice != where and not (shared and queue.stop == where.stop):
            continue
        own = 0, instructions[0]
        for number, (cycles, i) in enumerate(timeline(instructions)):
            if not isinstance(i, Repeat):
                own = number, i
            moments = _moments(program.config, own[1], fault.kind)
            if any(fault.cycle - after in cycles for after in moments):
                found.append((name, own[0]))
    return found


def _moments(config, instruction, kind):
    """Cycles after its issue in which an instruction can commit a fault of that kind."""
    if isinstance(instruction, Nop):
        return set()
    if kind in (FaultKind.DECODE, FaultKind.ADDRESS):
        return {0}
    stands, times = instruction.stands(config), instruction.timing(config)
    if kind is FaultKind.CONFLICT:
        return {after for _, after in instruction.drives(config)} | {stands} - {None}
    # What it takes comes on streams, from dot products or from an ALU, which may be late.
    late = 0 if stands is None else stands - times.func
    skew = 1 if times.skew is None else times.skew
    return {after for _, after in instruction.samples(config)} | {skew, skew + late}
