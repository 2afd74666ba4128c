"""What the command shows: progress while it works, and a table of what it measured."""

import contextlib
import threading
import time

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

console = Console(stderr=True)
"""Where progress goes; results go to the standard output."""


@contextlib.contextmanager
def shown(what):
    """A progress callable whose bar appears once the work has taken two seconds."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    began = time.perf_counter()
    with Progress(*columns, console=console, transient=True) as bar:
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


def attempted(work, otherwise):
    """What ``work()`` returns; if a tool fails, ``otherwise(seconds=, message=)`` in its place.

    So what comes after it goes on.
    """
    began = time.perf_counter()
    try:
        return work()
    except RuntimeError as error:
        return otherwise(seconds=time.perf_counter() - began, message=str(error))


def table_of(measurements):
    """A table that a person reads, a row per measurement, in 100 columns."""
    first = measurements[0]
    table = Table(
        title=f"on {first.config}, back end {first.backend}",
        caption="busy: useful multiply-accumulates of all that the planes could do in these cycles",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    formats = any(x.dtypes for x in measurements)
    for heading in ("kernel", "formats") if formats else ("kernel",):
        table.add_column(heading)
    for heading in ("scheduled", "measured", "busy", "max error", "right", "sim"):
        table.add_column(heading, justify="right", no_wrap=True)
    for x in measurements:
        exact = x.tolerance == 0
        table.add_row(
            f"{x.kernel} {' x '.join(str(v) for v in x.shape.values())}",
            *([" ".join(x.dtypes.values())] if formats else []),
            f"{x.cycles_scheduled:,}",
            f"{x.cycles_measured:,}" + (f" FAULT {x.fault}" if x.fault else ""),
            f"{x.mxm_utilisation:.1%}" if x.macs else "-",
            f"{x.max_ulp_error:.2f} ulp" if exact else f"{x.max_relative_error:.1e}",
            ("exact" if x.bit_exact else "yes") if x.right else "NO",
            f"{x.sim_cycles_per_second:,.0f}/s" if x.sim_cycles_per_second else "-",
        )
    return table
