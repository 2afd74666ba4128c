"""The command ``tsp``."""

import errno
import os
import traceback
from importlib import metadata

import click

from tsp.hw.config import preset
from tsp.hw.errors import InputError, RefusedError
from tsp.sim import asm, binary, files, rom
from tsp.sim.cli.bench import run_bench
from tsp.sim.cli.check import refuse_faults
from tsp.sim.cli.chip import run_chip
from tsp.sim.cli.coverage import run_coverage
from tsp.sim.cli.demo import demo
from tsp.sim.cli.execute import execute_program
from tsp.sim.cli.formal import formal
from tsp.sim.cli.layers import run_attention_layer
from tsp.sim.cli.lint import lint
from tsp.sim.cli.paths import FILE, WRITTEN, load_program
from tsp.sim.cli.report import console, print_json, show, shown
from tsp.sim.cli.run import CONFIG, run
from tsp.sim.cli.synth import synth
from tsp.sim.cli.view import view
from tsp.sim.command import farewell
from tsp.sim.listing import listing


class _Errors(click.Group):
    """Shows a refusal as one line, or as a traceback if TSP_TRACEBACK is set.

    Any other exception is a bug: its traceback is shown, and what to report.
    """

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.Abort):  # both are RuntimeErrors
            raise
        except KeyboardInterrupt as stop:
            raise click.exceptions.Exit(farewell(stop)) from None
        except (RefusedError, OSError, MemoryError) as error:
            if os.environ.get("TSP_TRACEBACK"):
                raise
            if isinstance(error, OSError) and error.errno not in _MACHINE:
                raise click.exceptions.Exit(_bug()) from error
            message = str(error)
            if isinstance(error, MemoryError):
                message = f"an operand is too large for the memory; make it smaller. {message}"
            raise click.ClickException(message.rstrip()) from error
        except Exception as error:
            if isinstance(error, click.ClickException):
                raise
            raise click.exceptions.Exit(_bug()) from error


_MACHINE = {
    errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM,
    errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EIO,
}  # fmt: skip
"""Errors of the operating system, which are not bugs of tsp."""

BUG = 70
"""The exit status after a bug in tsp: EX_SOFTWARE of sysexits.h."""


def _bug():
    """Show the traceback of a bug and say that it is one; returns the exit status."""
    traceback.print_exc()
    version = metadata.version("tsp")
    click.echo(
        f"This is a bug in tsp {version}, not in what you asked for: please report the command, "
        "the lines above and the files that it read.",
        err=True,
    )
    return BUG


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
main.add_command(view)
run.add_command(run_attention_layer)


@main.command("asm")
@click.argument("source", type=FILE)
@click.option("--output", "-o", **WRITTEN, help="Binary program (.npz).")
@click.option("--listing", "show", is_flag=True, help="Print every queue with cycle numbers.")
@click.option(
    "--check/--no-check",
    default=None,
    help="Run it on the golden model; refuse it if it faults.  [default: if it has outputs]",
)
def assemble(source, output, show, check):
    """Assemble a text program into a binary one."""
    program, lines = asm.parse_source(files.read_text(source))
    if check or (check is None and program.outputs):
        with shown(f"running {program.name} on the golden model") as progress:
            refuse_faults(program, lines, progress)
    text = listing(program)
    if output:
        files.write(output, binary.to_binary(program))
    if show or not output:
        click.echo(text)


@main.command("disasm")
@click.argument("source", type=FILE)
def disassemble(source):
    """Print a program as text for ``tsp asm``."""
    click.echo(asm.format_program(load_program(source)))


@main.command("rom")
@click.argument("source", type=FILE)
@click.option("--config", type=CONFIG, help="Refuse a program for another configuration.")
@click.option("--output", "-o", required=True, **WRITTEN)
def make_rom(source, config, output):
    """Write a program as a ROM of host transactions that load, run and check it."""
    program = load_program(source)
    if config and program.config != preset(config):
        raise InputError(f"{source} is for {_apart(program.config, preset(config))}")
    files.write(output, rom.to_rom(program))
    console.print(f"wrote {output}: {rom.rom_bits(program.config)} bits per word")


def _apart(config, other):
    """Two configs by name, with the fields that differ if their names are equal."""
    if config.name != other.name:
        return f"{config.name}, not for {other.name}"
    found, usual = config.as_dict(), other.as_dict()
    differ = [key for key in found if found[key] != usual[key]]
    mine, theirs = (", ".join(f"{k}={c[k]}" for k in differ) for c in (found, usual))
    return f"{config.name} with {mine}, not for {other.name} with {theirs}"


@main.command()
@click.option("--config", type=CONFIG, default="small", show_default=True)
def info(config):
    """Print sizes, floor plan and latencies of a configuration."""
    from tsp.sim.info import describe

    for part in describe(preset(config)):
        show(part)


@main.command()
@click.option("--config", type=CONFIG, default="small", show_default=True)
@click.option("--output", "-o", required=True, **WRITTEN)
@click.option("--instances", is_flag=True, help="For synthesis: instances instead of loops.")
@click.option(
    "--prefix",
    metavar="NAME",
    help="Modules are named NAME_..., the top module NAME_chip.  [default: tsp_CONFIG]",
)
@click.option(
    "--initial-values/--no-initial-values",
    default=True,
    show_default=True,
    help="Give registers and memories initial values, as FPGAs load them.",
)
def verilog(config, output, instances, prefix, initial_values):
    """Export a configuration as Verilog; needs no cache."""
    from tsp.sim import verilog as made

    form = "instances" if instances else "loops"
    prefix = made.default_prefix(preset(config)) if prefix is None else prefix
    with shown(f"exporting {config}"):
        text = made.verilog(preset(config), form, prefix=prefix, initial_values=initial_values)
    files.write(output, text)
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
        print_json(found)
    else:
        for name, value in found.items():
            click.echo(
                f"{name:28} {value:,.2f}" if isinstance(value, float) else f"{name:28} {value}"
            )
