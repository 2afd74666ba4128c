"""``tsp view``, and the views that a run leaves: a schedule as an HTML file or a Perfetto trace."""

from dataclasses import asdict

import click

from tsp.sim.cli.paths import FILE, WRITTEN, load_program
from tsp.sim.cli.report import print_json, say, shown
from tsp.sim.schedule.reasons import PHRASES
from tsp.sim.view import BUDGET, view_data, write_page

_SHOWN = "Write an HTML file that shows every unit in every cycle, and why not sooner."
_TRACED = "Write the same for ui.perfetto.dev: units as tracks, words as flows."


def _kept(context, option, path):
    """Keep a path for :func:`leave_views`, so that no command need hand it on."""
    context.meta[option.name] = WRITTEN["callback"](context, option, path)


def view_options(command):
    """Add the options of all commands that run something and can leave a view of it."""
    kept = {"type": WRITTEN["type"], "expose_value": False, "callback": _kept}
    for name, text in (("trace", _TRACED), ("view", _SHOWN)):
        command = click.option(f"--{name}", name, **kept, help=text)(command)
    return command


def leave_views(program, measured, fault, macs=0):
    """Write the views that the command line asks for.

    Parameters
    ----------
    program : Program
    measured : int
        Cycles that the run took.
    fault : str or None
        With which it ended.
    macs : int
        Multiply-accumulates that the problem needs.
    """
    meta = click.get_current_context().meta
    if path := meta.get("view"):
        ideal = -(-macs // program.config.macs_per_cycle) if macs else None
        facts = {"measured": measured, "fault": fault, "ideal": ideal}
        _leave(path, [_viewed(program, BUDGET, **facts)])
    if path := meta.get("trace"):
        _trace(path, program)


@click.command("view")
@click.argument("source", type=FILE)
@click.argument("other", type=FILE, required=False)
@click.option("--out", "-o", **WRITTEN, help="The HTML file.")
@click.option("--trace", **WRITTEN, help=_TRACED)
@click.option(
    "--values/--no-values",
    "with_values",
    default=True,
    show_default=True,
    help="Run it on the golden model, and show what every word carries.",
)
@click.option(
    "--budget",
    type=click.FloatRange(0),
    default=BUDGET / (1 << 20),
    show_default=True,
    help="MiB of values, compressed; those of later cycles are left out.",
)
@click.option("--unchecked", is_flag=True, help="Show a program that is known to be wrong.")
@click.option("--json", "as_json", is_flag=True, help="Print where the cycles went, as JSON.")
def view(source, other, out, trace, with_values, budget, unchecked, as_json):
    """Show what every unit does in every cycle, and why not sooner.

    SOURCE is what `tsp asm` takes or writes, or `tsp rom` reads. With OTHER, two programs are side
    by side on one time. The HTML file needs no network and no server.
    """
    if not (out or trace or as_json):
        raise click.UsageError("give --out for a page, --trace for a Perfetto trace, or --json")
    if trace and other:
        raise click.UsageError("--trace takes one program; leave out OTHER")
    programs = [load_program(path, not unchecked) for path in (source, other) if path]
    if out or as_json:
        size, with_values = int(budget * (1 << 20)), with_values and bool(out)
        views = [_viewed(p, size, with_values=with_values) for p in programs]
        if out:
            _leave(out, views)
        if as_json:
            found = [_summary(made) for made in views]
            print_json(found[0] if len(found) == 1 else {"programs": found}, out)
    if trace:
        _trace(trace, programs[0])


def _leave(path, views):
    """Write a page, and say where the cycles of its programs went."""
    write_page(path, views)
    for made in views:
        parts = _listed((PHRASES[kind], cycles) for kind, cycles in made.spent.items())
        say(f"{made.program.name}, critical path of {made.program.cycles:,} cycles: {parts}")
        for plane in made.planes:
            say(f"  {plane.name}: busy {plane.busy:,}; {_listed(plane.idle.items())}")
    say(f"wrote {path}")


def _listed(cycles):
    """Names with their cycles, the most first."""
    ordered = sorted(cycles, key=lambda item: -item[1])
    return ", ".join(f"{name} {count:,}" for name, count in ordered)


def _summary(made):
    """What ``tsp view --json`` prints of a program."""
    return {
        "program": made.program.name,
        "config": made.program.config.name,
        "cycles": made.program.cycles,
        "path_cycles": made.spent,
        "planes": [asdict(plane) for plane in made.planes],
    }


def _viewed(program, budget, **facts):
    """What a view shows of a program, and a line if values are left out."""
    with shown(f"looking at {program.name} on the golden model") as progress:
        made = view_data(program, budget=budget, progress=progress, **facts)
    if made.until is not None:
        say(
            f"the view of {program.name} has no values from cycle {made.until:,} on: those before "
            f"take {budget / (1 << 20):g} MiB; `tsp view --budget` takes more"
        )
    return made


def _trace(path, program):
    from tsp.sim.view.perfetto import write_trace  # an extra, which few need

    with shown(f"tracing {program.name}"):
        write_trace(path, program)
    say(f"wrote {path}")
