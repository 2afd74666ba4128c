"""Softmax, norms and activations on the golden model. Oracles: numpy in float64, cycles."""

from dataclasses import replace

import numpy as np
import pytest
from configs import PAIR

from tsp.hw.config import preset
from tsp.hw.errors import CapacityError
from tsp.sim.golden import model
from tsp.sim.kernels.activations import gelu, relu, silu
from tsp.sim.kernels.norms import layernorm, rmsnorm
from tsp.sim.kernels.pipeline import Pipeline, PipelineError, narrowest
from tsp.sim.kernels.rope import rope
from tsp.sim.kernels.rows import softmax
from tsp.sim.kernels.tensor import Store

NANO, SMALL, QUAD16, DUO32 = map(preset, ("nano", "small", "quad16", "duo32"))
KERNELS = {f.__name__: f for f in (softmax, rmsnorm, layernorm, gelu, silu, relu)}


def random(seed, shape, scale=3):
    return (np.random.default_rng(seed).normal(size=shape) * scale).astype(np.float16)


def run(kernel, label=""):
    """The result on the golden model, after a check of cycles and faults."""
    result = model.run(kernel.program)
    assert result.fault is None, label
    assert result.cycles == kernel.program.cycles, label
    return kernel.unpack(result.outputs)


def relative_error(kernel, label=""):
    got, want = run(kernel, label).astype(np.float64), kernel.ideal()
    return np.abs(got - want).max() / (np.abs(want).max() or 1.0)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("config", [SMALL, QUAD16, DUO32], ids=lambda c: c.name)
@pytest.mark.parametrize("shape", [(1, 1), (10, 16), (7, 5), (9, 50), (3, 129)], ids=str)
def test_error(name, config, shape):
    """What a kernel promises: 1e-3 of the largest result; fp16 alone rounds by 5e-4."""
    kernel = KERNELS[name](config, random(1, shape))
    assert relative_error(kernel, f"{name} {shape}") <= kernel.tolerance == 1e-3


@pytest.mark.parametrize(
    ("name", "configs"),
    [("softmax", (SMALL, QUAD16)), ("rmsnorm", (SMALL, QUAD16)), ("layernorm", (QUAD16, DUO32))],
)
def test_a_row_takes_a_cycle(name, configs):
    """No longer than the vector: R cycles and a constant."""
    for config in configs:
        cycles = [
            KERNELS[name](config, random(2, (rows, config.vector))).program.cycles
            for rows in (10, 110)
        ]
        assert cycles[1] - cycles[0] == 100, config.name


def test_more_rows_than_a_bank_has_words():
    """A tensor is cut into chunks."""
    rows = SMALL.bank_words + 5
    assert relative_error(softmax(SMALL, random(3, (rows, 3)))) <= 1e-3


@pytest.mark.parametrize(
    ("name", "shape"), [("layernorm", (255, 255)), ("layernorm", (3000, 16)), ("gelu", (300, 256))]
)
def test_queues_hold_any_number_of_rows(name, shape):
    """With too few ALUs for a row in every cycle too: an instruction repeats for all rows."""
    kernel = KERNELS[name](SMALL, random(15, shape))
    assert max(map(len, kernel.program.queues.values())) < 200
    assert relative_error(kernel) <= 1e-3


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("alus", [8, 5, 3])
def test_what_is_cut_gives_the_same_bits(name, alus):
    """As passes at a longer interval, in an instruction or two for a pass and ALU.

    But for a layer norm of short rows, which is centred another way if it must go step by step.
    """
    few = replace(SMALL, alus=alus, mem_slices=16)
    for shape in ((40, 16), (40, 30)):
        x = random(16, shape)
        short = KERNELS[name](replace(few, queue_depth=64), x)
        assert max(map(len, short.program.queues.values())) <= 64
        assert relative_error(short) <= 1e-3
        if (name, alus, shape[1]) != ("layernorm", 3, 16):
            np.testing.assert_array_equal(run(short), run(KERNELS[name](few, x)))


def test_rope_is_cut_too():
    few = replace(SMALL, alus=2, queue_depth=64)
    for size in (16, 64):
        assert relative_error(rope(few, random(17, (50, size)), 1)) <= 1e-3


def test_softmax_of_extremes():
    """Rows whose values spread over +-30,000, equal ones, a lone one, and far below padding."""
    x = np.zeros((5, 20), np.float16)
    x[0] = np.linspace(-30000, 30000, 20)
    x[1] = 65504
    x[2, 7] = -65504
    x[3, :] = -np.inf
    x[3, 4] = 5
    x[4] = -30000
    got = run(softmax(SMALL, x)).astype(np.float64)
    np.testing.assert_allclose(got, softmax(SMALL, x).ideal(), atol=3e-5)
    assert not np.isnan(got).any()
    assert (got[3] == np.eye(20)[4]).all()


def test_norms_take_their_parameters():
    x = random(4, (6, 40))
    gamma, beta = random(5, 40), random(6, 40)
    for kernel in (
        rmsnorm(SMALL, x, gamma, 0.25),
        layernorm(SMALL, x, gamma, beta, 0.25),
        layernorm(QUAD16, x[:, :16], gamma[:16], beta[:16]),
    ):
        assert relative_error(kernel) <= 1e-3
    wide = x.astype(np.float64)
    expected = wide / np.sqrt((wide**2).mean(axis=1, keepdims=True) + 0.25) * gamma
    np.testing.assert_allclose(rmsnorm(SMALL, x, gamma, 0.25).ideal(), expected)


LARGEST = np.finfo(np.float16).max
CENTRED = [(SMALL, n) for n in (7, 13, 14, 15, 26, 255)] + [(DUO32, n) for n in (7, 15, 60, 120)]


@pytest.mark.parametrize(("config", "columns"), CENTRED, ids=lambda x: getattr(x, "name", x))
def test_layernorm_of_equal_numbers_is_beta(config, columns):
    """1 / n is inexact, and nothing may be left of it, however large the numbers are."""
    gamma, beta = random(12, columns), random(13, columns)
    levels = np.float16([0, 6e-8, 0.1, 1, 3001, -3001, LARGEST, -LARGEST])
    x = np.repeat(levels[:, None], columns, axis=1)
    got = run(layernorm(config, x, gamma, beta))
    np.testing.assert_array_equal(got, np.broadcast_to(beta, x.shape))


@pytest.mark.parametrize(("config", "columns"), CENTRED, ids=lambda x: getattr(x, "name", x))
def test_layernorm_of_neighbours(config, columns):
    """Numbers that differ in their last bit only; each row keeps the promise by itself."""
    rows, rng = [], np.random.default_rng(14)
    for level in (1.0, 3001, 2048, LARGEST):
        other = np.nextafter(np.float16(level), np.float16(0))
        half, one = rng.random(columns) < 0.5, np.arange(columns) == 2
        rows += [np.where(half, level, other), np.where(one, level, other)]
    kernel = layernorm(config, np.array(rows, np.float16))
    got, want = run(kernel).astype(np.float64), kernel.ideal()
    assert (np.abs(got - want).max(axis=1) <= 1e-3 * np.abs(want).max(axis=1)).all()


def test_layernorm_refuses_sums_that_would_not_be_exact():
    with pytest.raises(ValueError, match=r"a layer norm of 8193 columns, .* at most 8192; use a"):
        layernorm(SMALL, np.zeros((1, 8193), np.float16))


def test_activations_of_special_values():
    x = np.array([[0, -0.0, 6e-8, 65504, -65504, np.inf, np.nan, 30, -30]], np.float16)
    for f in (gelu, silu, relu):
        got = run(f(SMALL, x))[0]
        assert (got[:2] == 0).all()
        assert (got[[3, 5, 7]] == x[0, [3, 5, 7]]).all()
        assert abs(got[4]) == 0
        assert abs(got[8]) < 1e-6
        assert np.isnan(got[6])


@pytest.mark.parametrize(
    ("config", "heads", "size"),
    [(SMALL, 1, 16), (SMALL, 3, 8), (SMALL, 1, 6), (SMALL, 2, 64), (DUO32, 3, 64), (DUO32, 4, 16)],
)
def test_rope(config, heads, size):
    """Partners in the same vector, and in another tile. Oracle: complex numbers in numpy."""
    x = random(9, (11, heads * size))
    positions = np.random.default_rng(10).integers(0, 2000, 11)
    kernel = rope(config, x, heads, positions)
    assert relative_error(kernel) <= 1e-3
    halves = x.astype(np.float64).reshape(11, heads, 2, size // 2)
    angles = positions[:, None, None] / 10000.0 ** (2 * np.arange(size // 2) / size)
    turned = (halves[:, :, 0] + 1j * halves[:, :, 1]) * np.exp(1j * angles)
    expected = np.concatenate([turned.real, turned.imag], axis=2).reshape(x.shape)
    np.testing.assert_allclose(kernel.ideal(), expected, atol=1e-9)


def test_rope_refuses_what_it_cannot_pair():
    with pytest.raises(ValueError, match="30 columns are not 4 heads of an even size"):
        rope(SMALL, random(11, (3, 30)), 4)
    with pytest.raises(ValueError, match="30 columns are not 0 heads of an even size"):
        rope(SMALL, random(11, (3, 30)), 0)
    with pytest.raises(ValueError, match=r"must divide the vector of 16 lanes, .* not 24"):
        rope(SMALL, random(11, (3, 48)), 2)
    with pytest.raises(ValueError, match=r"positions must have shape \(3,\), not \(2,\)"):
        rope(SMALL, random(11, (3, 16)), 1, [1, 2])


def test_refusals():
    x = random(7, (3, 4))
    with pytest.raises(TypeError, match="x must be a numpy array of float16, not float64"):
        softmax(SMALL, x.astype(np.float64))
    with pytest.raises(ValueError, match=r"x must be a matrix with at least one element, not \(0"):
        gelu(SMALL, x[:0])
    with pytest.raises(ValueError, match=r"gamma must have shape \(4,\), not \(3,\)"):
        rmsnorm(SMALL, x, x[:, 0])
    with pytest.raises(ValueError, match="epsilon must be a finite number of at least 0, not -1"):
        layernorm(SMALL, x, epsilon=-1)
    for epsilon in (1e38, 1e-50):  # times 4 columns it is not what fp32 holds
        with pytest.raises(ValueError, match=r"epsilon times 4 columns must be 0 or from 1.4e-45"):
            rmsnorm(SMALL, x, epsilon=epsilon)
    with pytest.raises(CapacityError, match=r"more banks .* than the 4 of 1024 bytes"):
        softmax(NANO, random(8, (3, 40)))
    with pytest.raises(PipelineError, match="needs more than the 1 ALUs of nano"):
        gelu(NANO, x)
    with pytest.raises(PipelineError, match="needs more than the 0 special ALUs of plain"):
        gelu(replace(PAIR, name="plain", special_alus=0), x)


def test_a_bank_that_is_read_twice_is_read_in_different_cycles():
    """Seven cycles later again, by more rows than that: at one row every other cycle."""
    store = Store(SMALL)
    place = store.memory.take(store.banks(4), 20)

    def twice(interval):
        p = Pipeline(SMALL, "twice", 20, interval)
        p.op("addf", p.op("mov", p.load(place)), p.load(place))
        return p

    assert narrowest(twice).interval == 2

    def at_once(interval):
        p = Pipeline(SMALL, "at once", 20, interval)
        return p.op("addf", p.load(place), p.load(place))

    with pytest.raises(PipelineError, match=r"at once cannot have .* of MEM_.* every 64 cycles"):
        narrowest(at_once)


def test_a_pipeline_refuses_what_it_cannot_place():
    p = Pipeline(SMALL, "p", 4)
    with pytest.raises(TypeError, match="addf takes operands ab, not a"):
        p.op("addf", 1.0)
    with pytest.raises(TypeError, match="addf has one immediate, and got 2 different numbers"):
        p.op("addf", 1.0, 2.0)
    value = p.op("mov", 1.0)
    early = p.op("mov", value)
    with pytest.raises(PipelineError, match="a delay of 1 cycles is shorter than"):
        p.delayed(early, early.time + 1)
    for _ in range(6):
        p.op("mov", 1.0)
    with pytest.raises(PipelineError, match="needs more than the 8 ALUs of small"):
        p.op("mov", 1.0)
