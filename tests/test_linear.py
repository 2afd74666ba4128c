"""Linear layers on the golden model. Oracles: numpy in float64, cycles."""

import numpy as np
import pytest

from tsp.hw.config import preset
from tsp.sim.golden import model
from tsp.sim.kernels.linear import ACTIVATIONS, linear, linear_reference
from tsp.sim.layout import CapacityError

SMALL, QUAD16, DUO32 = map(preset, ("small", "quad16", "duo32"))
SHAPES = [(1, 1, 1), (5, 7, 9), (64, 64, 64), (70, 40, 50), (130, 33, 100)]


def operands(seed, rows, k, columns, dtype):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, k)).astype(np.float16)
    bias = rng.normal(size=columns).astype(np.float16)
    if dtype == "fp16":
        return x, (rng.normal(size=(k, columns)) / np.sqrt(k)).astype(np.float16), None, bias
    scale = (rng.random(columns) / 64 / np.sqrt(k)).astype(np.float32)
    return x, rng.integers(-128, 128, (k, columns)).astype(np.int8), scale, bias


def check(kernel, label):
    """Cycles, no fault, and the error that the kernel promises."""
    result = model.run(kernel.program)
    assert result.fault is None, label
    assert result.cycles == kernel.program.cycles, label
    got, want = kernel.unpack(result.outputs).astype(np.float64), kernel.ideal()
    assert np.abs(got - want).max() <= kernel.tolerance * (np.abs(want).max() or 1), label


@pytest.mark.parametrize("config", [SMALL, QUAD16, DUO32], ids=lambda c: c.name)
@pytest.mark.parametrize("dtype", ["fp16", "int8"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_error(config, dtype, activation):
    for shape in SHAPES:
        x, w, scale, bias = operands(1, *shape, dtype)
        for b in (bias, None):
            kernel = linear(config, x, w, scale=scale, bias=b, activation=activation)
            check(kernel, f"{shape} {b is None}")


def test_the_reference_is_the_formula():
    x, w, scale, bias = operands(2, 4, 5, 6, "int8")
    y = x.astype(float) @ w.astype(float) * scale + bias
    np.testing.assert_allclose(linear_reference(x, w, scale, bias), y)
    np.testing.assert_allclose(
        linear_reference(x, w, scale, bias, "silu"), y / (1 + np.exp(-y)), rtol=1e-12
    )


def test_the_planes_are_busy():
    """A pass follows the other without a gap: 128 x 576 x 768, int8 weights."""
    x, w, _, _ = operands(3, 128, 576, 768, "int8")
    kernel = linear(DUO32, x, w)
    assert kernel.macs / DUO32.macs_per_cycle == 13824
    assert kernel.program.cycles < 13824 + 60


def test_refusals():
    x, w, scale, bias = operands(4, 3, 4, 5, "int8")
    with pytest.raises(ValueError, match=r"w must have shape \(4, columns\), not \(3, 5\)"):
        linear(SMALL, x, w[:3])
    with pytest.raises(ValueError, match="linear needs the fp16 datapath; config nano has int8"):
        linear(preset("nano"), x, w)
    with pytest.raises(ValueError, match="activation must be one of none, relu, gelu, silu, not"):
        linear(SMALL, x, w, activation="tanh")
    with pytest.raises(ValueError, match="scale is for int8 and fp8 weights"):
        linear(SMALL, x, w.astype(np.float16), scale=scale)
    with pytest.raises(ValueError, match=r"scale must have shape \(5,\), not \(4,\)"):
        linear(SMALL, x, w, scale=scale[:4])
    with pytest.raises(ValueError, match=r"bias must have shape \(5,\), not \(4,\)"):
        linear(SMALL, x, w, bias=bias[:4])
    x, w, _, _ = operands(5, 64, 1024, 1024, "fp16")
    with pytest.raises(CapacityError, match="a linear layer needs more banks than the 16"):
        linear(SMALL, x, w)
