"""How large the page of a view is, how soon it shows, and how smoothly it pans."""

import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from tsp.hw.config import preset
from tsp.hw.isa import DType
from tsp.sim.bench import BenchError
from tsp.sim.bench.job import Job
from tsp.sim.kernels.ffn import ffn
from tsp.sim.kernels.matmul import matmul
from tsp.sim.view import view_data, write_page
from tsp.sim.view.browser import browser, open_view

_PAN = """async () => {
  const { view } = tsp.app;
  const intervals = [], drawn = [];
  for (const part of [1, 4, 16, 64, 256, 4096]) {
    const span = view.all / part;
    view.set(view.low + 0.4 * (view.all - span), view.low + 0.4 * (view.all - span) + span);
    await new Promise(requestAnimationFrame);
    let last = await new Promise(requestAnimationFrame);
    for (let i = 0; i < 40; i++) {
      view.pan(i % 20 < 10 ? 0.03 : -0.03);
      const now = await new Promise(requestAnimationFrame);
      intervals.push(now - last);
      last = now;
      drawn.push(tsp.frames().at(-1));
    }
  }
  return { intervals, drawn };
}"""
"""Pans at six zooms, 40 frames each; milliseconds between frames, and those spent drawing."""


def _swiglu():
    rng = np.random.default_rng(0)
    shapes = {"up": (576, 1536), "down": (1536, 576), "gate": (576, 1536)}
    weights = {name: rng.integers(-128, 128, s).astype(np.int8) for name, s in shapes.items()}
    scales = {name: np.full(s[1], 2**-10, np.float32) for name, s in shapes.items()}
    x = rng.normal(size=(128, 576)).astype(np.float16)
    return ffn(preset("duo32"), x, **weights, scales=scales)


def _product():
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(640, 640)).astype(np.float16) for _ in range(2))
    return matmul(preset("tsp"), a, b, DType.FP32)


WORKS = {
    "SwiGLU layer, 128 x 576, inner 1,536, int8 weights": ("duo32", _swiglu),
    "640 x 640 x 640, fp16": ("tsp", _product),
}
"""By label, the preset and what makes the kernel; the first is of more than a million issues."""


def jobs(quick):
    """A job per work; `quick` leaves out the values, which the golden model takes minutes for."""
    return [
        Job(f"{config}, {label}", config, partial(measure, label, not quick))
        for label, (config, _) in WORKS.items()
    ]


def measure(label, with_values=True):
    """Make the page of a work, and look at it.

    Returns
    -------
    dict
        ``cycles``, ``issues``, ``runs``, ``file_bytes``, ``until`` (the cycle from which it has no
        values, or None), ``view_seconds`` of making it; milliseconds ``open_ms`` until the page
        shows, ``draw_ms`` of the longest frame while panning, ``frame_ms`` the longest time between
        two frames, and ``median_ms`` of the times between frames.

    Raises
    ------
    BenchError
        If the page says an error.
    """
    config, make = WORKS[label]
    kernel = make()
    start = time.process_time()
    view = view_data(kernel.program, with_values=with_values)
    seconds = time.process_time() - start
    with tempfile.TemporaryDirectory(prefix="tsp-bench-") as folder:
        path = Path(folder) / "view.html"
        write_page(path, [view])
        size = path.stat().st_size
        with browser() as opened:
            seen = look(opened, path)
    runs = kernel.program.runs.values()
    return {
        "config": config,
        "work": label,
        "cycles": kernel.program.cycles,
        "issues": sum(run.count for some in runs for run in some),
        "runs": sum(map(len, runs)),
        "file_bytes": size,
        "until": view.until,
        "view_seconds": seconds,
        **seen,
    }


def look(opened, path):
    """Open a page in a browser and pan: its times in milliseconds.

    Raises
    ------
    BenchError
        If the page says an error.
    """
    page, errors = open_view(opened, path)
    shown = page.evaluate("tsp.opened.all")
    found = page.evaluate(_PAN)
    page.close()
    if errors:
        raise BenchError(f"the page of a view says: {errors[0]}")
    return {
        "open_ms": shown,
        "draw_ms": max(found["drawn"]),
        "frame_ms": max(found["intervals"]),
        "median_ms": float(np.median(found["intervals"])),
    }
