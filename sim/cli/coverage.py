"""``tsp coverage``: what the tests' programs cover of the RTL and of the instruction set."""

import json
from pathlib import Path

import click
from rich.console import Console

from tsp.sim.cli.report import shown

NAMES = ("nano", "small", "tall")


@click.command("coverage")
@click.option("--config", "configs", type=click.Choice(NAMES), multiple=True, help="Default: all.")
@click.option("--seeds", type=click.IntRange(1), default=8, show_default=True, help="At random.")
@click.option(
    "--tries",
    type=click.IntRange(0),
    default=30_000,
    show_default=True,
    help="Instructions that are tried for what random programs leave out.",
)
@click.option(
    "--faults", type=click.IntRange(0), default=4, show_default=True, help="Of each kind."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--markdown", "page", type=click.Path(dir_okay=False), help="Write it as a page.")
def run_coverage(configs, seeds, tries, faults, as_json, page):
    """Measure coverage of RTL lines, toggles and instruction set by programs on the RTL."""
    from tsp.sim.coverage import report
    from tsp.sim.coverage.programs import CONFIGS
    from tsp.sim.coverage.run import measure

    if page:  # a path that cannot be written is told before hours of work
        Path(page).parent.mkdir(parents=True, exist_ok=True)
        Path(page).touch()
    found = []
    with shown("coverage") as progress:
        for name in configs or NAMES:
            options = {"seeds": seeds, "tries": tries, "faults": faults}
            made = measure(CONFIGS[name], progress=progress, **options)
            found.append(report.summary(made))
            if page:  # what has been measured is kept, whatever comes after it
                Path(page).write_text(report.markdown(found), encoding="utf-8")
    if as_json:
        click.echo(json.dumps({"configs": found}))
    else:
        for table in report.tables(found):
            Console().print(table)
