"""Kernels that treat every element alike: `gelu`, `silu` and `relu`, each beside its reference.

Both smooth ones are x / (1 + exp(-2 w)), so that what is small keeps its relative precision.
"""

import numpy as np

from tsp.hw.config import Config
from tsp.sim.kernels.common import Kernel
from tsp.sim.kernels.rows import FP16, held, matrix, narrowed, widened

_ROOT = float(np.sqrt(2 / np.pi))
_CUBE = 0.044715


def _activation(name, config, x, formula, reference):
    matrix("x", x)

    def make(rows):
        source = rows.store.of(x)
        result = rows.store.tensor(*x.shape, FP16)
        for (chunk, tile), place in source.places.items():
            target = result.places[chunk, tile]

            def tile_formula(p, place=place, target=target):
                narrowed(p, formula(p, widened(p, place)), target)

            rows.run(f"{name} of tile {tile}", chunk.rows, tile_formula)
        return rows.kernel(name, x, result, reference, 1e-3, [source])

    return held(config, make)


def gelu(config: Config, x: np.ndarray) -> Kernel:
    """0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) of `x`, float16 (rows, columns).

    The tanh form of Hendrycks and Gimpel (arXiv 1606.08415); the result is float16.
    """
    return _activation("gelu", config, x, gelu_of, gelu_reference)


def silu(config: Config, x: np.ndarray) -> Kernel:
    """x / (1 + exp(-x)) of `x`, float16 (rows, columns); the result is float16."""
    return _activation("silu", config, x, silu_of, silu_reference)


def relu(config: Config, x: np.ndarray) -> Kernel:
    """max(x, 0) of `x`, float16 (rows, columns); the result is float16."""
    return _activation("relu", config, x, lambda p, x: p.op("reluf", x), relu_reference)


def gelu_of(p, x):
    """Steps of :func:`gelu` in a pipeline, for fp32 rows."""
    square = p.op("mulf", x, x)
    slope = p.op("addf", p.op("mulf", square, -2 * _ROOT * _CUBE), -2 * _ROOT)
    return _sigmoid_times(p, x, p.op("mulf", x, slope))


def silu_of(p, x):
    """Steps of :func:`silu` in a pipeline, for fp32 rows."""
    return _sigmoid_times(p, x, p.op("mulf", x, -1.0))


_ROOT3 = float(np.cbrt(_ROOT * _CUBE))


def _silu_folded(p, x):
    return p.op("mulf", x, p.op("recip", p.op("subf", -1.0, p.op("exp", x))))


def _gelu_folded(p, x):
    slope = p.op("addf", p.op("mulf", x, x), _ROOT / _ROOT3)
    power = p.op("tanh", p.op("mulf", x, slope))
    if p.config.alus < 4:  # what waits takes an ALU from the cycle on in which x stands
        x = p.op("mov", x)
    return p.op("addf", x, p.op("mulf", x, power))


FOLDED = {
    "relu": (1.0, lambda p, x: p.op("reluf", x), 1.0),
    "silu": (-1.0, _silu_folded, 1.0),
    "gelu": (_ROOT3, _gelu_folded, 0.5 / _ROOT3),
}
"""Activations between two products in few steps: a factor before them, the steps, a factor after.

The factors go into what columns are multiplied by anyway. GELU is off by 2^-23 of its argument.
"""


def silu_product(p, gate, value):
    """silu(-gate) * -value in a pipeline, for fp32 rows: four steps besides the two operands."""
    root = p.op("addf", p.op("exp", gate), 1.0)
    return p.op("mulf", p.op("mulf", gate, value), p.op("recip", root))


def _sigmoid_times(p, x, exponent):
    power = p.op("exp", exponent)
    return p.op("mulf", x, p.op("recip", p.op("addf", power, 1.0)))


def gelu_reference(x: np.ndarray) -> np.ndarray:
    """What :func:`gelu` computes, in float64."""
    wide = x.astype(np.float64)
    return wide * _sigmoid(2 * _ROOT * (wide + _CUBE * wide**3))


def silu_reference(x: np.ndarray) -> np.ndarray:
    """What :func:`silu` computes, in float64."""
    wide = x.astype(np.float64)
    return wide * _sigmoid(wide)


def relu_reference(x: np.ndarray) -> np.ndarray:
    """What :func:`relu` computes, in float64."""
    return np.maximum(x.astype(np.float64), 0)


def _sigmoid(x):
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp(-x))
