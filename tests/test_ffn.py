"""Feed-forward layers on the golden model. Oracles: numpy in float64, cycles."""

import numpy as np
import pytest
from configs import ODD

from tsp.hw.config import preset
from tsp.hw.errors import CapacityError
from tsp.sim.golden import model
from tsp.sim.kernels.common import NUMPY, WEIGHTS
from tsp.sim.kernels.ffn import KINDS, ffn, ffn_reference

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
            values = rng.normal(size=shape) / np.sqrt(shape[0])
            weights[name] = values.astype(NUMPY[WEIGHTS[dtype]])
    return x, weights, scales


def check(kernel, label):
    """Cycles, no fault, and an error of 2e-3 of the largest result."""
    result = model.run(kernel.program)
    assert result.fault is None, label
    assert result.cycles == kernel.program.cycles, label
    got, want = kernel.unpack(result.outputs).astype(np.float64), kernel.ideal()
    assert np.abs(got - want).max() <= 2e-3 * np.abs(want).max(), label
    return got


@pytest.mark.parametrize("config", [SMALL, QUAD16, DUO32], ids=lambda c: c.name)
@pytest.mark.parametrize("dtype", ["fp16", "int8"])
@pytest.mark.parametrize("activation", KINDS)
def test_error(config, dtype, activation):
    """2e-3 of the largest result: what is in between is kept in fp16."""
    for shape, residual in (((5, 7, 9), False), ((70, 40, 50), True), ((1, 33, 100), True)):
        x, weights, scales = operands(1, *shape, dtype, activation)
        options = {"scales": scales, "activation": activation, "residual": residual}
        check(ffn(config, x, **weights, **options), shape)


@pytest.mark.parametrize("dtype", ["fp8_e4m3", "fp8_e5m2"])
@pytest.mark.parametrize("scaled", [False, True])
def test_fp8(dtype, scaled):
    """Weights of 8 bits are exact on their way to the array; a scale per column is allowed."""
    for shape in ((12, 20, 40), (1, 20, 40)):
        x, weights, _ = operands(7, *shape, dtype, "swiglu")
        rng = np.random.default_rng(8)
        scales = {n: rng.random(w.shape[1]).astype(np.float32) for n, w in weights.items()}
        check(ffn(SMALL, x, **weights, scales=scales if scaled else None), shape)


def test_weights_of_different_formats():
    x, weights, _ = operands(9, 20, 40, 50, "fp16", "swiglu")
    weights["up"] = weights["up"].astype(NUMPY[WEIGHTS["fp8"]])
    weights["down"] = np.clip(weights["down"].astype(np.float64) * 50, -128, 127).astype(np.int8)
    for rows in (20, 1):
        check(ffn(QUAD16, x[:rows], **weights), rows)


@pytest.mark.parametrize("norm", ["rms", "layer"])
@pytest.mark.parametrize("width", [16, 9, 40, 100])
def test_norms(norm, width):
    """A vector, part of one, several with a last one that is padded, and passes that go on."""
    rng = np.random.default_rng(width)
    gamma, beta = rng.normal(size=(2, width)).astype(np.float16)
    for rows in (30, 2, 1):
        x, weights, scales = operands(3, rows, width, 40, "int8", "swiglu")
        x += np.float16(1.5)  # so that the mean matters
        options = {"scales": scales, "norm": norm}
        plain = check(ffn(SMALL, x, **weights, **options), rows)
        options |= {"gamma": gamma, "epsilon": 0.5}
        if norm == "layer":
            options["beta"] = beta
        other = check(ffn(SMALL, x, **weights, **options, residual=True), rows)
        assert np.abs(plain - other).max() > 0.1


@pytest.mark.parametrize(("config", "width"), [(SMALL, 7), (SMALL, 26), (DUO32, 60), (DUO32, 120)])
def test_the_layer_norm_of_equal_numbers_is_beta(config, width):
    """In passes, and where weights stream; with ones as weights the result is the sum of beta."""
    x = np.repeat(np.float16([3001, 65504, -0.1] * 4)[:, None], width, axis=1)
    beta = np.random.default_rng(width).integers(0, 9, width).astype(np.float16)
    for rows in (12, 2):
        kernel = ffn(
            config,
            x[:rows],
            np.eye(width, dtype=np.float16),
            np.ones((width, 5), np.float16) @ np.eye(5, width, dtype=np.float16),
            activation="relu",
            norm="layer",
            beta=beta,
        )
        got = kernel.unpack(model.run(kernel.program).outputs)
        want = np.zeros((rows, width))
        want[:, :5] = beta.astype(np.float64).sum()
        np.testing.assert_array_equal(got, want)


def test_what_is_added_is_not_normed():
    """With a gamma of 0 nothing but x is left."""
    x, weights, _ = operands(4, 9, 20, 30, "fp16", "relu")
    kernel = ffn(
        SMALL, x, **weights, activation="relu", residual=True, norm="rms", gamma=np.zeros_like(x[0])
    )
    got = kernel.unpack(model.run(kernel.program).outputs)
    np.testing.assert_array_equal(got, x)
    np.testing.assert_array_equal(kernel.ideal(), x.astype(np.float64))


@pytest.mark.parametrize("activation", KINDS)
def test_one_plane(activation):
    """Five slices, three ALUs, eight accumulator rows; the gate waits for the way up."""
    for shape, norm in (((9, 30, 40), "none"), ((5, 24, 24), "rms"), ((1, 30, 50), "layer")):
        x, weights, scales = operands(5, *shape, "int8", activation)
        if norm == "rms" and activation == "swiglu":
            continue  # ten banks are too few for that
        kernel = ffn(ODD, x, **weights, scales=scales, activation=activation, norm=norm)
        check(kernel, shape)


@pytest.mark.parametrize("activation", ["gelu", "silu", "relu"])
def test_planes_that_leave_one_after_the_other(activation):
    """Four planes, and ALUs for one or two of them at a time; rows fewer than the way is long."""
    for rows in (130, 9):
        x, weights, scales = operands(6, rows, 40, 200, "int8", activation)
        check(ffn(DUO32, x, **weights, scales=scales, activation=activation), rows)


def test_the_planes_are_busy():
    """128 tokens of 576 with 1536 in between, and int8 weights: every pass at a row per cycle."""
    x, weights, scales = operands(10, 128, 576, 1536, "int8", "swiglu")
    kernel = ffn(DUO32, x, **weights, scales=scales)
    assert kernel.macs / DUO32.macs_per_cycle == 82_944
    assert kernel.program.cycles == 82_991


def test_the_norm_and_what_is_added_take_little():
    x, weights, scales = operands(11, 128, 576, 1536, "int8", "swiglu")
    kernel = ffn(DUO32, x, **weights, scales=scales, norm="rms", residual=True)
    assert kernel.program.cycles < 1.03 * 82_944


def test_a_token_waits_for_its_weights_only():
    """One token: all streams outward carry weights, 2048 bytes of them in a cycle."""
    x, weights, scales = operands(12, 1, 576, 1536, "int8", "swiglu")
    kernel = ffn(DUO32, x, **weights, scales=scales)
    assert sum(w.nbytes for w in weights.values()) / 2048 == 1_296
    assert kernel.program.cycles == 1_438
    check(kernel, "one token")


@pytest.mark.full
@pytest.mark.parametrize("norm", ["none", "rms", "layer"])
def test_the_large_layer_is_right(norm):
    x, weights, scales = operands(13, 128, 576, 1536, "int8", "swiglu")
    check(ffn(DUO32, x, **weights, scales=scales, norm=norm, residual=norm != "none"), norm)


def test_few_tokens_are_faster_than_their_passes():
    """Up to the rows for which weights are loaded as fast in passes, each costs little more."""
    x, weights, scales = operands(14, 9, 96, 128, "int8", "swiglu")
    cycles = [ffn(DUO32, x[:n], **weights, scales=scales).program.cycles for n in (1, 2, 3, 9)]
    assert cycles[0] < cycles[1] < cycles[2] < cycles[3]


def test_the_reference_is_the_formula():
    x, weights, scales = operands(2, 4, 5, 6, "int8", "swiglu")
    up, down, gate = (weights[n].astype(float) * scales[n] for n in ("up", "down", "gate"))
    g = x.astype(float) @ gate
    expected = (g / (1 + np.exp(-g)) * (x.astype(float) @ up)) @ down + x
    np.testing.assert_allclose(ffn_reference(x, **weights, scales=scales, residual=True), expected)


def test_the_ideal_result_has_the_norm():
    x, weights, _ = operands(2, 4, 5, 6, "fp16", "relu")
    up, down = (weights[n].astype(float) for n in ("up", "down"))
    wide = x.astype(float)
    y = (wide - wide.mean(1, keepdims=True)) / np.sqrt(wide.var(1, keepdims=True) + 1e-5)
    kernel = ffn(SMALL, x, **weights, activation="relu", norm="layer", residual=True)
    np.testing.assert_allclose(kernel.ideal(), np.maximum(y @ up, 0) @ down + wide)


def test_refusals():
    x, weights, scales = operands(3, 4, 5, 6, "int8", "swiglu")
    up, down, gate = weights["up"], weights["down"], weights["gate"]
    with pytest.raises(ValueError, match="activation must be one of swiglu, gelu, silu, relu, not"):
        ffn(SMALL, x, up, down, activation="none")
    with pytest.raises(ValueError, match="swiglu needs a gate, and the other activations have"):
        ffn(SMALL, x, up, down)
    with pytest.raises(ValueError, match=r"down must have shape \(6, 5\), not \(5, 6\)"):
        ffn(SMALL, x, up, up, gate=gate)
    with pytest.raises(ValueError, match=r"up must have shape \(5, inner\), not \(6,\)"):
        ffn(SMALL, x, up[0], down, gate=gate)
    with pytest.raises(TypeError, match="gate must be a numpy array of float16, int8, float8_e4m3"):
        ffn(SMALL, x, up, down, gate=gate.astype(np.float32))
    with pytest.raises(ValueError, match="ffn needs the fp16 datapath; config nano has int8"):
        ffn(preset("nano"), x, up, down, gate=gate)
    with pytest.raises(ValueError, match="scale must be of up, down, gate, not of 'side'"):
        ffn(SMALL, x, up, down, gate=gate, scales={"side": scales["up"]})
    with pytest.raises(ValueError, match=r"scale 'up' must have shape \(6,\), not \(5,\)"):
        ffn(SMALL, x, up, down, gate=gate, scales={"up": scales["down"]})
    with pytest.raises(ValueError, match="scale 'up' is for int8 and fp8 weights; multiply float1"):
        ffn(SMALL, x, up.astype(np.float16), down, gate=gate, scales={"up": scales["up"]})
    x, weights, scales = operands(4, 64, 512, 1024, "int8", "swiglu")
    with pytest.raises(CapacityError, match=r"has 1572864 bytes of weights, and config small has"):
        ffn(SMALL, x, **weights, scales=scales)
    x, weights, scales = operands(4, 64, 256, 1280, "int8", "swiglu")
    with pytest.raises(CapacityError, match="a feed-forward layer needs more banks than the 16"):
        ffn(SMALL, x, **weights, scales=scales)


def test_refusals_of_norms():
    x, weights, _ = operands(3, 4, 5, 6, "int8", "swiglu")
    gamma = np.ones(5, np.float16)
    with pytest.raises(ValueError, match="norm must be one of none, rms, layer, not 'batch'"):
        ffn(SMALL, x, **weights, norm="batch")
    with pytest.raises(ValueError, match="gamma and beta are for a norm, and norm is 'none'"):
        ffn(SMALL, x, **weights, gamma=gamma)
    with pytest.raises(ValueError, match="beta is for norm 'layer'; norm 'rms' has gamma only"):
        ffn(SMALL, x, **weights, norm="rms", beta=gamma)
    with pytest.raises(ValueError, match=r"gamma must have shape \(5,\), not \(4,\)"):
        ffn(SMALL, x, **weights, norm="rms", gamma=gamma[:4])
    with pytest.raises(ValueError, match="epsilon must be a finite number of at least 0, not -1"):
        ffn(SMALL, x, **weights, norm="rms", epsilon=-1)


def test_terms_that_cancel_are_what_the_error_is_measured_by():
    """Hidden activations are rounded to fp16, and what is left of them down the layer is small."""
    x, up = np.ones((1, 1), np.float16), np.float16([[0.3, 0.7]])
    hidden = ffn_reference(x, up, np.eye(2), activation="gelu")[0]
    down = np.float16([[1], [-hidden[0] / hidden[1]]])
    kernel = ffn(SMALL, x, up, down, activation="gelu")
    largest = np.abs(kernel.ideal()).max()
    terms = np.hypot(np.float64(up[0, 0]) * down[0, 0], np.float64(up[0, 1]) * down[1, 0])
    np.testing.assert_allclose(kernel.terms(), [[terms]])
    got = kernel.unpack(model.run(kernel.program).outputs)
    error = np.abs(got - kernel.ideal()).max()
    assert kernel.tolerance * largest < error <= kernel.tolerance * kernel.scale(largest)
