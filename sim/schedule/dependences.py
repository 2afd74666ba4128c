"""Who must wait for whom because of what is kept: words, accumulator rows, weights.

A dependence is between an issue and the nearest one before it that touches the same place, and it
has a slack: by how many cycles the later one could be sooner. What flows on streams is no matter
of this file; see :mod:`~tsp.sim.schedule.flows`.
"""

from dataclasses import dataclass

import numpy as np

from tsp.hw.isa import AccMode, Unit, timing
from tsp.sim.schedule.columns import Runs
from tsp.sim.schedule.flows import by_kind

WORD, SUMS, WEIGHTS, REUSE, ROW, BUFFER, ARRAY = KINDS = (
    *("word", "sums", "weights"),
    *("reuse", "row", "buffer", "array"),
)
"""Of dependences. The first three are operands: a word that is read, an accumulator row, weights.
The others are places that are still in use: a word, an accumulator row, the weights of a plane that
wait in its buffer, or those at work."""


@dataclass(frozen=True)
class Dependence:
    """Why an operation cannot start sooner than `slack` cycles before it does.

    Members
    -------
    kind : str
        One of :data:`KINDS`.
    place : tuple
        ``(queue, address)`` of a word, ``(queue, row)`` of an accumulator, ``(queue, None)`` of a
        plane's weights; the queue is that of the holder.
    holder : int
        The operation that must come before.
    cycle : int
        In which the holder issues what must come before.
    slack : int
    """

    kind: str
    place: tuple
    holder: int
    cycle: int
    slack: int


def dependences(runs: Runs) -> dict[int, Dependence]:
    """Of every operation that has any, the dependence with the least slack.

    Only those count whose holder has a lower number, which means that it was placed before.
    """
    found: dict[int, Dependence] = {}
    touched = {"memory": _words(runs), "accumulators": _rows(runs), "planes": _planes(runs)}
    for where, later, earlier, kind, least in _RULES:
        _note(found, runs, touched[where], later, earlier, kind, least)
    return found


_OF_PLANES = (WEIGHTS, BUFFER, ARRAY)
_RULES = (
    ("memory", "read", "write", WORD, 1),
    ("accumulators", "read", "write", SUMS, 1),
    ("planes", "iw", "lw", WEIGHTS, timing.LW_BUFFER),
    ("planes", "abc", "iw", WEIGHTS, timing.IW_INSTALL - timing.ABC_SAMPLE),
    ("memory", "write", "read", REUSE, 1),
    ("memory", "write", "write", REUSE, 1),
    ("accumulators", "write", "read", ROW, 1),
    ("accumulators", "write", "write", ROW, 1),
    ("planes", "lw", "iw", BUFFER, timing.IW_INSTALL - timing.LW_BUFFER),
    ("planes", "iw", "abc", ARRAY, 1 + timing.ABC_SAMPLE - timing.IW_INSTALL),
)
"""Where, what comes after what there, the kind, and at least how many cycles after, from issue to
issue. Of dependences of one slack the first is taken: operands before places that are in use."""


@dataclass(frozen=True)
class _Touches:
    """Issues that touch places, sorted by place and time, and what each does there."""

    place: np.ndarray
    cycle: np.ndarray
    run: np.ndarray
    address: np.ndarray
    does: dict[str, np.ndarray]


def _note(found, runs, touched, later, earlier, kind, least):
    """Note the dependences of those that do `later` on the nearest that did `earlier`."""
    before = _before(touched, touched.does[earlier])
    index = np.flatnonzero(touched.does[later] & (before >= 0))
    other = before[index]
    mine, theirs = runs.operation[touched.run[index]], runs.operation[touched.run[other]]
    counts = theirs < mine
    index, other, mine, theirs = index[counts], other[counts], mine[counts], theirs[counts]
    slack = touched.cycle[index] - touched.cycle[other] - least
    order = np.lexsort((-touched.cycle[other], slack, mine))
    first = order[np.flatnonzero(np.diff(mine[order], prepend=-1))]
    for n in first:
        operation, at = int(mine[n]), int(other[n])
        if operation not in found or slack[n] < found[operation].slack:
            queue = runs.config.floorplan.queues[runs.queue[touched.run[at]]]
            address = None if kind in _OF_PLANES else int(touched.address[at])
            found[operation] = Dependence(
                kind, (queue.name, address), int(theirs[n]), int(touched.cycle[at]), int(slack[n])
            )


def _before(touched, which):
    """Index of the nearest before each, at its place, of those that `which` has; -1: none."""
    index = np.arange(len(which))
    last = np.maximum.accumulate(np.where(which, index, -1)) if len(which) else index
    last = np.concatenate([[-1], last])[:-1]
    same = (last >= 0) & (touched.place[last] == touched.place)
    return np.where(same, last, -1)


def _touches(parts, span):
    """Touches from ``(major, address, cycle, run, does, acts)``; addresses are below `span`.

    The last is how many cycles after its issue an instruction touches the place.
    """
    if not parts:
        empty = np.empty(0, int)
        return _Touches(empty, empty, empty, empty, _Nothing())
    names = {name: None for part in parts for name in part[4]}
    major, address, cycle, run = (np.concatenate([part[n] for part in parts]) for n in range(4))
    place = major * span + address
    acts = np.concatenate([part[2] + part[5] for part in parts])
    order = np.lexsort((acts, place))
    does = _Nothing()
    for name in names:
        flags = [np.full(len(part[0]), name in part[4]) for part in parts]
        does[name] = np.concatenate(flags)[order]
    return _Touches(place[order], cycle[order], run[order], address[order], does)


class _Nothing(dict):
    """Flags by what is done; nobody does what is not there."""

    def __missing__(self, name):
        size = max((len(flags) for flags in self.values()), default=0)
        return np.zeros(size, bool)


def _words(runs):
    """Every access to memory."""
    return _chosen(runs, {Unit.MEM: lambda i: (i.mnemonic,)}, runs.config.bank_words)


def _rows(runs):
    """Every access to accumulators."""
    does = {
        AccMode.WRITE: ("write",),
        AccMode.ADD: ("read", "write"),
        AccMode.KEEP: ("read",),
    }
    return _chosen(runs, {Unit.ACC: lambda i: does[i.mode]}, runs.config.acc_rows)


def _planes(runs):
    """Everything that loads, installs or uses weights; all of a plane is one place."""
    units = dict.fromkeys((Unit.LW, Unit.IW, Unit.ABC), lambda i: (i.mnemonic,))
    return _chosen(runs, units, 0)


# Weights are in the buffer at the end of their cycle, are installed at the beginning of one, and
# meet what is sampled in its middle.
_ACTS = {
    Unit.LW: timing.LW_BUFFER + 0.75,
    Unit.IW: timing.IW_INSTALL + 0.25,
    Unit.ABC: timing.ABC_SAMPLE + 0.5,
}


def _chosen(runs, units, span):
    """Touches of the instructions of some units; without a span the places are planes."""
    base = np.repeat(np.arange(len(runs)), runs.count)
    nth = np.arange(len(base)) - (np.cumsum(runs.count) - runs.count)[base]
    queues = runs.config.floorplan.queues
    plane = np.array([queue.slice.index * 8 + queue.port for queue in queues])
    parts = []
    for issue, cycle, queue, instruction in by_kind(runs):
        if instruction.unit not in units:
            continue
        run = base[issue]
        address = (runs.value[run] + nth[issue] * runs.stride[run]) % (1 << 16)
        major = queue if span else plane[queue]
        does, acts = units[instruction.unit](instruction), _ACTS.get(instruction.unit, 0)
        parts.append((major, address if span else address * 0, cycle, run, does, acts))
    return _touches(parts, 1 << 16)
