"""The output of the command: progress while it works, and tables of measurements."""

import contextlib
import json
import math
import threading
import time
from collections.abc import Sequence

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement as Extent
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from tsp.hw.config import preset
from tsp.hw.errors import ToolError
from tsp.sim import files

console = Console(stderr=True)
"""The console for progress; results go to the standard output."""

PATIENCE = 2.0
"""Seconds after which work in progress is reported."""


def say(text):
    """Print a line of progress without markup or highlighting."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def print_json(found, out_file=None):
    """Print a dict as one line of JSON, in which infinities and NaN are null.

    It goes to the standard error if `out_file` is the standard output.
    """
    text = json.dumps(_finite(found), allow_nan=False)
    click.echo(text, err=_is_taken(out_file))


def print_table(table, out_file=None):
    """Print a result for people, to the same place as `print_json`."""
    Console(stderr=_is_taken(out_file)).print(table)


def _is_taken(out_file):
    return bool(out_file) and files.is_stdout(out_file)


def _finite(value):
    """A value of JSON with None in place of infinities and NaN."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextlib.contextmanager
def shown(what):
    """A progress callable whose bar appears once the work has taken `PATIENCE` seconds.

    Off a terminal there is no bar, but one line for every description that lasts that long.
    """
    columns = TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn()
    bar = Progress(*columns, console=console, transient=True)
    task = bar.add_task(what, total=None)
    begun = {"what": what, "at": time.monotonic()}

    def progress(done=None, total=None, description=None):
        if description not in (None, begun["what"]):
            begun.update(what=description)
            if not console.is_terminal:
                begun.update(at=time.monotonic())
        bar.update(task, completed=done, total=total, description=description)

    # Building a simulator gives no signs of life of its own, so a thread shows them.
    over = threading.Event()

    def appear():
        told = None
        while not over.wait(0.1):
            if time.monotonic() - begun["at"] < PATIENCE or begun["what"] == told:
                continue
            if console.is_terminal:
                return bar.start()
            told = begun["what"]
            say(told)
        return None

    watcher = threading.Thread(target=appear, daemon=True)
    watcher.start()
    try:
        yield progress
    finally:
        over.set()
        watcher.join()
        if bar.live.is_started:
            bar.stop()


def warn_of_size(config, backend):
    """Warn of the time that gates of any but the smallest core take, before the work begins."""
    if backend == "gates" and config != preset("nano"):
        say(
            f"warning: the gates of {config.name} may take hours. Those of nano are 335,000 lines "
            "of Verilog and run at about 100 cycles/s; small is 40 times as large as nano."
        )


def attempted(work, otherwise):
    """The result of ``work()``, or ``otherwise(seconds=, message=)`` if a tool fails.

    The work that follows can then continue.
    """
    began = time.perf_counter()
    try:
        return work()
    except ToolError as error:
        return otherwise(seconds=time.perf_counter() - began, message=str(error))


class Fitting:
    """A table, or a block of lines for each of its rows where it does not fit the terminal.

    Parameters
    ----------
    table : rich.table.Table
        Its first column names the row.
    notes : sequence of str
        Lines below the table that explain headings and entries.
    """

    def __init__(self, table: Table, notes: Sequence[str] = ()):
        self.table, self.notes = table, notes

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for column in self.table.columns:
            if column.no_wrap:  # of which Rich takes no account
                cells = [str(column.header), *map(str, column.cells)]
                column.min_width = max(len(line) for cell in cells for line in cell.split("\n"))
        wide = options.update(max_width=1000)  # it says no more than it has
        if Extent.get(console, wide, self.table).minimum <= options.max_width:
            yield self.table
        else:
            yield Text(str(self.table.title), style="italic")
            yield from self._blocks()
            if self.table.caption:
                yield Text(str(self.table.caption), style="dim")
        for note in self.notes:
            yield Padding(Text(note, style="dim"), (0, 0, 0, 1))

    def _blocks(self):
        """Every row as a block of lines."""
        names = [str(column.header).replace("\n", " ") for column in self.table.columns[1:]]
        for first, *cells in zip(*(column.cells for column in self.table.columns), strict=True):
            yield Text(str(first))
            for name, cell in zip(names, cells, strict=True):
                yield Text(f"  {name}: {cell}" if name else f"  {cell}")


def show(part: Table | Fitting | str) -> None:
    """Print a result on the standard output; a table so that it fits."""
    Console().print(Fitting(part) if isinstance(part, Table) else part)


def label(name, shape):
    """A kernel and its sizes in words: ``attention seq 64, heads 2, dim 64``.

    `shape` is that of a :class:`~tsp.sim.kernels.common.Kernel`. Defaults are omitted: as many keys
    as queries, as many key heads as heads, no cache.
    """
    dtypes = {key: value for key, value in shape.items() if key.endswith("dtype")}
    sizes = {key: value for key, value in shape.items() if key not in dtypes}
    if sizes.keys() <= {"m", "k", "n", "rows", "cols"}:
        words = "x".join(map(str, sizes.values()))
    else:
        for key, like in (("kv_seq", "seq"), ("kv_heads", "heads"), ("cache", None)):
            if key in sizes and sizes[key] == sizes.get(like, 0):
                del sizes[key]
        names = {key: key.removeprefix("head_").replace("_", " ") for key in sizes}
        words = ", ".join(f"{names[key]} {value}" for key, value in sizes.items())
    out = dtypes.pop("out_dtype", None)
    formats = " x ".join(dict.fromkeys(dtypes.values()))
    formats = f"{formats} > {out}" if out else formats
    return " ".join(part for part in (name, words, formats) if part)


_HEADINGS = (
    "kernel", "scheduled\ncycles", "measured\ncycles", "busy,\n%", "largest\nerror",
    "1000\ncycles/s",
)  # fmt: skip


def table_of(measurements):
    """A table that a person reads, a row per measurement, in 80 columns."""
    first = measurements[0]
    rows = [
        (
            "\n".join([label(x.kernel, x.shape | x.dtypes), *_troubles(x)]),
            f"{x.cycles_scheduled:,}",
            f"{x.cycles_measured:,}",
            f"{100 * x.mxm_utilisation:.1f}" if x.macs else "-",
            _error(x),
            f"{x.run_cycles_per_second / 1000:,.1f}" if x.run_cycles_per_second else "-",
        )
        for x in measurements
    ]
    notes = []
    if any(x.macs for x in measurements):
        notes.append("busy: useful multiply-accumulates / those of all planes in these cycles")
    if any(x.rounded_once for x in measurements):
        notes.append("exact: every bit is that of the exact result, rounded once")
    if not all(x.rounded_once for x in measurements):
        notes.append("largest error: of any element, relative to the largest magnitude")
    if any(x.run_cycles_per_second for x in measurements):
        notes.append("cycles/s: simulated from start to end, without loading and reading back")
    title = f"on {first.config}, back end {first.backend}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=0, show_edge=False)
    table.add_column(_HEADINGS[0], min_width=min(24, max(len(row[0]) for row in rows)))
    for heading in _HEADINGS[1:]:
        table.add_column(heading, justify="right", no_wrap=True)
    for column in table.columns:
        column.vertical = "bottom"
    for row in rows:
        table.add_row(*map(Text, row))
    return Fitting(table, notes)


_SATURATING = ("linear", "ffn", "attention_layer")
"""Kernels that have an option for it."""


def _troubles(x):
    """The failures of a run, one per line."""
    if x.fault:
        yield f"FAULT: {x.fault}"
    if x.cycles_measured != x.cycles_scheduled:
        yield "NOT in the scheduled cycles"
    if not x.kept:
        yield f"NOT within {x.tolerance:.0e}" if x.tolerance else "NOT exact"
        if math.isinf(x.max_abs_error) and not x.fault:
            found = "NaN or infinity where numpy is finite: a step exceeds 65,504, the fp16 limit"
            yield found + ("; --saturate clamps it" if x.kernel in _SATURATING else "")


def _error(x):
    """The error of a result in words."""
    return "exact" if x.rounded_once else f"{x.max_relative_error:.1e}"
