"""``tsp exec``: runs a program on any back end."""

import io

import click
import numpy as np
from rich.text import Text

from tsp.sim import backends, files
from tsp.sim.backends import BACKENDS
from tsp.sim.cli.paths import FILE, WRITTEN, load_program
from tsp.sim.cli.report import print_json, print_table, shown, warn_of_size
from tsp.sim.cli.view import leave_views, view_options

SHOWN = 32
"""The number of words printed of each output; files and JSON have all of them."""


@click.command("exec")
@click.argument("source", type=FILE)
@click.option("--out", "out_file", **WRITTEN, help="Write the outputs there, as .npz.")
@click.option("--backend", type=click.Choice(BACKENDS), default="rtl", show_default=True)
@click.option("--waves", **WRITTEN, help="Write a waveform: rtl .vcd or .fst, pysim .vcd.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--unchecked", is_flag=True, help="Run a program that is known to be wrong.")
@view_options
def execute_program(source, out_file, backend, waves, as_json, unchecked):
    """Run a program, text or binary: print its cycles, fault, outputs and counters.

    SOURCE is a program as text or as written by `tsp asm`. A program that is known to be wrong
    before it runs is refused, unless --unchecked asks for its fault. The exit status is 1 if the
    program ends with a fault or does not take its scheduled cycles.
    """
    program = load_program(source, not unchecked)
    warn_of_size(program.config, backend)
    with shown(f"{program.name}: on {program.config.name}, {backend}") as progress:
        result = backends.run(program, backend, waves=waves, progress=progress)
    found = report(program, backend, result)
    if as_json:
        print_json(found, out_file)
    else:
        print_table(Text("\n".join(_lines(found))), out_file)
    if out_file:
        arrays = {f"output {n}": words for n, words in enumerate(result.outputs)}
        made = io.BytesIO()  # numpy wants to know positions, which a pipe has not
        np.savez(made, **arrays)
        files.write(out_file, made.getvalue())
    leave_views(program, result.cycles, found["fault"])
    if result.fault or result.cycles != program.cycles:
        raise SystemExit(1)


def report(program, backend, result):
    """A :class:`~tsp.sim.result.Result` as the plain dict that ``tsp exec --json`` prints.

    A word is a text of two digits per lane, lane 0 first.
    """
    return {
        "program": program.name,
        "config": program.config.name,
        "backend": backend,
        "cycles_scheduled": program.cycles,
        "cycles_measured": result.cycles,
        "fault": str(result.fault) if result.fault else None,
        "outputs": [
            {
                "bank": f"{region.slice}.{region.bank}",
                "address": region.address,
                "words": [word.tobytes().hex() for word in words],
            }
            for region, words in zip(program.outputs, result.outputs, strict=True)
        ],
        "instructions": {queue: n for queue, n in result.counters.busy.items() if n},
        "activation_vectors": {queue: n for queue, n in result.counters.vectors.items() if n},
        "stream_words": result.counters.stream_words,
        "build_seconds": result.build_seconds,
        "sim_seconds": result.sim_seconds,
    }


def _lines(found):
    """The lines of a report for people."""
    yield f"{found['program']} on {found['config']}, back end {found['backend']}"
    yield f"  cycles scheduled     {found['cycles_scheduled']:,}"
    yield f"  cycles measured      {found['cycles_measured']:,}"
    yield f"  fault                {found['fault'] or 'none'}"
    for queue, count in found["instructions"].items():
        yield f"  issued in {queue:10} {count:,}"
    for queue, count in found["activation_vectors"].items():
        yield f"  vectors in {queue:9} {count:,}"
    yield f"  stream words driven  {found['stream_words']:,}"
    for output in found["outputs"]:
        words, address = output["words"], output["address"]
        yield f"{output['bank']}, words {address} to {address + len(words) - 1}, lane 0 first"
        for n, word in enumerate(words[:SHOWN], address):
            yield f"  {n:5}  {word}"
        if len(words) > SHOWN:
            yield f"  and {len(words) - SHOWN:,} more words; --out FILE writes them all"
