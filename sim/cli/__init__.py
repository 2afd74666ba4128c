"""The command ``tsp``."""

import json
import os
import zlib
from pathlib import Path

import click
from rich.console import Console

from tsp.hw.config import preset
from tsp.sim import asm, binary, rom
from tsp.sim.cli.bench import run_bench
from tsp.sim.cli.check import refuse_faults
from tsp.sim.cli.chip import run_chip
from tsp.sim.cli.coverage import run_coverage
from tsp.sim.cli.demo import demo
from tsp.sim.cli.execute import execute_program, load_program
from tsp.sim.cli.formal import formal
from tsp.sim.cli.layers import run_attention_layer
from tsp.sim.cli.lint import lint
from tsp.sim.cli.report import console, shown
from tsp.sim.cli.run import CONFIG, run
from tsp.sim.cli.synth import synth
from tsp.sim.command import farewell
from tsp.sim.listing import listing


class _Errors(click.Group):
    """Shows what the library refuses as one line; as a traceback if TSP_TRACEBACK is set."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort):  # both are RuntimeErrors
            raise
        except KeyboardInterrupt as stop:
            raise click.exceptions.Exit(farewell(stop)) from None
        except (ValueError, TypeError, RuntimeError, OSError, MemoryError, zlib.error) as error:
            if os.environ.get("TSP_TRACEBACK"):
                raise
            message = str(error)
            if isinstance(error, MemoryError):
                message = f"an operand is too large for the memory; make it smaller. {message}"
            raise click.ClickException(message.rstrip()) from error


@click.group(cls=_Errors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tsp", message="%(package)s %(version)s")
def main():
    """An open tensor streaming core: run kernels on its RTL, look at it, export it."""


main.add_command(run)
main.add_command(execute_program)
main.add_command(formal)
main.add_command(lint)
main.add_command(run_bench)
main.add_command(run_chip)
main.add_command(demo)
main.add_command(run_coverage)
main.add_command(synth)
run.add_command(run_attention_layer)


@main.command("asm")
@click.argument("source", type=click.Path(exists=True, dir_okay=False))
@click.option("--output", "-o", type=click.Path(dir_okay=False), help="Binary program (.npz).")
@click.option("--listing", "show", is_flag=True, help="Print every queue with cycle numbers.")
@click.option(
    "--check/--no-check",
    default=None,
    help="Run it on the golden model and refuse what faults.  [default: if it has outputs]",
)
def assemble(source, output, show, check):
    """Assemble a text program into a binary one."""
    program, lines = asm.parse_source(Path(source).read_text())
    if check or (check is None and program.outputs):
        with shown(f"running {program.name} on the golden model") as progress:
            refuse_faults(program, lines, progress)
    text = listing(program)
    if output:
        Path(output).write_bytes(binary.to_binary(program))
    if show or not output:
        click.echo(text)


@main.command("disasm")
@click.argument("source", type=click.Path(exists=True, dir_okay=False))
def disassemble(source):
    """Print a program as text that ``tsp asm`` takes."""
    click.echo(asm.format_program(load_program(source)))


@main.command("rom")
@click.argument("source", type=click.Path(exists=True, dir_okay=False))
@click.option("--config", type=CONFIG, help="Refuse a program that is for another one.")
@click.option("--output", "-o", required=True, type=click.Path(dir_okay=False))
def make_rom(source, config, output):
    """Write a program as a ROM of host transactions that load, run and check it."""
    program = load_program(source)
    if config and program.config != preset(config):
        raise ValueError(f"{source} is for {_apart(program.config, preset(config))}")
    Path(output).write_text(rom.to_rom(program))
    console.print(f"wrote {output}: {rom.rom_bits(program.config)} bits a word")


def _apart(config, other):
    """Two configs by name, and with the fields that differ if that is the same."""
    if config.name != other.name:
        return f"{config.name}, not for {other.name}"
    found, usual = config.as_dict(), other.as_dict()
    differ = [key for key in found if found[key] != usual[key]]
    mine, theirs = (", ".join(f"{k}={c[k]}" for k in differ) for c in (found, usual))
    return f"{config.name} with {mine}, not for {other.name} with {theirs}"


@main.command()
@click.option("--config", type=CONFIG, default="small", show_default=True)
def info(config):
    """Print floor plan, sizes and latency table of a configuration."""
    from tsp.sim.info import describe

    for part in describe(preset(config)):
        Console().print(part)


@main.command()
@click.option("--config", type=CONFIG, default="small", show_default=True)
@click.option("--output", "-o", required=True, type=click.Path(dir_okay=False))
@click.option("--instances", is_flag=True, help="For synthesis: no loops over like components.")
@click.option(
    "--prefix",
    metavar="NAME",
    help="Modules are named NAME_..., the top module NAME_chip.  [default: tsp_CONFIG]",
)
@click.option(
    "--initial-values/--no-initial-values",
    default=True,
    show_default=True,
    help="Registers and memories have values before the first reset, as FPGAs load them.",
)
def verilog(config, output, instances, prefix, initial_values):
    """Export a configuration as Verilog; needs no cache."""
    from tsp.sim import verilog as made

    form = "instances" if instances else "loops"
    prefix = made.default_prefix(preset(config)) if prefix is None else prefix
    with shown(f"exporting {config}"):
        text = made.verilog(preset(config), form, prefix=prefix, initial_values=initial_values)
    Path(output).write_text(text)
    console.print(f"wrote {output}: top module {made.top(prefix)}")


@main.command()
@click.option("--config", type=CONFIG, default="small", show_default=True)
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
