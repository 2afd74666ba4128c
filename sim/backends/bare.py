"""The bare Verilator model, driven from C++ without cocotb."""

import subprocess
import tempfile
from pathlib import Path

import numpy as np

from tsp.hw.environment import environment
from tsp.hw.errors import ToolError
from tsp.hw.host import HOST_READ
from tsp.hw.isa import DType
from tsp.hw.isa.timing import clocks
from tsp.sim.backends import build, cocotb_backend
from tsp.sim.backends.script import START, STATUS, Answers, Script, is_done
from tsp.sim.kernels.matmul import matmul
from tsp.sim.result import Result
from tsp.sim.tools import COMPILING

TUNINGS = {"bare": build.USUAL, "profiled": build.Tuning(trained=True)}
"""How the model of a back end is built."""


def run(program, tuning=build.USUAL):
    """Run `program` on the bare model and return its :class:`~tsp.sim.result.Result`.

    The model is built with `tuning`; if that is trained, `program` is what it is trained with.

    Raises
    ------
    ToolError
        If the program does not end when its schedule says.
    """
    text, export_seconds = build.export(program.config, programs=COMPILING)
    main = Path(__file__).with_suffix(".cpp")
    flags = ["-CFLAGS", f"-DHOST_READ={HOST_READ}"]
    built = build.verilate(
        f"bare-{program.config.name}", text, main, flags,
        tuning=tuning, train=lambda executable: _execute(executable, program),
    )  # fmt: skip
    answers, (running, seconds, clocks, whole) = _execute(built.directory / build.TOP, program)
    return Result(
        outputs=answers.outputs,
        cycles=answers.cycles,
        fault=answers.fault,
        counters=answers.counters,
        build_seconds=export_seconds + built.build_seconds,
        sim_seconds=whole,
        sim_cycles=int(clocks),
        run_seconds=seconds * program.cycles / running,
    )


def _execute(executable, program):
    """Run `program` on a model that is built: its answers, and what it prints."""
    with tempfile.TemporaryDirectory(prefix="tsp-") as scratch:
        scratch = Path(scratch)
        script = Script.of(program)
        _save(scratch / "script", script)
        cycles = clocks(program.config, program.cycles)
        command = [executable, scratch / "script", scratch / "answers", cycles]
        done = subprocess.run(
            list(map(str, command)), env=environment(), capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ToolError(f"the bare model failed: {done.stderr.strip()[-400:]}")
        words = np.fromfile(scratch / "answers", np.uint64).reshape(len(script.read_addresses), -1)
    status = script.read_addresses.tolist().index(STATUS)
    if not is_done(int(words[status, 0])):
        raise ToolError(f"{program.name} did not end after {program.cycles} cycles")
    return Answers.of(program, words), [float(number) for number in done.stdout.split()]


def _save(path, script):
    """Write what bare.cpp reads; the start is the last of the writes."""
    address, word = START
    addresses = np.append(script.write_addresses, np.uint64(address))
    data = np.pad(script.write_data, ((0, 1), (0, 0)))
    data[-1, 0] = word
    writes = np.concatenate([addresses[:, None], data], axis=1)
    head = np.array([len(writes), len(script.read_addresses), data.shape[1]], np.uint64)
    np.concatenate([head, writes.reshape(-1), script.read_addresses]).tofile(path)


def compare(config, size=256):
    """Speeds of the runner and of the bare model on one matmul, measured one after the other.

    Returns
    -------
    dict
        Cycles per second of both while the program runs, their ratio, and the same for the whole
        session with loading and reading back.
    """
    rng = np.random.default_rng(0)
    if config.datapath == "int8":
        size = min(size, 64)
        a, b = rng.integers(-128, 128, (2, size, size)).astype(np.int8)
        program = matmul(config, a, b, DType.INT32).program
    else:
        a, b = rng.normal(size=(2, size, size)).astype(np.float16)
        program = matmul(config, a, b, DType.FP32).program
    bare, result = run(program), cocotb_backend.run(program)
    if bare.cycles != result.cycles:
        raise RuntimeError(f"bare model took {bare.cycles} cycles, the runner {result.cycles}")
    for mine, theirs in zip(bare.outputs, result.outputs, strict=True):
        if not np.array_equal(mine, theirs):
            raise RuntimeError("bare model and runner computed different results")
    return {
        "config": config.name,
        "cycles": result.cycles,
        "bare_cycles_per_second": bare.cycles / bare.run_seconds,
        "runner_cycles_per_second": result.cycles / result.run_seconds,
        "bare_over_runner": result.run_seconds / bare.run_seconds,
        "bare_whole_cycles_per_second": bare.sim_cycles_per_second,
        "runner_whole_cycles_per_second": result.sim_cycles_per_second,
    }
