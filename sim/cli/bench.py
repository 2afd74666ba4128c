"""``tsp bench``: measures the results page."""

from contextlib import suppress
from functools import partial
from pathlib import Path

import click

from tsp.hw.config import PRESETS
from tsp.hw.errors import ToolError
from tsp.sim.bench.record import Record, locked
from tsp.sim.cli.report import console, shown


@click.command("bench")
@click.option(
    "--part", "names", multiple=True, help="Part to measure; may be repeated; default: all."
)
@click.option("--config", "configs", type=click.Choice(list(PRESETS)), multiple=True)
@click.option("--quick", is_flag=True, help="Golden model, each speed once, no placement.")
@click.option("--missing", is_flag=True, help="Only rows that this code does not have yet.")
@click.option("--output", type=click.Path(file_okay=False), help="Default: docs/results.")
@click.option("--allow-dirty", is_flag=True, help="Measure code that is not committed.")
def run_bench(names, configs, quick, missing, output, allow_dirty):
    """Measure cycles, plans, speeds, builds and area, and write them as JSON, tables and plots.

    Parts are cycles, plans, speed, tuning, builds, area and chip. Every row is written as soon as
    it is measured; --missing continues a bench that was stopped.
    """
    bench, page, docs = _library()
    directory = Path(output).resolve() if output else page.RESULTS
    chosen = bench.selected(names, configs, quick)
    run = bench.stamp(allow_dirty)
    with locked(directory):
        for name, jobs in chosen.items():
            record = Record.of(directory, name)
            if missing:
                jobs = bench.missing(record, jobs, quick)
            write = docs.write if directory == page.RESULTS else partial(page.write, directory)
            try:
                _measure(bench, record, jobs, run, quick)
            except BaseException:  # what has been measured is shown, whatever comes after it
                with suppress(Exception):  # the first failure is the one to tell
                    write()
                raise
            written = write()
            console.print(
                f"{name}: {len(jobs)} rows in {record.path}; {len(written)} pages and plots written"
            )


def _measure(bench, record, jobs, run, quick):
    """Measure the jobs of one part, and show which of them is running."""
    with shown(f"{record.part}: starting") as progress:
        bench.measure(
            record, jobs, run, quick,
            lambda done, total, key: progress(
                done, total, f"{record.part} {done + 1} of {total}: {key}"
            ),
        )  # fmt: skip


def _library():
    """What measures, what writes tables, and the docs; only they need the extra `bench`."""
    try:
        from tsp.sim import docs
        from tsp.sim.bench import page, parts
    except ModuleNotFoundError as error:
        raise ToolError(
            f"{error.name} is not installed; `pip install 'tsp[bench]'` brings what tsp bench needs"
        ) from error
    return parts, page, docs
