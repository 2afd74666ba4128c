"""The time and memory that a simulator takes to build from nothing."""

import json
import subprocess
import sys
import tempfile
import threading
from functools import partial

import psutil

from tsp.hw.config import PRESETS, preset
from tsp.hw.environment import environment, python_path
from tsp.sim.backends import build
from tsp.sim.bench import BenchError
from tsp.sim.bench.job import Job
from tsp.sim.tools import child

CONFIGS = tuple(name for name in PRESETS if name != "tsp")
_SAMPLE = 0.2  # seconds


def jobs(quick):
    """A job per preset, but for the full-size chip."""
    return [Job(name, name, partial(measure, name)) for name in CONFIGS]


def measure(name):
    """Export and build a preset in an empty cache, in a process of its own.

    Returns
    -------
    dict
        ``export_seconds``, ``verilog_bytes``, ``verilog_lines``; ``build_seconds`` of Verilator
        and compiler together, ``simulator_bytes``; ``export_memory_bytes`` and
        ``build_memory_bytes``, the most that all processes held in memory at once.
    """
    with tempfile.TemporaryDirectory(prefix="tsp-bench-") as cache:
        env = environment(TSP_CACHE=cache, PYTHONPATH=python_path())
        found = {}
        for step in ("export", "build"):
            peak, answer = _watched([sys.executable, "-m", __name__, step, name], env)
            found |= {**answer, f"{step}_memory_bytes": peak}
    return {"config": name, **found}


def _watched(command, env):
    """What a command writes as JSON, and the most memory that it and its children held."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with child(command, env=env, **pipes) as process:
        over, peak = threading.Event(), [0]

        def watch():
            while not over.wait(_SAMPLE):
                peak[0] = max(peak[0], _resident(process.pid))

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        output, errors = process.communicate()
        over.set()
        watcher.join()
    if process.returncode:
        raise BenchError(f"{' '.join(command[2:])} fails: {errors.strip()[-800:]}")
    return peak[0], json.loads(output)


def _resident(pid):
    """Bytes in memory of a process and of all below it; what they share counts for each."""
    total = 0
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return 0
    for member in family:
        try:
            total += member.memory_info().rss
        except psutil.Error:  # it has ended
            continue
    return total


def step(what, name):
    """One step, as the process that is watched does it: ``export``, then ``build``."""
    text, export_seconds = build.export(preset(name))
    if what == "export":
        return {
            "export_seconds": export_seconds,
            "verilog_bytes": len(text.encode()),
            "verilog_lines": text.count("\n"),
        }
    made = build.verilator(preset(name))
    return {
        "build_seconds": made.build_seconds,
        "simulator_bytes": (made.directory / build.TOP).stat().st_size,
    }


if __name__ == "__main__":
    print(json.dumps(step(*sys.argv[1:])))
