"""Kernel `linear`: activation(x W scale + bias), beside its reference."""

import numpy as np

from tsp.sim.golden.exact import LONGEST_SUM
from tsp.sim.kernels.activations import (
    gelu_of,
    gelu_reference,
    relu_reference,
    silu_of,
    silu_reference,
)
from tsp.sim.kernels.common import Kernel, column_scale, weight_format
from tsp.sim.kernels.layers import Layers, roomiest
from tsp.sim.kernels.rows import matrix, row_of, to_fp16

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
        float16, int8, float8_e4m3fn or float8_e5m2 (k, columns).
    scale : ndarray, optional
        float32 (columns,), what each column is multiplied by; not for float16 weights.
    bias : ndarray, optional
        float16 (columns,).
    activation : str
        "none", "relu", "gelu" or "silu".

    Returns
    -------
    Kernel
        Its result is float16 (rows, columns).

    Raises
    ------
    TypeError, ValueError
        For operands that do not fit each other.
    CapacityError
        If they do not fit on the core.
    """
    matrix("x", x)
    dtype = weight_format("w", w)
    if w.ndim != 2 or w.shape[0] != x.shape[1] or not w.size:
        raise ValueError(f"w must have shape ({x.shape[1]}, columns), not {w.shape}")
    if x.shape[1] > LONGEST_SUM:
        raise ValueError(f"k must be at most {LONGEST_SUM}, not {x.shape[1]}")
    if config.datapath != "fp16":
        raise ValueError(f"linear needs the fp16 datapath; config {config.name} has int8")
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, not {activation!r}")
    if scale is not None:
        scale = column_scale("scale", scale, w, dtype)
    if bias is not None:
        bias = row_of("bias", bias, w.shape[1])[0]
    arguments = config, x, w, dtype, scale, bias, activation
    work = roomiest(lambda planes, slack: _Linear(*arguments, planes, slack))
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

    def __init__(self, config, x, w, dtype, scale, bias, activation, planes, slack):
        super().__init__(config, "a linear layer", x.shape[0], planes, slack)
        self.x, self.w, self.dtype = x, w, dtype
        self.scale, self.bias, self.activation = scale, bias, activation
        self.made = self.numbered_product(
            "linear", x.shape[1], self.rounds("w", w.shape[1], halves=True)
        )
        self.input = self.row_places(self.made)
        self.fill(self.input, x)
        self.results = self.result_places(self.made)
        self.give("scale", scale, self.made, "w")
        self.give("bias", bias, self.made, "w")
        self.deal_weights([self.made], {"w": (w, dtype)})

    def run(self):
        """Place all passes."""
        self.multiply_rows(self.made, self.input, self._finish)

    def _finish(self, p, chunk, sums):
        for piece, value in sums:
            value = self.offset(p, self.scaled(p, value, "scale", piece), "bias", piece)
            value = ACTIVATIONS[self.activation][0](p, value)
            first, _ = piece.rows(*chunk)
            self.keep(p, value, self.results[first, piece.tile][0])

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
