"""The command ``tsp``."""

import contextlib
import json
import threading
import time
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tsp.hw.config import PRESETS, preset
from tsp.sim import asm, binary
from tsp.sim.backends import BACKENDS
from tsp.sim.kernels.matmul import RESULTS, matmul
from tsp.sim.listing import listing
from tsp.sim.measure import FORMATS, measure

_console = Console(stderr=True)
_OPERANDS = click.Choice(["int8", "fp16"])
_RESULTS = click.Choice([d.name.lower() for d in RESULTS])
_CONFIG = click.Choice(list(PRESETS))


class _Errors(click.Group):
    """Shows what the library refuses as one line, not as a traceback."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort):  # both are RuntimeErrors
            raise
        except (ValueError, TypeError, RuntimeError, OSError) as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Errors, context_settings={"help_option_names": ["-h", "--help"]})
def main():
    """An open tensor streaming core: run kernels on its RTL, look at it, export it."""


@contextlib.contextmanager
def shown(what):
    """A progress callable whose bar appears once the work has taken two seconds."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    began = time.perf_counter()
    with Progress(*columns, console=_console, transient=True) as bar:
        task = bar.add_task(what, total=None, visible=False)

        def progress(done=None, total=None, description=what):
            late = time.perf_counter() - began > 2
            bar.update(task, completed=done, total=total, visible=late, description=description)

        # Building a simulator gives no signs of life of its own, so a timer shows the bar.
        stop = threading.Event()

        def appear():
            if not stop.wait(2):
                bar.update(task, visible=True)

        threading.Thread(target=appear, daemon=True).start()
        try:
            yield progress
        finally:
            stop.set()


@main.group()
def run():
    """Run a kernel and report cycles, utilisation and error."""


def random_operand(rng, shape, dtype):
    """A matrix to multiply: int8 over its whole range, fp16 unit-normal."""
    if dtype == "int8":
        return rng.integers(-128, 128, shape).astype(np.int8)
    return rng.normal(size=shape).astype(np.float16)


@run.command("matmul")
@click.option("--m", type=click.IntRange(1), help="Rows of A and C.")
@click.option("--k", type=click.IntRange(1), help="Columns of A, rows of B.")
@click.option("--n", type=click.IntRange(1), help="Columns of B and C.")
@click.option("--a", "a_file", type=click.Path(exists=True, dir_okay=False), help="A as .npy.")
@click.option("--b", "b_file", type=click.Path(exists=True, dir_okay=False), help="B as .npy.")
@click.option("--out", "out_file", type=click.Path(dir_okay=False), help="Write C there as .npy.")
@click.option("--a-dtype", type=_OPERANDS, default="fp16", show_default=True)
@click.option("--b-dtype", type=_OPERANDS, default="fp16", show_default=True)
@click.option("--out-dtype", type=_RESULTS, help="Default: int32 for int8 x int8, else fp32.")
@click.option("--scale", type=float, help="Scale of an int8 result.")
@click.option("--config", type=_CONFIG, default="small", show_default=True)
@click.option("--backend", type=click.Choice(BACKENDS), default="rtl", show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Of random operands.")
@click.option("--waves", type=click.Path(dir_okay=False), help="Write a .vcd or .fst waveform.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def run_matmul(
    m, k, n, a_file, b_file, out_file, a_dtype, b_dtype, out_dtype, scale, config, backend, seed,
    waves, as_json,
):  # fmt: skip
    """C = A B on all planes: random matrices of the given sizes, or your own."""
    if bool(a_file) != bool(b_file):
        raise click.UsageError("give both --a and --b, or neither")
    if a_file:
        if m or k or n:
            raise click.UsageError("--a and --b bring their sizes; leave out --m, --k and --n")
        a, b = (np.load(path, allow_pickle=False) for path in (a_file, b_file))
    else:
        if not (m and k and n):
            raise click.UsageError("give --m, --k and --n, or --a and --b")
        rng = np.random.default_rng(seed)
        a = random_operand(rng, (m, k), a_dtype)
        b = random_operand(rng, (k, n), b_dtype)
    if out_dtype is None:
        out_dtype = "int32" if a.dtype == b.dtype == np.int8 else "fp32"
    with shown("scheduling") as progress:
        kernel = matmul(preset(config), a, b, FORMATS[out_dtype], scale)
        progress(description=f"building the simulator of {config} and running")
        found, result = measure("matmul", kernel, backend, waves=waves, progress=progress)
    if out_file:
        np.save(out_file, result)
    if as_json:
        click.echo(json.dumps(found.as_dict()))
    else:
        Console().print(table_of([found]))
    if found.fault or not found.bit_exact or found.cycles_measured != found.cycles_scheduled:
        raise SystemExit(1)


def table_of(measurements):
    """A table that a person reads, a row per measurement, in 100 columns."""
    first = measurements[0]
    table = Table(
        title=f"matrix multiply on {first.config}, back end {first.backend}",
        caption="busy: useful multiply-accumulates of all that the planes could do in these cycles",
    )
    headings = (
        "M x K x N",
        "formats",
        "scheduled",
        "measured",
        "busy",
        "max error",
        "exact",
        "sim",
    )
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "formats" else "right")
    for x in measurements:
        a, b, out = x.dtypes.values()
        table.add_row(
            " x ".join(map(str, x.shape.values())),
            f"{a} x {b} -> {out}",
            f"{x.cycles_scheduled:,}",
            f"{x.cycles_measured:,}" + (f" FAULT {x.fault}" if x.fault else ""),
            f"{x.mxm_utilisation:.1%}",
            f"{x.max_ulp_error:.2f} ulp",
            "yes" if x.bit_exact else "NO",
            f"{x.sim_cycles_per_second:,.0f}/s" if x.sim_cycles_per_second else "-",
        )
    return table


DEMO = (
    (64, 64, 64, "int8", "int8", "int32"),
    (256, 256, 256, "int8", "int8", "int32"),
    (65, 33, 129, "fp16", "int8", "fp16"),
    (256, 256, 256, "fp16", "fp16", "fp32"),
)
"""What ``make run`` multiplies: m, k, n and the formats of A, B and C."""


@main.command()
@click.option("--config", type=_CONFIG, default="small", show_default=True)
@click.option("--backend", type=click.Choice(BACKENDS), default="rtl", show_default=True)
def demo(config, backend):
    """Multiply matrices in int8 and fp16 and print a table: the main job."""
    found = []
    for m, k, n, a_dtype, b_dtype, out_dtype in DEMO:
        what = f"matmul {m} x {k} x {n}, {a_dtype} x {b_dtype} -> {out_dtype}"
        rng = np.random.default_rng(0)
        with shown(f"{what}: scheduling") as progress:
            a, b = random_operand(rng, (m, k), a_dtype), random_operand(rng, (k, n), b_dtype)
            kernel = matmul(preset(config), a, b, FORMATS[out_dtype])
            progress(description=f"{what}: on {config}, {backend} (the first run builds it)")
            found.append(measure("matmul", kernel, backend, progress=progress)[0])
        _console.print(f"{what}: {found[-1].cycles_measured:,} cycles")
    Console().print(table_of(found))
    if not all(x.bit_exact and x.cycles_measured == x.cycles_scheduled for x in found):
        raise SystemExit(1)


@main.command("asm")
@click.argument("source", type=click.Path(exists=True, dir_okay=False))
@click.option("--output", "-o", type=click.Path(dir_okay=False), help="Binary program (.npz).")
@click.option("--listing", "show", is_flag=True, help="Print every queue with cycle numbers.")
def assemble(source, output, show):
    """Assemble a text program into a binary one."""
    program = asm.parse_program(Path(source).read_text())
    if output:
        Path(output).write_bytes(binary.to_binary(program))
    if show or not output:
        click.echo(listing(program))


@main.command("disasm")
@click.argument("source", type=click.Path(exists=True, dir_okay=False))
def disassemble(source):
    """Print a binary program as text that ``tsp asm`` takes."""
    click.echo(asm.format_program(binary.from_binary(Path(source).read_bytes())))


@main.command()
@click.option("--config", type=_CONFIG, default="small", show_default=True)
def info(config):
    """Print floor plan, sizes and latency table of a configuration."""
    from tsp.sim.info import describe

    for part in describe(preset(config)):
        Console().print(part)


@main.command()
@click.option("--config", type=_CONFIG, default="small", show_default=True)
@click.option("--output", "-o", required=True, type=click.Path(dir_okay=False))
def verilog(config, output):
    """Export a configuration as Verilog."""
    from tsp.sim.backends import build

    with shown(f"exporting {config}"):
        source, _ = build.export(preset(config))
    Path(output).write_text(source.read_text())
    _console.print(f"wrote {output}: top module {build.TOP}")


@main.command()
@click.option("--config", type=_CONFIG, default="small", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def speed(config, as_json):
    """Compare the runner's simulation speed with the bare Verilator model driven from C++."""
    from tsp.sim.backends import bare

    with shown(f"building the simulators of {config} and running both"):
        found = bare.compare(preset(config))
    if as_json:
        click.echo(json.dumps(found))
    else:
        for name, value in found.items():
            click.echo(
                f"{name:28} {value:,.2f}" if isinstance(value, float) else f"{name:28} {value}"
            )
