"""Where the cycles of every plane went: at work, or waiting for what."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tsp.hw.isa import Unit
from tsp.sim.schedule.columns import Runs
from tsp.sim.schedule.reasons import CHOICE, Reason

_WAITS = {
    "weights": "weights",
    "buffer": "weights",
    "array": "planes",
    "word": "operands",
    "flow": "operands",
    "stream": "operands",
    "result": "operands",
    "reuse": "banks",
    "sums": "accumulators",
    "row": "accumulators",
    "start": CHOICE,
}
_SLOTS = {
    Unit.MEM: "banks",
    Unit.LW: "weights",
    Unit.IW: "weights",
    Unit.ABC: "planes",
    Unit.ACC: "accumulators",
}
IDLE = ("fill", "drain", "pace", "unused", *dict.fromkeys((*_WAITS.values(), *_SLOTS.values())))
"""What a plane waits for: its first row, the end after its last; the pace of an operation, of which
a row comes every few cycles only; nothing, ever; or what the next operation waited for, which may
be another plane, or the planner's choice. Inside an operation it waits for weights if some are
installed."""


@dataclass(frozen=True)
class PlaneCycles:
    """The cycles of a plane: `busy` with a vector issued, and `idle` by what it waited for."""

    name: str
    busy: int
    idle: dict[str, int]


def plane_cycles(runs: Runs, found: Sequence[Reason], cycles: int) -> list[PlaneCycles]:
    """The cycles of every plane of a program of so many cycles.

    Parameters
    ----------
    runs : Runs
        With the numbers of their operations.
    found : sequence of Reason
        Of every operation.
    """
    queues = [q for q in runs.config.floorplan.queues if q.unit is Unit.ABC]
    return [_cycles_of(runs, queue, found, cycles) for queue in queues]


def _cycles_of(runs, queue, found, cycles):
    name = queue.name.removesuffix(".ABC")
    iw = runs.config.floorplan.queue(f"{name}.IW")
    run, _, cycle = runs.issues(np.flatnonzero(runs.queue == queue.index))
    if not len(cycle):
        return PlaneCycles(name, 0, {"unused": cycles})
    order = np.argsort(cycle, kind="stable")
    cycle, operation = cycle[order], runs.operation[run[order]]
    idle = defaultdict(int)
    idle["fill"], idle["drain"] = int(cycle[0]), int(cycles - 1 - cycle[-1])
    gap = np.diff(cycle) - 1
    installs = np.sort(runs.issues(np.flatnonzero(runs.queue == iw.index))[2])
    for before in np.flatnonzero(gap > 0):
        waited, now = int(gap[before]), operation[before + 1]
        if now == operation[before] or now < 0:
            installed = np.searchsorted(installs, cycle[before : before + 2], side="right")
            idle["weights" if installed[0] < installed[1] else "pace"] += waited
            continue
        reason = found[now]
        chosen = min(waited, reason.slack)
        idle[CHOICE] += chosen
        idle[_waits(runs.config, reason)] += waited - chosen
    busy = len(np.unique(cycle))
    return PlaneCycles(name, busy, {kind: n for kind, n in idle.items() if n})


def _waits(config, reason):
    if reason.kind != "issue":
        return _WAITS[reason.kind]
    queue = config.floorplan.queue(reason.resource.rpartition(" ")[2])
    return _SLOTS.get(queue.unit, "operands")
