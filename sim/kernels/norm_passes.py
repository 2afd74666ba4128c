"""The norm of rows ahead of a product, in passes over several tiles of a row at a time.

The first passes sum over a row: lane by lane over its tiles, and then over the lanes in an SXM. A
last tile with padding is summed apart, since its lanes from some lane on do not count.
"""

from dataclasses import dataclass, field

import numpy as np

from tsp.hw.errors import InputError
from tsp.sim.kernels.common import saturated, to_vectors
from tsp.sim.kernels.norms import (
    EPSILON,
    check_mean,
    layernorm_reference,
    mean_of,
    rmsnorm_reference,
    times_columns,
)
from tsp.sim.kernels.pipeline import narrowest
from tsp.sim.kernels.rows import EAST, FP16, FP32, SUM, WEST, clamped, row_of

NORMS = ("none", "rms", "layer")


@dataclass(eq=False)
class Places:
    """Where the rows of a norm are, and what belongs to them.

    `rows`, `gamma` and `beta` are places by tile, `results` lists of places by tile; `mean`, `root`
    and two of `sums` are places of fp32 rows.
    """

    rows: dict = field(default_factory=dict)
    gamma: dict = field(default_factory=dict)
    beta: dict = field(default_factory=dict)
    results: dict = field(default_factory=dict)
    mean: object = None
    root: object = None
    sums: list = field(default_factory=list)


class Norm:
    """A norm of rows of so many columns, checked.

    Parameters
    ----------
    kind : str
        "rms" or "layer".
    config : Config
    columns : int
    gamma, beta : ndarray, optional
        float16 (columns,); `beta` for "layer" only.
    epsilon : float
    saturate : bool
        Whether what is beyond fp16 becomes its largest number, and no infinity.

    Members
    -------
    added : float
        What is added to a sum of squares.
    summing : list of list of int
        The tiles of each pass over a row that sums.
    """

    def __init__(
        self, kind, config, columns, gamma=None, beta=None, epsilon=EPSILON, saturate=False
    ):
        if kind not in NORMS[1:]:
            raise InputError(f"norm must be one of {', '.join(NORMS)}, not {kind!r}")
        if kind == "rms" and beta is not None:
            raise InputError("beta is for norm 'layer'; norm 'rms' has gamma only")
        self.added = times_columns(epsilon, columns)
        if kind == "layer":
            check_mean(columns, config.vector)
        self.kind, self.columns, self.epsilon = kind, columns, float(epsilon)
        self.saturate = saturate
        self.gamma = None if gamma is None else row_of("gamma", gamma, columns)[0]
        self.beta = None if beta is None else row_of("beta", beta, columns)[0]
        self.lanes, self.tiles = config.vector, -(-columns // config.vector)
        count = max(1, config.alus // (3 + (kind == "layer")))  # steps per tile
        self.summing = groups(range(self.tiles), count)

    def stages(self, scaling):
        """What the passes find out, one after the other: name and the tiles of each pass.

        `scaling` are the tiles of each pass that makes results.
        """
        names = ("mean", "root") if self.kind == "layer" else ("root",)
        return [(name, self.summing) for name in names] + [("result", scaling)]

    def vectors(self, name):
        """gamma or beta as fp32 words, uint8 (bytes, tiles, lanes), or None without beta.

        The square root of the number of columns is in gamma, so that sums are not divided.
        """
        if name == "gamma":
            ones = np.ones(self.columns) if self.gamma is None else self.gamma.astype(np.float64)
            values = ones * np.sqrt(self.columns)
        elif self.beta is None:
            return None
        else:
            values = self.beta
        return to_vectors(values.astype(np.float32)[None], self.lanes)[:, 0]

    def reference(self, x):
        """The norm in float64."""
        if self.kind == "rms":
            found = rmsnorm_reference(x, self.gamma, self.epsilon)
        else:
            found = layernorm_reference(x, self.gamma, self.beta, self.epsilon)
        return saturated(found, self.saturate)

    def passes(self, places, scaling):
        """``(name, formula)`` of all passes in order; a formula takes a pipeline."""
        for stage, passes in self.stages(scaling):
            for number, tiles in enumerate(passes):
                name = f"{stage} of tile {' and '.join(map(str, tiles))}"
                if stage == "result":
                    yield name, lambda p, tiles=tiles: self._scale(p, places, tiles)
                else:
                    step = stage, number, tiles
                    yield name, lambda p, step=step: self._sum(p, places, *step)

    def _sum(self, p, places, stage, number, tiles):
        """Add the tiles of a pass to what the ones before have left."""
        values, mean = {}, self._mean(p, places) if stage == "root" else None
        for tile in tiles:
            value = self._centred(p, places, tile, mean)
            values[tile] = p.op("mulf", value, value) if stage == "root" else value
        padded = {tile for tile in tiles if (tile + 1) * self.lanes > self.columns}
        whole = [value for tile, value in values.items() if tile not in padded]
        if number:
            whole.append(p.load(places.sums[(number - 1) % 2]))
        if number < len(self.summing) - 1:
            p.store(_total(p, whole), places.sums[number % 2])
            return
        parts = [p.reduce(WEST, SUM, _total(p, whole), self.lanes)] if whole else []
        lanes = self.columns % self.lanes
        parts += [p.reduce(EAST, SUM, values[tile], lanes) for tile in padded]
        total = _total(p, parts)
        if stage == "mean":
            p.store(mean_of(p, total, self.columns), places.mean)
        else:
            total = p.op("addf", total, self.added)
            p.store(p.op("rsqrt", total), places.root)

    def _scale(self, p, places, tiles):
        """The results of some tiles."""
        mean, root = self._mean(p, places), p.load(places.root)
        for tile in tiles:
            value = p.op("mulf", self._centred(p, places, tile, mean), root)
            value = p.op("mulf", value, p.load(places.gamma[tile], same=True))
            if self.beta is not None:
                value = p.op("addf", value, p.load(places.beta[tile], same=True))
            value = clamped(p, value, self.saturate)
            for place in places.results[tile]:
                p.store(p.convert(value, FP32, FP16), place)

    def _mean(self, p, places):
        return p.load(places.mean) if self.kind == "layer" else None

    def _centred(self, p, places, tile, mean):
        value = p.convert(p.load(places.rows[tile]), FP16, FP32)
        return value if mean is None else p.op("subf", value, mean)


def checked_norm(kind, config, columns, gamma=None, beta=None, epsilon=EPSILON, saturate=False):
    """The :class:`Norm` of that kind, or None if it is "none"."""
    if kind not in NORMS:
        raise InputError(f"norm must be one of {', '.join(NORMS)}, not {kind!r}")
    if kind == "none":
        if gamma is not None or beta is not None:
            raise InputError("gamma and beta are for a norm, and norm is 'none'")
        return None
    return Norm(kind, config, columns, gamma, beta, epsilon, saturate)


def groups(tiles, count):
    """Tiles by so many."""
    tiles = list(tiles)
    return [tiles[n : n + count] for n in range(0, len(tiles), count)]


def _total(p, values):
    """The sum of some values, in pairs; the result of an ALU even if it is one that was loaded."""
    if len(values) == 1 and values[0].node is None:
        return p.op("mov", values[0])
    while len(values) > 1:
        pairs = [p.op("addf", a, b) for a, b in zip(values[::2], values[1::2], strict=False)]
        values = pairs + values[len(pairs) * 2 :]
    return values[0]


class NormOfLayers:
    """A norm of the rows of a :class:`~tsp.sim.kernels.layers.Layers`, ahead of their products.

    Its passes are numbered when it is made; what it needs is then laid out, and at last it runs.
    """

    def __init__(self, layers, norm):
        self.layers, self.norm = layers, norm
        # As the hemispheres take them, if they begin half of the tiles apart.
        half = -(-norm.tiles // 2) if len(layers.sides) > 1 else 0
        order = [tile for n in range(norm.tiles) for tile in (n, n + norm.tiles // 2)]
        order = [tile for tile in dict.fromkeys(order) if tile < norm.tiles]
        count = layers.fit.together if half else 1
        self.scaling = groups(order if half else range(norm.tiles), count)
        self.steps = [
            (stage, tiles) for stage, passes in norm.stages(self.scaling) for tiles in passes
        ]
        self.start = layers.numbered + 1
        layers.numbered += len(self.steps) * len(layers.chunks) + 1

    def _uses(self, chunk, *stages, tile=None):
        """Passes of a chunk, or of all, of some stages, and of those that have a tile."""
        chunks = range(len(self.layers.chunks)) if chunk is None else [chunk]
        return {
            self.start + c * len(self.steps) + n
            for c in chunks
            for n, (stage, tiles) in enumerate(self.steps)
            if stage in stages and (tile is None or tile in tiles)
        }

    def lay_out(self, reader, also):
        """Find places; returns those of the rows as they come, and as a product reads them.

        ``also(chunk, tile)`` are passes in which the rows as they come are read beside.
        """
        layers, norm, everything = self.layers, self.norm, ("mean", "root", "result")
        pool, rows = layers.pool, {}
        constant = {name: self._constants(name) for name in ("gamma", "beta")}
        self.places = [
            self._between(chunk, last - first) for chunk, (first, last) in enumerate(layers.chunks)
        ]
        for chunk, (first, last) in enumerate(layers.chunks):
            for tile in range(norm.tiles):
                uses = self._uses(chunk, *everything, tile=tile) | also(chunk, tile)
                place = pool.share(2, last - first, uses, layers.either(tile))
                rows |= {(side, first, tile): place for side in layers.sides}
        made = layers.row_places(reader, lambda c, tile: self._uses(c, "result", tile=tile))
        for (first, _), found in zip(layers.chunks, self.places, strict=True):
            found.gamma, found.beta = constant["gamma"], constant["beta"]
            for tile in range(norm.tiles):
                found.rows[tile] = rows[layers.sides[0], first, tile]
                results = dict.fromkeys(made[side, first, tile] for side in layers.sides)
                found.results[tile] = list(results)
        return rows, made

    def _between(self, chunk, rows):
        """Places of what passes leave to later ones."""
        layers, found = self.layers, Places()
        everything = self._uses(chunk, "mean", "root", "result")
        found.root = layers.wide(rows, everything, 0)
        if self.norm.kind == "layer":
            found.mean = layers.wide(rows, everything, 1)
        if len(self.norm.summing) > 1:
            uses = self._uses(chunk, "mean", "root")
            found.sums = [layers.wide(rows, uses, n) for n in range(2)]
        return found

    def _constants(self, name):
        vectors, places = self.norm.vectors(name), {}
        for tile in range(self.norm.tiles if vectors is not None else 0):
            uses = self._uses(None, "result", tile=tile)
            places[tile] = self.layers.wide(1, uses, tile)
            self.layers.pool.fill(places[tile], vectors[:, tile : tile + 1], name)
        return places

    def run(self):
        """Place all passes."""
        layers = self.layers
        for (first, last), places in zip(layers.chunks, self.places, strict=True):
            for name, formula in self.norm.passes(places, self.scaling):

                def build(interval, name=name, formula=formula, rows=last - first):
                    p = layers.pipeline(name, rows, interval)
                    formula(p)
                    return p, []

                layers.place(*narrowest(build), ready=0)
