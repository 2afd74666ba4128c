"""Kernel `linear`: activation(x W scale + bias), beside its reference."""

import numpy as np

from tsp.hw.isa import DType
from tsp.sim.golden.exact import LONGEST_SUM
from tsp.sim.kernels.activations import (
    gelu_of,
    gelu_reference,
    relu_reference,
    silu_of,
    silu_reference,
)
from tsp.sim.kernels.common import Kernel, storage_format
from tsp.sim.kernels.layers import Layers
from tsp.sim.kernels.rows import FP16, FP32, matrix, row_of, to_fp16
from tsp.sim.layout import CapacityError

ACTIVATIONS = {
    "none": (lambda p, x: x, lambda x: x),
    "relu": (lambda p, x: p.op("reluf", x), relu_reference),
    "gelu": (gelu_of, gelu_reference),
    "silu": (silu_of, silu_reference),
}
"""Steps in a pipeline, and the reference, of every activation by name."""


def linear(config, x, w, *, scale=None, bias=None, activation="none"):
    """activation(x W scale + bias): exact products, rounded once to fp32, then steps of the VXM.

    Parameters
    ----------
    config : Config
        With the fp16 datapath.
    x : ndarray
        float16 (rows, k).
    w : ndarray
        float16 or int8 (k, columns).
    scale : ndarray, optional
        float32 (columns,), what each column is multiplied by; for int8 weights.
    bias : ndarray, optional
        float16 (columns,).
    activation : str
        "none", "relu", "gelu" or "silu".

    Returns
    -------
    Kernel
        Its result is float16 (rows, columns).
    """
    matrix("x", x)
    dtype = storage_format("w", w)
    if w.ndim != 2 or w.shape[0] != x.shape[1] or not w.size:
        raise ValueError(f"w must have shape ({x.shape[1]}, columns), not {w.shape}")
    if x.shape[1] > LONGEST_SUM:
        raise ValueError(f"k must be at most {LONGEST_SUM}, not {x.shape[1]}")
    if config.datapath != "fp16":
        raise ValueError(f"linear needs the fp16 datapath; config {config.name} has int8")
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, not {activation!r}")
    if scale is not None:
        if dtype is not DType.INT8:
            raise ValueError("scale is for int8 weights; multiply float16 weights beforehand")
        scale = np.asarray(scale, np.float32)
        if scale.shape != w.shape[1:]:
            raise ValueError(f"scale must have shape {w.shape[1:]}, not {scale.shape}")
    if bias is not None:
        bias = row_of("bias", bias, w.shape[1])[0]
    work = _Linear(config, x, w, dtype, scale, bias, activation)
    work.run()
    return work.kernel()


def linear_reference(x, w, scale=None, bias=None, activation="none"):
    """What :func:`linear` computes, in float64."""
    out = x.astype(np.float64) @ w.astype(np.float64)
    out = out if scale is None else out * scale.astype(np.float64)
    out = out if bias is None else out + bias.astype(np.float64)
    return ACTIVATIONS[activation][1](out)


class _Linear(Layers):
    """A linear layer on its way into a schedule."""

    def __init__(self, config, x, w, dtype, scale, bias, activation):
        super().__init__(config, "a linear layer", x.shape[0])
        self.x, self.w, self.dtype = x, w, dtype
        self.scale, self.bias, self.activation = scale, bias, activation
        # A plane needs banks of its own for what it emits and for what its columns are given.
        each = 2 + 4 * (scale is not None) + 2 * (bias is not None)
        room = (2 * config.mem_slices - 2 - 2 * dtype.bytes) // each
        if not room:
            raise CapacityError(
                f"a linear layer needs {2 + 2 * dtype.bytes + each} banks in each hemisphere, and "
                f"config {config.name} has {2 * config.mem_slices}; use a larger config"
            )
        self.planes = [plane for plane in self.planes if plane.number < room]
        self.source = self.filled(x)
        self.results = self.beside(w.shape[1])
        self.give("scale", scale, self.plane)
        self.give("bias", bias, self.plane)
        self.tiles_of_w = self.weights(w, dtype, self.plane)

    def run(self):
        """Place all passes: a tile of columns per plane at a time."""
        count, step = self.tiles(self.w.shape[1]), len(self.planes)
        rounds = [
            {self.plane(n): (self.tiles_of_w, n) for n in range(first, min(first + step, count))}
            for first in range(0, count, step)
        ]
        for some in rounds:
            self.multiply_rows("linear", self.source, self.x.shape[1], [some], self._finish(some))

    def _finish(self, some):
        def finish(p, first, times):
            for plane, time in times.items():
                number = some[plane][1]
                value = self.scaled(p, plane, time, "scale", number)
                if self.bias is not None:
                    bias = p.load(self.given["bias", number], same=True)
                    value = p.op("addf", value, p.convert(bias, FP16, FP32))
                value = ACTIVATIONS[self.activation][0](p, value)
                self.keep(p, value, first, number, self.results)

        return finish

    def kernel(self):
        """The kernel of everything placed."""
        x, w, memory = self.x, self.w, self.pool.memory
        self.expect(self.results)
        program = self.schedule.program(memory.image(), memory.outputs(), "linear")

        def reference():
            return linear_reference(x, w, self.scale, self.bias, self.activation)

        return Kernel(
            program,
            lambda outputs: self.result(outputs, self.results, w.shape[1]),
            lambda: to_fp16(reference()),
            reference,
            macs=x.shape[0] * w.size,
            shape={
                "rows": x.shape[0],
                "k": x.shape[1],
                "cols": w.shape[1],
                "w_dtype": self.dtype.name.lower(),
            },
            tolerance=1e-3,
        )
