"""Kernel `ffn`, a feed-forward layer, in one program, beside its reference."""

import numpy as np

from tsp.hw.isa import DType
from tsp.sim.kernels.activations import silu_of, silu_reference
from tsp.sim.kernels.common import Kernel, storage_format
from tsp.sim.kernels.layers import Layers
from tsp.sim.kernels.linear import ACTIVATIONS
from tsp.sim.kernels.rows import FP16, FP32, matrix, to_fp16
from tsp.sim.layout import CapacityError

KINDS = ("swiglu", "gelu", "silu", "relu")


def ffn(config, x, up, down, *, gate=None, scales=None, activation="swiglu", residual=False):
    """A feed-forward layer: what is wide in between never leaves the chip.

    ``swiglu`` is (silu(x gate) * (x up)) down; the others are activation(x up) down.

    Parameters
    ----------
    config : Config
        With the fp16 datapath; swiglu needs two planes.
    x : ndarray
        float16 (rows, width).
    up, gate : ndarray
        float16 or int8 (width, inner); `gate` for swiglu only.
    down : ndarray
        float16 or int8 (inner, width).
    scales : dict, optional
        float32 per column of "up", "gate" and "down", for int8 weights.
    activation : str
        "swiglu", "gelu", "silu" or "relu".
    residual : bool
        Add x to the result.

    Returns
    -------
    Kernel
        Its result is float16 (rows, width).
    """
    weights = _checked(config, x, up, down, gate, activation)
    scales = _checked_scales(weights, scales or {})
    arguments = config, x, weights, scales, activation, residual
    try:
        work = _Ffn(*arguments, planes=2)
    except CapacityError:  # fewer planes need fewer banks at a time
        work = _Ffn(*arguments, planes=1)
    work.run()
    return work.kernel()


def ffn_reference(x, up, down, gate=None, scales=None, activation="swiglu", residual=False):
    """What :func:`ffn` computes, in float64."""
    wide, scales = x.astype(np.float64), scales or {}

    def product(rows, name, w):
        return rows @ w.astype(np.float64) * scales.get(name, 1)

    inner = product(wide, "up", up)
    if activation == "swiglu":
        inner = inner * silu_reference(product(wide, "gate", gate))
    else:
        inner = ACTIVATIONS[activation][1](inner)
    return product(inner, "down", down) + residual * wide


def _checked(config, x, up, down, gate, activation):
    matrix("x", x)
    if activation not in KINDS:
        raise ValueError(f"activation must be one of {', '.join(KINDS)}, not {activation!r}")
    if config.datapath != "fp16":
        raise ValueError(f"ffn needs the fp16 datapath; config {config.name} has int8")
    if (gate is not None) != (activation == "swiglu"):
        raise ValueError("swiglu needs a gate, and the other activations have none")
    if gate is not None and config.planes < 2:
        raise ValueError(f"swiglu needs two MXM planes; config {config.name} has {config.planes}")
    weights = {"up": up, "down": down} | ({} if gate is None else {"gate": gate})
    inner = up.shape[-1]
    for name, w in weights.items():
        storage_format(name, w)
        shape = (inner, x.shape[1]) if name == "down" else (x.shape[1], inner)
        if w.shape != shape:
            raise ValueError(f"{name} must have shape {shape}, not {w.shape}")
    return weights


def _checked_scales(weights, scales):
    found = {}
    for name, scale in scales.items():
        if name not in weights or weights[name].dtype != np.int8:
            raise ValueError(f"scale {name!r} is for int8 weights of that name, and there are none")
        found[name] = np.asarray(scale, np.float32)
        if found[name].shape != weights[name].shape[1:]:
            raise ValueError(
                f"scale {name!r} must have shape {weights[name].shape[1:]}, not {found[name].shape}"
            )
    return found


class _Ffn(Layers):
    """A feed-forward layer on its way into a schedule."""

    def __init__(self, config, x, weights, scales, activation, residual, planes):
        super().__init__(config, "a feed-forward layer", x.shape[0])
        self.planes = [plane for plane in self.planes if plane.number < planes]
        self.x, self.w, self.scales = x, weights, scales
        self.activation, self.residual = activation, residual
        self.source = self.filled(x, len(self.planes) if residual else 1)
        together = self._pairs() if activation == "swiglu" else len(self.planes)
        self.inner = self.empty(weights["up"].shape[1], self.sides, together)
        self.output = self.beside(x.shape[1])
        places = {"up": self.up_plane, "gate": self.gate_plane, "down": self.plane}
        for name in weights:
            self.give(name, scales.get(name), places[name])
        left = sum(w.nbytes for w in weights.values())
        self.dealt = {}
        for name, w in weights.items():
            dtype = DType.INT8 if w.dtype == np.int8 else FP16
            self.dealt[name] = self.weights(w, dtype, places[name], w.nbytes / left)
            left -= w.nbytes

    def _pairs(self):
        return len(self.planes) // 2

    def gate_plane(self, number):
        """The plane of a tile of the gate: the first of a pair."""
        return self.planes[2 * (number % self._pairs())]

    def up_plane(self, number):
        """The plane of a tile of the way up: with a gate, the second of the pair."""
        if self.activation != "swiglu":
            return self.plane(number)
        return self.planes[2 * (number % self._pairs()) + 1]

    def run(self):
        """Place all passes: the way up, and then the way down."""
        tiles = self.tiles(self.w["up"].shape[1])
        step = self._pairs() if self.activation == "swiglu" else len(self.planes)
        for first in range(0, tiles, step):
            numbers, busy = range(first, min(first + step, tiles)), {}
            for number in numbers:
                busy[self.up_plane(number)] = self.dealt["up"], number
                if self.activation == "swiglu":
                    busy[self.gate_plane(number)] = self.dealt["gate"], number
            finish = self._inner_rows(numbers)
            self.multiply_rows("way up", self.source, self.x.shape[1], [busy], finish)
        tiles = self.tiles(self.x.shape[1])
        for first in range(0, tiles, len(self.planes)):
            numbers = range(first, min(first + len(self.planes), tiles))
            busy = {self.plane(number): (self.dealt["down"], number) for number in numbers}
            finish = self._output_rows(numbers)
            width = self.w["down"].shape[0]
            self.multiply_rows("way down", self.inner, width, [busy], finish)

    def _inner_rows(self, numbers):
        def finish(p, first, times):
            for number in numbers:
                plane = self.up_plane(number)
                value = self.scaled(p, plane, times[plane], "up", number)
                if self.activation == "swiglu":
                    plane = self.gate_plane(number)
                    gate = self.scaled(p, plane, times[plane], "gate", number)
                    value = p.op("mulf", value, silu_of(p, gate))
                else:
                    value = ACTIVATIONS[self.activation][0](p, value)
                self.keep(p, value, first, number, self.inner)

        return finish

    def _output_rows(self, numbers):
        def finish(p, first, times):
            for number in numbers:
                plane = self.plane(number)
                value = self.scaled(p, plane, times[plane], "down", number)
                if self.residual:
                    rows = p.load(self.source[self.sides[0], first, number])
                    value = p.op("addf", value, p.convert(rows, FP16, FP32))
                self.keep(p, value, first, number, self.output)

        return finish

    def kernel(self):
        """The kernel of everything placed."""
        memory, x = self.pool.memory, self.x
        self.expect(self.output)
        program = self.schedule.program(memory.image(), memory.outputs(), "ffn")
        options = {
            "gate": self.w.get("gate"),
            "scales": self.scales,
            "activation": self.activation,
            "residual": self.residual,
        }

        def reference():
            return ffn_reference(x, self.w["up"], self.w["down"], **options)

        return Kernel(
            program,
            lambda outputs: self.result(outputs, self.output, x.shape[1]),
            lambda: to_fp16(reference()),
            reference,
            macs=x.shape[0] * sum(w.size for w in self.w.values()),
            shape={
                "seq": x.shape[0],
                "width": x.shape[1],
                "inner": self.w["up"].shape[1],
                "activation": self.activation,
            },
            tolerance=2e-3,
        )
