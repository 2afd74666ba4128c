"""What several test files share."""

import gc
import warnings

import pytest
from amaranth.hdl import UnusedElaboratable

from tsp.sim import plans


@pytest.fixture
def refused():
    """Collects components that were refused while they were made, of which Amaranth warns."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnusedElaboratable)
        gc.collect()


@pytest.fixture(autouse=True)
def plans_are_searched():
    """Tests see what the planner does now, not what it found in an earlier run."""
    with plans.searched():
        yield
