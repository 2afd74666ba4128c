"""Attention on the golden model. Oracles: numpy in float64, cycles."""

import numpy as np
import pytest

from tsp.hw.config import preset
from tsp.sim.golden import model
from tsp.sim.kernels.attention import attention, attention_reference
from tsp.sim.layout import CapacityError

SMALL, QUAD16, DUO32 = map(preset, ("small", "quad16", "duo32"))


def operands(seed, queries, keys, heads, shared, size, scale=1.0):
    rng = np.random.default_rng(seed)
    shapes = (queries, heads, size), (keys, shared, size), (keys, shared, size)
    q, k, v = ((rng.normal(size=s) * scale).astype(np.float16) for s in shapes)
    return q, k, v


def run(kernel, label=""):
    """The result on the golden model, after a check of cycles and faults."""
    result = model.run(kernel.program)
    assert result.fault is None, label
    assert result.cycles == kernel.program.cycles, label
    return kernel.unpack(result.outputs).astype(np.float64)


SHAPES = [
    (1, 1, 1, 1, 1),
    (10, 7, 2, 1, 24),
    (20, 33, 3, 3, 16),
    (64, 64, 1, 1, 64),
    (70, 130, 4, 2, 20),
    (130, 131, 1, 1, 9),
]


@pytest.mark.parametrize("config", [SMALL, QUAD16, DUO32], ids=lambda c: c.name)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("causal", [False, True])
def test_error_of_unit_normal_operands(config, shape, causal):
    """2e-3 of the largest result: probabilities are kept in fp16."""
    kernel = attention(config, *operands(1, *shape), causal=causal and shape[0] <= shape[1])
    got, want = run(kernel, str(shape)), kernel.ideal()
    assert np.abs(got - want).max() <= 2e-3 * np.abs(want).max()


def test_the_reference_is_what_everyone_writes():
    """One head, no mask, by the formula."""
    q, k, v = operands(2, 5, 6, 1, 1, 8)
    scores = q[:, 0].astype(float) @ k[:, 0].T.astype(float) / np.sqrt(8)
    powers = np.exp(scores)
    expected = powers / powers.sum(axis=1, keepdims=True) @ v[:, 0]
    np.testing.assert_allclose(attention_reference(q, k, v)[:, 0], expected)


@pytest.mark.parametrize("config", [SMALL, QUAD16], ids=lambda c: c.name)
def test_scores_that_spread_widely(config):
    """Scores over +-80: small probabilities vanish, none is NaN."""
    q, k, v = operands(3, 20, 40, 1, 1, 16)
    q[:, 0] = 1
    k[:, 0] = np.linspace(-80, 80, 40)[:, None] / 16
    kernel = attention(config, q, k, v, scale=1.0)
    got, want = run(kernel), kernel.ideal()
    assert np.abs(got - want).max() <= 2e-3 * np.abs(want).max()


@pytest.mark.parametrize("config", [SMALL, QUAD16], ids=lambda c: c.name)
def test_equal_scores_give_the_mean(config):
    q, k, v = operands(4, 9, 33, 1, 1, 16)
    got = run(attention(config, q * 0, k, v))
    np.testing.assert_allclose(got[:, 0], [v[:, 0].astype(float).mean(axis=0)] * 9, atol=1e-3)


def test_one_key_gives_its_value():
    q, k, v = operands(5, 9, 1, 2, 1, 16)
    got = run(attention(SMALL, q, k, v))
    assert (got == v[:, :, :].astype(float)).all()


@pytest.mark.parametrize("config", [SMALL, QUAD16], ids=lambda c: c.name)
def test_rows_that_see_nothing_give_zero(config):
    """And a mask with holes, whole tiles of it unseen."""
    q, k, v = operands(6, 30, 50, 2, 2, 24)
    mask = np.random.default_rng(7).random((30, 50)) < 0.5
    mask[4] = mask[17] = False
    mask[:, 16:32] = False
    kernel = attention(config, q, k, v, mask=mask)
    got, want = run(kernel), kernel.ideal()
    assert (got[[4, 17]] == 0).all()
    assert np.abs(got - want).max() <= 2e-3 * np.abs(want).max()
    nothing = attention(config, q, k, v, mask=np.zeros((30, 50), bool))
    assert (run(nothing) == 0).all()


def test_causal_is_the_lower_triangle():
    q, k, v = operands(8, 12, 20, 1, 1, 8)
    causal = attention(SMALL, q, k, v, causal=True)
    mask = np.arange(20) <= np.arange(12)[:, None] + 8
    np.testing.assert_array_equal(causal.ideal(), attention_reference(q, k, v, mask))
    assert causal.macs == 2 * mask.sum() * 8


def test_refusals():
    q, k, v = operands(9, 6, 4, 2, 2, 8)
    with pytest.raises(TypeError, match="q must be a numpy array of float16"):
        attention(SMALL, q.astype(float), k, v)
    with pytest.raises(ValueError, match=r"q must have shape \(length, heads, size\)"):
        attention(SMALL, q[:, 0], k, v)
    with pytest.raises(ValueError, match="attention needs the fp16 datapath; config nano"):
        attention(preset("nano"), q, k, v)
    with pytest.raises(ValueError, match="k and v must have one shape"):
        attention(SMALL, q, k, v[:3])
    with pytest.raises(ValueError, match="2 heads are no multiple of 3 kv heads"):
        attention(SMALL, q, np.repeat(k, 2, axis=1)[:, :3], np.repeat(v, 2, axis=1)[:, :3])
    with pytest.raises(ValueError, match="causal attention needs as many keys as queries"):
        attention(SMALL, q, k, v, causal=True)
    with pytest.raises(ValueError, match=r"mask must be bool \(6, 4\), not float64"):
        attention(SMALL, q, k, v, mask=np.ones((6, 4)))
    long = operands(10, 1024, 1024, 2, 2, 64)
    with pytest.raises(CapacityError, match="attention needs more banks than the 16"):
        attention(SMALL, *long)
