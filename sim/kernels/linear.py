"""Kernel `linear`: activation(x W scale + bias), beside its reference."""

from contextlib import suppress

import numpy as np

from tsp.hw.config import LONGEST_SUM, Config
from tsp.hw.errors import NO_PLAN, InputError
from tsp.sim.kernels.activations import (
    gelu_of,
    gelu_reference,
    relu_reference,
    silu_of,
    silu_reference,
)
from tsp.sim.kernels.common import Kernel, check_size, column_scale, saturated, weight_format
from tsp.sim.kernels.few_rows import FewRows, pays
from tsp.sim.kernels.layers import Layers, roomiest
from tsp.sim.kernels.rows import FP16, FP32, clamped, matrix, row_of, to_fp16
from tsp.sim.layout import Located

ACTIVATIONS = {
    "none": (lambda p, x: x, lambda x: x),
    "relu": (lambda p, x: p.op("reluf", x), relu_reference),
    "gelu": (gelu_of, gelu_reference),
    "silu": (silu_of, silu_reference),
}
"""Steps in a pipeline, and the reference, of every activation by name."""


def linear(
    config: Config,
    x: np.ndarray,
    w: np.ndarray,
    *,
    scale: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    activation: str = "none",
    saturate: bool = False,
) -> Kernel:
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
    saturate : bool
        Whether results beyond 65,504 in magnitude become that, and no infinities.

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
        raise InputError(f"w must have shape ({x.shape[1]}, columns), not {w.shape}")
    if x.shape[1] > LONGEST_SUM:
        raise InputError(f"k must be at most {LONGEST_SUM}, not {x.shape[1]}")
    if config.datapath != "fp16":
        raise InputError(f"linear needs the fp16 datapath; config {config.name} has int8")
    if activation not in ACTIVATIONS:
        raise InputError(f"activation must be one of {', '.join(ACTIVATIONS)}, not {activation!r}")
    if scale is not None:
        scale = column_scale("scale", scale, w, dtype)
    if bias is not None:
        bias = row_of("bias", bias, w.shape[1])[0]
    work, program = _scheduled(config, x, w, dtype, scale, bias, activation, saturate)

    def reference(x):
        return saturated(linear_reference(x, w, scale, bias, activation), saturate)

    return Kernel(
        program,
        work.unpack,
        lambda: to_fp16(reference(x)),
        lambda: reference(x),
        macs=x.shape[0] * w.size,
        shape={
            "rows": x.shape[0],
            "k": x.shape[1],
            "cols": w.shape[1],
            "w_dtype": dtype.name.lower(),
        },
        tolerance=1e-3,
        source=work.located_source(),
        result=work.located_result(),
        apply=reference,
    )


def linear_reference(
    x: np.ndarray,
    w: np.ndarray,
    scale: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    activation: str = "none",
) -> np.ndarray:
    """What :func:`linear` computes, in float64."""
    out = x.astype(np.float64) @ w.astype(np.float64)
    out = out if scale is None else out * scale.astype(np.float64)
    out = out if bias is None else out + bias.astype(np.float64)
    return ACTIVATIONS[activation][1](out)


def _scheduled(config, x, w, dtype, scale, bias, activation, saturate):
    """The layer, and its program, by weights that stream if that is worth while."""
    arguments = config, x, w, dtype, scale, bias, activation, saturate
    check_size("a linear layer", config, [w], [x])
    if pays(config, len(x), [dtype]):
        with suppress(*NO_PLAN):
            work = _LinearFewRows(*arguments)
            work.run()
            return work, work.program()
    work = roomiest(lambda fit: _LinearLayers(*arguments, fit))
    work.run()
    return work, work.program()


class _LinearLayers(Layers):
    """A linear layer of many rows, on its way into a schedule."""

    def __init__(self, config, x, w, dtype, scale, bias, activation, saturate, fit):
        super().__init__(config, "a linear layer", x.shape[0], fit, saturate)
        self.columns, self.activation = w.shape[1], activation
        rounds = self.rounds("w", w.shape[1], halves=True)
        self.made = self.numbered_product("linear", x.shape[1], rounds)
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
            signed = self.activation == "none"
            self.keep(p, value, self.results[first, piece.tile][0], signed=signed)

    def program(self):
        """The program of everything placed."""
        self.expect(self.results)
        memory = self.pool.memory
        return self.schedule.program(memory.image(), memory.outputs(), "linear", memory.tensors())

    def unpack(self, outputs):
        """The result, from the outputs of a run."""
        return self.result(outputs, self.results, self.columns)

    def located_source(self):
        """Where x lies."""
        return Located((self.rows, self.made.k), self.spans_of(self.input))

    def located_result(self):
        """Where the result lies."""
        return Located((self.rows, self.columns), self.made_spans(self.results))


class _LinearFewRows(FewRows):
    """A linear layer of one or few rows, past which the weights stream."""

    def __init__(self, config, x, w, dtype, scale, bias, activation, saturate):
        super().__init__(config, "a linear layer", x.shape[0], saturate)
        self.w, self.activation = {"w": (w, dtype)}, activation
        teams = [(("w", plane),) for plane in self.planes]
        self.turns = self.tiles(w.shape[1], teams, self.unit(w.shape[1], len(teams), dtype))
        self.input = self.vectors(self.spans(x.shape[1]), x)
        self.output, self.shape, self.given = {}, (x.shape[0], w.shape[1]), {}
        for tile in (tile for turn in self.turns for tile in turn):
            ((_, plane),) = tile.works
            self.output[tile.span] = self.results(plane.side)
            # Both are read for every row, a few cycles apart: each in banks of its own.
            for turn, (name, array) in enumerate((("scale", scale), ("bias", bias))):
                if array is not None:
                    numbers = array[None, slice(*tile.span)].astype(np.float32)
                    place = self.words(numbers, plane.side, (plane.number + turn) % 2, name)
                    self.given[name, tile] = place

    def run(self):
        """Place everything."""
        self.multiply("linear", self.input, self.turns, self.w, self._finish)

    def _finish(self, p, tile, sums):
        (value,) = sums
        for name, step in (("scale", "mulf"), ("bias", "addf")):
            if (name, tile) in self.given:
                value = p.op(step, value, p.load(self.given[name, tile], same=True))
        value = ACTIVATIONS[self.activation][0](p, value)
        value = clamped(p, value, self.saturate, signed=self.activation == "none")
        p.store(p.convert(value, FP32, FP16), self.output[tile.span])

    def program(self):
        """The program of everything placed."""
        return self.schedule.program(
            self.memory.image(), self.memory.outputs(), "linear", self.memory.tensors()
        )

    def unpack(self, outputs):
        """The result, from the outputs of a run."""
        return self.tiles_of(outputs, self.output, self.shape)

    def located_source(self):
        """Where x lies."""
        columns = self.input.spans[-1][1]
        return Located((self.rows, columns), self.vector_spans(self.input))

    def located_result(self):
        """Where the result lies, or None if its tiles are no whole vectors."""
        spans = self.column_spans(self.output)
        return None if spans is None else Located(self.shape, spans)
