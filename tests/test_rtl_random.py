"""Random programs: golden model and RTL agree on stream registers, memory, cycles and counters."""

import numpy as np
import pytest
from random_programs import Generator

from tsp.hw.config import PRESETS, Config
from tsp.sim.backends import cocotb_backend, pysim
from tsp.sim.golden import model

ODD = Config(
    name="odd",
    lanes=8,
    superlanes=3,
    streams=16,
    planes_west=1,
    planes_east=0,
    mem_slices=5,
    mem_slices_per_stop=2,
    bank_words=64,
    acc_rows=8,
    alus=3,
    special_alus=1,
    queue_depth=256,
)
"""Three superlanes of eight lanes, five MEM slices, one plane: nothing about it is round."""

TINY = Config(
    name="tiny",
    lanes=4,
    superlanes=2,
    streams=8,
    planes_west=2,
    planes_east=1,
    mem_slices=1,
    mem_slices_per_stop=1,
    bank_words=16,
    acc_rows=4,
    alus=2,
    special_alus=0,
    queue_depth=128,
)
"""Two planes on one side and one on the other, with two superlanes of four lanes."""


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
    programs = [Generator(config, seed).grow().program(f"seed {seed}") for seed in seeds]
    assert sum(p.cycles > 40 for p in programs) > len(programs) // 2
    results = cocotb_backend.run_many(programs, trace=True)
    for program, result in zip(programs, results, strict=True):
        want = model.run(program, trace=True)
        assert want.trace.valid.any()
        assert_equal(result, want, f"{config.name}, {program.name}")


def test_random_program_on_amaranth():
    """The same on Amaranth's simulator, without export: oracle is the golden model."""
    program = Generator(PRESETS["nano"], 100).grow().program("seed 100")
    assert_equal(pysim.run(program), model.run(program), program.name)


@pytest.mark.parametrize("config", [PRESETS["nano"], ODD, TINY], ids=lambda c: c.name)
def test_random_programs_exercise_the_machine(config):
    """The generator is worth its name: most instructions occur among a few seeds."""
    seen = set()
    for seed in range(6):
        for runs in Generator(config, seed).grow().runs.values():
            seen |= {type(run.instruction).__name__ for run in runs}
    assert {"Read", "Write", "Lw", "Iw", "Abc", "Acc"} <= seen
    assert len(seen) > 12
