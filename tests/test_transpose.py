"""The kernel `transpose`. Oracles: numpy, bit for bit, cycles by hand; RTL: the golden model."""

from dataclasses import replace

import numpy as np
import pytest
from configs import ODD, TINY
from test_rtl_random import assert_equal

from tsp.hw.config import preset
from tsp.hw.errors import CapacityError
from tsp.sim.backends import cocotb_backend
from tsp.sim.golden import model
from tsp.sim.kernels.transpose import transpose

NANO, SMALL, DUO32, BASE, TSP = map(preset, ("nano", "small", "duo32", "base", "tsp"))
EIGHT = replace(
    NANO, name="eight", lanes=8, pipeline="short"
)  # too many lanes for its banks to use the SXM
CONFIGS = [NANO, SMALL, DUO32, BASE, TSP, ODD, TINY]
SEED = 30


def any_bits(shape, dtype, rng):
    """A matrix of elements of any pattern, so that NaN with payloads are among them."""
    size = np.dtype(dtype).itemsize
    return rng.integers(0, 256, (*shape, size), np.uint8).view(dtype)[..., 0]


def check(config, x, label=""):
    """The program that transposes `x`, after it did."""
    kernel = transpose(config, x)
    result = model.run(kernel.program)
    assert result.fault is None, label
    assert result.cycles == kernel.program.cycles, label
    got = kernel.unpack(result.outputs)
    assert (got.dtype, got.shape) == (x.dtype, x.shape[::-1]), label
    raw = np.dtype(f"u{x.dtype.itemsize}")
    np.testing.assert_array_equal(got.view(raw), x.view(raw).T, err_msg=label)
    return kernel.program


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
@pytest.mark.parametrize("dtype", [np.int8, np.float16])
def test_bits(config, dtype):
    """Of sizes below and above the vector, round and odd."""
    rng, size = np.random.default_rng(SEED), config.vector
    shapes = [(1, 1), (2, 5), (5, 2)]
    if config is not TINY:
        shapes += [(size, size), (1, 2 * size), (2 * size + 3, 1), (size + 1, 2 * size + 2)]
    for shape in shapes:
        check(config, any_bits(shape, dtype, rng), f"{shape}, seed {SEED}")


@pytest.mark.parametrize("config", [SMALL, DUO32], ids=lambda c: c.name)
def test_every_pattern_of_fp16_survives(config):
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16).reshape(256, 256)
    check(config, every)


@pytest.mark.parametrize("dtype", [np.int8, np.float16])
def test_cycles_on_the_sxm(dtype):
    """A block of 16 x 16 bytes a cycle, and the way there and back."""
    rng, there = np.random.default_rng(SEED), 13
    for rows, columns in ((1, 1), (16, 16), (64, 64), (17, 100)):
        blocks = -(-rows // 16) * -(-columns // 16) * np.dtype(dtype).itemsize
        program = check(SMALL, any_bits((rows, columns), dtype, rng))
        assert program.cycles == blocks + there


@pytest.mark.parametrize(
    ("config", "shape", "rounds", "per_bank", "hops"),
    [
        (EIGHT, (24, 16), 6, 2, 4 + 2),
        (DUO32, (128, 64), 2, 4, 2 + 2),
        (BASE, (256, 256), 4, 8, 3 + 2),
        (ODD, (24, 24), 1, 3, 4 + 2),
    ],
    ids=lambda x: getattr(x, "name", None),
)
@pytest.mark.parametrize("dtype", [np.int8, np.float16])
def test_cycles_on_the_planes(config, shape, rounds, per_bank, hops, dtype):
    """A row per plane and cycle, once the first weights are loaded.

    A plane has so many tiles of one byte, each so many words deep in the banks that it is dealt
    over. From the farthest of them, and to that of the results, it is so many hops.
    """
    x = any_bits(shape, dtype, np.random.default_rng(SEED))
    streamed = rounds * x.itemsize * config.vector
    loads = config.planes_west * per_bank
    latencies = 10 + 3 * config.superlanes
    assert check(config, x).cycles == streamed + loads + latencies + hops


def test_all_memory_can_be_used():
    """Half of `small` for the matrix, half for its transpose, and not a word more."""
    x = any_bits((512, 512), np.float16, np.random.default_rng(SEED))
    assert 2 * x.nbytes == SMALL.memory_bytes
    check(SMALL, x)
    with pytest.raises(CapacityError, match="a transposition needs more banks than the 16 of 2048"):
        transpose(SMALL, np.vstack([x, x[:1]]))


def test_refusals():
    with pytest.raises(TypeError, match="x must be a numpy array of int8 or float16, not float32"):
        transpose(SMALL, np.zeros((2, 2), np.float32))
    with pytest.raises(TypeError, match="x must be a numpy array of int8 or float16, not list"):
        transpose(SMALL, [[1, 2]])
    with pytest.raises(ValueError, match=r"x must be a matrix with .*, not \(2, 2, 2\)"):
        transpose(SMALL, np.zeros((2, 2, 2), np.int8))
    with pytest.raises(ValueError, match=r"x must be a matrix with .*, not \(0, 2\)"):
        transpose(SMALL, np.zeros((0, 2), np.int8))
    with pytest.raises(CapacityError, match="than the 10 of 64 words in each hemisphere of"):
        transpose(ODD, np.zeros((144, 144), np.int8))


@pytest.mark.parametrize("config", [EIGHT, ODD], ids=lambda c: c.name)
def test_rtl_of_the_planes(config):
    """In every stream register; tests/test_rtl_kernels.py has the SXM's way, and more planes."""
    rng = np.random.default_rng(SEED)
    matrices = [any_bits((size, 30), dtype, rng) for size in (7, 33) for dtype in (np.int8, "f2")]
    made = [transpose(config, x) for x in matrices]
    results = cocotb_backend.run_many([kernel.program for kernel in made], trace=True)
    for x, kernel, result in zip(matrices, made, results, strict=True):
        assert_equal(result, model.run(kernel.program, trace=True), f"{x.shape}, seed {SEED}")
        got = kernel.unpack(result.outputs)
        np.testing.assert_array_equal(got.view(np.uint8), x.T.copy().view(np.uint8))
