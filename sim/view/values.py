"""What every drive of a program carried, from the golden model."""

import zlib
from array import array
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tsp.sim.golden.model import Model
from tsp.sim.program import Program, issue_cycles
from tsp.sim.result import Fault
from tsp.sim.schedule.columns import WORDS, Runs, number_of, streams_of
from tsp.sim.schedule.flows import by_kind

BUDGET = 4 << 20
"""Compressed bytes of values that a view holds, unless it is told otherwise."""

UNKNOWN = -1


@dataclass(frozen=True)
class Values:
    """The words that a program drives.

    Members
    -------
    words : ndarray
        uint8 (words, vector): those that differ.
    drive : ndarray
        int64: for every issue in the order of runs, every drive of its instruction and every
        stream of the group, low byte first, which of the words it is; :data:`UNKNOWN` where none
        was driven, or none kept.
    first : ndarray
        int64, by run: where those of its first issue stand in `drive`.
    until : int or None
        The cycle from which on none are kept, because they would take more than the budget.
    fault : Fault or None
        With which the golden model ended, if it came to the end.
    """

    words: np.ndarray
    drive: np.ndarray
    first: np.ndarray
    until: int | None
    fault: Fault | None


def values(
    program: Program,
    runs: Runs,
    budget: int = BUDGET,
    progress: Callable[[int, int], object] | None = None,
) -> Values:
    """Run a program on the golden model, and keep what it drives.

    Parameters
    ----------
    program : Program
    runs : Runs
        All that it issues.
    budget : int
        Compressed bytes after which the run is left.
    progress : callable, optional
        Called now and then with the cycles done and the cycles in all.
    """
    recorder = _Recorder(program)
    total = max(map(issue_cycles, program.queues.values()), default=0)
    until = None
    while recorder.fault is None and recorder.busy:
        if recorder.now % 64 == 0:
            if progress:
                progress(min(recorder.now, total), total)
            if recorder.size() > budget:
                until = recorder.now
                break
        recorder.step()
    fault = recorder.fault
    drive, first = _by_issue(runs, recorder, fault.cycle + 1 if fault else until)
    words = np.frombuffer(b"".join(recorder.distinct), np.uint8)
    words = words.reshape(len(recorder.distinct), program.config.vector)
    return Values(words, drive, first, until, fault)


class _Recorder(Model):
    """A golden model that keeps what is driven: cycle, queue, stream and word, entry by entry."""

    def __init__(self, program):
        super().__init__(program)
        self.distinct: dict[bytes, int] = {}
        self.cycle, self.queue_of, self.stream, self.word = (array("q") for _ in range(4))
        self._packer, self._kept = zlib.compressobj(6), 0

    def size(self):
        """Compressed bytes of the words that differ."""
        self._kept += len(self._packer.flush(zlib.Z_SYNC_FLUSH))
        return self._kept

    def drive(self, delay, queue, group, words):
        super().drive(delay, queue, group, words)
        cycle, first = self.now + delay, number_of(group.direction, group.first)
        for stream, word in enumerate(words.reshape(group.size, -1), first):
            content = word.tobytes()
            number = self.distinct.setdefault(content, len(self.distinct))
            if number == len(self.distinct) - 1:
                self._kept += len(self._packer.compress(content))
            self.cycle.append(cycle)
            self.queue_of.append(queue.index)
            self.stream.append(stream)
            self.word.append(number)


def _by_issue(runs, recorder, until):
    """The words in the order of runs, and where those of each run begin."""
    cycle, queue, stream, word = (
        np.frombuffer(column, np.int64) if len(column) else np.empty(0, np.int64)
        for column in (recorder.cycle, recorder.queue_of, recorder.stream, recorder.word)
    )
    if until is not None:
        early = cycle < until
        cycle, queue, stream, word = cycle[early], queue[early], stream[early], word[early]
    queues = len(runs.config.floorplan.queues)

    def key(cycle, queue, stream):
        return (cycle * queues + queue) * 2 * WORDS + stream

    known = key(cycle, queue, stream)
    order = np.argsort(known, kind="stable")
    known, word = known[order], word[order]
    instructions, kind = runs.kinds()
    driven = [sum(group.size for group, _ in i.drives(runs.config)) for i in instructions]
    each = np.array(driven, np.int64)[kind] if len(runs) else np.empty(0, np.int64)
    sizes = runs.count * each
    first = np.cumsum(sizes) - sizes
    drive = np.full(sizes.sum(), UNKNOWN)
    run = np.repeat(np.arange(len(runs)), runs.count)
    nth = np.arange(len(run)) - (np.cumsum(runs.count) - runs.count)[run]
    for issue, issued, where, instruction in by_kind(runs):
        place = first[run[issue]] + nth[issue] * each[run[issue]]
        for group, after in instruction.drives(runs.config):
            for number in streams_of(group):
                sought = key(issued + after, where, number)
                at = np.searchsorted(known, sought).clip(max=max(len(known) - 1, 0))
                if len(known):
                    drive[place] = np.where(known[at] == sought, word[at], UNKNOWN)
                place = place + 1
    return drive, first
