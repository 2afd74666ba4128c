"""The parts of the bench, and how they are measured and kept."""

from datetime import UTC, datetime

from tsp.sim.bench import (
    BenchError,
    area,
    builds,
    cycles,
    machine,
    plans,
    repository,
    speed,
    tuning,
    view,
)
from tsp.sim.bench.record import PARTS

JOBS = {
    "cycles": cycles.jobs,
    "plans": plans.jobs,
    "view": view.jobs,
    "speed": speed.jobs,
    "tuning": tuning.jobs,
    "builds": builds.jobs,
    "area": area.jobs,
    "chip": cycles.chip_jobs,
}
"""By part, ``jobs(quick)``, a list of Job."""


def selected(parts, configs, quick):
    """The jobs of the named parts, all if none is named, for the named presets, all if none is.

    Returns
    -------
    dict
        A list of Job by part; a part without a job is left out.

    Raises
    ------
    BenchError
        If a part does not exist, or nothing is left to do.
    """
    for name in parts:
        if name not in PARTS:
            raise BenchError(f"part must be one of {', '.join(PARTS)}, not {name!r}")
    found = {}
    for name in PARTS:
        if not parts or name in parts:
            jobs = [j for j in JOBS[name](quick) if not configs or j.config in configs]
            found |= {name: jobs} if jobs else {}
    if not found:
        wanted = f"{', '.join(parts) or 'any part'} on {', '.join(configs)}"
        raise BenchError(f"there is nothing to measure: no row of {wanted}")
    return found


def stamp(allow_dirty=False):
    """What a run says of itself: commit, changed paths, date, machine.

    Raises
    ------
    BenchError
        If the code differs from its commit, unless `allow_dirty`.
    """
    commit, changes = repository.commit(), repository.changes()
    if changes and not allow_dirty:
        more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
        raise BenchError(
            f"the code is not that of a commit: {', '.join(changes[:3])}{more} changed; "
            "commit first, or give --allow-dirty for results that cannot be reproduced"
        )
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return {"commit": commit, "changes": changes, "date": date, "machine": machine.facts()}


def missing(record, jobs, quick):
    """The jobs whose row is not there, is of other code, or was quick and now is not to be."""
    return [
        job
        for job in jobs
        if job.key not in record.rows
        or (record.rows[job.key]["quick"] and not quick)
        or record.run_of(job.key)["changes"]
        or not repository.same_code(record.run_of(job.key)["commit"])
    ]


def measure(record, jobs, run, quick, progress=None):
    """Measure jobs of one part one by one; each row is written before the next is measured.

    Parameters
    ----------
    record : Record
    jobs : list of Job
    run : dict
        See :func:`stamp`.
    progress : callable, optional
        Called with (jobs done, jobs in all, key of the next one).

    Raises
    ------
    BenchError, ValueError, RuntimeError
        If a row cannot be measured or is wrong; rows before it are kept, it is not.
    """
    name = record.start(run)
    record.keep(job.key for job in JOBS[record.part](quick))
    for n, job in enumerate(jobs):
        if progress:
            progress(n, len(jobs), job.key)
        began = datetime.now(UTC)
        row = job.measure()
        seconds = round((datetime.now(UTC) - began).total_seconds(), 1)
        record.add(job.key, {**row, "quick": quick, "seconds": seconds}, name)
