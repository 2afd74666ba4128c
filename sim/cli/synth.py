"""``tsp synth``: area and clock of a core."""

import click
from rich.box import SIMPLE_HEAD
from rich.table import Table

from tsp.hw.config import preset
from tsp.sim.cli.report import console, print_json, show, shown
from tsp.sim.cli.run import CONFIG
from tsp.sim.synth.levels import WIRE
from tsp.sim.synth.place import SEED
from tsp.sim.synth.report import SPEED_GRADE, synthesise


@click.command("synth")
@click.option("--config", type=CONFIG, default="nano", show_default=True)
@click.option("--place-units", is_flag=True, help="Place and route each module alone.")
@click.option("--place-core", is_flag=True, help="Place and route the whole core, if it fits.")
@click.option(
    "--paths", type=click.IntRange(0), default=0, metavar="N",
    help="Estimate the N longest paths of the whole core before placement.",
)  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(1), default=SEED, show_default=True,
    help="Seed of the placement; clocks vary by a third.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def synth(config, place_units, place_core, paths, seed, as_json):
    """Map a core to an ECP5 and to standard cells, and report every slice."""
    with shown(f"synthesising {config}") as progress:
        found = synthesise(
            preset(config),
            place_units=place_units,
            place_core=place_core,
            paths=paths,
            seed=seed,
            progress=lambda done, total, what: progress(done, total, f"{config}: {what}"),
        )
    if as_json:
        print_json(found)
    else:
        for shown_table in _tables(found):
            show(shown_table)
    if found["missing"]:
        console.print(f"no standard-cell area: {found['missing']}")


def _tables(found):
    """The tables of a report."""
    yield _fpga(found)
    if not found["missing"]:
        yield _chip(found)
    if any(s["placed"] for s in found["slices"].values()):
        yield _placed(found)
    if found["paths"]:
        yield _paths(found)
    core = found["core"]
    if core and core["device"] is None:
        yield f"the core needs {core['needs']}: more than the largest ECP5 provides"
    elif core:
        expected = f"{core['placed_mhz']} MHz" if core["placed_mhz"] else "no clock"
        yield (
            f"the core, mapped as one, takes {core['needs']['luts']:,} look-up tables; on an ECP5 "
            f"{core['device']}, speed grade {SPEED_GRADE}: {expected} expected after placement; "
            + (
                f"{core['mhz']} MHz routed; critical path {_path(core)}"
                if core["mhz"]
                else "not routable: try another --seed"
            )
        )


def _table(title, *headings):
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column(headings[0])
    for heading in headings[1:]:
        table.add_column(heading, justify="right")
    return table


def _fpga(found):
    headings = "look-up tables", "flip-flops", "block RAMs", "multipliers"
    table = _table(f"{found['config']} on an ECP5", "slice", *headings)
    for name, row in (*found["slices"].items(), ("total", found["total"])):
        values = (row[key] for key in ("luts", "flip_flops", "block_rams", "dsps"))
        table.add_row(name, *(f"{value:,}" for value in values))
    return table


def _chip(found):
    headings = "area in mm2", "cells", "flip-flops", "memory bits", "longest path in ns"
    table = _table(f"{found['config']} in standard cells of 180 nm", "slice", *headings)
    for name, row in (*found["slices"].items(), ("total", found["total"])):
        chip = row["chip"]
        counts = (chip[key] for key in ("cells", "flip_flops", "macro_bits"))
        area, path = f"{chip['area_um2'] / 1e6:.3f}", f"{chip['path_ns']:.1f}"
        table.add_row(name, area, *(f"{n:,}" for n in counts), path)
    table.caption = (
        f"area excludes memories; MXM: {found['total']['area_um2_per_mac']:,.0f} um2 per MAC"
    )
    return table


def _placed(found):
    title = f"slowest module of each slice, placed alone, speed grade {SPEED_GRADE}"
    table = _table(title, "slice", "MHz", "path")
    for name, row in found["slices"].items():
        if row["placed"]:
            table.add_row(name, f"{row['placed']['mhz']:.1f}", _path(row["placed"]))
    return table


def _paths(found):
    table = Table(title="longest paths before placement", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in ("ns", "cells", "times"):
        table.add_column(heading, justify="right")
    for heading in ("from", "to"):
        table.add_column(heading, overflow="fold")
    for path in found["paths"]:
        numbers = f"{path['ns']:.1f}", str(path["cells"]), f"{path['times']:,}"
        table.add_row(*numbers, path["start"], path["end"])
    table.caption = f"{WIRE} ns for every wire; paths whose names differ in numbers only are one"
    return table


def _path(placed):
    path = placed["path"]
    where = f"{placed['unit']}: " if "unit" in placed else ""
    if path is None:
        return f"{where}not named"
    return f"{where}{path['from']} to {path['to']}, {path['ns']} ns"
