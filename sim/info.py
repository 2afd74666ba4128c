"""What ``tsp info`` shows: sizes, floor plan and latencies of a configuration."""

from rich.table import Table

from tsp.hw.isa import timing
from tsp.hw.isa.base import ISA


def describe(config):
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

    row = Table(title="floor plan, west to east")
    for heading in ("stop", "slices", "queues"):
        row.add_column(heading)
    for stop in range(plan.stops):
        here = [s for s in plan.slices if s.stop == stop]
        queues = [q.name for s in here for q in plan.queues_of(s)]
        row.add_row(str(stop), " ".join(s.name for s in here), " ".join(queues))
    yield row

    latencies = Table(title="latencies in cycles after issue, superlane 0")
    for heading in ("unit", "instruction", "samples", "drives", "note"):
        latencies.add_column(heading)
    for instruction in ISA.values():
        if instruction.executed:
            t = instruction.timing(config)
            shown = ["" if v is None else str(v) for v in (t.skew, t.func)]
            latencies.add_row(instruction.unit.value, instruction.mnemonic, *shown, t.note)
    yield latencies
    yield (
        f"barrier {timing.BARRIER}; MEM touches SRAM {timing.MEM_BANK} after issue; "
        f"dot products {timing.array_latency(config)} after ABC"
    )
