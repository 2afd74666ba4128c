"""Every kernel but the product on the RTL. Oracle: the golden model, in value and cycle."""

import numpy as np
import pytest
from layers import in_used_memory, random_layer

from tsp.hw.config import PRESETS
from tsp.hw.isa import DType
from tsp.sim.backends import cocotb_backend
from tsp.sim.golden import model
from tsp.sim.kernels.activations import gelu, relu, silu
from tsp.sim.kernels.attention import attention
from tsp.sim.kernels.chain import chain
from tsp.sim.kernels.common import NUMPY
from tsp.sim.kernels.ffn import ffn
from tsp.sim.kernels.linear import linear
from tsp.sim.kernels.norms import layernorm, rmsnorm
from tsp.sim.kernels.rope import rope
from tsp.sim.kernels.rows import softmax
from tsp.sim.kernels.transpose import transpose


def random(rng, *shape):
    return (rng.normal(size=shape) * 2).astype(np.float16)


def kernels(config):
    """Every kernel, on rows that are shorter and longer than the vector."""
    rng = np.random.default_rng(21)
    for columns in (11, config.vector, 3 * config.vector - 2):
        for f in (softmax, rmsnorm, layernorm, gelu, silu, relu):
            yield f(config, random(rng, 9, columns))
    gamma, beta = random(rng, 40), random(rng, 40)
    yield layernorm(config, random(rng, 5, 40), gamma, beta)
    yield rope(config, random(rng, 7, config.vector), heads=2)
    yield rope(config, random(rng, 7, 4 * config.vector))
    for dtype in (np.int8, np.float16):
        yield transpose(config, random(rng, 2 * config.vector + 3, 37).astype(dtype))
    w, scale = rng.integers(-128, 128, (35, 40)).astype(np.int8), np.full(40, 1e-3, np.float32)
    x, bias = random(rng, 70, 35), random(rng, 40)
    yield linear(config, x, w, scale=scale, bias=bias, activation="silu")
    yield linear(config, x, w.astype(np.float16), bias=bias)
    up, gate, down = random(rng, 20, 40), random(rng, 20, 40), random(rng, 40, 20)
    yield ffn(config, random(rng, 9, 20), up, down, gate=gate, residual=True)
    eight = {"up": up, "gate": gate, "down": down}
    eight = {name: w.astype(NUMPY[DType.FP8_E4M3]) for name, w in eight.items()}
    options = {"scales": {"down": scale[:20]}, "norm": "layer", "beta": beta[:20]}
    yield ffn(config, random(rng, 9, 20), **eight, **options)
    yield ffn(config, random(rng, 5, 20), up, down, activation="gelu", norm="rms")
    yield ffn(config, 99 * random(rng, 9, 20), 99 * up, down, gate=99 * gate, saturate=True)
    # The weights stream past one row, and past two.
    yield ffn(config, random(rng, 1, 20), **eight, **options, residual=True)
    yield linear(config, random(rng, 2, 35), w, scale=scale, bias=bias, activation="gelu")
    x = random(rng, 19, 20) / 4
    layer = random_layer(config, 19, 20, 1, 1, 20, norm="rms", residual=True, causal=True)
    norm = rmsnorm(config, np.zeros_like(x))
    yield chain(layer, norm, ffn(config, x, up / 4, down / 4, activation="gelu", residual=True))
    q, k, v = random(rng, 21, 4, 24), random(rng, 37, 2, 24), random(rng, 37, 2, 24)
    yield attention(config, q, k, v)
    yield attention(config, q, k, v, causal=True)
    mask = rng.random((21, 37)) < 0.5
    mask[3] = False
    yield attention(config, q, k, v, mask=mask)
    options = {"causal": True, "rope": True, "norm": "layer", "residual": True, "weights": "fp8"}
    yield random_layer(config, 21, 24, 2, 1, 24, **options)
    yield random_layer(config, 21, 24, 2, 2, 12, mask=mask[:, :21], weights="int8")
    # One token, whose value goes into a tile of the cache.
    yield random_layer(config, 1, 24, 2, 1, 24, cached=19, rope=True, norm="rms")


def bits(array):
    """The bytes of an array, by which zeros and NaNs differ too."""
    return np.ascontiguousarray(array).view(np.uint8)


def check(config):
    made = list(kernels(config))
    results = cocotb_backend.run_many([kernel.program for kernel in made])
    for kernel, result in zip(made, results, strict=True):
        label = f"{kernel.program.name} {kernel.shape}"
        # On the RTL memory has what earlier programs left; a result must not depend on it.
        golden = model.run(in_used_memory(kernel.program))
        assert result.fault is None, label
        assert result.cycles == golden.cycles == kernel.program.cycles, label
        assert result.counters == golden.counters, label
        mine, theirs = (kernel.unpack(x.outputs) for x in (result, golden))
        np.testing.assert_array_equal(bits(mine), bits(theirs), err_msg=label)
        got, want = mine.astype(np.float64), kernel.ideal()
        assert np.abs(got - want).max() <= kernel.tolerance * np.abs(want).max(), label


def test_small():
    check(PRESETS["small"])


@pytest.mark.full
@pytest.mark.parametrize("name", ["quad16", "duo32"])
def test_big(name):
    check(PRESETS[name])
