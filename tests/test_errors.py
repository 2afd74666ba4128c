"""The family of refusals, and files that are written. Oracles: what is asserted of each case."""

import ast
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tsp.hw import errors
from tsp.hw.config import preset
from tsp.hw.errors import NO_PLAN, InputError, RefusedError
from tsp.hw.isa import DType
from tsp.sim import files
from tsp.sim.cli import main
from tsp.sim.kernels import attention, linear, matmul, rows

command = sys.modules["tsp.sim.cli.run"]


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def test_a_bug_shows_its_traceback_and_is_not_taken_for_a_refusal(monkeypatch):
    def broken(*arguments):
        raise ValueError("a mistake of ours")

    monkeypatch.setattr(command, "matmul", broken)
    done = run("run", "matmul", "--m", 2, "--k", 2, "--n", 2, "--backend", "golden")
    assert done.exit_code == 70
    assert "Traceback" in done.stderr
    assert "raise ValueError" in done.stderr
    assert "This is a bug in tsp" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("kind", [OSError, KeyError, AttributeError, ZeroDivisionError])
def test_whatever_is_no_refusal_is_a_bug(kind, monkeypatch):
    def broken(*arguments):
        raise kind("ours")

    monkeypatch.setattr(command, "matmul", broken)
    assert run("run", "matmul", "--m", 2, "--k", 2, "--n", 2).exit_code == 70


@pytest.mark.parametrize(
    "kind",
    ["InputError", "EncodingError", "CapacityError", "ResourceError", "ToolError"],
)
def test_a_refusal_is_one_line(kind, monkeypatch):
    def refusing(*arguments):
        raise getattr(errors, kind)("rows must be 1 to 4, not 5")

    monkeypatch.setattr(command, "matmul", refusing)
    done = run("run", "matmul", "--m", 2, "--k", 2, "--n", 2)
    assert done.exit_code == 1
    assert done.stderr == "Error: rows must be 1 to 4, not 5\n"


SMALL = preset("small")
F16 = np.ones((4, 16), np.float16)
QUERIES = np.ones((16, 1, 16), np.float16)

PLANNERS = {
    "matmul": (matmul, "_schedule", lambda: matmul.matmul(SMALL, F16, F16.T, DType.FP32)),
    "linear": (linear, "_LinearFewRows", lambda: linear.linear(SMALL, F16[:1], F16.T)),
    "attention": (attention, "Pairs", lambda: attention.attention(SMALL, *[QUERIES] * 3)),
    "rows": (rows, "narrowest", lambda: rows.softmax(SMALL, F16)),
}
"""What plans, what it tries first, and a problem for it."""


def broken(monkeypatch, planner, error):
    """A planner whose first try ends in an error: what it plans, and the names it has tried."""
    module, name, plan = PLANNERS[planner]
    before, calls = getattr(module, name), []

    def first_fails(*arguments):
        calls.append(name)
        if len(calls) == 1:
            raise error
        return before(*arguments)

    monkeypatch.setattr(module, name, first_fails)
    return plan, calls


@pytest.mark.parametrize("planner", PLANNERS)
@pytest.mark.parametrize("kind", NO_PLAN)
def test_every_planner_tries_its_next_alternative(planner, kind, monkeypatch):
    plan, calls = broken(monkeypatch, planner, kind("ten are needed, and there are nine"))
    assert plan().program.cycles > 0
    assert calls


@pytest.mark.parametrize("planner", PLANNERS)
@pytest.mark.parametrize("kind", [ValueError, InputError, KeyError, LookupError])
def test_no_planner_passes_over_a_bug(planner, kind, monkeypatch):
    plan, _ = broken(monkeypatch, planner, kind("ours"))
    with pytest.raises(kind, match="ours"):
        plan()


def test_planners_catch_one_set():
    """`NO_PLAN`, wherever a kernel catches a refusal."""
    family, todo = set(), [RefusedError]
    while todo:
        family.add(todo[-1].__name__)
        todo += todo.pop().__subclasses__()
    caught = []
    for path in (Path(__file__).parents[1] / "sim" / "kernels").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ExceptHandler) and node.type:
                caught.append((path, node.type))
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "suppress":
                caught += [(path, argument) for argument in node.args]
    named = {(path, n.id) for path, where in caught for n in ast.walk(where) if hasattr(n, "id")}
    assert len([name for _, name in named if name == "NO_PLAN"]) > 5
    assert not [(path, name) for path, name in named if name in family]


def test_a_file_is_the_old_one_or_the_new_one(tmp_path):
    path = tmp_path / "made" / "x.txt"
    files.write(path, "old é")
    assert path.read_bytes() == "old é".encode()

    def stopped():
        with files.writing(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert path.read_text(encoding="utf-8") == "old é"
    assert list(path.parent.iterdir()) == [path]
    files.write(path, b"new")
    assert path.read_bytes() == b"new"


def test_permissions_are_those_of_the_umask_or_of_the_old_file(tmp_path):
    path, before = tmp_path / "x", os.umask(0o027)
    try:
        files.write(path, "x")
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        files.write(path, "y")
        assert stat.S_IMODE(path.stat().st_mode) == 0o604
    finally:
        os.umask(before)


def test_a_link_goes_on_pointing(tmp_path):
    link, target = tmp_path / "link", tmp_path / "target"
    link.symlink_to(target)
    files.write(link, "x")
    assert link.is_symlink()
    assert target.read_text() == "x"


def test_refusals_of_files_name_the_path(tmp_path):
    (tmp_path / "file").write_bytes(b"\xff")
    for path in (tmp_path, tmp_path / "file" / "x"):
        with pytest.raises(InputError, match=str(path)):
            files.write(path, "x")
    with pytest.raises(InputError, match=f"{tmp_path}/none cannot be read"):
        files.read(tmp_path / "none")
    with pytest.raises(InputError, match=f"{tmp_path}/file is not UTF-8 text: byte 0 is 0xff"):
        files.read_text(tmp_path / "file")


def test_a_disk_that_is_full_leaves_nothing():
    with pytest.raises(InputError, match="/dev/full cannot be written: No space"):
        files.write("/dev/full", "x")


def test_marks_and_line_ends_are_read(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n")
    assert files.read_text(path) == "one\ntwo\n"


SOURCE = ".config small\n.queue MEM_W0.0\nnotify\n"


def test_a_source_with_a_mark_assembles(tmp_path):
    path = tmp_path / "x.tsp"
    path.write_bytes(b"\xef\xbb\xbf" + SOURCE.replace("\n", "\r\n").encode())
    done = run("asm", path, "--output", tmp_path / "made" / "x.npz")
    assert done.exit_code == 0, done.output
    assert run("disasm", tmp_path / "made" / "x.npz").exit_code == 0


@pytest.mark.parametrize(
    "words",
    [
        "run relu --rows 2 --cols 2 --backend golden --out {}",
        "run relu --rows 2 --cols 2 --backend rtl --config nano --waves {}.vcd",
        "exec {source} --backend golden --out {}",
        "asm {source} --output {}",
        "rom {source} --output {}",
    ],
)
def test_every_command_makes_missing_folders(words, tmp_path):
    source = tmp_path / "x.tsp"
    source.write_text(SOURCE)
    if "nano" in words:
        pytest.importorskip("vcd")
        words = words.replace("relu --rows 2 --cols 2", "transpose --rows 2 --cols 2 --dtype int8")
    path = tmp_path / "one" / "two" / "x"
    done = run(*words.format(path, source=source).split())
    assert done.exit_code == 0, done.output
    assert len([p for p in path.parent.iterdir() if not p.name.startswith(".")]) >= 1
    assert not [p for p in path.parent.iterdir() if p.name.startswith(".")]


def test_results_go_to_the_standard_output_alone():
    words = "run relu --rows 2 --cols 3 --backend golden --out /dev/stdout"
    main_ = "from tsp.sim.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", main_, *words.split()], capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"\x93NUMPY")
    assert b"relu" in done.stderr


def test_operands_come_through_pipes(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    x = np.ones((2, 3), np.float16)
    np.save(tmp_path / "x.npy", x)
    writer = threading.Thread(
        target=lambda: pipe.write_bytes((tmp_path / "x.npy").read_bytes()), daemon=True
    )
    writer.start()
    done = run("run", "relu", "--x", pipe, "--backend", "golden", "--out", tmp_path / "y.npy")
    assert done.exit_code == 0, done.output
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), x)


def test_json_has_no_infinity_and_no_nan(capsys):
    from tsp.sim.cli.report import print_json

    print_json({"a": float("inf"), "b": [float("nan"), 1.0], "c": {"d": -float("inf")}})
    assert capsys.readouterr().out == '{"a": null, "b": [null, 1.0], "c": {"d": null}}\n'


def test_operands_that_are_no_numbers_give_json(tmp_path):
    np.save(tmp_path / "x.npy", np.full((2, 3), np.inf, np.float16))
    done = run("run", "softmax", "--x", tmp_path / "x.npy", "--backend", "golden", "--json")
    assert "NaN" not in done.stdout
    assert "Infinity" not in done.stdout
    assert command.load(tmp_path / "x.npy").shape == (2, 3)
