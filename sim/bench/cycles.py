"""Rows of cycles: each is the command ``tsp run ... --json`` that the page shows, and checked."""

import json
import subprocess
import sys
from functools import partial

from tsp.hw.environment import environment, python_path
from tsp.sim.bench import BenchError
from tsp.sim.bench.job import Job
from tsp.sim.bench.works import CHIP, cycles_works
from tsp.sim.tools import child

KEPT = (
    "backend", "cycles_scheduled", "cycles_measured", "macs", "mxm_utilisation",
    "max_relative_error", "max_ulp_error", "bit_exact", "tolerance", "build_seconds",
    "sim_seconds", "sim_cycles_per_second",
)  # fmt: skip
"""The values of the JSON of ``tsp run`` that a row keeps."""


def jobs(quick, works=None, backend="rtl"):
    """A job per work; `quick` runs them on the golden model."""
    backend = "golden" if quick else backend
    works = cycles_works() if works is None else works
    return [Job(w.command, w.config, partial(measure, w, backend)) for w in works]


def chip_jobs(quick):
    """The same for the full-size chip."""
    return jobs(quick, CHIP, "bare")


def measure(work, backend):
    """Run a work and return its row.

    Raises
    ------
    BenchError
        If the command fails, or its result is wrong, or its cycles are not those of the schedule.
    """
    return row(work, found(work, "--backend", backend))


def found(work, *options):
    """What the JSON of a work says, run with more options, and checked."""
    command = [*work.command.split(), *options, "--json"]
    # A process of its own is what the reader of the page will start, and gives its memory back.
    run = [sys.executable, "-c", "from tsp.sim.command import main; main()", *command]
    env = environment(PYTHONPATH=python_path())
    with child(run, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        output, errors = process.communicate()
    shown = f"tsp {' '.join(command)}"
    try:
        said = json.loads(output)
    except json.JSONDecodeError:
        raise BenchError(f"{shown} fails: {errors.strip()[-800:]}") from None
    check(said, shown)
    return said


def check(found, shown):
    """Refuse a result of ``tsp run --json`` that is wrong."""
    if found["fault"]:
        raise BenchError(f"{shown} ended with a fault: {found['fault']}")
    if found["cycles_measured"] != found["cycles_scheduled"]:
        raise BenchError(
            f"{shown} took {found['cycles_measured']} cycles, and its schedule "
            f"has {found['cycles_scheduled']}"
        )
    if not found["right"]:
        raise BenchError(
            f"{shown} is wrong: error {found['max_relative_error']:.1e} of the largest result, "
            f"and {found['tolerance']:.1e} is promised (0: every bit)"
        )


def row(work, found):
    """The row of a work in the results."""
    ideal = work.ideal(found["macs"])
    return {
        "config": work.config,
        "label": work.label,
        "ideal": ideal,
        **{name: found[name] for name in KEPT},
    }
