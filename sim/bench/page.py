"""The results as tables of Markdown: what README and docs show between markers."""

from pathlib import Path

from tsp.sim import files
from tsp.sim.bench import works
from tsp.sim.bench.plots import PLOTS
from tsp.sim.bench.record import results
from tsp.sim.bench.tuning import WAYS as TUNINGS
from tsp.sim.doc_tables import table

RESULTS = Path(__file__).parents[2] / "docs" / "results"

BACKENDS = {"rtl": "RTL", "bare": "RTL", "golden": "golden model"}
UNKNOWN = "not measured"

SLICES = {
    "look-up tables": lambda s: f"{s['luts']:,}",
    "flip-flops": lambda s: f"{s['flip_flops']:,}",
    "block RAMs": lambda s: f"{s['block_rams']:,}",
    "multipliers": lambda s: f"{s['dsps']:,}",
    "chip, mm2": lambda s: f"{s['chip']['area_um2'] / 1e6:.3f}",
    "memory bits": lambda s: f"{s['chip']['macro_bits']:,}",
    "longest path, ns": lambda s: f"{s['chip']['path_ns']:.1f}",
}
"""The columns of a table of slices, each from what the report of a synthesis says of a slice."""


def blocks(found):
    """Every table by the name of its markers, from the records of :func:`results`."""
    return {name: block(found) for name, block in BLOCKS.items()}


def write(directory):
    """Write all tables as ``tables.md``, and the plots, beside the results in `directory`.

    Returns
    -------
    list of Path
    """
    directory, found = Path(directory), results(directory)
    text = "\n\n".join(f"## {name}\n\n{block}" for name, block in blocks(found).items())
    texts = {"tables.md": text + "\n", **{n: plot(found) for n, plot in PLOTS.items()}}
    for name, content in texts.items():
        files.write(directory / name, content)
    return [directory / name for name in texts]


def _measured(headings, rows):
    """A table, or in its place what tells the reader that there is nothing for it yet."""
    return table(headings, rows) if rows else f"{UNKNOWN.capitalize()} yet."


def _ideal(work, row):
    return "-" if row["ideal"] is None else f"{row['ideal']:,.0f}"


def _goal(work, row):
    return "-" if work.goal is None else f"{work.goal:,}"


def _cycles(work, row):
    return f"{row['cycles_measured']:,}"


def _busy(work, row):
    return "-" if row["ideal"] is None else f"{row['ideal'] / row['cycles_measured']:.1%}"


def _error(work, row):
    if row["tolerance"]:
        return f"{row['max_relative_error']:.1e}"
    return "every bit right"


def _ran(work, row):
    return BACKENDS[row["backend"]]


_PLAIN = {"ideal": _ideal, "cycles": _cycles, "busy": _busy, "ran on": _ran}
_WITH_ERROR = {**_PLAIN, "largest error": _error}
_WHOLE = {**_WITH_ERROR, "limit": _goal}


def _works(some, columns, part="cycles", begin="tsp run "):
    """A table of works, as a function of the records; `begin` is what commands begin with."""

    def block(found):
        rows = []
        for work in some:
            row = found[part].rows.get(work.command)
            cells = [of(work, row) if row else "-" for of in columns.values()]
            if not row:
                cells[list(columns).index("cycles")] = UNKNOWN
            shown = work.command.removeprefix("run ")
            if row and row["backend"] != "rtl":
                shown += f" --backend {row['backend']}"
            rows.append([work.config, work.label, *cells, f"`{begin}{shown}`"])
        heading = "command" if begin else "command: `tsp run ...`"
        return table(["config", "work", *columns, heading], rows)

    return block


def plans(found):
    """Cycles of layers, and the CPU seconds in which they are planned."""
    rows = []
    for work in works.PLANS:
        row = found["plans"].rows.get(work.command)
        cells = [f"{row['cycles_scheduled']:,}", f"{row['plan_seconds']:.1f}"] if row else ["-"] * 2
        rows.append([work.config, work.label, *cells, f"`tsp {work.command}`"])
    return table(["config", "work", "cycles", "CPU seconds", "command"], rows)


def view(found):
    """Sizes of the pages of views, and how soon and how smoothly they show."""
    rows = [
        [
            f"`{row['config']}`",
            row["work"],
            f"{row['issues']:,}",
            f"{row['cycles']:,}",
            "all" if row["until"] is None else f"up to cycle {row['until']:,}",
            f"{row['file_bytes'] / 1e6:.1f}",
            f"{row['view_seconds']:.0f}",
            f"{row['open_ms'] / 1000:.1f}",
            f"{row['draw_ms']:.0f}",
            f"{row['frame_ms']:.0f}",
        ]
        for row in found["view"].rows.values()
    ]
    headings = ["issues", "cycles", "values", "file, MB", "made, CPU s", "open, s"]
    return _measured(["preset", "program", *headings, "longest drawing, ms", "frame, ms"], rows)


def _sweep(name, unit):
    """Busy planes by size, a column per preset; what ran on the golden model is marked."""

    def block(found):
        curves, rows = works.SWEEPS[name], []
        for size in sorted({size for curve in curves.values() for size in curve}):
            cells = []
            for curve in curves.values():
                work = curve.get(size)
                row = found["cycles"].rows.get(work.command) if work else None
                mark = " (golden)" if row and row["backend"] == "golden" else ""
                shown = f"{_cycles(work, row)}: {_busy(work, row)}{mark}" if row else UNKNOWN
                cells.append(shown if work else "")
            rows.append([size, *cells])
        return table([unit, *(f"`{config}`" for config in curves)], rows)

    return block


def runs(found):
    """When, where and on which commit each part was measured."""
    rows = []
    for part, record in found.items():
        for run in record.runs.values():
            mine = [r for r in record.rows.values() if record.runs[r["run"]] is run]
            machine, changes = run["machine"], ", changed" if run["changes"] else ""
            seconds = sum(row["seconds"] for row in mine)
            rows.append(
                [
                    f"`{part}`",
                    len(mine),
                    f"`{run['commit'][:12]}`{changes}",
                    run["date"].replace("T", " ").replace("+00:00", " UTC"),
                    f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB",
                    f"{seconds / 60:.1f}",
                ]
            )
        if not record.rows:
            rows.append([f"`{part}`", 0, UNKNOWN, "", "", ""])
    return table(["part", "rows", "commit", "date", "machine", "minutes"], rows)


def tools(found):
    """Versions of the tools of every run, and the parts for which it counts."""
    seen = {}
    for part, record in found.items():
        for run in record.runs.values():
            text = ", ".join(f"{k} {v}" for k, v in run["machine"]["versions"].items() if v)
            seen.setdefault(text, []).append(f"`{part}`")
    parts = {text: ", ".join(dict.fromkeys(names)) for text, names in seen.items()}
    return "\n".join(f"- {names}: {text}." for text, names in parts.items()) or UNKNOWN


def speed(found):
    """Cycles per second of every preset, and host time per cycle and per multiply-accumulate."""
    rows, simulators = [], ("cocotb", "bare")
    for row in found["speed"].rows.values():
        of = [row["cycles_per_second"].get(simulator) for simulator in simulators]
        cells = [f"{s[work]:,.0f}" if s else "-" for s in of for work in ("busy", "idle")]
        cells += [f"{1e9 / s['busy']:,.0f}" if s else "-" for s in of]
        rate = row["macs"] / row["cycles"]
        cells += [f"{1e9 / s['busy'] / rate:,.2f}" if s else "-" for s in of]
        size = f"{row['size']}^3, {row['dtype']}"
        rows.append([f"`{row['config']}`", size, f"{row['cycles']:,}", *cells])
    names = [f"{s}, {w}" for s in simulators for w in ("busy", "idle")]
    names += [f"ns per {what}, {s}" for what in ("cycle", "MAC") for s in simulators]
    return _measured(["preset", "product", "cycles", *names], rows)


def tuning(found):
    """What each way to build a simulator gives, beside the usual one."""
    rows = []
    for row in found["tuning"].rows.values():
        usual = found["tuning"].rows.get(f"{row['config']}, {next(iter(TUNINGS))}")
        speed = row["cycles_per_second"]
        gain = f"{speed / usual['cycles_per_second'] - 1:+.0%}" if usual else "-"
        per_mac = 1e9 / speed / (row["macs"] / row["cycles"])
        cells = [f"{row['build_seconds']:.0f}", f"{speed:,.0f}", gain, f"{per_mac:,.2f}"]
        rows.append([f"`{row['config']}`", row["way"], *cells])
    headings = ["built", "build, s", "cycles per second", "gain", "ns per MAC"]
    return _measured(["preset", *headings], rows)


def builds(found):
    """Seconds, bytes and memory of exports and builds."""
    rows = [
        [
            f"`{row['config']}`",
            f"{row['export_seconds']:.0f}",
            f"{row['verilog_bytes'] / 1e6:.1f}",
            f"{row['export_memory_bytes'] / 2**20:,.0f}",
            f"{row['build_seconds']:.0f}",
            f"{row['build_memory_bytes'] / 2**20:,.0f}",
            f"{row['simulator_bytes'] / 1e6:.1f}",
        ]
        for row in found["builds"].rows.values()
    ]
    headings = ["export, s", "Verilog, MB", "memory, MiB", "build, s", "memory, MiB"]
    return _measured(["preset", *headings, "simulator, MB"], rows)


def slices(name):
    """The area of every slice of a preset."""

    def block(found):
        row = found["area"].rows.get(name)
        rows = {**row["slices"], "total": row["total"]} if row else {}
        cells = [[s, *(of(each) for of in SLICES.values())] for s, each in rows.items()]
        return _measured(["slice", *SLICES], cells)

    return block


def area(found):
    """Sums of every preset that was synthesised, what a multiply-accumulate takes, the clock."""
    rows = []
    for row in found["area"].rows.values():
        total = row["total"]
        cells = [f"{total['luts_per_mac']:,.0f}", f"{total['area_um2_per_mac']:,.0f}"]
        cells += [f"{total['luts']:,}", f"{total['chip']['area_um2'] / 1e6:,.1f}"]
        rows.append([f"`{row['config']}`", row["macs"], *cells, _clock(row["core"])])
    headings = ["MACs", "look-up tables per MAC", "um2 per MAC", "look-up tables", "chip, mm2"]
    return _measured(["preset", *headings, "whole core on an ECP5"], rows)


def _clock(core):
    if core is None:
        return "not placed"
    if core["device"] is None:
        return f"fits none: {core['needs']['luts']:,} look-up tables"
    if core["placed_mhz"] is None:
        return f"not placed on {core['device']}"
    if core["mhz"] is None:
        return f"{core['placed_mhz']:.1f} MHz after placement on {core['device']}; not routed"
    return f"{core['mhz']:.1f} MHz on {core['device']}"


def clocks(name):
    """The slowest module of each slice of a preset, placed alone."""

    def block(found):
        row = found["area"].rows.get(name)
        placed = {s: v["placed"] for s, v in row["slices"].items() if v["placed"]} if row else {}
        cells = []
        for where, each in placed.items():
            path = each["path"]
            shown = f"`{path['from']}` to `{path['to']}`, {path['ns']} ns" if path else "-"
            cells.append([where, f"`{each['unit']}`", each["mhz"], shown])
        return _measured(["slice", "slowest module", "MHz", "critical path"], cells)

    return block


def speed_line(found):
    """One sentence on how fast simulators run."""
    rows = found["speed"].rows
    both, bare = [], []
    for name, row in rows.items():
        shown = {s: f"{w['busy'] / 1000:,.1f} k" for s, w in row["cycles_per_second"].items()}
        if "cocotb" in shown:
            both.append(f"{shown['cocotb']} for `{name}` ({shown['bare']})")
        else:
            bare.append(f"; `{name}`, only from C++, {shown['bare']}")
    if not both:
        return f"Speed of simulation is {UNKNOWN} yet."
    *_, run = found["speed"].runs.values()
    return (
        "While a product runs, simulators make these cycles per second under cocotb, and in "
        f"brackets when driven from C++: {', '.join(both)}{''.join(bare)}; "
        f"on {run['machine']['cores']} cores ({run['machine']['cpu']})."
    )


BLOCKS = {
    "results-main": _works(works.README, _PLAIN, begin=""),
    "results-works": _works(works.KERNELS, _WHOLE),
    "results-chip": _works(works.CHIP, _WITH_ERROR, part="chip"),
    "results-size": _sweep("size", "n"),
    "results-sequence": _sweep("sequence", "sequence"),
    "results-plans": plans,
    "results-view": view,
    "results-speed": speed,
    "results-speed-line": speed_line,
    "results-tuning": tuning,
    "results-builds": builds,
    "results-area": area,
    "results-area-nano": slices("nano"),
    "results-area-small": slices("small"),
    "results-clock-nano": clocks("nano"),
    "results-runs": runs,
    "results-tools": tools,
}
"""A function of the records by the name of the markers between which its text stands."""
