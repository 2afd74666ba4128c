"""The command ``tsp lint``: findings of three tools in the exported Verilog."""

from functools import partial

import click
from rich.box import SIMPLE_HEAD
from rich.table import Table

from tsp.hw.config import PRESETS, preset
from tsp.sim.cli.report import attempted, console, print_json, show, shown
from tsp.sim.cli.run import CONFIG
from tsp.sim.lint import TOOLS, Report, missing
from tsp.sim.lint import lint as lint_one

_LARGE = 8
"""Superlanes from which on Yosys, which takes long, runs only on request."""


@click.command()
@click.option(
    "--config", "configs", type=CONFIG, multiple=True, help="May be repeated; default: all."
)
@click.option(
    "--tool", "tools", type=click.Choice(tuple(TOOLS)), multiple=True, help="Like --config."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def lint(configs, tools, as_json):
    """Lint the exported Verilog with Verilator, Icarus and Yosys.

    Yosys reads the largest cores only if --tool names it. A tool that is not installed is skipped,
    unless --tool names it.
    """
    reports = []
    for name in configs or PRESETS:
        config = preset(name)
        for tool in tools or [t for t in TOOLS if t != "yosys" or config.superlanes < _LARGE]:
            unknown = partial(Report, config=name, tool=tool, findings=[])
            if not tools and (why := missing(tool)):
                report = unknown(seconds=0.0, message=why, skipped=True)
            else:
                with shown(f"{tool} reads {name} (it is exported first)"):
                    report = attempted(partial(lint_one, config, tool), unknown)
            reports.append(report)
            console.print(f"{name}: {tool}: {_found(report)}")
            if report.message:
                console.print(f"  {report.message}", markup=False, soft_wrap=True)
            for finding in report.findings[:20]:
                console.print(f"  {finding}", markup=False)
    if as_json:
        print_json({"reports": [_row(report) for report in reports]})
    else:
        show(table_of(reports))
    if not all(report.clean or report.skipped for report in reports):
        raise SystemExit(1)


def _found(report):
    if report.message:
        return "skipped" if report.skipped else "unknown"
    return f"{len(report.findings)} findings"


def _result(report):
    if report.message:
        return "skipped" if report.skipped else "unknown"
    return "clean" if report.clean else "FOUND"


def _row(report):
    return {
        "config": report.config,
        "tool": report.tool,
        "seconds": round(report.seconds, 2),
        "clean": report.clean,
        "findings": report.findings,
        "message": report.message,
        "skipped": report.skipped,
    }


def table_of(reports):
    """A table that a person reads, a row per configuration and tool."""
    table = Table(title="lint of the exported Verilog", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("config", "tool"):
        table.add_column(heading)
    for heading in ("findings", "seconds", "result"):
        table.add_column(heading, justify="right")
    for report in reports:
        table.add_row(
            report.config,
            report.tool,
            str(len(report.findings)),
            f"{report.seconds:.1f}",
            _result(report),
        )
    return table
