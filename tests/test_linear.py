"""Linear layers on the golden model. Oracles: numpy in float64, cycles."""

import numpy as np
import pytest
from configs import ODD

from tsp.hw.config import Config, preset
from tsp.hw.errors import CapacityError
from tsp.sim.golden import model
from tsp.sim.kernels.common import NUMPY, WEIGHTS
from tsp.sim.kernels.linear import ACTIVATIONS, linear, linear_reference

SMALL, QUAD16, DUO32, BASE, TSP = map(preset, ("small", "quad16", "duo32", "base", "tsp"))
SHAPES = [(1, 1, 1), (5, 7, 9), (64, 64, 64), (70, 40, 50), (130, 33, 100)]


def operands(seed, rows, k, columns, dtype):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, k)).astype(np.float16)
    bias = rng.normal(size=columns).astype(np.float16)
    if dtype != "int8":
        values = rng.normal(size=(k, columns)) / np.sqrt(k)
        return x, values.astype(NUMPY[WEIGHTS[dtype]]), None, bias
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


@pytest.mark.parametrize("dtype", ["fp8_e4m3", "fp8_e5m2"])
@pytest.mark.parametrize("rows", [20, 1])
def test_fp8(dtype, rows):
    """Exact on the way to the array; a scale per column is allowed."""
    x, w, _, bias = operands(6, rows, 40, 50, dtype)
    scale = np.random.default_rng(6).random(50).astype(np.float32)
    check(linear(SMALL, x, w), dtype)
    check(linear(SMALL, x, w, scale=scale, bias=bias, activation="silu"), dtype)


@pytest.mark.parametrize("rows", [1, 2, 3, 7])
@pytest.mark.parametrize("config", [SMALL, QUAD16, DUO32, ODD], ids=lambda c: c.name)
def test_few_rows(config, rows):
    """Rows past which the weights stream, and a few more: a padded vector, and padded columns."""
    for dtype in ("fp16", "int8"):
        x, w, scale, bias = operands(7, rows, 50, 70, dtype)
        check(linear(config, x, w, scale=scale, bias=bias), dtype)


@pytest.mark.parametrize(
    ("config", "rows"),
    [(BASE, range(6, 10)), (TSP, (7, 8, 32, 33, 40))],
    ids=lambda x: getattr(x, "name", ""),
)
def test_more_rows_than_an_alu_takes_cycles(config, rows):
    """Scales are still read when the bias of the first row is: large vectors make many rows few."""
    for count in rows:
        x, w, scale, bias = operands(11, count, 40, 17, "int8")
        check(linear(config, x, w, scale=scale, bias=bias), count)


def test_more_columns_than_accumulator_rows():
    """With eight rows of 24 lanes, 400 columns of a row take three turns."""
    for rows in (1, 2):
        x, w, scale, _ = operands(8, rows, 20, 400, "int8")
        check(linear(ODD, x, w, scale=scale), rows)


def test_the_last_tiles_are_shared():
    """Two tiles for four planes: each hemisphere computes half of the rows, odd ones too."""
    for rows in (128, 127):
        x, w, scale, _ = operands(9, rows, 128, 192, "int8")
        kernel = linear(DUO32, x, w, scale=scale)
        assert kernel.program.cycles < 128 * 4 + 64 * 4 + 60
        check(kernel, rows)


def test_one_row_waits_for_its_weights_only():
    x, w, scale, bias = operands(10, 1, 576, 1536, "int8")
    kernel = linear(DUO32, x, w, scale=scale, bias=bias)
    assert w.nbytes / 2048 == 432
    assert kernel.program.cycles < 432 + 90


def test_the_reference_is_the_formula():
    x, w, scale, bias = operands(2, 4, 5, 6, "int8")
    y = x.astype(float) @ w.astype(float) * scale + bias
    np.testing.assert_allclose(linear_reference(x, w, scale, bias), y)
    np.testing.assert_allclose(
        linear_reference(x, w, scale, bias, "silu"), y / (1 + np.exp(-y)), rtol=1e-12
    )


def test_the_planes_are_busy():
    """A pass follows the other without a gap: 128 x 576 x 1536, int8 weights with scales."""
    x, w, scale, _ = operands(3, 128, 576, 1536, "int8")
    kernel = linear(DUO32, x, w, scale=scale)
    assert kernel.macs / DUO32.macs_per_cycle == 27_648
    assert kernel.program.cycles == 27_695


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
    with pytest.raises(CapacityError, match="a linear layer has 2097152 bytes of weights, and co"):
        linear(SMALL, x, w)
    x, w, _, _ = operands(5, 64, 480, 1024, "fp16")
    with pytest.raises(CapacityError, match=r"linear layer needs more banks .*: \d+ bytes or"):
        linear(SMALL, x, w)


def test_a_core_of_few_streams():
    """No plan asks for a stream that is not there: it is right, or refused at once."""
    eight = Config(name="eight", streams=8, planes_west=1, planes_east=0, acc_rows=16)
    x, w, _, _ = operands(3, 17, 7, 1, "fp16")
    refused = ""
    try:
        kernel = linear(eight, x, w)
    except ValueError as error:
        refused = str(error)
    if refused:
        assert "eight" in refused
    else:
        check(kernel, "17 x 7 x 1")
