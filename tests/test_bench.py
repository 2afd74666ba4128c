"""The bench. Oracles: tables written by hand, the golden model, git; the results as committed."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from results import FOUND, RUN

from tsp.hw.config import PRESETS
from tsp.sim.bench import (
    BenchError,
    area,
    builds,
    cycles,
    page,
    parts,
    plans,
    plots,
    repository,
    speed,
)
from tsp.sim.bench import record as records
from tsp.sim.bench.job import Job
from tsp.sim.bench.record import PARTS, Record
from tsp.sim.bench.works import CHIP, README, SWEEPS, Benchmark, cycles_works
from tsp.sim.cli import main
from tsp.sim.cli.chip import WORKS
from tsp.sim.golden import model

ROOT = Path(__file__).parents[1]
TINY = Benchmark("nano", "matmul", "--m 8 --k 8 --n 8 --a-dtype int8 --b-dtype int8", "tiny")


@pytest.mark.parametrize(
    "work", [w for w in cycles_works() if w.config == "nano"], ids=lambda work: work.label
)
def test_works_of_nano(work):
    """They fit its memory, which is the smallest."""
    assert cycles.measure(work, "golden")["cycles_measured"] > 0


def test_plans_are_timed():
    """Of a run that searches for its plan, and is right."""
    row = plans.measure(TINY)
    assert row["cycles_scheduled"] == 52
    assert 0 < row["plan_seconds"] < 1
    with pytest.raises(BenchError, match="--no-plan-cache --json fails"):
        plans.measure(dataclasses.replace(TINY, options="--m 0"))


@pytest.mark.parametrize(
    ("work", "ideal"),
    [
        (README[0], 256**3 / 512),
        (Benchmark("duo32", "ffn", "--seq 1 --weight-dtype int8", "", "weights"), 256**3 / 2048),
        (Benchmark("duo32", "ffn", "--seq 1", "", "weights"), 2 * 256**3 / 2048),
        (Benchmark("small", "softmax", "", "", None), None),
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


def test_tsp_chip_runs_what_the_page_shows():
    """The same kernels of the same sizes, though the one checks them and the other measures."""
    measured = {(w.kernel, *map(int, re.findall(r"\d+", w.options))) for w in CHIP}
    checked = set()
    for kernel, *sizes in WORKS:
        if kernel == "attention":  # of one head, which is what the command takes by itself
            seq, heads, size = sizes
            assert heads == 1
            sizes = seq, size
        checked.add((kernel, *(size for size in sizes if isinstance(size, int))))
    assert measured == checked


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
    with pytest.raises(BenchError, match="is not a git repository"):
        repository.commit(tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--part", "colour"),
            "part must be one of cycles, plans, view, speed, .*, chip, not 'colour'",
        ),
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
        ("{", "is not JSON: .*; delete it"),
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


def test_slow_presets_run_few_times(monkeypatch):
    """Ten runs of 2,071 cycles are more than 20,000; where only the bare model runs, three."""
    program = speed.product("nano").program
    assert speed.repeats(program) == 10
    monkeypatch.setattr(speed, "ONLY_BARE", ("nano",))
    assert speed.repeats(program) == 3


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


@pytest.mark.full
def test_speed_of_nano(monkeypatch):
    """The simulators run, and idle cycles are not slower than busy ones by half."""
    for only_bare, simulators in (((), {"cocotb", "bare"}), (("nano",), {"bare"})):
        monkeypatch.setattr(speed, "ONLY_BARE", only_bare)
        found = speed.measure("nano", quick=True)
        assert set(found["cycles_per_second"]) == simulators
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
