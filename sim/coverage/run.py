"""Coverage of one configuration: programs run on its RTL, checked, and counted."""

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tsp.hw.config import Config
from tsp.sim.backends import cocotb_backend
from tsp.sim.coverage import counts, programs
from tsp.sim.coverage.bins import bins, hits
from tsp.sim.golden import model


@dataclass(frozen=True)
class Coverage:
    """What was covered on one configuration.

    `points` : how often each point of the RTL was; `used` : how often each bin was used by a
    program that ran without a fault; `open` : the bins that none used.
    """

    config: Config
    programs: int
    cycles: int
    points: Counter
    used: Counter
    bins: frozenset

    @property
    def open(self):
        """The bins that no program used."""
        return self.bins - set(self.used)


def measure(config, *, seeds, tries, faults, progress=None):
    """The :class:`Coverage` of the fixed programs of `config`.

    Every program must do on the RTL what it does on the golden model: what is wrong covers
    nothing. It faults with the same fault, or takes the same cycles and gives the same bits.

    Parameters
    ----------
    config : Config
    seeds : int
        Random programs.
    tries : int
        Instructions that are tried for what the others leave out.
    faults : int
        Programs that fault, per instruction.
    progress : callable, optional
        Called with a description.

    Raises
    ------
    RuntimeError
        If RTL and golden model disagree.
    """
    say = progress or (lambda **_: None)
    say(description=f"{config.name}: making programs")
    made = programs.random_programs(config, seeds) + programs.kernel_programs(config)
    made += programs.directed_programs(config, made, tries)
    made += programs.faulty_programs(config, faults)
    say(description=f"{config.name}: building the simulator and running {len(made)} programs")
    with tempfile.TemporaryDirectory(prefix="tsp-") as scratch:
        path = Path(scratch) / "coverage.dat"
        results = cocotb_backend.run_many(made, coverage=path)
        say(description=f"{config.name}: counting")
        points = counts.read(path)
    used = Counter()
    for program, result in zip(made, results, strict=True):
        _check(program, result)
        if not result.fault:
            used += hits(program)
    cycles = sum(result.cycles for result in results)
    return Coverage(config, len(made), cycles, points, used, frozenset(bins(config)))


def _check(program, result):
    golden = model.run(program)
    where = f"{program.name} on {program.config.name}"
    if result.fault != golden.fault:
        raise RuntimeError(f"{where}: fault {result.fault} on RTL, {golden.fault} on golden model")
    if result.fault:
        return
    if result.cycles != golden.cycles:
        raise RuntimeError(f"{where}: {result.cycles} cycles on RTL, {golden.cycles} scheduled")
    for mine, theirs in zip(result.outputs, golden.outputs, strict=True):
        if not np.array_equal(mine, theirs):
            raise RuntimeError(f"{where}: results of RTL and golden model differ")
