"""``tsp chip``: the published chip at full size, built and checked."""

import click

from tsp.hw.config import preset
from tsp.sim import backends
from tsp.sim.cli.demo import demo_kernel
from tsp.sim.cli.report import console, show, shown, table_of
from tsp.sim.measure import measure, same_bits

WORKS = (
    ("matmul", 320, 320, 320, "fp16", "fp16", "fp32"),
    ("attention", 320, 1, 320),
    ("matmul", 640, 640, 640, "fp16", "fp16", "fp32"),
)
"""What is computed, as :func:`~tsp.sim.cli.demo.demo_kernel` takes it."""


@click.command("chip")
@click.option("--config", default="tsp", hidden=True)
def run_chip(config):
    """Build the full-size chip in Verilator, and compare it with the golden model.

    It runs two products and an attention over 320 tokens; the command fails unless the bits of
    their results and their cycles are those of the golden model.
    """
    found, same = [], []
    for entry in WORKS:
        what = " ".join(map(str, entry))
        with shown(f"{what}: scheduling") as progress:
            kernel = demo_kernel(preset(config), *entry)
            progress(description=f"{what}: on {config}, Verilator (the first run builds it)")
            measured, got = measure(entry[0], kernel, "bare", progress=progress)
            progress(description=f"{what}: on the golden model")
            golden = backends.run(kernel.program, "golden")
        equal = same_bits(got, kernel.unpack(golden.outputs))
        same.append(equal and golden.cycles == measured.cycles_measured)
        found.append(measured)
        verdict = "as the golden model" if same[-1] else "NOT as the golden model"
        console.print(
            f"{what}: {measured.cycles_measured:,} cycles, {verdict}; "
            f"built in {measured.build_seconds:,.0f} s, ran {measured.sim_seconds:,.0f} s"
        )
    show(table_of(found))
    if not all(same) or not all(x.right for x in found):
        raise SystemExit(1)
