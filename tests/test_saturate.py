"""Saturation between products, on the golden model. Oracle: numpy in float64, clipped."""

import numpy as np
import pytest
from click.testing import CliRunner
from configs import ODD

from tsp.hw.config import preset
from tsp.sim.cli import main
from tsp.sim.golden import model
from tsp.sim.kernels.attention_layer import attention_layer
from tsp.sim.kernels.chain import chain
from tsp.sim.kernels.ffn import KINDS, ffn
from tsp.sim.kernels.linear import ACTIVATIONS, linear

SMALL, QUAD16, DUO32 = map(preset, ("small", "quad16", "duo32"))
CONFIGS = pytest.mark.parametrize("config", [SMALL, QUAD16, DUO32, ODD], ids=lambda c: c.name)


def result(kernel):
    """The result of a run in the scheduled cycles, as float64."""
    done = model.run(kernel.program)
    assert done.fault is None
    assert done.cycles == kernel.program.cycles
    return kernel.unpack(done.outputs).astype(np.float64)


def compare(plain, saturating):
    """Finite and as promised, where the same kernel without saturation is not finite."""
    with np.errstate(all="ignore"):
        assert not np.isfinite(result(plain)).all()
    got, want = result(saturating), saturating.ideal()
    assert np.isfinite(got).all()
    assert np.abs(want).max() <= 65_504
    assert np.abs(got - want).max() <= saturating.tolerance * np.abs(want).max()
    assert plain.program.cycles <= saturating.program.cycles


def loud(rng, *shape, scale):
    return np.clip(rng.normal(size=shape) * scale, -60_000, 60_000).astype(np.float16)


@CONFIGS
@pytest.mark.parametrize("activation", KINDS)
def test_ffn(config, activation):
    """Hidden activations and results, of many rows and of one; a gate that waits in memory too."""
    rng = np.random.default_rng(1)
    for rows in (9, 1):
        x, down = loud(rng, rows, 20, scale=30_000), loud(rng, 40, 20, scale=0.3)
        weights = {"up": loud(rng, 20, 40, scale=0.3), "down": down, "activation": activation}
        if activation == "swiglu":
            weights["gate"] = loud(rng, 20, 40, scale=0.3)
        compare(*(ffn(config, x, **weights, saturate=s) for s in (False, True)))


def test_the_case_that_was_not_a_number():
    """Hidden activations of infinity, times 0 and times weights of either sign."""
    x, up = np.full((2, 16), 200, np.float16), np.full((16, 16), 200, np.float16)
    down = np.full((16, 16), 2**-14, np.float16)
    down[:, :8] = 0
    down[::2, 8:] *= -1
    down[0, 8:] = 2**-10
    plain = result(ffn(SMALL, x, up, down, activation="relu"))
    assert np.isnan(plain).all()
    got = result(ffn(SMALL, x, up, down, activation="relu", saturate=True))
    np.testing.assert_array_equal(
        got, np.float16(65_504 * down.astype(float).sum(0))[None, :] + 0 * got
    )


def test_gelu_saturates_where_it_says():
    """Though what is kept in between is smaller by a factor that goes into the way down."""
    x, eye = np.float16([[60_000, 32_000, 100, -7]]), np.eye(4, dtype=np.float16)
    got = result(ffn(SMALL, x, eye * 2, eye / 2, activation="gelu", saturate=True))
    np.testing.assert_allclose(got, [[32_752, 32_000, 100, 0]], rtol=1e-3)


@pytest.mark.parametrize(
    ("config", "norm"),
    [(SMALL, "rms"), (SMALL, "layer"), (DUO32, "layer"), (QUAD16, "rms"), (ODD, "rms")],
    ids=lambda x: getattr(x, "name", x),
)
def test_rows_after_a_norm(config, norm):
    """One large number in a row of 20 is about 4 after the norm, times gamma."""
    rng = np.random.default_rng(2)
    for rows in (5, 1):
        x, gamma = np.eye(rows, 20, 3, dtype=np.float16), np.full(20, 60_000, np.float16)
        w = loud(rng, 20, 20, scale=1e-3)
        options = {"activation": "relu", "norm": norm, "gamma": gamma}
        if norm == "layer":
            options["beta"] = np.full(20, -9, np.float16)
        compare(*(ffn(config, x, w, w, **options, saturate=s) for s in (False, True)))


def test_the_command_has_the_option(tmp_path):
    """Without it the result is wrong, and the status says so."""
    up, down = np.full((16, 16), 200, np.float16), np.full((16, 16), 2**-14, np.float16)
    words = ["run", "ffn", "--activation", "relu", "--backend", "golden"]
    for name, array in (("x", up[:2]), ("up", up), ("down", down)):
        np.save(tmp_path / f"{name}.npy", array)
        words += [f"--{name}", str(tmp_path / f"{name}.npy")]
    assert CliRunner().invoke(main, words).exit_code == 1
    done = CliRunner().invoke(main, [*words, "--saturate"])
    assert done.exit_code == 0, done.output


@CONFIGS
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_linear(config, activation):
    rng = np.random.default_rng(3)
    for rows in (9, 1):
        x, w = loud(rng, rows, 20, scale=30_000), loud(rng, 20, 40, scale=1)
        options = {"activation": activation, "bias": loud(rng, 40, scale=9)}
        compare(*(linear(config, x, w, **options, saturate=s) for s in (False, True)))


def test_chain():
    """What one kernel leaves to the next is saturated if the one says so."""
    rng = np.random.default_rng(4)
    x, w = loud(rng, 9, 20, scale=30_000), loud(rng, 20, 20, scale=1)
    narrow = linear(SMALL, np.zeros_like(x), w * np.float16(2**-6))
    compare(*(chain(linear(SMALL, x, w, saturate=s), narrow) for s in (False, True)))


@pytest.mark.parametrize("config", [SMALL, QUAD16], ids=lambda c: c.name)
@pytest.mark.parametrize("rope", [False, True])
def test_attention_layer(config, rope):
    """Of one token queries, keys and values are too large; of many, values are."""
    rng = np.random.default_rng(5)
    for rows, scales in ((1, (3, 3, 3)), (6, (1e-5, 1e-5, 3))):
        x, weights = loud(rng, rows, 16, scale=20_000), [loud(rng, 16, 16, scale=s) for s in scales]
        weights.append(loud(rng, 16, 16, scale=1 / 64))
        options = {"heads": 2, "rope": rope}
        made = [attention_layer(config, x, *weights, **options, saturate=s) for s in (False, True)]
        compare(*made)


def test_attention_layer_with_everything():
    """Rows after the norm, with scales of 8-bit weights, a cache, and the residual."""
    rng = np.random.default_rng(6)
    for rows, cached in ((5, 0), (1, 3)):
        x = np.eye(rows, 16, 3, dtype=np.float16)
        weights = [rng.integers(-9, 9, (16, 16)).astype(np.int8) for _ in range(4)]
        scales = dict(zip("qkv", np.float32([[1e-6], [1e-6], [1]]) * np.ones(16), strict=True))
        options = {"heads": 1, "scales": {**scales, "out": np.full(16, 1e-2, np.float32)}}
        if cached:
            options["keys"], options["values"] = loud(rng, 2, cached, 1, 16, scale=1)
        gamma = np.full(16, 60_000, np.float16)
        options |= {"norm": "rms", "gamma": gamma, "residual": True}
        made = [attention_layer(SMALL, x, *weights, **options, saturate=s) for s in (False, True)]
        compare(*made)
