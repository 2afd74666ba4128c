"""What a view shows, as one payload: see the page on views for the format."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from tsp.hw.isa import Unit
from tsp.sim.program import Named, Program
from tsp.sim.schedule.columns import Runs
from tsp.sim.schedule.idle import PlaneCycles, plane_cycles
from tsp.sim.schedule.reasons import KINDS, critical_path, reasons
from tsp.sim.view.container import Column, pack
from tsp.sim.view.operations import operations
from tsp.sim.view.templates import Templates
from tsp.sim.view.values import BUDGET, values

VERSION = 1


@dataclass(frozen=True)
class View:
    """What a view shows of one program.

    Members
    -------
    program : Program
    payload : bytes
    until : int or None
        The cycle from which on the view has no values, because they would make it too large.
    spent : dict
        Cycles of the critical path by what they were spent on; their sum is the program's.
    planes : list of PlaneCycles
        Where the cycles of every plane went.
    """

    program: Program
    payload: bytes
    until: int | None
    spent: dict[str, int]
    planes: list[PlaneCycles]


def view_data(
    program: Program,
    *,
    with_values: bool = True,
    budget: int = BUDGET,
    measured: int | None = None,
    fault: str | None = None,
    ideal: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> View:
    """What a view shows of a program.

    Parameters
    ----------
    program : Program
    with_values : bool
        Whether to run it on the golden model, and show what every drive carried.
    budget : int
        Compressed bytes of values that are kept at most; those of later cycles are left out.
    measured : int, optional
        Cycles that a run took.
    fault : str, optional
        With which it ended; that of the golden model, if nothing is given and it was run.
    ideal : int, optional
        Cycles of the same work if every plane were busy in every cycle.
    progress : callable, optional
        Called with (cycles done, cycles in all) while the golden model runs.
    """
    placed = operations(program)
    runs = Runs.of(program.config, placed)
    found = reasons(program.config, placed)
    path, spent = critical_path(placed, found)
    strings, templates = Strings(), Templates(program.config)
    planes = plane_cycles(runs, found, program.cycles)
    columns = _runs(runs, templates) | _operations(placed, found, strings)
    kept = values(program, runs, budget, progress) if with_values else None
    if kept:
        columns |= _values(kept)
        fault = fault or (str(kept.fault) if kept.fault else None)
    header = {
        "version": VERSION,
        "name": program.name,
        "config": _config(program.config),
        "cycles": program.cycles,
        "measured": measured,
        "fault": fault,
        "ideal": ideal,
        "values": kept and {"words": len(kept.words), "until": kept.until},
        "slices": _slices(program.config),
        "queues": _queues(program.config),
        "templates": templates.found,
        "tensors": _tensors(program),
        "strings": strings.found,
        "reason_kinds": list(KINDS),
        "path": path,
        "path_cycles": spent,
        "planes": [asdict(plane) for plane in planes],
    }
    until = kept.until if kept else None
    return View(program, pack(header, columns), until, spent, planes)


class Strings:
    """Texts, each once."""

    def __init__(self):
        self.found = []
        self._numbers = {}

    def number(self, text: str) -> int:
        """The index of a text."""
        if text not in self._numbers:
            self._numbers[text] = len(self.found)
            self.found.append(text)
        return self._numbers[text]


def _runs(runs, templates):
    """The columns of runs."""
    numbers = [templates.number(instruction) for instruction in runs.instructions]
    return {
        "run.queue": Column(runs.queue, "u16"),
        "run.template": Column(np.array(numbers, int), "u32"),
        "run.operation": Column(runs.operation, "i32", delta=True),
        "run.start": Column(runs.start, "i32", delta=True),
        "run.count": Column(runs.count, "u32"),
        "run.interval": Column(runs.interval, "u32"),
        "run.stride": Column(runs.stride, "i32"),
        "run.value": Column(runs.value, "i32", delta=True),
    }


def _values(kept):
    """The columns of values."""
    return {
        "word.bytes": Column(kept.words.ravel(), "u8"),
        "drive.word": Column(kept.drive, "i32", delta=True),
        "run.drive": Column(kept.first, "u32", delta=True),
    }


def _operations(placed, found, strings):
    """The columns of operations and their reasons."""
    number = strings.number
    return {
        "op.name": Column([number(operation.name) for operation, _ in placed], "u32"),
        "op.start": Column([start for _, start in placed], "i32", delta=True),
        "op.end": Column([start + operation.end for operation, start in placed], "i32", delta=True),
        "op.first": Column([s + operation.first for operation, s in placed], "i32", delta=True),
        "op.reason": Column([KINDS.index(reason.kind) for reason in found], "u8"),
        "op.holder": Column([reason.holder for reason in found], "i32", delta=True),
        "op.resource": Column([number(reason.resource) for reason in found], "u32"),
        "op.cycle": Column([reason.cycle for reason in found], "i32", delta=True),
        "op.slack": Column([reason.slack for reason in found], "i32"),
    }


def _config(config):
    return config.as_dict() | {
        "vector": config.vector,
        "stops": config.floorplan.stops,
        "planes": sum(q.unit is Unit.ABC for q in config.floorplan.queues),
    }


def _slices(config):
    return [
        {
            "name": found.name,
            "kind": found.kind,
            "hemisphere": found.hemisphere and found.hemisphere.value,
            "stop": found.stop,
        }
        for found in config.floorplan.slices
    ]


def _queues(config):
    return [
        {
            "name": queue.name,
            "unit": queue.unit.value,
            "slice": queue.slice.index,
            "port": queue.port,
            "stop": queue.stop,
        }
        for queue in config.floorplan.queues
    ]


def _tensors(program):
    """Who owns which words; of a program that does not know, the image and the outputs."""
    number = {queue.name: queue.index for queue in program.config.floorplan.queues}
    tensors = program.tensors or [
        *(Named("", "input", b.slice, b.bank, b.address, len(b.data)) for b in program.image),
        *(Named("", "output", r.slice, r.bank, r.address, r.words) for r in program.outputs),
    ]
    return [
        {
            "name": tensor.name,
            "role": tensor.role,
            "bank": number[f"{tensor.slice}.{tensor.bank}"],
            "address": tensor.address,
            "words": tensor.words,
        }
        for tensor in tensors
    ]
