"""Which instructions can have committed a fault. Oracle: the cases whose faults were worked out."""

import pytest
from test_rtl_faults import CASES, PAIR, SUM, program

from tsp.hw.fault import FaultKind
from tsp.hw.isa import SG1, Read
from tsp.sim.golden import model
from tsp.sim.program import Run, assemble
from tsp.sim.suspects import suspects


@pytest.mark.parametrize("name", CASES)
def test_those_of_a_case_are_found(name):
    """Those at the stop of the fault, and no other; two in a conflict; else one that is there."""
    runs, fault = CASES[name]
    made = program(name, runs)
    found = suspects(made, fault)
    stops = {queue: PAIR.floorplan.queue(queue).stop for queue in made.queues}
    stop = PAIR.floorplan.slice(fault.slice).stop
    assert {stops[queue] for queue, _ in found} == {stop}
    own = [run.instruction for queue in runs if stops[queue] == stop for run in runs[queue]]
    named = [made.queues[queue][index] for queue, index in found]
    assert all(instruction in own for instruction in named)
    if len(own) <= 2 and fault.kind is FaultKind.CONFLICT:
        assert len(named) == len(own)
    if len(own) == 1:
        assert named == own


def test_a_repetition_counts_as_what_it_repeats():
    runs = {
        "MXM_W.0.ACC": [Run(3, SUM, 2, 5)],
        "MEM_W0.0": [Run(1, Read(address=0, stream=SG1("W", 7)), 20)],
    }
    made = assemble(PAIR, runs)
    fault = model.run(made).fault
    assert (fault.kind, fault.cycle) == (FaultKind.INVALID, 5)
    assert suspects(made, fault) == [("MXM_W.0.ACC", 2)]
    later = type(fault)(fault.kind, fault.slice, 10)
    assert suspects(made, later) == [("MXM_W.0.ACC", 2)]
    assert suspects(made, type(fault)(fault.kind, fault.slice, 7)) == []
