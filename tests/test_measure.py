"""What is measured of a kernel. Oracles: numbers by hand."""

import numpy as np
import pytest

from tsp.hw.config import preset
from tsp.sim.kernels.linear import linear
from tsp.sim.kernels.rows import softmax
from tsp.sim.measure import errors, measure, same_bits

SMALL, HALF = preset("small"), np.float16


def with_result(kernel, change):
    """The kernel, with `change` applied to its result."""
    unpack = kernel.unpack
    object.__setattr__(kernel, "unpack", lambda outputs: change(unpack(outputs)))
    return kernel


def test_results_that_overflow_hide_no_wrong_ones():
    """A column is infinite in fp16; what is off in the others is compared with the others."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(4, 8)).astype(HALF)
    w = rng.integers(1, 99, (8, 5)).astype(np.int8)
    scale = np.array([1, 1, 1e9, 1, 1], np.float32)

    def wrong(result):
        assert np.isinf(result[:, 2]).all()
        return np.where(np.isinf(result), result, HALF(7))

    assert measure("linear", linear(SMALL, x, w, scale=scale), "golden")[0].right
    found, _ = measure("linear", with_result(linear(SMALL, x, w, scale=scale), wrong), "golden")
    assert not found.right
    assert found.max_relative_error > 0.1


def test_operands_may_lie_column_by_column():
    x = np.asfortranarray(np.random.default_rng(2).normal(size=(3, 5)).astype(HALF))
    found, got = measure("softmax", softmax(SMALL, x), "golden")
    assert found.right
    assert same_bits(got, np.asfortranarray(got))
    assert not same_bits(got, -got)


@pytest.mark.parametrize(
    ("got", "want", "expected"),
    [
        (65472, 65504, (32, 1)),
        (-65504, -65504, (0, 0)),
        (1023.5, 1024, (0.5, 0.5)),
        (np.inf, np.inf, (0, 0)),
        (65504, np.inf, (np.inf, np.inf)),
    ],
)
def test_errors_in_the_last_place(got, want, expected):
    """Up to the largest number, above which there is no other."""
    ideal = np.array([want], np.float64)
    assert errors(np.array([got], HALF), np.array([want], HALF), ideal) == expected
