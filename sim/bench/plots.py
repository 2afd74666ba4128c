"""The results as plots, SVG text that depends on the results alone."""

import io
import math
from functools import partial

import matplotlib as mpl
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    NullFormatter,
    NullLocator,
    PercentFormatter,
)

from tsp.sim.bench.works import SWEEPS
from tsp.sim.figures import COLOURS

_STYLE = {
    "svg.hashsalt": "tsp",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans"],
    "font.size": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e3e3e3",
    "axes.axisbelow": True,
}
PRESET_COLOURS = {
    "nano": "#777777",
    "small": "#2f6fae",
    "quad16": "#b5402b",
    "duo32": "#3f8a4a",
    "base": "#7a4fa8",
    "tsp": "#a98a1c",
}
"""The colour of a preset, in every plot."""
_SLICES = {
    "MEM": COLOURS["MEM"][1],
    "VXM": COLOURS["VXM"][1],
    "MXM": COLOURS["MXM"][1],
    "SXM": COLOURS["SXM"][1],
    "queues": COLOURS["ICU"][1],
    "streams": "#5fa8a8",
    "host and control": COLOURS["C2C"][1],
}
"""Colours of slices, those of the floor plan where it has them."""


def _drawn(draw, width=6.4, height=3.6):
    """The SVG text of what ``draw(axes)`` draws, whatever the user's settings are."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure.add_subplot())
        written = io.BytesIO()
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    text = written.getvalue().decode()
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def _utilisation(name, label, found):
    def draw(axes):
        sizes = set()
        for config, curve in SWEEPS[name].items():
            rows = {n: found["cycles"].rows.get(work.command) for n, work in curve.items()}
            points = {n: row["ideal"] / row["cycles_measured"] for n, row in rows.items() if row}
            sizes |= set(points)
            axes.plot(
                points.keys(),
                points.values(),
                "o-",
                color=PRESET_COLOURS[config],
                label=config,
                ms=4,
            )
        _powers(axes, sizes)
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.set_xlabel(label)
        axes.set_ylabel("planes busy")
        axes.legend(frameon=False)

    return _drawn(draw)


def _powers(axes, sizes):
    """An axis of sizes, marked at powers of two and nowhere else."""
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator([n for n in sorted(sizes) if n & (n - 1) == 0]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:g}"))


def _speed(found):
    rows = found["speed"].rows
    kinds = [(simulator, work) for simulator in ("bare", "cocotb") for work in ("idle", "busy")]

    def draw(axes):
        for n, (simulator, work) in enumerate(kinds):
            for at, (config, row) in enumerate(rows.items()):
                if each := row["cycles_per_second"].get(simulator):
                    fill = _fill(simulator, work, PRESET_COLOURS[config])
                    axes.bar(at + 0.2 * n - 0.3, each[work], 0.18, **fill)
        axes.set_xticks(range(len(rows)), list(rows))
        axes.grid(visible=False, axis="x")
        axes.set_yscale("log")
        slowest = min((min(s.values()) for s in _speeds(rows)), default=1.0)
        axes.set_ylim(bottom=10 ** math.floor(math.log10(slowest)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda speed, _: f"{speed:,.0f}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_ylabel("cycles per second")
        legend = [Patch(label=f"{s}, {w}", **_fill(s, w, "#555555")) for s, w in kinds]
        axes.legend(handles=legend, frameon=False)

    return _drawn(draw)


def _fill(simulator, work, colour):
    """How a bar is filled: idle is paler than busy, and cocotb is hatched."""
    face = to_rgba(colour, 1.0 if work == "busy" else 0.35)
    hatch = "////" if simulator == "cocotb" else None
    return {"facecolor": face, "hatch": hatch, "edgecolor": "white", "linewidth": 0}


def _speeds(rows):
    """The speeds of every preset and simulator, each a dict by work."""
    return [speeds for row in rows.values() for speeds in row["cycles_per_second"].values()]


def _area(found):
    kinds = {
        "look-up tables": (lambda s: s["luts"], "{:,.0f} look-up tables"),
        "chip": (lambda s: s["chip"]["area_um2"] / 1e6, "{:,.1f} mm2, 180 nm"),
    }

    def draw(axes):
        bars = []
        for config, row in found["area"].rows.items():
            for of, form in kinds.values():
                whole = of(row["total"])
                shares = {name: of(s) / whole for name, s in row["slices"].items()}
                bars.append((f"{config}\n{form.format(whole)}", shares))
        for name, colour in _SLICES.items():
            starts = [_before(name, shares) for _, shares in bars]
            widths = [shares[name] for _, shares in bars]
            axes.barh(range(len(bars)), widths, 0.6, starts, color=colour, label=name)
        axes.set_yticks(range(len(bars)), [label for label, _ in bars])
        axes.invert_yaxis()
        axes.set_xlim(0, 1)
        axes.grid(visible=False, axis="y")
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.legend(frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.4, 1.0))

    return _drawn(draw, width=7.2)


def _before(name, shares):
    """Where the part `name` of a bar begins."""
    names = list(_SLICES)
    return sum(shares[other] for other in names[: names.index(name)])


PLOTS = {
    "size.svg": partial(_utilisation, "size", "n, of a product n x n x n"),
    "sequence.svg": partial(_utilisation, "sequence", "sequence length, of attention"),
    "speed.svg": _speed,
    "area.svg": _area,
}
"""By file name: a function of the records that returns the text of the file."""
