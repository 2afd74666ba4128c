"""The check by which ``tsp asm`` runs a program on the golden model."""

from tsp.sim.asm import format_instruction
from tsp.sim.checks import ProgramError
from tsp.sim.golden import model
from tsp.sim.suspects import suspects


def refuse_faults(program, lines, progress=None):
    """Run a program on the golden model.

    Parameters
    ----------
    program : Program
    lines : dict
        The number of the line of every place, as :func:`~tsp.sim.asm.parse_source` gives it.
    progress : callable, optional
        As that of :func:`tsp.sim.golden.model.run`.

    Raises
    ------
    ProgramError
        If there is a fault; the message has its kind, slice and cycle, and the lines of the
        instructions that can have committed it.
    """
    fault = model.run(program, progress=progress).fault
    if fault is None:
        return
    found = sorted(suspects(program, fault), key=lines.get)
    named = [f"line {lines[place]}: {_text(program, place)}" for place in found]
    where = f" ({'; '.join(named)})" if named else ""
    raise ProgramError(
        f"the golden model runs {program.name} into a fault: {fault}{where}; "
        "use --no-check to assemble it anyway"
    )


def _text(program, place):
    name, index = place
    return format_instruction(program.queues[name][index])
