"""A feed-forward layer of many rows, which stream past one tile of weights per plane at a time."""

from itertools import product

import numpy as np

from tsp.sim.kernels.activations import FOLDED, silu_of, silu_product
from tsp.sim.kernels.common import LARGEST, to_vectors
from tsp.sim.kernels.layers import Layers
from tsp.sim.kernels.norm_passes import NormOfLayers
from tsp.sim.kernels.products import Piece
from tsp.sim.kernels.rows import FP16, FP32
from tsp.sim.layout import Located, Span


class FfnLayers(Layers):
    """A feed-forward layer of many rows, on its way into a schedule."""

    def __init__(self, config, x, weights, scales, activation, residual, norm, saturate, fit):
        super().__init__(config, "a feed-forward layer", x.shape[0], fit, saturate)
        self.x, self.w, self.scales = x, weights, scales
        self.activation, self.residual = activation, residual
        self.norm = None if norm is None else NormOfLayers(self, norm)
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

        paired = self._pairs() or self.activation != "swiglu"
        self.factors = {"up": -1.0, "gate": -1.0} if paired else {}
        if self.activation in FOLDED:
            before, self.steps, after = FOLDED[self.activation]
            self.factors = {"up": before, "down": after}
        if self.fit.scales_first:
            self._give_scales()
        if self.norm is None:
            self.input = self.normed = self.row_places(up, residual)
        else:
            self.input, self.normed = self.norm.lay_out(up, residual)
        self.fill(self.input, x)
        self.inner = self.row_places(down, lambda chunk, tile: up.finishing("up", tile, chunk))
        self.output = self.result_places(down)
        self.rest = self._rest_places() if self.residual else {}
        self.gates = {} if paired else self._gate_places()
        self.narrow_gate = bool(self.gates)
        if not self.fit.scales_first:
            self._give_scales()
        self.deal_weights([up, down], self.w)

    def _give_scales(self):
        for name, scale in self.scales.items():
            factor = np.float32(self.factors.get(name, 1))
            self.give(name, scale * factor, self.down if name == "down" else self.up, name)

    def _gate_places(self):
        """Places for rows of the gate until those of the way up are there, by first row."""
        tiles, places = [*product(("gate", "up"), range(self.down.steps))], {}
        for chunk, (first, last) in enumerate(self.chunks):
            uses = set().union(*(self.up.finishing(*tile, chunk) for tile in tiles))
            places[first] = self.pool.share(2, last - first, uses, self.either())
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
                    place = self.pool.share(2, last - first, uses, self.either(1))
                    self.pool.fill(place, vectors[:, first:last, tile], "x")
                places[first, tile] = place
        return places

    # Passes

    def run(self):
        """Place all passes: the norm, the way up, and then the way down."""
        if self.norm is not None:
            self.norm.run()
        together = 2 if self.activation == "swiglu" and not self.gates else 1
        self.multiply_rows(self.up, self.normed, self._inner_rows, together)
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
                self.keep(p, silu_of(p, value), self.gates[chunk[0]], signed=False)
            else:
                gate = p.convert(p.load(self.gates[chunk[0]]), FP16, FP32)
                self._keep_inner(p, p.op("mulf", value, gate), chunk, piece)
        else:
            for (piece, gate), (_, value) in zip(sums[::2], sums[1::2], strict=True):
                self._keep_inner(p, silu_product(p, gate, value), chunk, piece)

    def _keep_inner(self, p, value, chunk, piece):
        places = (self.inner[side, chunk[0], piece.tile] for side in self.sides)
        # What is kept is smaller than the activations by what the way down makes up for.
        most = LARGEST / self.factors.get("down", 1)
        self.keep(p, value, *places, most=most, signed=self.activation == "swiglu")

    def _output_rows(self, p, chunk, sums):
        for piece, value in sums:
            value, (first, _) = self._times(p, value, piece), piece.rows(*chunk)
            if self.residual:
                rows = p.load(self.rest[first, piece.tile])
                value = p.op("addf", value, p.convert(rows, FP16, FP32))
            self.keep(p, value, self.output[first, piece.tile][0])

    def program(self):
        """The program of everything placed."""
        self.expect(self.output)
        memory = self.pool.memory
        return self.schedule.program(memory.image(), memory.outputs(), "ffn", memory.tensors())

    def unpack(self, outputs):
        """The result, from the outputs of a run."""
        return self.result(outputs, self.output, self.x.shape[1])

    def located_source(self):
        """Where x lies, with the copies that are added at the end."""
        spans = self.spans_of(self.input)
        known = {span.place for span in spans}
        apart = (
            Span(tile, first, self.output[first, tile][1], place)
            for (first, tile), place in self.rest.items()
            if place not in known
        )
        return Located(self.x.shape, (*spans, *apart))

    def located_result(self):
        """Where the result lies."""
        return Located(self.x.shape, self.made_spans(self.output))
