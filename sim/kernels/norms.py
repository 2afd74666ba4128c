"""Kernels `rmsnorm` and `layernorm`, each beside its reference.

The square root of the number of columns is folded into gamma, so that the sum of squares needs no
division: x / sqrt(s / n + eps) is x sqrt(n) / sqrt(s + n eps).

1 / n is inexact, and so is a mean that is a sum times 1 / n. Of a row of equal numbers nothing may
be left when the mean is subtracted, so a row that fits a vector is centred as n x - sum, in which
all is exact, and the mean of a longer one is corrected once: see :func:`mean_of`.
"""

import math

import numpy as np

from tsp.hw.config import Config
from tsp.hw.errors import InputError
from tsp.sim.kernels.common import Kernel, fp32_number
from tsp.sim.kernels.rows import (
    EAST,
    FP16,
    SUM,
    WEST,
    held,
    matrix,
    narrowed,
    row_of,
    widened,
)

EPSILON = 1e-5

_EXACT = 13
"""Bits by which a number of 11 bits, those of fp16, may grow and stay exact in the 24 of fp32."""

_TOP_BITS = 0xFFFF_E000
"""The sign, exponent and first 11 bits of the significand of fp32."""


def rmsnorm(
    config: Config, x: np.ndarray, gamma: np.ndarray | None = None, epsilon: float = EPSILON
) -> Kernel:
    """x / sqrt(mean(x^2) + epsilon) * gamma of every row of `x`, float16 (rows, columns).

    `gamma` is float16 (columns,), or ones. The result is float16.
    """

    def make(rows):
        norm = _Norm(rows, x, gamma, None, epsilon, power=1)
        for chunk in norm.source.chunks:
            norm.rms(chunk)
        return norm.kernel("rmsnorm", lambda x: rmsnorm_reference(x, gamma, epsilon))

    return held(config, make)


def layernorm(
    config: Config,
    x: np.ndarray,
    gamma: np.ndarray | None = None,
    beta: np.ndarray | None = None,
    epsilon: float = EPSILON,
) -> Kernel:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta of every row of `x`, float16.

    `gamma` and `beta` are float16 (columns,), or ones and zeros. The result is float16.
    """
    columns = matrix("x", x).shape[1]
    check_mean(columns, config.vector)

    def make(rows):
        # Rows that fit a vector are centred as n x - sum; see the head of this file.
        power = 1 if columns > config.vector or rows.apart else 3
        norm = _Norm(rows, x, gamma, beta, epsilon, power)
        for chunk in norm.source.chunks:
            norm.layer(chunk)
        return norm.kernel("layernorm", lambda x: layernorm_reference(x, gamma, beta, epsilon))

    return held(config, make)


def times_columns(epsilon, columns, power=1):
    """What is added to a sum of squares for a checked `epsilon`: ``epsilon * columns**power``."""
    if not 0 <= epsilon < np.inf:
        raise InputError(f"epsilon must be a finite number of at least 0, not {epsilon}")
    what = f"{columns} columns" + (f" to the power of {power}" if power > 1 else "")
    return fp32_number(f"epsilon times {what}", float(epsilon) * columns**power)


def check_mean(columns, lanes):
    """Refuse rows so long that their sums, added vector by vector, are not exact.

    Sums of equal numbers are multiples of the largest power of two that divides both the columns
    and the lanes of a vector.
    """
    common = math.gcd(columns, lanes)
    longest = (common & -common) << _EXACT
    if columns > longest:
        raise InputError(
            f"a layer norm of {columns} columns, which are a multiple of {common & -common}, must "
            f"have at most {longest}; use a multiple of a larger power of two"
        )


def mean_of(p, total, columns):
    """The mean of rows in a pipeline, from their sums: that of equal numbers of fp16 is exact.

    Any other is off by little more than half a unit of the last place, beside the error of the sum.
    The first 11 bits of the mean, rounded toward 0, are p; sum - n p is exact, and a 1 / n of it is
    what p lacks. A p computed with a factor that is a little larger than 1 / n is never too small.
    """
    inverse = 1.0 / columns
    first = p.op("and", p.op("mulf", total, inverse * (1 + 2.0**-18)), _TOP_BITS)
    rest = p.op("subf", total, p.op("mulf", first, float(columns)))
    return p.op("addf", first, p.op("mulf", rest, inverse))


class _Norm:
    """What both norms share: the tensors, and the steps in which they are computed."""

    def __init__(self, rows, x, gamma, beta, epsilon, power):
        columns = matrix("x", x).shape[1]
        self.x, self.rows = x, rows
        self.columns, self.added = columns, times_columns(epsilon, columns, power)
        store = self.rows.store
        self.source = store.of(x)
        self.result = store.tensor(*x.shape, FP16)
        ones = np.ones(columns) if gamma is None else row_of("gamma", gamma, columns)[0]
        scaled = (ones.astype(np.float64) * np.sqrt(columns)).astype(np.float32)
        self.gamma = store.of(scaled[None], name="gamma")
        self.beta = None
        if beta is not None:
            added = row_of("beta", beta, columns).astype(np.float32)
            self.beta = store.of(added, name="beta")

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
        return p.op("rsqrt", p.op("addf", squares, self.added))

    def sum(self, name, chunk, side, values, reads=()):
        """The place of the sums over whole rows; see :meth:`Rows.fold`."""
        return self.rows.fold(name, self.source, chunk, side, SUM, values, reads)

    def rms(self, chunk):
        if self.source.tiles == 1 and not self.rows.apart:
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
        squares, wide = p.reduce(WEST, SUM, square, self.columns, companion=wide)
        value = self.scaled(p, wide, self.root(p, squares), 0)
        narrowed(p, value, self.result.places[chunk, 0])

    def layer(self, chunk):
        if self.source.tiles == 1 and not self.rows.apart:
            self.rows.run("layernorm", chunk.rows, lambda p: self._short_layer(p, chunk))
            return
        mean = self.rows.fold(
            "sum",
            self.source,
            chunk,
            WEST,
            SUM,
            lambda p, x: x,
            finish=lambda p, total: mean_of(p, total, self.columns),
        )

        def squared(p, x):
            difference = p.op("subf", x, p.load(mean))
            return p.op("mulf", difference, difference)

        squares = self.sum("squares", chunk, EAST, squared, [mean])
        for tile in range(self.source.tiles):

            def formula(p, tile=tile):
                wide = widened(p, self.source.places[chunk, tile])
                difference = p.op("subf", wide, p.load(mean))
                value = self.scaled(p, difference, self.root(p, p.load(squares)), tile)
                narrowed(p, value, self.result.places[chunk, tile])

            self.rows.run(f"layernorm of tile {tile}", chunk.rows, formula, [mean, squares])

    def _short_layer(self, p, chunk):
        wide = widened(p, self.source.places[chunk, 0])
        sums, wide = p.reduce(WEST, SUM, wide, self.columns, companion=wide)
        # n times what is left without the mean, so that its square is n^2 times as large.
        difference = p.op("subf", p.op("mulf", wide, float(self.columns)), sums)
        square = p.op("mulf", difference, difference)
        squares, difference = p.reduce(EAST, SUM, square, self.columns, companion=difference)
        value = self.scaled(p, difference, self.root(p, squares), 0)
        narrowed(p, value, self.result.places[chunk, 0])


def rmsnorm_reference(
    x: np.ndarray, gamma: np.ndarray | None = None, epsilon: float = EPSILON
) -> np.ndarray:
    """What :func:`rmsnorm` computes, in float64."""
    wide = x.astype(np.float64)
    root = np.sqrt((wide**2).mean(axis=1, keepdims=True) + epsilon)
    return wide / root * (1 if gamma is None else gamma.astype(np.float64))


def layernorm_reference(
    x: np.ndarray,
    gamma: np.ndarray | None = None,
    beta: np.ndarray | None = None,
    epsilon: float = EPSILON,
) -> np.ndarray:
    """What :func:`layernorm` computes, in float64."""
    wide = x.astype(np.float64)
    wide = wide - wide.mean(axis=1, keepdims=True)
    scaled = rmsnorm_reference(wide, gamma, epsilon)
    return scaled if beta is None else scaled + beta.astype(np.float64)
