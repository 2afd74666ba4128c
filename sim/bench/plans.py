"""Rows of plans: how long they take, in CPU seconds of the planning alone, nothing being kept."""

from functools import partial

from tsp.sim.bench import cycles
from tsp.sim.bench.job import Job
from tsp.sim.bench.works import PLANS


def jobs(quick):
    """A job per work; nothing is left out if `quick`."""
    return [Job(work.command, work.config, partial(measure, work)) for work in PLANS]


def measure(work):
    """Plan a work, run it on the golden model, and return its row.

    Raises
    ------
    BenchError
        As in :func:`~tsp.sim.bench.cycles.measure`.
    """
    found = cycles.found(work, "--backend", "golden", "--no-plan-cache")
    return {
        "config": work.config,
        "label": work.label,
        **{name: found[name] for name in ("cycles_scheduled", "plan_seconds")},
    }
