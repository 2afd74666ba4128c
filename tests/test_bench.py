"""The bench. Oracles: tables written by hand, the golden model, git; the results as committed."""

import dataclasses
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner

from tsp.hw.config import PRESETS
from tsp.sim.bench import BenchError, area, builds, cycles, page, parts, plots, repository, speed
from tsp.sim.bench import record as records
from tsp.sim.bench.job import Job
from tsp.sim.bench.record import PARTS, Record
from tsp.sim.bench.works import CHIP, README, SWEEPS, Work, cycles_works
from tsp.sim.cli import main
from tsp.sim.golden import model

ROOT = Path(__file__).parents[1]
TINY = Work("nano", "matmul", "--m 8 --k 8 --n 8 --a-dtype int8 --b-dtype int8", "tiny")
RUN = {
    "commit": "0123456789abcdef0123456789abcdef01234567",
    "changes": [],
    "date": "2026-11-24T20:48:35+00:00",
    "machine": {"cpu": "Abacus", "cores": 2, "memory_gib": 4, "versions": {"numpy": "2.4"}},
}
FOUND = {
    "backend": "rtl", "cycles_scheduled": 40_000, "cycles_measured": 40_000, "macs": 256**3,
    "mxm_utilisation": 0.8, "max_relative_error": 1e-7, "max_ulp_error": 0.5, "bit_exact": True,
    "tolerance": 0.0, "right": True, "fault": None, "build_seconds": 1.0, "sim_seconds": 2.0,
    "sim_cycles_per_second": 20_000.0,
}  # fmt: skip
"""What ``tsp run --json`` says of a made-up run."""
SPEED = {
    "config": "small", "size": 256, "dtype": "fp16", "cycles": 32_768, "macs": 256**3,
    "cycles_per_second": {
        "cocotb": {"busy": 50_000.0, "idle": 100_000.0},
        "bare": {"busy": 80_000.0, "idle": 200_000.0},
    },
}  # fmt: skip
TUNED = {
    way: {
        "config": "small", "way": way, "build_seconds": seconds, "cycles": 32_768,
        "macs": 256**3, "cycles_per_second": speed,
    }
    for way, seconds, speed in (("as it is", 40.0, 80_000.0), ("two threads", 44.0, 60_000.0))
}  # fmt: skip
BUILD = {
    "config": "small", "export_seconds": 3.4, "verilog_bytes": 2_500_000, "verilog_lines": 9,
    "export_memory_bytes": 512 << 20, "build_seconds": 61.0, "build_memory_bytes": 2 << 30,
    "simulator_bytes": 7_000_000,
}  # fmt: skip


def filled(directory):
    """Records of made-up results, written to `directory` and read from there."""
    works = (README[0], SWEEPS["sequence"]["small"][64])
    rows = {
        "cycles": {work.command: cycles.row(work, FOUND) for work in works},
        "speed": {"small": SPEED},
        "tuning": {f"small, {way}": row for way, row in TUNED.items()},
        "builds": {"small": BUILD},
        "area": {"nano": synthesis()},
    }
    for part, some in rows.items():
        record = Record.of(directory, part)
        run = record.start(RUN)
        for key, row in some.items():
            record.add(key, {**row, "quick": False, "seconds": 90.0}, run)
    return records.results(directory)


def synthesis():
    """What :func:`synthesise` says, of slices that take 1, 2, 3 ... of everything."""
    names = ("MEM", "VXM", "MXM", "SXM", "queues", "streams", "host and control")

    def one(n):
        chip = {"area_um2": n * 1e6, "cells": n, "flip_flops": n, "macro_bits": n, "path_ns": n}
        fpga = dict.fromkeys(("luts", "flip_flops", "block_rams", "dsps"), n * 1000)
        return {**fpga, "chip": chip, "placed": None}

    slices = {name: one(n) for n, name in enumerate(names, 1)}
    slices["MEM"]["placed"] = {"unit": "bank", "mhz": 99.5, "path": None}
    total = {**one(28), "luts_per_mac": 47.0, "area_um2_per_mac": 46_875.0}
    core = {"device": None, "needs": {"luts": 28_000}}
    return {"config": "nano", "macs": 64, "slices": slices, "total": total, "core": core}


def line(text, *words):
    """The cells of the one line of a table that contains all words."""
    (found,) = [row for row in text.splitlines() if all(word in row for word in words)]
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_tables(tmp_path):
    """Each number of made-up results stands in its cell; what was not measured says so."""
    found = page.blocks(filled(tmp_path))
    command = "`matmul --config small --m 256 --k 256 --n 256`"
    row = ["small", "256 x 256 x 256, fp16 -> fp32", "32,768", "40,000", "81.9%", "RTL", command]
    assert line(found["results-main"], "256 x 256 x 256") == row
    assert line(found["results-main"], "softmax")[3] == page.UNKNOWN
    assert line(found["results-works"], "256 x 256 x 256")[6] == "every bit right"
    assert line(found["results-chip"], "640")[3] == page.UNKNOWN
    assert line(found["results-size"], "| 256 |")[2] == "40,000: 81.9%"
    assert line(found["results-speed"], "small") == [
        "`small`", "256^3, fp16", "32,768", "50,000", "100,000", "80,000", "200,000",
        "20,000", "12,500", "39.06", "24.41",
    ]  # fmt: skip
    assert "50.0 k for `small` (80.0 k); on 2 cores (Abacus)." in found["results-speed-line"]
    tuned = ["`small`", "two threads", "44", "60,000", "-25%", "32.55"]
    assert line(found["results-tuning"], "two threads") == tuned
    sizes = ["3", "2.5", "512", "61", "2,048", "7.0"]
    assert line(found["results-builds"], "small") == ["`small`", *sizes]
    slices = ["2,000", "2,000", "2,000", "2,000", "2.000", "2", "2.0"]
    assert line(found["results-area-nano"], "VXM") == ["VXM", *slices]
    assert line(found["results-area-nano"], "total")[1] == "28,000"
    assert line(found["results-area"], "nano")[2:4] == ["47", "46,875"]
    assert line(found["results-area"], "nano")[6] == "fits none: 28,000 look-up tables"
    assert line(found["results-clock-nano"], "MEM") == ["MEM", "`bank`", "99.5", "-"]
    made = ["2", "`0123456789ab`", "2026-11-24 20:48:35 UTC", "Abacus, 2 cores, 4 GiB", "3.0"]
    assert line(found["results-runs"], "`cycles`") == ["`cycles`", *made]
    assert found["results-tools"] == "- `cycles`, `speed`, `tuning`, `builds`, `area`: numpy 2.4."


def test_tables_without_results(tmp_path):
    """Every table can be written before anything is measured."""
    found = page.blocks(records.results(tmp_path))
    assert all(found.values())
    for name in ("speed", "builds", "area", "area-nano", "clock-nano"):
        assert found[f"results-{name}"] == "Not measured yet."
    assert page.write(tmp_path)


def test_rows_of_the_golden_model_say_so(tmp_path):
    """In the column and in the command."""
    work, record = README[0], Record.of(tmp_path, "cycles")
    row = cycles.row(work, FOUND | {"backend": "golden"})
    record.add(work.command, {**row, "quick": True, "seconds": 1.0}, record.start(RUN))
    found = page.blocks(records.results(tmp_path))
    cells = line(found["results-works"], "256 x 256 x 256")
    assert cells[5] == "golden model"
    assert cells[7].endswith("--n 256 --backend golden`")
    assert line(found["results-size"], "| 256 |")[2] == "40,000: 81.9% (golden)"


def test_rows_of_the_full_size_chip(tmp_path):
    """They come from the model that C++ drives, which the command says."""
    work, record = CHIP[0], Record.of(tmp_path, "chip")
    row = cycles.row(work, FOUND | {"backend": "bare"})
    record.add(work.command, {**row, "quick": False, "seconds": 1.0}, record.start(RUN))
    cells = line(page.blocks(records.results(tmp_path))["results-chip"], "320 x 320 x 320")
    assert cells[3] == "40,000"
    assert cells[5] == "RTL"
    assert cells[7].endswith("--n 320 --backend bare`")


@pytest.mark.parametrize(
    "work", [w for w in cycles_works() if w.config == "nano"], ids=lambda work: work.label
)
def test_works_of_nano(work):
    """They fit its memory, which is the smallest."""
    assert cycles.measure(work, "golden")["cycles_measured"] > 0


def test_plots(tmp_path):
    """They are SVG, the same every time, and show what there is and nothing else."""
    found, empty = filled(tmp_path), records.results(tmp_path / "empty")
    for name, plot in plots.PLOTS.items():
        text = plot(found)
        assert text == plot(found), name
        assert text != plot(empty), name
        assert ET.fromstring(text).tag.endswith("svg")
        assert "<dc:date>" not in text
    assert ">small<" in plots.PLOTS["speed.svg"](found)
    assert "28,000 look-up tables" in plots.PLOTS["area.svg"](found)


@pytest.mark.parametrize(
    ("work", "ideal"),
    [
        (README[0], 256**3 / 512),
        (Work("duo32", "ffn", "--seq 1 --weight-dtype int8", "", "weights"), 256**3 / 2048),
        (Work("duo32", "ffn", "--seq 1", "", "weights"), 2 * 256**3 / 2048),
        (Work("small", "softmax", "", "", None), None),
    ],
)
def test_ideal(work, ideal):
    """Two planes of 16 x 16 are 512 products a cycle; 64 streams of 32 bytes are 2,048 bytes."""
    assert work.ideal(256**3) == ideal


def test_works_differ():
    """Every one is another command, and what tables and plots show is measured."""
    commands = [work.command for work in cycles_works()]
    assert len(commands) == len(set(commands))
    shown = [*README, *(w for c in SWEEPS.values() for curve in c.values() for w in curve.values())]
    assert {work.command for work in shown} <= set(commands)
    assert not {work.config for work in cycles_works()} & {"tsp"}
    assert {work.config for work in CHIP} == {"tsp"}


def bench(*words):
    return CliRunner().invoke(main, ["bench", *map(str, words)])


@pytest.fixture
def tiny(monkeypatch):
    """A bench whose cycles are those of one small product."""
    monkeypatch.setattr(cycles, "cycles_works", lambda: [TINY])


@pytest.mark.usefixtures("tiny")
def test_bench(tmp_path):
    """From the command to JSON, tables and plots; then nothing is missing but after a change."""
    words = ("--part", "cycles", "--quick", "--output", tmp_path)
    done = bench(*words, "--allow-dirty")
    assert done.exit_code == 0, done.output
    content = json.loads((tmp_path / "cycles.json").read_text())
    (row,) = content["rows"].values()
    assert row["backend"] == "golden"
    assert row["cycles_measured"] == row["cycles_scheduled"] == 52
    assert row["ideal"] == 32
    run = content["runs"][row["run"]]
    assert run["commit"] == repository.commit()
    assert run["changes"] == repository.changes()
    assert run["machine"]["cores"] >= 1
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"cycles.json", "tables.md", *plots.PLOTS}


def test_missing(tmp_path):
    """A row is missing if it is not there, was quick, or is of code that is not this commit's."""
    job, record = Job(TINY.command, "nano", None), Record.of(tmp_path, "cycles")
    run = {**RUN, "commit": repository.commit()}
    assert parts.missing(record, [job], True) == [job]
    record.add(job.key, {"quick": True}, record.start(run))
    assert parts.missing(record, [job], True) == []
    assert parts.missing(record, [job], False) == [job]
    for other in ({"commit": RUN["commit"]}, {"changes": ["hw/chip.py"]}):
        record.add(job.key, {"quick": False}, record.start(run | other))
        assert parts.missing(record, [job], False) == [job]


def test_other_rows_stay(tmp_path, monkeypatch):
    """Measuring one row again leaves those of other presets as they were, with their run."""
    jobs = [Job(name, name, dict) for name in ("nano", "small", "base")]
    monkeypatch.setitem(parts.JOBS, "cycles", lambda quick: jobs)
    parts.measure(Record.of(tmp_path, "cycles"), jobs, RUN, False)
    parts.measure(Record.of(tmp_path, "cycles"), jobs[1:2], {**RUN, "commit": "new"}, True)
    record = Record.of(tmp_path, "cycles")
    assert list(record.rows) == ["nano", "small", "base"]
    assert [record.run_of(job.key)["commit"] == "new" for job in jobs] == [False, True, False]
    assert [row["quick"] for row in record.rows.values()] == [False, True, False]


def test_rows_before_a_failure_are_kept(tmp_path, monkeypatch):
    """The one that failed is not there, nor is a row that the bench no longer has."""

    def fail():
        raise BenchError("wrong")

    jobs = [Job("one", "nano", dict), Job("two", "nano", fail), Job("three", "nano", dict)]
    monkeypatch.setitem(parts.JOBS, "cycles", lambda quick: jobs)
    record = Record.of(tmp_path, "cycles")
    record.add("old", {}, record.start(RUN))
    with pytest.raises(BenchError, match="wrong"):
        parts.measure(record, jobs, {**RUN, "commit": "new"}, False)
    again = Record.of(tmp_path, "cycles")
    assert list(again.rows) == ["one"]
    assert again.run_of("one")["commit"] == "new"
    assert len(again.runs) == 1


def test_the_first_failure_is_told(tmp_path, monkeypatch):
    """Not that of the pages that are written after it."""

    def fail(*_):
        raise BenchError(f"failure {len(failures)}")

    failures = []
    monkeypatch.setattr(parts, "measure", lambda *_: failures.append(1) or fail())
    monkeypatch.setattr(page, "write", lambda *_: failures.append(2) or fail())
    done = bench("--part", "cycles", "--output", tmp_path, "--allow-dirty")
    assert done.exit_code == 1
    assert failures == [1, 2]
    assert "failure 1" in done.output


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fault": "conflict in VXM at cycle 3"}, "x ended with a fault: conflict in VXM"),
        ({"cycles_measured": 9}, "x took 9 cycles, and its schedule has 40000"),
        ({"right": False}, r"x is wrong: error 1.0e-07 .* 0.0e[+]00 is promised"),
    ],
)
def test_wrong_rows_are_refused(change, message):
    """A fault, other cycles, a wrong result."""
    cycles.check(FOUND, "x")
    with pytest.raises(BenchError, match=message):
        cycles.check(FOUND | change, "x")


def test_a_command_that_fails_is_refused():
    """With what the command says itself."""
    work = dataclasses.replace(TINY, options="--m 64 --k 64 --n 64 --a-dtype int8 --b-dtype int8")
    with pytest.raises(BenchError, match=r"tsp run matmul .*fails: (.|\n)*24576 bytes"):
        cycles.measure(work, "golden")


@pytest.fixture
def checkout(tmp_path):
    """A repository with a file of code and a page, both committed."""

    def git(*words):
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", "-C", tmp_path, *who, *words], check=True, capture_output=True)

    git("init")
    (tmp_path / "docs").mkdir()
    (tmp_path / "code.py").write_text("1\n")
    (tmp_path / "docs" / "page.md").write_text("1\n")
    git("add", ".")
    git("commit", "-m", "one")
    return tmp_path, git


def test_changes_of_code_are_noticed(checkout):
    """Those of pages and tests are not: nothing that is measured depends on them."""
    root, git = checkout
    first = repository.commit(root)
    (root / "docs" / "page.md").write_text("2\n")
    (root / "docs" / "new.json").write_text("2\n")
    (root / "tests").mkdir()
    (root / "tests" / "test_new.py").write_text("2\n")
    assert repository.changes(root) == []
    git("add", ".")
    git("commit", "-m", "two")
    assert repository.commit(root) != first
    assert repository.same_code(first, root)
    (root / "code.py").write_text("2\n")
    (root / "new.py").write_text("2\n")
    assert repository.changes(root) == ["code.py", "new.py"]
    git("add", ".")
    git("commit", "-m", "three")
    assert not repository.same_code(first, root)
    assert not repository.same_code("0" * 40, root)


def test_changed_code_is_refused(monkeypatch):
    """Before anything is measured."""
    monkeypatch.setattr(repository, "changes", lambda: ["hw/a.py", "hw/b.py", "c", "d"])
    done = bench("--part", "cycles", "--config", "nano")
    assert done.exit_code == 1
    assert "hw/a.py, hw/b.py, c and 1 more changed; commit first, or give" in done.output
    assert parts.stamp(allow_dirty=True)["changes"][0] == "hw/a.py"


@pytest.mark.parametrize("package", ["psutil", "matplotlib"])
def test_only_this_command_needs_the_extra(package):
    """Without it the others work, and this one says what to install."""
    code = f"import sys; sys.modules[{package!r}] = None; from tsp.sim.cli import main; main()"
    for words, status in (("--help", 0), ("bench", 1)):
        run = [sys.executable, "-c", code, words]
        done = subprocess.run(run, capture_output=True, text=True, check=False)
        assert done.returncode == status
    assert f"Error: {package} is not installed; `pip install 'tsp[bench]'`" in done.stderr


def test_no_repository_is_refused(tmp_path):
    """A wheel has no commit."""
    with pytest.raises(BenchError, match="is no git repository"):
        repository.commit(tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--part", "colour"), "part must be one of cycles, speed, .*, chip, not 'colour'"),
        (("--part", "area", "--config", "base"), "nothing to measure: no row of area on base"),
        (("--config", "huge"), "'huge' is not one of"),
    ],
)
def test_unknown_choices_are_refused(words, message):
    """And nothing is measured."""
    done = bench(*words)
    assert done.exit_code
    assert re.search(message, done.output)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no JSON: .*; delete it"),
        ("[]", "is not of format 1; delete it"),
        ('{"format": 0}', "is not of format 1"),
        ('{"format": 1, "part": "speed"}', "has part 'speed', not 'cycles'"),
        (
            '{"format": 1, "part": "cycles", "runs": {"1": {"date": ""}}, "rows": {}}',
            "run 1 has no changes, commit, machine",
        ),
        (
            '{"format": 1, "part": "cycles", "runs": {}, "rows": {"a": {"run": "1"}}}',
            "row 'a' names run '1'",
        ),
    ],
)
def test_broken_results_are_refused(tmp_path, content, message):
    """The message names the file."""
    (tmp_path / "cycles.json").write_text(content)
    with pytest.raises(BenchError, match=f"cycles.json.*{message}"):
        Record.of(tmp_path, "cycles")


@pytest.mark.usefixtures("tiny")
def test_two_benches_do_not_write_to_one_place(tmp_path):
    """The second is refused, and does not disturb the first."""
    words = ("--part", "cycles", "--quick", "--allow-dirty", "--output", tmp_path)
    with records.locked(tmp_path):
        done = bench(*words)
    assert done.exit_code == 1
    assert f"another bench is writing to {tmp_path}; wait for it" in done.output
    assert not list(tmp_path.iterdir())


def test_idle_takes_as_long_as_the_product():
    """Also beyond the longest NOP."""
    for cycles_wanted in (1, 65_535, 65_536, 200_000):
        program = speed.idle(dataclasses.make_dataclass("P", ["config", "cycles"])(
            PRESETS["nano"], cycles_wanted))  # fmt: skip
        assert program.cycles == cycles_wanted
    kernel = speed.product("nano")
    assert model.run(speed.idle(kernel.program)).cycles == kernel.program.cycles


def test_memory_of_a_build_counts_children():
    """A process that starts another which holds 200 MB for a while."""
    child = "import time; held = bytearray(200 << 20); time.sleep(1); print('{}')"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    peak, answer = builds._watched([sys.executable, "-c", code], None)
    assert answer == {}
    assert 200 << 20 < peak < 400 << 20
    with pytest.raises(BenchError, match="fails: no"):
        builds._watched([sys.executable, "-c", "raise SystemExit('no')"], None)


def test_area_without_a_library_is_refused(monkeypatch):
    """Half a report would be an empty column."""
    monkeypatch.setattr(area, "synthesise", lambda *a, **k: {"missing": "no library"})
    with pytest.raises(BenchError, match="no area in standard cells: no library"):
        area.measure("nano", False)


@pytest.mark.parametrize("part", PARTS)
def test_committed_results(part):
    """They are of a commit, right, of works that there are, and those of the golden model quick."""
    record = Record.of(page.RESULTS, part)
    for run in record.runs.values():
        assert re.fullmatch("[0-9a-f]{40}", run["commit"])
        assert not run["changes"]
    assert set(record.rows) <= {job.key for job in parts.JOBS[part](False)}
    if part in ("cycles", "chip"):
        for row in record.rows.values():
            assert row["cycles_measured"] == row["cycles_scheduled"]
            assert row["max_relative_error"] <= row["tolerance"] or row["bit_exact"]
            assert (row["backend"] == "golden") == row["quick"]


def test_readme_shows_the_committed_results():
    """Read from the page as a person would, not by the code that writes it."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = Record.of(page.RESULTS, "cycles").rows
    for work in README:
        row = rows[work.command]
        cells = line(text, f"`{work.command.removeprefix('run ')}")
        ran = {"rtl": "RTL", "golden": "golden model"}[row["backend"]]
        assert cells[3] == f"{row['cycles_measured']:,}"
        assert cells[5] == ran


@pytest.mark.full
def test_speed_of_nano():
    """Both simulators run, and idle cycles are not slower than busy ones by half."""
    found = speed.measure("nano", quick=True)
    for speeds in found["cycles_per_second"].values():
        assert speeds["idle"] > speeds["busy"] / 2 > 0


@pytest.mark.full
def test_build_of_nano():
    """From nothing: the cache is not asked."""
    found = builds.measure("nano")
    assert found["export_seconds"] > 0.1
    assert found["build_seconds"] > 1
    assert found["verilog_lines"] > 1000
    assert found["build_memory_bytes"] > 50 << 20
