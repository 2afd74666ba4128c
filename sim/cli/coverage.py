"""``tsp coverage``: the coverage of RTL and instruction set by test programs."""

import click

from tsp.sim import files
from tsp.sim.cli.paths import WRITTEN
from tsp.sim.cli.report import print_json, show, shown

NAMES = ("nano", "small", "tall")


@click.command("coverage")
@click.option("--config", "configs", type=click.Choice(NAMES), multiple=True, help="Default: all.")
@click.option(
    "--seeds", type=click.IntRange(1), default=8, show_default=True, help="Random programs."
)
@click.option(
    "--tries",
    type=click.IntRange(0),
    default=30_000,
    show_default=True,
    help="Instructions that are tried for what random programs leave out.",
)
@click.option(
    "--faults",
    type=click.IntRange(0),
    default=4,
    show_default=True,
    help="Programs for each kind of fault.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--markdown", "page", **WRITTEN, help="Write a Markdown page.")
def run_coverage(configs, seeds, tries, faults, as_json, page):
    """Measure how programs on the RTL cover its lines, its toggles and the instruction set."""
    from tsp.sim.coverage import report
    from tsp.sim.coverage.programs import CONFIGS
    from tsp.sim.coverage.run import measure

    found = []
    with shown("coverage") as progress:
        for name in configs or NAMES:
            options = {"seeds": seeds, "tries": tries, "faults": faults}
            made = measure(CONFIGS[name], progress=progress, **options)
            found.append(report.summary(made))
            if page:  # what has been measured is kept, whatever comes after it
                files.write(page, report.markdown(found))
    if as_json:
        print_json({"configs": found})
    else:
        for table in report.tables(found):
            show(table)
