"""A feed-forward layer of one or few rows, past which the weights stream."""

import numpy as np

from tsp.sim.kernels.activations import FOLDED, silu_product
from tsp.sim.kernels.common import LARGEST, to_vectors
from tsp.sim.kernels.few_rows import FewRows
from tsp.sim.kernels.norm_passes import Places, groups
from tsp.sim.kernels.rows import FP16, FP32, clamped
from tsp.sim.layout import Located, Span


class FfnFewRows(FewRows):
    """A feed-forward layer of one or few rows, on its way into a schedule."""

    def __init__(self, config, x, weights, scales, activation, residual, norm, saturate):
        super().__init__(config, "a feed-forward layer", x.shape[0], saturate)
        self.narrow_gate = False
        self.x, self.w, self.scales = x, weights, scales
        self.residual = residual
        if activation == "swiglu":
            teams = [tuple(zip(("gate", "up"), pair, strict=True)) for pair in self.pairs()]
            self.factors, self.act = {"up": -1.0, "gate": -1.0}, silu_product
        else:
            teams = [(("up", plane),) for plane in self.planes]
            before, self.act, after = FOLDED[activation]
            self.factors = {"up": before, "down": after}
        width, inner = weights["up"][0].shape
        self.up = self.tiles(inner, teams, self.lanes)
        teams = [(("down", plane),) for plane in self.planes]
        unit = self.unit(width, len(teams), weights["down"][1])
        self.down = self.tiles(width, teams, unit)
        self.input = self.vectors(self.spans(width), x if norm is None else None)
        self.norm = norm
        self.places = None if norm is None else self._norm_places()
        self.numbers = {tile: n for n, tile in enumerate(t for turn in self.up for t in turn)}
        self.inner = self.vectors([tile.span for tile in self.numbers])
        self.output, self.given = {}, {}
        for tile in (tile for turn in (*self.up, *self.down) for tile in turn):
            self._give(tile)

    def _give(self, tile):
        """Store what the columns of a tile are multiplied by, and what is added to them."""
        for weight, plane in tile.works:
            if weight in self.scales:
                factor = np.float32(self.factors.get(weight, 1))
                scale = self.scales[weight][slice(*tile.span)] * factor
                place = self.words(scale[None], plane.side, plane.number, f"scale of {weight}")
                self.given[tile, weight] = place
        if tile.works[0][0] == "down":
            side = tile.works[0][1].side
            self.output[tile.span] = self.results(side)
            if self.residual:
                self.given[tile, "rest"] = self.words(self.x[:, slice(*tile.span)], side, name="x")

    def _norm_places(self):
        """Where the rows are before the norm, and what it needs."""
        norm, beta = self.norm, self.norm.vectors("beta")
        places = Places(
            rows=self.spread(to_vectors(self.x, self.lanes).transpose(0, 2, 1, 3), "x"),
            gamma=self.spread(norm.vectors("gamma")[:, :, None], "gamma"),
            beta={} if beta is None else self.spread(beta[:, :, None], "beta"),
            results={
                tile: [self.input.place(side, tile) for side in self.sides]
                for tile in range(norm.tiles)
            },
            root=self.between(0),
            sums=[self.between(1), self.between(2)],
        )
        if norm.kind == "layer":
            places.mean = self.between(3)
        return places

    def run(self):
        """Place everything: the norm, the way up, and then the way down."""
        if self.norm is not None:
            # Results of different tiles are in the same banks.
            scaling = groups(range(self.norm.tiles), 1)
            for name, formula in self.norm.passes(self.places, scaling):
                self.formula(name, formula)
        self.multiply("way up", self.input, self.up, self.w, self._inner_rows)
        self.multiply("way down", self.inner, self.down, self.w, self._output_rows)

    def _times(self, p, tile, weight, value):
        """The sums of a tile, times the scale of their columns and what else they take."""
        if (tile, weight) in self.given:
            return p.op("mulf", value, p.load(self.given[tile, weight], same=True))
        factor = self.factors.get(weight, 1)
        return value if factor == 1 else p.op("mulf", value, factor)

    def _inner_rows(self, p, tile, sums):
        works = zip(tile.works, sums, strict=True)
        value = self.act(p, *(self._times(p, tile, weight, x) for (weight, _), x in works))
        # What is kept is smaller than the activations by what the way down makes up for.
        most, signed = LARGEST / self.factors.get("down", 1), "gate" in self.w
        value = clamped(p, value, self.saturate, most=most, signed=signed)
        for side in self.sides:
            place = self.inner.place(side, self.numbers[tile])
            p.store(p.convert(value, FP32, FP16), place)

    def _output_rows(self, p, tile, sums):
        value = self._times(p, tile, "down", sums[0])
        if self.residual:
            rows = p.convert(p.load(self.given[tile, "rest"]), FP16, FP32)
            value = p.op("addf", value, rows)
        value = clamped(p, value, self.saturate)
        p.store(p.convert(value, FP32, FP16), self.output[tile.span])

    def program(self):
        """The program of everything placed."""
        return self.schedule.program(
            self.memory.image(), self.memory.outputs(), "ffn", self.memory.tensors()
        )

    def unpack(self, outputs):
        """The result, from the outputs of a run."""
        return self.tiles_of(outputs, self.output, self.x.shape)

    def located_source(self):
        """Where x lies, or None if what is added at the end is no whole vectors."""
        if self.places is None:
            spans = self.vector_spans(self.input)
        else:
            rows = self.places.rows.items()
            spans = tuple(Span(tile, 0, self.rows, place) for tile, place in rows)
        rest = {tile.span: place for (tile, name), place in self.given.items() if name == "rest"}
        apart = self.column_spans(rest)
        return None if apart is None else Located(self.x.shape, (*spans, *apart))

    def located_result(self):
        """Where the result lies, or None if its tiles are no whole vectors."""
        spans = self.column_spans(self.output)
        return None if spans is None else Located(self.x.shape, spans)
