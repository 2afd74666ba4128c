"""Random programs: golden model and RTL agree on stream registers, memory, cycles and counters."""

import shutil
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from configs import ODD, TINY

from tsp.hw.config import PRESETS
from tsp.hw.isa import ISA, Late, Read, Reduce, Rotate, Transpose, Unit, refusal
from tsp.sim import backends
from tsp.sim.backends import cocotb_backend, pysim
from tsp.sim.golden import model
from tsp.sim.random_programs import Generator


@cache
def grown(config, seed):
    """A random program; several tests look at the same ones, which take seconds to grow."""
    return Generator(config, seed).grow().program(f"seed {seed}")


def assert_equal(got, want, label):
    """Golden model and RTL agree in everything that a result holds."""
    assert got.fault is None, label
    assert want.fault is None, label
    assert got.cycles == want.cycles, label
    assert got.counters == want.counters, label
    for mine, theirs in zip(got.outputs, want.outputs, strict=True):
        np.testing.assert_array_equal(mine, theirs, err_msg=label)
    if got.trace:
        np.testing.assert_array_equal(got.trace.valid, want.trace.valid, err_msg=label)
        shown = np.repeat(
            want.trace.valid, want.trace.data.shape[-1] // got.trace.valid.shape[-1], -1
        )
        np.testing.assert_array_equal(
            np.where(shown, got.trace.data, 0), np.where(shown, want.trace.data, 0), err_msg=label
        )


@pytest.mark.parametrize("config", [PRESETS["nano"], ODD, TINY], ids=lambda c: c.name)
def test_random_programs_on_verilator(config):
    """Oracle: the golden model, word by word and cycle by cycle."""
    seeds = range(6)
    programs = [grown(config, seed) for seed in seeds]
    assert sum(p.cycles > 40 for p in programs) > len(programs) // 2
    results = cocotb_backend.run_many(programs, trace=True)
    for program, result in zip(programs, results, strict=True):
        want = model.run(program, trace=True)
        assert want.trace.valid.any()
        assert_equal(result, want, f"{config.name}, {program.name}")


def test_random_programs_on_sixteen_lanes():
    """Superlanes of sixteen lanes have `rotate` too; oracle: the golden model."""
    programs = [grown(PRESETS["small"], seed) for seed in (0, 2)]
    issued = {type(i) for p in programs for queue in p.queues.values() for i in queue}
    assert Rotate in issued
    for program, result in zip(programs, cocotb_backend.run_many(programs), strict=True):
        assert_equal(result, model.run(program), f"small, {program.name}")


def test_operands_of_both_sides_wait():
    """The generator lets a wait for b, and b for a."""
    late = Counter()
    for seed in range(6):
        for runs in grown(ODD, seed).runs.values():
            late.update(r.instruction.late for r in runs if getattr(r.instruction, "wait", 0))
    assert min(late[Late.A], late[Late.B]) >= 5


def test_a_bug_of_the_model_is_no_fault(monkeypatch):
    """What the golden model stumbles over does not pass for a program that it refuses."""

    def broken(program, trace=False):
        if not trace:
            raise ValueError("operands could not be broadcast together")
        return run(program, trace=trace)

    run = model.run
    monkeypatch.setattr(model, "run", broken)
    with pytest.raises(ValueError, match="broadcast together"):
        Generator(PRESETS["nano"], 0).grow()


def test_random_program_on_amaranth():
    """The same on Amaranth's simulator, without export: oracle is the golden model."""
    program = grown(PRESETS["nano"], 100)
    result = pysim.run(program)
    assert_equal(result, model.run(program), program.name)
    assert 0 < result.run_seconds < result.sim_seconds


@pytest.mark.skipif(not shutil.which("iverilog"), reason="needs Icarus Verilog")
def test_random_program_on_icarus():
    """A second Verilog simulator as a second opinion: oracle is the golden model."""
    program = grown(PRESETS["nano"], 100)
    assert_equal(backends.run(program, "icarus"), model.run(program), program.name)


@pytest.mark.parametrize(("backend", "suffix"), [("rtl", "vcd"), ("rtl", "fst"), ("pysim", "vcd")])
def test_waveform(tmp_path, backend, suffix):
    """A waveform names the streams, and the run beside it is as good as any."""
    if suffix == "fst" and not Path("/usr/include/lz4.h").exists():
        pytest.skip("needs `make install-fst`")
    program = grown(PRESETS["nano"], 100)
    path = tmp_path / f"x.{suffix}"
    result = backends.run(program, backend, waves=path)
    assert_equal(result, model.run(program), program.name)
    content = path.read_bytes()
    if suffix == "vcd":
        assert b"east_next" in content
    if backend == "pysim":
        femtoseconds = int(content.rsplit(b"#", 1)[1].split()[0])
        assert result.sim_cycles == round(femtoseconds * 1e-15 / pysim.PERIOD)
    else:
        assert len(content) > 1000


def test_waveforms_are_refused_where_there_are_none(tmp_path):
    program = grown(PRESETS["nano"], 100)
    with pytest.raises(ValueError, match="golden back end writes no waveforms"):
        backends.run(program, "golden", waves=tmp_path / "x.vcd")
    with pytest.raises(ValueError, match=r"waves must end in \.vcd or \.fst, not"):
        backends.run(program, "rtl", waves=tmp_path / "x.gz")
    with pytest.raises(ValueError, match=r"waves of pysim must end in \.vcd, not"):
        backends.run(program, "pysim", waves=tmp_path / "x.fst")


def test_a_failure_tells_the_log(monkeypatch):
    """Also that of a program after one that ended well."""
    program = grown(PRESETS["nano"], 100)
    save = cocotb_backend._save

    def save_first(path, *rest):
        save(path, *rest) if path.name.startswith("0000") else np.savez(path, cycles=1)

    monkeypatch.setattr(cocotb_backend, "_save", save_first)
    with pytest.raises(cocotb_backend.SimulationError, match="write_addresses"):
        cocotb_backend.run_many([program, program])


@pytest.mark.parametrize("config", [PRESETS["nano"], ODD, TINY], ids=lambda c: c.name)
def test_random_programs_exercise_the_machine(config):
    """The generator is worth its name: of the instructions that a core executes, all but some of
    the VXM's, which are many, occur among a few seeds.
    """
    seen = set()
    for seed in range(6):
        for runs in grown(config, seed).runs.values():
            seen |= {type(run.instruction) for run in runs}
    units = Unit.MEM, Unit.LW, Unit.IW, Unit.ABC, Unit.ACC, Unit.SXM
    there = {i for i in ISA.values() if i.unit in units and not refusal(i.least(), config)}
    assert {Read, Transpose, Reduce} < there
    assert there <= seen
    assert len(seen) > 18
