"""Feed-forward layers on the golden model. Oracles: numpy in float64, cycles."""

import numpy as np
import pytest

from tsp.hw.config import preset
from tsp.sim.golden import model
from tsp.sim.kernels.ffn import KINDS, ffn, ffn_reference
from tsp.sim.layout import CapacityError

SMALL, QUAD16, DUO32 = map(preset, ("small", "quad16", "duo32"))


def operands(seed, rows, width, inner, dtype, activation):
    """x, the weights by name, and their scales."""
    rng = np.random.default_rng(seed)
    shapes = {"up": (width, inner), "down": (inner, width)}
    if activation == "swiglu":
        shapes["gate"] = width, inner
    x, weights, scales = rng.normal(size=(rows, width)).astype(np.float16), {}, {}
    for name, shape in shapes.items():
        if dtype == "int8":
            weights[name] = rng.integers(-128, 128, shape).astype(np.int8)
            scales[name] = (rng.random(shape[1]) / 64 / np.sqrt(shape[0])).astype(np.float32)
        else:
            weights[name] = (rng.normal(size=shape) / np.sqrt(shape[0])).astype(np.float16)
    return x, weights, scales


@pytest.mark.parametrize("config", [SMALL, QUAD16, DUO32], ids=lambda c: c.name)
@pytest.mark.parametrize("dtype", ["fp16", "int8"])
@pytest.mark.parametrize("activation", KINDS)
def test_error(config, dtype, activation):
    """2e-3 of the largest result: what is in between is kept in fp16."""
    for shape, residual in (((5, 7, 9), False), ((70, 40, 50), True), ((1, 33, 100), True)):
        x, weights, scales = operands(1, *shape, dtype, activation)
        options = {"scales": scales, "activation": activation, "residual": residual}
        kernel = ffn(config, x, **weights, **options)
        result = model.run(kernel.program)
        assert result.fault is None, shape
        assert result.cycles == kernel.program.cycles, shape
        got, want = kernel.unpack(result.outputs).astype(np.float64), kernel.ideal()
        assert np.abs(got - want).max() <= 2e-3 * np.abs(want).max(), shape


def test_the_reference_is_the_formula():
    x, weights, scales = operands(2, 4, 5, 6, "int8", "swiglu")
    up, down, gate = (weights[n].astype(float) * scales[n] for n in ("up", "down", "gate"))
    g = x.astype(float) @ gate
    expected = (g / (1 + np.exp(-g)) * (x.astype(float) @ up)) @ down + x
    np.testing.assert_allclose(ffn_reference(x, **weights, scales=scales, residual=True), expected)


def test_refusals():
    x, weights, scales = operands(3, 4, 5, 6, "int8", "swiglu")
    up, down, gate = weights["up"], weights["down"], weights["gate"]
    with pytest.raises(ValueError, match="activation must be one of swiglu, gelu, silu, relu, not"):
        ffn(SMALL, x, up, down, activation="none")
    with pytest.raises(ValueError, match="swiglu needs a gate, and the other activations have"):
        ffn(SMALL, x, up, down)
    with pytest.raises(ValueError, match=r"down must have shape \(6, 5\), not \(5, 6\)"):
        ffn(SMALL, x, up, up, gate=gate)
    with pytest.raises(ValueError, match="ffn needs the fp16 datapath; config nano has int8"):
        ffn(preset("nano"), x, up, down, gate=gate)
    with pytest.raises(ValueError, match="scale must be of up, down, gate, not of 'side'"):
        ffn(SMALL, x, up, down, gate=gate, scales={"side": scales["up"]})
    with pytest.raises(ValueError, match=r"scale 'up' must have shape \(6,\), not \(5,\)"):
        ffn(SMALL, x, up, down, gate=gate, scales={"up": scales["down"]})
    x, weights, scales = operands(4, 64, 512, 1024, "int8", "swiglu")
    with pytest.raises(CapacityError, match="a feed-forward layer needs more banks than the 16"):
        ffn(SMALL, x, **weights, scales=scales)
