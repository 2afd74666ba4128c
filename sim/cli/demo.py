"""``tsp demo``: a tour of the kernels."""

import click
import numpy as np

from tsp.hw.config import PRESETS, preset
from tsp.sim import cache
from tsp.sim.backends import BACKENDS
from tsp.sim.cli.report import label, say, show, shown, table_of, warn_of_size
from tsp.sim.cli.run import CONFIG, random_operand
from tsp.sim.kernels.attention import attention
from tsp.sim.kernels.matmul import matmul
from tsp.sim.kernels.norms import rmsnorm
from tsp.sim.kernels.rows import softmax
from tsp.sim.measure import FORMATS, measure

DEMO = (
    ("matmul", 64, 64, 64, "int8", "int8", "int32"),
    ("matmul", 256, 256, 256, "int8", "int8", "int32"),
    ("matmul", 65, 33, 129, "fp16", "int8", "fp16"),
    ("matmul", 256, 256, 256, "fp16", "fp16", "fp32"),
    ("softmax", 256, 16),
    ("rmsnorm", 256, 16),
    ("attention", 64, 2, 64),
)
"""The kernels that ``make run`` runs.

A product has m, k, n and the formats of A, B and C, a row kernel rows and columns, and attention
the length of the sequence, heads and their size.
"""


def demo_kernel(config, name, *sizes):
    """The kernel of an entry of ``DEMO``, with random operands."""
    rng = np.random.default_rng(0)
    if name == "matmul":
        m, k, n, a_dtype, b_dtype, out_dtype = sizes
        a, b = random_operand(rng, (m, k), a_dtype), random_operand(rng, (k, n), b_dtype)
        return matmul(config, a, b, FORMATS[out_dtype])
    if name == "attention":
        return attention(config, *(random_operand(rng, sizes) for _ in range(3)), causal=True)
    return {"softmax": softmax, "rmsnorm": rmsnorm}[name](config, random_operand(rng, sizes))


@click.command()
@click.option("--config", type=CONFIG, default="small", show_default=True)
@click.option("--backend", type=click.Choice(BACKENDS), default="rtl", show_default=True)
def demo(config, backend):
    """Run matrix products, softmax, a norm and attention, and print a table."""
    if preset(config).datapath != "fp16":
        able = ", ".join(name for name, c in PRESETS.items() if c.datapath == "fp16")
        raise click.UsageError(
            f"the demo needs the fp16 datapath, and --config {config} has an "
            f"{preset(config).datapath} one; use one of {able}"
        )
    _announce(config, backend)
    warn_of_size(preset(config), backend)
    found = []
    try:
        for number, entry in enumerate(DEMO, 1):
            where = f"{number} of {len(DEMO)}: "
            with shown(f"{where}scheduling {entry[0]}") as progress:
                kernel = demo_kernel(preset(config), *entry)
                what = where + label(entry[0], kernel.shape)
                progress(description=f"{what}, on {config}, {backend}")
                found.append(measure(entry[0], kernel, backend, progress=progress)[0])
            say(f"{what}: {found[-1].cycles_measured:,} cycles")
    finally:  # a failure does not take with it what was measured before
        if found:
            show(table_of(found))
    if not all(x.right for x in found):
        raise SystemExit(1)


def _announce(config, backend):
    """Announce what will run, and how long it takes."""
    say(f"{len(DEMO)} kernels on {config}, back end {backend}, each compared with numpy.")
    if backend == "rtl":
        say(f"The first run builds the simulator, and keeps it in {cache.folder()}:")
        say("about a minute for small on two quiet cores. The kernels take half a minute more.")
