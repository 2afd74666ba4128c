"""What was covered, as a table, as JSON and as a page."""

import re
from collections import Counter

from rich.box import SIMPLE_HEAD
from rich.table import Table

from tsp.sim.coverage import holes
from tsp.sim.coverage.counts import by_family

MOST = 12
"""Holes without a reason that a report lists."""


def summary(coverage):
    """Everything that a report says of a configuration, as a dict for JSON."""
    kinds = {
        "bins": (holes.open_bins(coverage), holes.BINS),
        "lines": (holes.open_points(coverage, False), holes.LINES),
        "toggles": (holes.open_points(coverage, True), holes.TOGGLES),
    }
    families = by_family(coverage.points)
    total = families.pop("total")
    covered = {
        "bins": (len(coverage.bins) - len(coverage.open), len(coverage.bins)),
        "lines": total.lines,
        "toggles": total.toggles,
    }
    found = {}
    for kind, (names, reasons) in kinds.items():
        known, left = holes.explained(names, reasons, coverage.config)
        grouped = Counter()
        for name, many in left.items():
            grouped[re.sub(r"\d+", "N", name) if kind != "bins" else name] += many
        found[kind] = {
            "covered": covered[kind][0],
            "of": covered[kind][1],
            "explained": {reason.why: many for reason, many in known},
            "open": sum(left.values()),
            "largest": dict(grouped.most_common(MOST)),
        }
    return {
        "config": coverage.config.name,
        "programs": coverage.programs,
        "cycles": coverage.cycles,
        **found,
        "modules": {
            name: {"lines": list(c.lines), "toggles": list(c.toggles)}
            for name, c in families.items()
        },
    }


def _share(covered, of):
    return f"{covered / of:.1%}" if of else "-"


def tables(summaries):
    """Tables that a person reads: one of configurations, and one of modules for each."""
    table = Table(
        title="coverage: of everything, and of what no reason explains away", box=SIMPLE_HEAD
    )
    for heading in ("config", "programs", "cycles", "bins", "lines", "toggles"):
        table.add_column(heading, justify="left" if heading == "config" else "right")
    for s in summaries:
        table.add_row(s["config"], f"{s['programs']:,}", f"{s['cycles']:,}", *map(_both, _kinds(s)))
    yield table
    for s in summaries:
        table = Table(title=f"modules of {s['config']}", box=SIMPLE_HEAD)
        for heading in ("module", "lines", "", "toggles", ""):
            table.add_column(heading, justify="left" if heading == "module" else "right")
        for name, m in s["modules"].items():
            cells = [c for k in ("lines", "toggles") for c in (_share(*m[k]), f"{m[k][1]:,}")]
            table.add_row(name, *cells)
        yield table


def _kinds(s):
    return [s[kind] for kind in ("bins", "lines", "toggles")]


def _both(kind):
    known = sum(kind["explained"].values())
    return f"{_share(kind['covered'], kind['of'])} / {_share(kind['covered'], kind['of'] - known)}"


def markdown(summaries):
    """The text of a page."""
    lines = ["# Coverage", "", "Covered of everything / of what no reason explains away.", ""]
    lines += [
        "| config | programs | cycles | bins | lines | toggles |",
        "|---|---|---|---|---|---|",
    ]
    for s in summaries:
        cells = " | ".join(map(_both, _kinds(s)))
        lines.append(f"| {s['config']} | {s['programs']:,} | {s['cycles']:,} | {cells} |")
    for s in summaries:
        lines += ["", f"## {s['config']}", "", "| module | lines | toggles |", "|---|---|---|"]
        for name, m in s["modules"].items():
            cells = (f"{_share(*m[k])} of {m[k][1]:,}" for k in ("lines", "toggles"))
            lines.append(f"| {name} | {' | '.join(cells)} |")
        lines += ["", "| not covered | how many | why |", "|---|---|---|"]
        for kind in ("bins", "lines", "toggles"):
            lines += [f"| {kind} | {n:,} | {why} |" for why, n in s[kind]["explained"].items()]
            lines.append(f"| {kind} | {s[kind]['open']:,} | no reason is known |")
        for kind in ("bins", "lines", "toggles"):
            if s[kind]["largest"]:
                lines += ["", f"The largest groups of {kind} without a reason:", ""]
                lines += [f"- {n:,}: `{name}`" for name, n in s[kind]["largest"].items()]
    return "\n".join(lines) + "\n"
