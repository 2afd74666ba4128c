"""Runs as columns: numpy arrays from which much about a schedule is found at once.

All cycles are absolute. An issue is one of the `count` issues of a run; issues stand in the order
of their runs, and those of a run in the order of time.
"""

from collections.abc import Iterable

import numpy as np

from tsp.hw.config import Config
from tsp.hw.isa import StreamGroup
from tsp.sim.program import Run
from tsp.sim.schedule.operation import Operation

WORDS = 32
"""Streams of one direction that a stream's number leaves room for."""


class Runs:
    """The runs of operations that have been placed, or of the queues of a program.

    Parameters
    ----------
    config : Config
    runs : iterable of (str, Run, int)
        Queue, the run in absolute cycles, and the number of its operation, or -1.

    Members
    -------
    instructions : list of Instruction
        Of every run, as first issued.
    queue, operation, start, count, interval, stride, value : ndarray
        int64, one entry a run, sorted by queue and start. `queue` is its index; `value` what the
        strided field holds at the first issue, or 0.
    """

    def __init__(self, config: Config, runs: Iterable[tuple[str, Run, int]]):
        self.config = config
        number = {queue.name: queue.index for queue in config.floorplan.queues}
        found = [(number[queue], run.start, run, of) for queue, run, of in runs]
        found.sort(key=lambda item: item[:2])
        self.instructions = [run.instruction for _, _, run, _ in found]
        rows = [
            (queue, of, run.start, run.count, run.interval, run.stride, _strided(run.instruction))
            for queue, _, run, of in found
        ]
        columns = np.array(rows, np.int64).reshape(-1, 7).T
        self.queue, self.operation, self.start, self.count = columns[:4]
        self.interval, self.stride, self.value = columns[4:]

    @classmethod
    def of(cls, config: Config, placed: Iterable[tuple[Operation, int]]) -> "Runs":
        """The runs of operations, each with its start cycle."""
        return cls(
            config,
            (
                (queue, _moved(run, start), number)
                for number, (operation, start) in enumerate(placed)
                for queue, run in operation.runs
            ),
        )

    def __len__(self):
        return len(self.instructions)

    def issues(self, chosen: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All issues of the chosen runs, or of all: run, number within the run, cycle."""
        chosen = np.arange(len(self)) if chosen is None else np.asarray(chosen)
        count = self.count[chosen]
        run = np.repeat(chosen, count)
        nth = np.arange(len(run)) - np.repeat(np.cumsum(count) - count, count)
        return run, nth, self.start[run] + nth * self.interval[run]

    def kinds(self) -> tuple[list, np.ndarray]:
        """Instructions that differ in more than the strided field, and which each run issues."""
        known: dict = {}
        kind = np.array([known.setdefault(_key(i), len(known)) for i in self.instructions], int)
        first = np.full(len(known), -1)
        first[kind[::-1]] = np.arange(len(self))[::-1]
        return [self.instructions[run] for run in first], kind


def _moved(run, start):
    return Run(start + run.start, run.instruction, run.count, run.interval, run.stride)


def _strided(instruction):
    return getattr(instruction, instruction.strided) if instruction.strided else 0


def _key(instruction):
    """Equal for instructions that are the same but for the strided field."""
    strided = instruction.strided
    return type(instruction), tuple((k, v) for k, v in vars(instruction).items() if k != strided)


def number_of(direction: str, stream: int) -> int:
    """A number for each stream, westward ones behind eastward ones."""
    return stream + WORDS * (direction == "W")


def streams_of(group: StreamGroup) -> list[int]:
    """Numbers of the streams of a group, low byte first."""
    return [number_of(group.direction, stream) for stream in group.streams]
