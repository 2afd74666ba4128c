"""Every kernel on random configurations: refused in a sentence, or right in the scheduled cycles.

Oracles: numpy in float64, within what the kernel promises, and the cycles of the schedule.
"""

from collections import Counter
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st
from random_kernels import MAKES, check, drawn_case, written

BLOCK, BLOCKS = 50, 40


@settings(
    max_examples=100,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(st.randoms(use_true_random=False))
def test_a_kernel_is_refused_or_right(random):
    """Cases that hypothesis looks for; one that fails is small enough as it is."""
    case = drawn_case(random)
    note(written(*case))
    check(*case)


@pytest.mark.full
@pytest.mark.parametrize("block", range(BLOCKS))
def test_many_kernels_are_refused_or_right(block):
    """Two thousand cases in all, the same everywhere; many of them must run."""
    ran = Counter()
    for number in range(block * BLOCK, (block + 1) * BLOCK):
        case = drawn_case(Random(number))
        try:
            ran[case[1]] += isinstance(check(*case), int)
        except Exception as error:
            raise AssertionError(f"case {number}: {error}; {written(*case)}") from error
    assert ran.total() >= BLOCK // 4, ran


@pytest.mark.parametrize("name", MAKES)
def test_every_kernel_runs(name):
    """On some configuration: else what is drawn for it would show nothing."""
    assert any(isinstance(check(*drawn_case(Random(n), [name])), int) for n in range(20))
