"""The cache, and the environment of child processes. Oracles: files, and a child that prints."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tsp.hw.environment import environment
from tsp.sim import cache, tools
from tsp.sim.cli import main

ROOT = Path(__file__).parents[1]


def write(directory):
    (directory / "made").write_text("once")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TSP_CACHE", str(tmp_path / "my cache"))
    return tmp_path / "my cache"


def test_what_is_made_is_kept_by_all_that_it_depends_on(folder):
    first, seconds = cache.entry(["a", "b"], "thing", write)
    assert seconds > 0
    assert first.parent == folder
    assert (first / "made").read_text() == "once"
    assert cache.entry(["a", "b"], "thing", lambda _: pytest.fail("again")) == (first, 0.0)
    assert cache.entry(["ab"], "thing", write)[0] != first


def test_what_failed_is_made_anew(folder):
    def fail(directory):
        write(directory)
        raise KeyError

    with pytest.raises(KeyError):
        cache.entry(["a"], "thing", fail)
    directory, _ = cache.entry(["a"], "thing", lambda directory: None)
    assert not (directory / "made").exists()


def test_a_full_cache_is_only_read(folder, monkeypatch):
    """It may lie where nothing can be written, lock files included."""
    made, _ = cache.entry(["a"], "thing", write)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    monkeypatch.setattr(Path, "open", lambda *_, **__: pytest.fail("opened"))
    monkeypatch.setattr(Path, "mkdir", lambda *_, **__: pytest.fail("made"))
    assert cache.entry(["a"], "thing", write) == (made, 0.0)
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_cache_that_cannot_be_written_says_what_to_set(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TSP_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(cache.CacheError, match=r"file/cache cannot be written \(.*set TSP_CACHE"):
        cache.entry(["a"], "thing", write)


def test_what_need_not_be_kept_is_made_all_the_same(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TSP_CACHE", str(tmp_path / "file" / "cache"))
    made, seconds = cache.entry(["a"], "thing", write, keep=False)
    assert (made / "made").read_text() == "once"
    assert seconds > 0


def test_the_cache_of_somebody_without_a_home(monkeypatch):
    monkeypatch.delenv("TSP_CACHE", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: f"~/.cache/{name}")
    with pytest.raises(cache.CacheError, match=r"no home directory .*; set TSP_CACHE"):
        cache.folder()


def test_a_relative_cache_is_that_of_the_working_directory(tmp_path, monkeypatch):
    """Children run elsewhere."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TSP_CACHE", "here")
    assert cache.folder() == tmp_path / "here"


def test_verilog_is_exported_without_a_cache(tmp_path, monkeypatch):
    """Oracle: the same text, from a cache."""
    monkeypatch.setattr("tsp.sim.backends.build.to_verilog", lambda *_: "module tsp_chip;\n")
    texts = []
    (tmp_path / "file").touch()
    for place in ("cache", "file/cache"):
        monkeypatch.setenv("TSP_CACHE", str(tmp_path / place))
        done = CliRunner().invoke(main, ["verilog", "--config", "nano", "-o", str(tmp_path / "v")])
        assert done.exit_code == 0, done.output
        texts.append((tmp_path / "v").read_text())
    assert texts == ["module tsp_nano_chip;\n"] * 2


def test_a_child_has_no_variables_of_the_shell(monkeypatch):
    for name in ("CXXFLAGS", "MAKEFLAGS", "COCOTB_TESTCASE", "PYTHONHOME", "YOWASP_MOUNT"):
        monkeypatch.setenv(name, "of the shell")
    monkeypatch.setenv("TSP_CACHE", "here")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    found = environment("/front", MORE="yes")
    assert "of the shell" not in found.values()
    assert (found["TSP_CACHE"], found["LC_ALL"], found["MORE"]) == ("here", "C.UTF-8", "yes")
    assert found["PATH"] == f"/front{os.pathsep}{os.environ['PATH']}"


@pytest.mark.parametrize("value", [None, ""])
def test_a_child_has_a_path_and_a_home(monkeypatch, value):
    for name in ("PATH", "HOME"):
        monkeypatch.delenv(name)
        if value is not None and name == "PATH":
            monkeypatch.setenv(name, value)
    found = environment()
    assert found["PATH"] == os.defpath
    assert Path(found["HOME"]).is_dir()
    code, output = tools.run(["sh", "-c", "echo $HOME"], Path("/"))
    assert (code, output) == (0, f"{found['HOME']}\n")


def test_tools_may_keep_what_they_compile(tmp_path, monkeypatch):
    """Where it is always kept, or in a temporary folder if the home cannot be written."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert environment()["XDG_CACHE_HOME"] == f"{tmp_path}/.cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "deep" / "cache"))
    assert environment()["XDG_CACHE_HOME"] == f"{tmp_path}/deep/cache"
    (tmp_path / "deep").touch()
    found = Path(environment()["XDG_CACHE_HOME"])
    assert found.is_dir()
    assert not found.is_relative_to(tmp_path / "deep")
    assert environment()["XDG_CACHE_HOME"] == str(found)


def test_a_python_child_imports_from_where_its_parent_does(tmp_path, monkeypatch):
    (tmp_path / "only_here.py").write_text("print('found')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    code, output = tools.run([sys.executable, "-c", "import only_here"], tmp_path.parent)
    assert (code, output) == (0, "found\n")


def test_every_child_is_given_its_environment():
    """No call of subprocess without `env`; FuseSoC's generator runs in a Python of others."""
    calls = 0
    for path in [*(ROOT / "hw").rglob("*.py"), *(ROOT / "sim").rglob("*.py")]:
        if path.parent.name == "fusesoc":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if isinstance(node.func.value, ast.Name) and node.func.value.id in ("subprocess", "os"):
                assert node.func.attr not in ("system", "popen", "execv", "execvp"), path
                if node.func.attr in ("run", "Popen", "check_output", "check_call", "call"):
                    calls += 1
                    assert "env" in {word.arg for word in node.keywords}, (path, node.lineno)
        assert "dict(os.environ)" not in path.read_text(encoding="utf-8"), path
    assert calls > 5


def test_a_child_that_takes_too_long_is_ended_with_all_its_own(tmp_path):
    script = "sleep 60 & echo $! >child; wait"
    with pytest.raises(RuntimeError, match=r"no answer within 0\.5 seconds"):
        tools.run(["sh", "-c", script], tmp_path, timeout=0.5)
    pid = (tmp_path / "child").read_text().strip()
    state = subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True)
    assert state.stdout.strip()[:1] in ("", "Z")


@pytest.mark.parametrize(("usual", "found"), [("a b", "/tmp"), ("plain", "plain")])
def test_a_plain_folder_has_no_spaces(tmp_path, monkeypatch, usual, found):
    place = tmp_path / usual
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    with tools.plain_folder() as scratch:
        assert " " not in str(scratch)
        assert scratch.parent == (place if usual == found else Path(found))
    assert not scratch.exists()
