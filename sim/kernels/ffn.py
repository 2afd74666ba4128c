"""Kernel `ffn`, a feed-forward layer, in one program, beside its reference."""

from itertools import product

import numpy as np

from tsp.sim.golden.exact import LONGEST_SUM
from tsp.sim.kernels.activations import FOLDED, silu_of, silu_product, silu_reference
from tsp.sim.kernels.common import Kernel, column_scale, to_vectors, weight_format
from tsp.sim.kernels.layers import Layers, Piece, roomiest
from tsp.sim.kernels.linear import ACTIVATIONS
from tsp.sim.kernels.rows import FP16, FP32, matrix, to_fp16

KINDS = ("swiglu", "gelu", "silu", "relu")


def ffn(config, x, up, down, *, gate=None, scales=None, activation="swiglu", residual=False):
    """A feed-forward layer: what is wide in between never leaves the chip.

    ``swiglu`` is (silu(x gate) * (x up)) down; the others are activation(x up) down.

    Parameters
    ----------
    config : Config
        With the fp16 datapath.
    x : ndarray
        float16 (rows, width).
    up, gate : ndarray
        float16, int8, float8_e4m3fn or float8_e5m2 (width, inner); `gate` for swiglu only.
    down : ndarray
        In any of these formats, (inner, width).
    scales : dict, optional
        float32 per column of "up", "gate" and "down"; not for float16 weights.
    activation : str
        "swiglu", "gelu", "silu" or "relu".
    residual : bool
        Add x to the result.

    Returns
    -------
    Kernel
        Its result is float16 (rows, width).

    Raises
    ------
    TypeError, ValueError
        For operands that do not fit each other.
    CapacityError
        If they do not fit on the core.
    """
    weights = _checked(config, x, up, down, gate, activation)
    scales = _checked_scales(weights, scales or {})
    arguments = config, x, weights, scales, activation, residual
    work = roomiest(lambda planes, slack: _Ffn(*arguments, planes, slack))
    work.run()
    return work.kernel()


def ffn_reference(x, up, down, gate=None, scales=None, activation="swiglu", residual=False):
    """What :func:`ffn` computes, in float64."""
    wide, scales = x.astype(np.float64), scales or {}

    def times(rows, name, w):
        return rows @ w.astype(np.float64) * scales.get(name, 1)

    inner = times(wide, "up", up)
    if activation == "swiglu":
        inner = inner * silu_reference(times(wide, "gate", gate))
    else:
        inner = ACTIVATIONS[activation][1](inner)
    return times(inner, "down", down) + residual * wide


def _checked(config, x, up, down, gate, activation):
    matrix("x", x)
    if activation not in KINDS:
        raise ValueError(f"activation must be one of {', '.join(KINDS)}, not {activation!r}")
    if config.datapath != "fp16":
        raise ValueError(f"ffn needs the fp16 datapath; config {config.name} has int8")
    if (gate is not None) != (activation == "swiglu"):
        raise ValueError("swiglu needs a gate, and the other activations have none")
    weights = {"up": up, "down": down} | ({} if gate is None else {"gate": gate})
    found = {name: (w, weight_format(name, w)) for name, w in weights.items()}
    if up.ndim != 2 or not up.size:
        raise ValueError(f"up must have shape ({x.shape[1]}, inner), not {up.shape}")
    inner = up.shape[1]
    for name, w in weights.items():
        shape = (inner, x.shape[1]) if name == "down" else (x.shape[1], inner)
        if w.shape != shape:
            raise ValueError(f"{name} must have shape {shape}, not {w.shape}")
    if max(x.shape[1], inner) > LONGEST_SUM:
        raise ValueError(
            f"width and inner must be at most {LONGEST_SUM}, not {x.shape[1]} and {inner}"
        )
    return found


def _checked_scales(weights, scales):
    for name in scales:
        if name not in weights:
            raise ValueError(f"scale must be of {', '.join(weights)}, not of {name!r}")
    return {name: column_scale(f"scale {name!r}", s, *weights[name]) for name, s in scales.items()}


class _Ffn(Layers):
    """A feed-forward layer on its way into a schedule."""

    def __init__(self, config, x, weights, scales, activation, residual, planes, slack):
        super().__init__(config, "a feed-forward layer", x.shape[0], planes, slack)
        self.x, self.w, self.scales = x, weights, scales
        self.activation, self.residual = activation, residual
        width, inner = weights["up"][0].shape
        self.up = self.numbered_product("way up", width, self._up_rounds(inner))
        self.down = self.numbered_product(
            "way down", inner, self.rounds("down", width, halves=True)
        )
        self._lay_out()

    # What is computed where

    def _up_rounds(self, inner):
        """Tiles of the gate beside those of the way up in pairs of planes, or in turn on one."""
        if self.activation != "swiglu":
            yield from self.rounds("up", inner)
            return
        tiles, pairs = range(self.tiles(inner)), self._pairs()
        if not pairs:
            for tile in tiles:
                yield from ({self.planes[0]: Piece(name, tile)} for name in ("gate", "up"))
            return
        for first in tiles[:: len(pairs)]:
            yield {
                plane: Piece(name, tile)
                for tile, pair in zip(tiles[first : first + len(pairs)], pairs, strict=False)
                for name, plane in zip(("gate", "up"), pair, strict=True)
            }

    def _pairs(self):
        """Two planes for a tile of the gate and of the way up, of one hemisphere if it has two."""
        by_side = [[p for p in self.planes if p.side is side] for side in self.sides]
        if all(len(planes) == 1 for planes in by_side):
            by_side = [self.planes]
        return [planes for planes in by_side if len(planes) == 2]

    def _lay_out(self):
        x, up, down = self.x, self.up, self.down

        def residual(chunk, tile):
            return down.finishing("down", tile, chunk) if self.residual else set()

        self.input = self.row_places(up, residual)
        self.fill(self.input, x)
        self.inner = self.row_places(down, lambda chunk, tile: up.finishing("up", tile, chunk))
        self.output = self.result_places(down)
        self.rest = self._rest_places() if self.residual else {}
        paired = self._pairs() or self.activation != "swiglu"
        self.gates = {} if paired else self._gate_places()
        self.factors = {"up": -1.0, "gate": -1.0} if paired else {}
        if self.activation in FOLDED:
            before, self.steps, after = FOLDED[self.activation]
            self.factors = {"up": before, "down": after}
        for name, scale in self.scales.items():
            factor = np.float32(self.factors.get(name, 1))
            self.give(name, scale * factor, down if name == "down" else up, name)
        self.deal_weights([up, down], self.w)

    def _gate_places(self):
        """Places for rows of the gate until those of the way up are there, by first row."""
        tiles, places = [*product(("gate", "up"), range(self.down.steps))], {}
        for chunk, (first, last) in enumerate(self.chunks):
            uses = set().union(*(self.up.finishing(*tile, chunk) for tile in tiles))
            places[first] = self.pool.share(2, last - first, uses, self._sides())
        return places

    def _rest_places(self):
        """Where the rows are that are added at the end: those of second halves have their own."""
        places, vectors = {}, to_vectors(self.x, self.lanes)
        for pieces, (chunk, rows) in product(self.down.rounds, enumerate(self.chunks)):
            for piece in pieces.values():
                (first, last), tile = piece.rows(*rows), piece.tile
                place = self.input[self.sides[0], rows[0], tile]
                if piece.half:
                    uses = self.down.finishing("down", tile, chunk)
                    place = self.pool.share(2, last - first, uses, self._sides(1))
                    self.pool.fill(place, vectors[:, first:last, tile])
                places[first, tile] = place
        return places

    # Passes

    def run(self):
        """Place all passes: the way up, and then the way down."""
        together = 2 if self.activation == "swiglu" and not self.gates else 1
        self.multiply_rows(self.up, self.input, self._inner_rows, together)
        self.multiply_rows(self.down, self.inner, self._output_rows)

    def _times(self, p, value, piece):
        """The sums of a piece, times the scale of their columns and what else they take."""
        factor = self.factors.get(piece.weight, 1)
        return self.scaled(p, value, piece.weight, piece, None if factor == 1 else factor)

    def _inner_rows(self, p, chunk, sums):
        sums = [(piece, self._times(p, value, piece)) for piece, value in sums]
        if self.activation != "swiglu":
            for piece, value in sums:
                self._keep_inner(p, self.steps(p, value), chunk, piece)
        elif self.gates:
            ((piece, value),) = sums
            if piece.weight == "gate":
                self.keep(p, silu_of(p, value), self.gates[chunk[0]])
            else:
                gate = p.convert(p.load(self.gates[chunk[0]]), FP16, FP32)
                self._keep_inner(p, p.op("mulf", value, gate), chunk, piece)
        else:
            for (piece, gate), (_, value) in zip(sums[::2], sums[1::2], strict=True):
                self._keep_inner(p, silu_product(p, gate, value), chunk, piece)

    def _keep_inner(self, p, value, chunk, piece):
        self.keep(p, value, *(self.inner[side, chunk[0], piece.tile] for side in self.sides))

    def _output_rows(self, p, chunk, sums):
        for piece, value in sums:
            value, (first, _) = self._times(p, value, piece), piece.rows(*chunk)
            if self.residual:
                rows = p.load(self.rest[first, piece.tile])
                value = p.op("addf", value, p.convert(rows, FP16, FP32))
            self.keep(p, value, self.output[first, piece.tile][0])

    def kernel(self):
        """The kernel of everything placed."""
        memory, x = self.pool.memory, self.x
        self.expect(self.output)
        program = self.schedule.program(memory.image(), memory.outputs(), "ffn")
        w = {name: matrix for name, (matrix, _) in self.w.items()}

        def reference():
            return ffn_reference(
                x,
                **w,
                scales=self.scales,
                activation=self.activation,
                residual=self.residual,
            )

        return Kernel(
            program,
            lambda outputs: self.result(outputs, self.output, x.shape[1]),
            lambda: to_fp16(reference()),
            reference,
            macs=x.shape[0] * sum(matrix.size for matrix in w.values()),
            shape={
                "seq": x.shape[0],
                "width": x.shape[1],
                "inner": w["up"].shape[1],
                "activation": self.activation,
            }
            | {f"{name}_dtype": dtype.name.lower() for name, (_, dtype) in self.w.items()},
            tolerance=2e-3,
        )
