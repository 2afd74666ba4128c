"""What the command shows of its work. Oracles: lines written out, and the width of a terminal."""

import io
import time
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from tsp.sim.cli import report
from tsp.sim.measure import Measurement

ROOT = Path(__file__).parents[1]
ROW = Measurement(
    kernel="attention",
    config="small",
    backend="rtl",
    shape={"seq": 64, "kv_seq": 64, "heads": 2, "kv_heads": 2, "head_dim": 64},
    dtypes={},
    cycles_scheduled=1669,
    cycles_measured=1669,
    macs=532480,
    mxm_utilisation=0.623,
    max_abs_error=1e-4,
    max_ulp_error=1.0,
    max_relative_error=2.4e-4,
    bit_exact=False,
    tolerance=2e-3,
    right=True,
    build_seconds=0.0,
    sim_seconds=2.0,
    sim_cycles_per_second=27_000.0,
    run_cycles_per_second=96_826.0,
    fault=None,
)
PRODUCT = replace(
    ROW,
    kernel="matmul",
    shape={"m": 65, "k": 33, "n": 129},
    dtypes={"a_dtype": "fp16", "b_dtype": "int8", "out_dtype": "fp16"},
    cycles_scheduled=32790,
    cycles_measured=32790,
    mxm_utilisation=0.999,
    max_relative_error=0.0,
    bit_exact=True,
    tolerance=0.0,
)


def shown(renderable, width):
    """The lines that a console of `width` columns shows."""
    stream = io.StringIO()
    Console(file=stream, width=width).print(renderable)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_a_table_fits_a_terminal():
    """80 columns, a line for each; units in the heading, and a legend."""
    lines = shown(report.table_of([ROW, PRODUCT]), 80)
    assert max(map(len, lines)) <= 80
    title, *heading, _, first, second = lines[:6]
    assert title == "on small, back end rtl"
    words = "scheduled measured busy, largest 1000 kernel cycles cycles % error cycles/s"
    assert " ".join(" ".join(heading).split()) == words
    words = "attention seq 64, heads 2, dim 64 1,669 1,669 62.3 2.4e-04 96.8"
    assert " ".join(first.split()) == words
    assert second.startswith("matmul 65x33x129 fp16 x int8 > fp16 ")
    assert second.endswith(" exact     96.8")
    for note in ("busy:", "exact: every bit", "largest error:", "cycles/s: simulated"):
        assert any(line.lstrip().startswith(note) for line in lines[6:]), note


@pytest.mark.parametrize("width", [20, 40, 60])
def test_no_column_vanishes_on_a_narrow_terminal(width):
    text = " ".join(" ".join(shown(report.table_of([ROW, PRODUCT]), width)).split())
    assert "scheduled cycles: 1,669 measured cycles: 1,669 busy, %: 62.3" in text
    assert text.count("1000 cycles/s: 96.8") == 2


def test_any_table_fits():
    """With a caption and a heading that is empty; where it does not fit, nothing is cut."""
    table = Table(title="proofs", caption="by induction")
    for heading in ("proof", "result", ""):
        table.add_column(heading, no_wrap=True)
    table.add_row("a queue never loses an instruction", "proven", "in 12.5 s")
    assert "a queue never loses an instruction" in "".join(shown(report.Fitting(table), 80))
    assert shown(report.Fitting(table), 36) == [
        "proofs", "a queue never loses an instruction", "  result: proven", "  in 12.5 s",
        "by induction",
    ]  # fmt: skip


def test_every_command_shows_tables_so():
    """None prints one of Rich's own, whose columns vanish where there is no room."""
    for path in (ROOT / "sim" / "cli").glob("*.py"):
        assert path.name == "report.py" or "Console()" not in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fault": "invalid in MEM_E1 at cycle 4"}, "FAULT: invalid in MEM_E1 at cycle 4"),
        ({"cycles_measured": 1670}, "NOT in the scheduled cycles"),
        ({"max_relative_error": 3e-3}, "NOT within 2e-03"),
        ({"tolerance": 0.0}, "NOT exact"),
    ],
)
def test_what_went_wrong_is_told(changes, words):
    bad = replace(ROW, right=False, **changes)
    assert words in "\n".join(shown(report.table_of([bad]), 80))
    assert "NOT" not in "\n".join(shown(report.table_of([ROW]), 80))


@pytest.mark.parametrize(
    ("name", "shape", "text"),
    [
        ("softmax", {"rows": 256, "cols": 16}, "softmax 256x16"),
        ("transpose", {"rows": 6, "cols": 9, "x_dtype": "int8"}, "transpose 6x9 int8"),
        (
            "attention_layer",
            {"seq": 1, "width": 20, "heads": 4, "kv_heads": 2, "head_dim": 8, "cache": 0},
            "attention_layer seq 1, width 20, heads 4, kv heads 2, dim 8",
        ),
    ],
)
def test_labels(name, shape, text):
    assert report.label(name, shape) == text


def progress_of(monkeypatch, terminal):
    """What is shown of a work in three parts, the first two of which take long."""
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=80)
    monkeypatch.setattr(report, "console", console)
    monkeypatch.setattr(report, "PATIENCE", 0.3)
    with report.shown("first [part]") as progress:
        time.sleep(0.8)
        progress(description="second part")
        for done in range(8):
            progress(done, 8)
            time.sleep(0.1)
        progress(description="third part")
    report.say("done: [2] cycles")
    with report.shown("something quick"):
        pass
    report.say("done: 3 cycles")
    return stream.getvalue()


def test_progress_off_a_terminal_is_a_line_for_each_part_that_takes_long(monkeypatch):
    assert progress_of(monkeypatch, terminal=False).splitlines() == [
        "first [part]",
        "second part",
        "done: [2] cycles",
        "done: 3 cycles",
    ]


def test_progress_on_a_terminal_leaves_nothing_behind(monkeypatch):
    """The bar is drawn over and erased: what stays is a line for each result, and none is blank."""
    text = progress_of(monkeypatch, terminal=True)
    assert "first [part]" in text
    assert "something quick" not in text
    last = text[text.rindex("\x1b[2K") :].replace("\x1b[2K", "").replace("\r", "")
    assert last.splitlines() == ["done: [2] cycles", "done: 3 cycles"]
