"""Ways to build a simulator, each measured anew: what was tried to make them faster."""

import os
import tempfile
from functools import partial
from unittest import mock

from tsp.sim.backends import bare, build
from tsp.sim.backends.build import USUAL, Tuning
from tsp.sim.bench import speed
from tsp.sim.bench.job import Job

WAYS = {
    "as it is": USUAL,
    "every module inlined": Tuning(keep=False),
    "compiler at -O1": Tuning(opt="-O1"),
    "compiler at -O3": Tuning(opt="-O3"),
    "for any processor": Tuning(native=False),
    "two threads": Tuning(flags=("--threads", "2")),
    "profile-guided (back end `profiled`)": bare.TUNINGS["profiled"],
}
"""By what the table calls it; the first is how every other simulator is built."""

CONFIGS = {
    "nano": ("as it is", "profile-guided (back end `profiled`)"),
    "small": tuple(WAYS),
    "base": ("as it is", "two threads", "profile-guided (back end `profiled`)"),
}


def jobs(quick):
    """A job per preset and way."""
    return [
        Job(f"{name}, {way}", name, partial(measure, name, way, quick))
        for name, ways in CONFIGS.items()
        for way in ways
    ]


def measure(name, way, quick=False):
    """Build the bare model of a preset from nothing in one way, and run its product.

    Returns
    -------
    dict
        ``build_seconds`` without the export, ``macs`` and ``cycles`` of the product, and
        ``cycles_per_second``, the fastest of ``samples``.

    Raises
    ------
    BenchError
        If the model computes something else than numpy, or takes other cycles than scheduled.
    """
    kernel, samples = speed.product(name), []
    with (
        tempfile.TemporaryDirectory(prefix="tsp-bench-") as cache,
        mock.patch.dict(os.environ, {"TSP_CACHE": cache}),
    ):
        _, export_seconds = build.export(kernel.program.config)
        built = bare.run(kernel.program, WAYS[way]).build_seconds
        for _ in range(1 if quick else speed.repeats(kernel.program)):
            result = bare.run(kernel.program, WAYS[way])
            speed.check(kernel, "busy", kernel.program, result, f"{name}, {way}")
            samples.append(result.cycles / result.run_seconds)
    return {
        "config": name,
        "way": way,
        "export_seconds": export_seconds,
        "build_seconds": built,
        "cycles": kernel.program.cycles,
        "macs": kernel.macs,
        "cycles_per_second": max(samples),
        "samples": samples,
    }
