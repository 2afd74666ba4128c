"""Kernels `rmsnorm` and `layernorm`, each beside its reference.

The square root of the number of columns is folded into gamma, so that the sum of squares needs no
division: x / sqrt(s / n + eps) is x sqrt(n) / sqrt(s + n eps).
"""

import numpy as np

from tsp.sim.kernels.common import fp32_number
from tsp.sim.kernels.rows import (
    EAST,
    FP16,
    SUM,
    WEST,
    Rows,
    matrix,
    narrowed,
    row_of,
    widened,
)

EPSILON = 1e-5


def rmsnorm(config, x, gamma=None, epsilon=EPSILON):
    """x / sqrt(mean(x^2) + epsilon) * gamma of every row of `x`, float16 (rows, columns).

    `gamma` is float16 (columns,), or ones. The result is float16.
    """
    norm = _Norm(config, x, gamma, None, epsilon)
    for chunk in norm.source.chunks:
        norm.rms(chunk)
    return norm.kernel("rmsnorm", lambda x: rmsnorm_reference(x, gamma, epsilon))


def layernorm(config, x, gamma=None, beta=None, epsilon=EPSILON):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta of every row of `x`, float16.

    `gamma` and `beta` are float16 (columns,), or ones and zeros. The result is float16.
    """
    norm = _Norm(config, x, gamma, beta, epsilon)
    for chunk in norm.source.chunks:
        norm.layer(chunk)
    return norm.kernel("layernorm", lambda x: layernorm_reference(x, gamma, beta, epsilon))


def times_columns(epsilon, columns):
    """What is added to a sum of squares for a checked `epsilon`: ``epsilon * columns``."""
    if not 0 <= epsilon < np.inf:
        raise ValueError(f"epsilon must be a finite number of at least 0, not {epsilon}")
    return fp32_number(f"epsilon times {columns} columns", float(epsilon) * columns)


class _Norm:
    """What both norms share: the tensors, and the steps in which they are computed."""

    def __init__(self, config, x, gamma, beta, epsilon):
        columns = matrix("x", x).shape[1]
        self.x, self.rows = x, Rows(config)
        self.columns, self.epsilon = columns, times_columns(epsilon, columns)
        store = self.rows.store
        self.source = store.of(x)
        self.result = store.tensor(*x.shape, FP16)
        ones = np.ones(columns) if gamma is None else row_of("gamma", gamma, columns)[0]
        scaled = (ones.astype(np.float64) * np.sqrt(columns)).astype(np.float32)
        self.gamma = store.of(scaled[None])
        self.beta = None
        if beta is not None:
            self.beta = store.of(row_of("beta", beta, columns).astype(np.float32))

    def kernel(self, name, reference):
        return self.rows.kernel(name, self.x, self.result, reference, 1e-3, [self.source])

    def scaled(self, p, value, root, tile):
        """The last steps of both norms: times 1/sqrt, times gamma, plus beta."""
        value = p.op("mulf", p.op("mulf", value, root), self._row(p, self.gamma, tile))
        return value if self.beta is None else p.op("addf", value, self._row(p, self.beta, tile))

    def _row(self, p, tensor, tile):
        return p.load(tensor.places[tensor.chunks[0], tile], same=True)

    def root(self, p, squares):
        """1 / sqrt of a sum of squares."""
        return p.op("rsqrt", p.op("addf", squares, self.epsilon))

    def sum(self, name, chunk, side, values, reads=()):
        """The place of the sums over whole rows; see :meth:`Rows.fold`."""
        return self.rows.fold(name, self.source, chunk, side, SUM, values, reads)

    def rms(self, chunk):
        if self.source.tiles == 1:
            self.rows.run("rmsnorm", chunk.rows, lambda p: self._short_rms(p, chunk))
            return
        squares = self.sum("squares", chunk, WEST, lambda p, x: p.op("mulf", x, x))
        for tile in range(self.source.tiles):

            def formula(p, tile=tile):
                wide = widened(p, self.source.places[chunk, tile])
                value = self.scaled(p, wide, self.root(p, p.load(squares)), tile)
                narrowed(p, value, self.result.places[chunk, tile])

            self.rows.run(f"rmsnorm of tile {tile}", chunk.rows, formula, [squares])

    def _short_rms(self, p, chunk):
        wide = widened(p, self.source.places[chunk, 0])
        square = p.op("mulf", wide, wide)
        wide = p.delayed(wide, square.time)
        squares, wide = p.reduce(WEST, SUM, square, self.columns, companion=wide)
        value = self.scaled(p, wide, self.root(p, squares), 0)
        narrowed(p, value, self.result.places[chunk, 0])

    def layer(self, chunk):
        if self.source.tiles == 1:
            self.rows.run("layernorm", chunk.rows, lambda p: self._short_layer(p, chunk))
            return
        sums = self.sum("sum", chunk, WEST, lambda p, x: x)

        def squared(p, x):
            difference = self.centred(p, x, p.load(sums))
            return p.op("mulf", difference, difference)

        squares = self.sum("squares", chunk, EAST, squared, [sums])
        for tile in range(self.source.tiles):

            def formula(p, tile=tile):
                wide = widened(p, self.source.places[chunk, tile])
                difference = self.centred(p, wide, p.load(sums))
                value = self.scaled(p, difference, self.root(p, p.load(squares)), tile)
                narrowed(p, value, self.result.places[chunk, tile])

            self.rows.run(f"layernorm of tile {tile}", chunk.rows, formula, [sums, squares])

    def centred(self, p, x, sums):
        """x minus the mean."""
        return p.op("subf", x, p.op("mulf", sums, 1.0 / self.columns))

    def _short_layer(self, p, chunk):
        wide = widened(p, self.source.places[chunk, 0])
        sums, wide = p.reduce(WEST, SUM, wide, self.columns, companion=wide)
        difference = self.centred(p, wide, sums)
        square = p.op("mulf", difference, difference)
        difference = p.delayed(difference, square.time)
        squares, difference = p.reduce(EAST, SUM, square, self.columns, companion=difference)
        value = self.scaled(p, difference, self.root(p, squares), 0)
        narrowed(p, value, self.result.places[chunk, 0])


def rmsnorm_reference(x, gamma=None, epsilon=EPSILON):
    """What :func:`rmsnorm` computes, in float64."""
    wide = x.astype(np.float64)
    root = np.sqrt((wide**2).mean(axis=1, keepdims=True) + epsilon)
    return wide / root * (1 if gamma is None else gamma.astype(np.float64))


def layernorm_reference(x, gamma=None, beta=None, epsilon=EPSILON):
    """What :func:`layernorm` computes, in float64."""
    wide = x.astype(np.float64)
    wide = wide - wide.mean(axis=1, keepdims=True)
    scaled = rmsnorm_reference(wide, gamma, epsilon)
    return scaled if beta is None else scaled + beta.astype(np.float64)
