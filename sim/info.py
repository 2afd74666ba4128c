"""The output of ``tsp info``: sizes, floor plan and latencies of a configuration."""

from collections import Counter
from collections.abc import Iterator
from itertools import groupby

from rich.table import Table

from tsp.hw.config import Config
from tsp.hw.floorplan import FloorPlan
from tsp.hw.isa import timing
from tsp.hw.isa.base import ISA


def describe(config: Config) -> Iterator[Table | str]:
    """Rich renderables: sizes, slices from west to east, and the latency table."""
    plan = config.floorplan
    sizes = Table(title=f"config {config.name}", show_header=False)
    for name, value in config.as_dict().items():
        if name != "name":
            sizes.add_row(name, f"{value:,}" if isinstance(value, int) else str(value))
    sizes.add_row("vector (bytes)", f"{config.vector:,}")
    sizes.add_row("MACs per cycle", f"{config.macs_per_cycle:,}")
    sizes.add_row("SRAM (bytes)", f"{config.memory_bytes:,}")
    sizes.add_row("stops", str(plan.stops))
    sizes.add_row("instruction queues", str(len(plan.queues)))
    yield sizes

    rows = Table(title="floor plan, west to east")
    for heading in ("stops", "slices", "queues of each"):
        rows.add_column(heading)
    for row in floor_rows(plan):
        rows.add_row(*row)
    yield rows

    latencies = Table(title="latencies in cycles after issue, superlane 0")
    for heading in ("unit", "instructions", "samples", "drives", "note"):
        latencies.add_column(heading)
    for (unit, *shown), names in latency_rows(config).items():
        latencies.add_row(unit, " ".join(names), *shown)
    yield latencies
    yield (
        f"barrier {timing.BARRIER}; MEM touches SRAM {timing.MEM_BANK} after issue; "
        f"dot products {timing.array_latency(config)} after ABC"
    )


def floor_rows(plan: FloorPlan) -> list[tuple[str, str, str]]:
    """Stops, slices and queues, west to east; slices that differ only in their number share a row.

    They do so if the same number of them is at each of these stops.
    """
    count = Counter((s.kind, s.stop) for s in plan.slices)

    def alike(s):
        return s.kind, s.hemisphere, count[s.kind, s.stop]

    rows = []
    for (kind, _, beside), group in groupby(plan.slices, alike):
        first, *others = group
        last = others[-1] if others else first
        stops = str(first.stop) if first.stop == last.stop else f"{first.stop}..{last.stop}"
        slices = first.name if first is last else f"{first.name}..{last.name}"
        if first.stop != last.stop and beside > 1:
            slices += f", {beside} a stop"
        queues = [q.name.removeprefix(first.name) for q in plan.queues_of(first)]
        if kind == "VXM" and len(queues) > 2:
            queues = [f"{queues[0]} to {queues[-1]}"]
        rows.append((stops, slices, " ".join(queues)))
    return rows


def latency_rows(config: Config) -> dict[tuple[str, ...], list[str]]:
    """Mnemonics by unit, samples, drives and note; instructions with equal values share a row."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for instruction in ISA.values():
        if instruction.executed:
            t = instruction.timing(config)
            shown = ("" if value is None else str(value) for value in (t.skew, t.func))
            key = (instruction.unit.value, *shown, t.note)
            rows.setdefault(key, []).append(instruction.mnemonic)
    return rows
