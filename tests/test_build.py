"""How simulators are built. Oracles: make, and a compiler that does nothing."""

import os
import subprocess

import pytest

from tsp.hw.config import PRESETS
from tsp.sim.backends import build


@pytest.mark.parametrize("opt", ["-O2", "-O3 -march=native"])
def test_flags_reach_the_compiler(opt):
    """One after a space is the compiler's too, not make's."""
    with build.tool_environment(opt):
        done = subprocess.run(
            ["make", "-s", "-f", "-"], input="all:\n\t@echo $(OPT_FAST)\n",
            capture_output=True, text=True, check=True,
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
    """Whatever the tools say; the cache keeps nothing of it."""
    monkeypatch.setenv("TSP_CACHE", str(tmp_path / "cache"))
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "verilator").write_text("#!/bin/sh\necho nothing to do\n")
    (tools / "verilator").chmod(0o755)
    monkeypatch.setattr(build, "verilator_directory", lambda: tools)
    main = tmp_path / "main.cpp"
    main.touch()
    with pytest.raises(RuntimeError, match=r"building the simulator failed(.|\n)*nothing to do"):
        build.verilate(PRESETS["nano"], "module tsp_chip; endmodule\n", "bare", main, [])
    assert not list((tmp_path / "cache").glob("bare-*/complete"))
