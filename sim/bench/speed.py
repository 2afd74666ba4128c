"""How fast simulators run: a product, and as many cycles of nothing, under cocotb and bare."""

from functools import partial

import numpy as np

from tsp.hw.config import preset
from tsp.hw.isa import DType, Nop, Notify
from tsp.sim.backends import bare, cocotb_backend
from tsp.sim.bench import BenchError
from tsp.sim.bench.job import Job
from tsp.sim.kernels.matmul import matmul
from tsp.sim.measure import same_bits
from tsp.sim.program import Program

SIZES = {"nano": 32, "small": 256, "quad16": 256, "duo32": 256, "base": 512, "tsp": 640}
"""The size of the square product that each preset runs: int8 on `nano`, fp16 on the others."""
SIMULATORS = {"cocotb": cocotb_backend.run_many, "bare": lambda some: list(map(bare.run, some))}
"""By simulator, what gives the results of a list of programs."""
ONLY_BARE = ("tsp",)
"""Presets that are not measured under cocotb, which would take as long to build once more."""

REPEATS = 3
CYCLES = 20_000
"""A work is run as often as this takes, and `REPEATS` times at least; on a preset of `ONLY_BARE`,
where a run takes seconds, not more often than that."""
_NOP = 65_535  # cycles of the longest


def jobs(quick):
    """A job per preset; `quick` measures once, not several times."""
    return [Job(name, name, partial(measure, name, quick)) for name in SIZES]


def measure(name, quick=False):
    """Cycles per second of the simulators of a preset while a program runs, without loading.

    Returns
    -------
    dict
        ``size``, ``dtype``, ``cycles`` and ``macs`` of the product; ``cycles_per_second`` by
        simulator (``cocotb`` unless only the bare model is built, ``bare``) and work (``busy``:
        the product, ``idle``: NOP), the fastest of ``repeats``, and all of them as ``samples``.

    Raises
    ------
    BenchError
        If a simulator computes something else than numpy, or takes other cycles than scheduled.
    """
    kernel, size = product(name), SIZES[name]
    times = 1 if quick else repeats(kernel.program)
    works = {"busy": kernel.program, "idle": idle(kernel.program)}
    simulators = ("bare",) if name in ONLY_BARE else SIMULATORS
    samples = {simulator: {} for simulator in simulators}
    for simulator, found in samples.items():
        for work, program in works.items():
            results = SIMULATORS[simulator]([program] * times)
            for result in results:
                check(kernel, work, program, result, f"{name}, {simulator}")
            found[work] = [result.cycles / result.run_seconds for result in results]
    return {
        "config": name,
        "size": size,
        "dtype": kernel.shape["a_dtype"],
        "cycles": kernel.program.cycles,
        "macs": kernel.macs,
        "repeats": times,
        "cycles_per_second": {
            s: {w: max(found) for w, found in works.items()} for s, works in samples.items()
        },
        "samples": samples,
    }


def repeats(program):
    """How often a program is run."""
    if program.config.name in ONLY_BARE:
        return REPEATS
    return max(REPEATS, -(-CYCLES // program.cycles))


def product(name):
    """The product that a preset runs, with random operands."""
    config, size, rng = preset(name), SIZES[name], np.random.default_rng(0)
    if config.datapath == "int8":
        return matmul(config, *rng.integers(-128, 128, (2, size, size), np.int8), DType.INT32)
    return matmul(config, *rng.normal(size=(2, size, size)).astype(np.float16), DType.FP32)


def idle(program):
    """A program as long as `program` in which one queue waits and nothing else happens."""
    left, nops = program.cycles, []
    while left > 0:
        nops.append(Nop(count=min(left, _NOP)))
        left -= _NOP
    queue = program.config.floorplan.queues[0].name
    return Program(program.config, {queue: (Notify(), *nops)}, name="idle")


def check(kernel, work, program, answers, where):
    """Refuse answers that are wrong, or took other cycles than scheduled."""
    if answers.fault or answers.cycles != program.cycles:
        raise BenchError(
            f"{where} took {answers.cycles} cycles of {program.cycles}; fault: {answers.fault}"
        )
    if work == "busy" and not same_bits(kernel.unpack(answers.outputs), kernel.reference()):
        raise BenchError(f"{where} computed a wrong product")
