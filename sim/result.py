"""The result of a run, on any back end."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tsp.hw.fault import FaultKind


@dataclass(frozen=True)
class Fault:
    """The first fault of a run: its kind, the slice that committed it, and the program cycle."""

    kind: FaultKind
    slice: str
    cycle: int

    def __str__(self):
        return f"{self.kind.name.lower()} in {self.slice} at cycle {self.cycle}"


@dataclass(frozen=True)
class Counters:
    """The core's performance counters.

    `busy` : instructions issued per queue (NOP and barrier excluded, repetitions included).
    `vectors` : activation vectors taken per MXM plane, by the name of its ABC queue.
    `stream_words` : stream registers driven by slices, counted on superlane 0.
    """

    busy: dict[str, int]
    vectors: dict[str, int]
    stream_words: int


@dataclass(frozen=True)
class Trace:
    """Every stream register in every cycle, in skewed time: superlane i is shown i cycles early.

    `valid` : bool (cycles, 2, stops, streams, superlanes); direction 0 is east.
    `data` : uint8 (cycles, 2, stops, streams, vector); meaningless where not valid.
    """

    valid: np.ndarray
    data: np.ndarray


class Outputs(tuple):
    """The outputs of a run, and its `fault`, if it had one."""

    fault: Fault | None = None

    @classmethod
    def of(cls, arrays: Iterable[np.ndarray], fault: Fault | None) -> "Outputs":
        """Arrays as outputs."""
        outputs = cls(arrays)
        outputs.fault = fault
        return outputs


@dataclass(frozen=True)
class Result:
    """The result that a back end returns for one program.

    `outputs` : one uint8 array (words, vector) per output region of the program.
    `cycles` : the value of the cycle counter.
    `sim_cycles`, `sim_seconds` : simulated clock cycles and their time, including loading and
    reading back; `run_seconds` : the time between start and end of the program.
    """

    outputs: tuple[np.ndarray, ...]
    cycles: int
    fault: Fault | None
    counters: Counters
    trace: Trace | None = None
    build_seconds: float = 0.0
    sim_seconds: float = 0.0
    sim_cycles: int = 0
    run_seconds: float = 0.0

    def __post_init__(self):
        object.__setattr__(self, "outputs", Outputs.of(self.outputs, self.fault))

    @property
    def sim_cycles_per_second(self) -> float:
        """Simulated clock cycles, loading included, per second of simulation."""
        return self.sim_cycles / self.sim_seconds if self.sim_seconds else 0.0

    @property
    def run_cycles_per_second(self) -> float:
        """Cycles of the program per second between its start and its end, as on the results page;
        0 if that time was not measured.
        """
        return self.cycles / self.run_seconds if self.run_seconds else 0.0
