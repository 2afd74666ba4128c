"""Who uses what whom made: from issue to issue, by streams, ALU outputs and dot products.

Such a flow takes a fixed number of cycles, so that what it joins is rigid. What waits in memory, in
an accumulator or as weights does not flow; see :mod:`~tsp.sim.schedule.dependences`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tsp.hw.isa import AccMode, Alu, Instruction, Unit, timing
from tsp.sim.schedule.columns import Runs, streams_of


@dataclass(frozen=True)
class Flows:
    """One entry for every word, result or sum that somebody uses; issues are numbered in order.

    Members
    -------
    maker, user : ndarray
        Issues.
    hops : ndarray
        Stops that a word travels; 0 for what does not leave its slice.
    drive : ndarray
        Which drive of the maker's instruction it is; -1 for what does not leave its slice.
    stream : ndarray
        Number of the stream; -1 for what does not leave its slice.
    """

    maker: np.ndarray
    user: np.ndarray
    hops: np.ndarray
    drive: np.ndarray
    stream: np.ndarray


def flows(runs: Runs) -> Flows:
    """All flows between the issues of some runs."""
    parts = [_words(runs), *_results(runs), *_sums(runs)]
    return Flows(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _words(runs):
    """A word flows from the nearest driver upstream on its diagonal."""
    plan, ends = runs.config.floorplan, _Ends()
    stops = np.array([queue.stop for queue in plan.queues])
    for issue, cycle, queue, instruction in by_kind(runs):
        stop = stops[queue]
        for drives, flowing in enumerate((instruction.samples, instruction.drives)):
            for number, (group, after) in enumerate(flowing(runs.config)):
                for stream in streams_of(group):
                    east = group.direction == "E"
                    at = stop if east else plan.stops - 1 - stop
                    ends.add(issue, stream, cycle + after - at, at, drives, number)
    issue, stream, diagonal, at, drives, number = ends.sorted()
    last = np.maximum.accumulate(np.where(drives == 1, np.arange(len(issue)), -1))
    used = np.flatnonzero((drives == 0) & (last >= 0))
    made = last[used]
    met = (stream[used] == stream[made]) & (diagonal[used] == diagonal[made])
    used, made = used[met], made[met]
    return issue[made], issue[used], at[used] - at[made], number[made], stream[made]


class _Ends:
    """Where words are driven and sampled, in the order in which they meet."""

    def __init__(self):
        self._parts = []

    def add(self, issue, stream, diagonal, at, drives, number):
        size = len(issue)
        constant = [np.full(size, value) for value in (drives, number)]
        self._parts.append([issue, np.full(size, stream), diagonal, at, *constant])

    def sorted(self):
        columns = [
            np.concatenate(part) if self._parts else np.empty(0, int)
            for part in zip(*self._parts, strict=True)
        ] or [np.empty(0, int)] * 6
        _, stream, diagonal, at, drives, _ = columns
        # A stop samples what arrives, and drives over it in the same cycle.
        order = np.lexsort((drives, at, diagonal, stream))
        return [column[order] for column in columns]


def _results(runs):
    """An ALU's result is used in the very cycle in which it stands."""
    made, used = [], []
    for issue, cycle, queue, instruction in by_kind(runs):
        if instruction.unit is not Unit.VXM:
            continue
        ports = _ports(runs)[queue]
        made.append((issue, ports, cycle + instruction.stands(runs.config)))
        skew = instruction.timing(runs.config).skew
        for name in instruction.reads:
            operand = getattr(instruction, name)
            if isinstance(operand, Alu):
                after = skew + instruction.wait * instruction.is_late(name)
                used.append((issue, np.full(len(issue), operand.index), cycle + after))
    yield _met(made, used)


def _sums(runs):
    """Dot products are taken in the very cycle in which they stand at the accumulators."""
    made, used = [], []
    stands = timing.array_latency(runs.config)
    for issue, cycle, queue, instruction in by_kind(runs):
        plane = _planes(runs)[queue]
        if instruction.unit is Unit.ABC:
            made.append((issue, plane, cycle + stands))
        elif instruction.unit is Unit.ACC and instruction.mode is not AccMode.KEEP:
            used.append((issue, plane, cycle + timing.ACC_SAMPLE))
    yield _met(made, used)


def _met(made, used):
    """Flows from what was made to what is used at the same place in the same cycle."""
    nothing = np.empty(0, int)
    if not made or not used:
        return (nothing,) * 5
    maker, place, cycle = (np.concatenate(column) for column in zip(*made, strict=True))
    user, wanted, when = (np.concatenate(column) for column in zip(*used, strict=True))
    low = min(cycle.min(), when.min())
    span = max(cycle.max(), when.max()) - low + 1
    key, sought = place * span + cycle - low, wanted * span + when - low
    order = np.argsort(key, kind="stable")
    at = np.searchsorted(key[order], sought).clip(max=len(key) - 1)
    found = order[at]
    met = key[found] == sought
    maker, user = maker[found[met]], user[met]
    stays = np.full(len(maker), -1)
    return maker, user, stays + 1, stays, stays


def by_kind(
    runs: Runs,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, Instruction]]:
    """``(issues, cycles, queues, instruction)`` of all runs that differ in the strided field only.

    The first three are arrays with an entry an issue.
    """
    base = np.cumsum(runs.count) - runs.count
    instructions, kind = runs.kinds()
    order = np.argsort(kind, kind="stable")
    edges = np.searchsorted(kind[order], np.arange(len(instructions) + 1))
    for number, instruction in enumerate(instructions):
        chosen = order[edges[number] : edges[number + 1]]
        run, nth, cycle = runs.issues(chosen)
        yield base[run] + nth, cycle, runs.queue[run], instruction


def _ports(runs):
    return np.array([queue.port for queue in runs.config.floorplan.queues])


def _planes(runs):
    """A number for the plane of every queue, which all queues of a plane share."""
    return np.array([q.slice.index * 8 + q.port for q in runs.config.floorplan.queues])
