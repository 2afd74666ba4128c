"""Random programs with faults: RTL and golden model agree on the first one and on the cycles.

Oracle: the golden model, which was written apart from the RTL; that each kind of fault is provoked
is counted.
"""

from collections import Counter

import pytest
from configs import ODD, PAIR, TINY

from tsp.hw.config import PRESETS
from tsp.hw.fault import FaultKind
from tsp.sim.backends import cocotb_backend
from tsp.sim.faulty_programs import Breaker, faulty_programs
from tsp.sim.golden import model

CONFIGS = {c.name: c for c in (PRESETS["nano"], ODD, TINY, PAIR, PRESETS["small"])}
IN_PROGRAMS = set(Breaker.KINDS)


def check(config, seeds, each):
    """Run them on the RTL, and say which were seen."""
    broken = faulty_programs(config, seeds, each)
    announced = [each.announced or None for each in broken]
    results = cocotb_backend.run_many([each.program for each in broken], announce=announced)
    for each, result in zip(broken, results, strict=True):
        label = f"{config.name}, {each.program.name}"
        assert str(result.fault) == str(each.fault), label
        assert result.cycles == model.run(each.program, announced=each.announced).cycles, label
    return Counter(each.fault.kind for each in broken)


def test_faulty_programs():
    """A few, on the smallest core: all kinds that a program can have."""
    seen = check(PRESETS["nano"], range(3), 24)
    assert set(seen) == IN_PROGRAMS
    assert seen[FaultKind.CONFLICT] >= 10


@pytest.mark.full
@pytest.mark.parametrize("name", CONFIGS)
def test_many_faulty_programs(name):
    """400 on each of five cores."""
    seen = check(CONFIGS[name], range(100, 110), 40)
    assert seen.total() >= 390
    assert all(seen[kind] >= 50 for kind in IN_PROGRAMS)


@pytest.mark.parametrize("config", [PRESETS["nano"], ODD, TINY], ids=lambda c: c.name)
def test_what_is_broken_was_legal(config):
    """And is broken in the same place each time."""
    one, other = ([*Breaker(config, 7).programs(12)] for _ in range(2))
    assert [each.fault for each in one] == [each.fault for each in other]
    assert [each.fault.kind for each in one[: len(IN_PROGRAMS)]] == list(Breaker.KINDS)
    assert model.run(Breaker(config, 7).legal).fault is None
    assert len({each.program.name for each in one}) == len(one)
