"""The area of cores, from the report of ``tsp synth``."""

from functools import partial

from tsp.hw.config import preset
from tsp.sim.bench import BenchError
from tsp.sim.bench.job import Job
from tsp.sim.synth import synthesise

CONFIGS = ("nano", "small")
PLACED = ("nano",)
"""Presets whose modules are placed, and whose whole core is where a device holds it."""


def jobs(quick):
    """A job per preset; `quick` leaves place and route out."""
    return [
        Job(name, name, partial(measure, name, name in PLACED and not quick)) for name in CONFIGS
    ]


def measure(name, placed):
    """The dict of :func:`~tsp.sim.synth.report.synthesise`.

    Raises
    ------
    BenchError
        If there is no standard-cell library, so that half of it is missing.
    """
    found = synthesise(preset(name), place_units=placed, place_core=placed)
    if found["missing"]:
        raise BenchError(f"no area in standard cells: {found['missing']}")
    return found
