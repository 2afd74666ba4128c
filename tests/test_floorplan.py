"""Positions of slices. Oracle: the floor plan of the architecture contract, written out."""

import dataclasses

import pytest

from tsp.hw.config import PRESETS, Config, preset
from tsp.hw.floorplan import Hemisphere
from tsp.hw.isa import Unit

ODD = Config(name="odd", planes_west=0, mem_slices=5, mem_slices_per_stop=2)
CONFIGS = [*PRESETS.values(), ODD]


def test_the_small_floor_plan():
    """West to east, stop by stop."""
    plan = preset("small").floorplan
    stops = [[s.name for s in plan.slices if s.stop == stop] for stop in range(plan.stops)]
    assert stops == [
        ["C2C_W", "MXM_W"],
        ["SXM_W"],
        ["MEM_W7", "MEM_W6", "MEM_W5", "MEM_W4"],
        ["MEM_W3", "MEM_W2", "MEM_W1", "MEM_W0"],
        ["VXM"],
        ["MEM_E0", "MEM_E1", "MEM_E2", "MEM_E3"],
        ["MEM_E4", "MEM_E5", "MEM_E6", "MEM_E7"],
        ["SXM_E"],
        ["MXM_E", "C2C_E"],
    ]


def test_slices_that_do_not_divide_and_a_missing_plane():
    """The group nearest the VXM is full; a hemisphere without planes has no MXM."""
    plan = ODD.floorplan
    stops = [[s.name for s in plan.slices if s.stop == stop] for stop in range(plan.stops)]
    assert stops[:5] == [
        ["C2C_W"],
        ["SXM_W"],
        ["MEM_W4"],
        ["MEM_W3", "MEM_W2"],
        ["MEM_W1", "MEM_W0"],
    ]
    assert stops[5:8] == [["VXM"], ["MEM_E0", "MEM_E1"], ["MEM_E2", "MEM_E3"]]
    assert stops[8:] == [["MEM_E4"], ["SXM_E"], ["MXM_E", "C2C_E"]]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_numbers_and_names(config):
    """Indices count from the west, stops never fall, names are unique and found again."""
    plan = config.floorplan
    assert [s.index for s in plan.slices] == list(range(len(plan.slices)))
    assert [q.index for q in plan.queues] == list(range(len(plan.queues)))
    stops = [s.stop for s in plan.slices]
    assert stops == sorted(stops)
    assert set(stops) == set(range(plan.stops))
    assert len({s.name for s in plan.slices}) == len(plan.slices)
    assert len({q.name for q in plan.queues}) == len(plan.queues)
    for where in plan.slices:
        assert plan.slice(where.name) is where
        assert all(q.stop == where.stop for q in plan.queues_of(where))
    for queue in plan.queues:
        assert plan.queue(queue.name) is queue
    # Every queue can be told from another by what it does and where.
    assert len({(q.unit, q.slice, q.port) for q in plan.queues}) == len(plan.queues)
    # The host's address map has eight bits for a slice and sixteen for a queue.
    assert len(plan.slices) <= 256


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
def test_queues(config):
    """Two a MEM slice, four a plane, one an ALU; an SXM has one a plane, at least one."""
    units = [q.unit for q in config.floorplan.queues]
    assert units.count(Unit.MEM) == 4 * config.mem_slices
    for unit in (Unit.LW, Unit.IW, Unit.ABC, Unit.ACC):
        assert units.count(unit) == config.planes
    assert units.count(Unit.VXM) == config.alus
    assert units.count(Unit.SXM) == max(1, config.planes_west) + max(1, config.planes_east)
    assert units.count(Unit.C2C) == 2


def test_hops():
    """Counted on the plan above; a slice has no way to its own stop."""
    plan = preset("small").floorplan
    at = {s.name: s.stop for s in plan.slices}
    assert plan.hops(at["MXM_W"], at["VXM"]) == ("E", 4)
    assert plan.hops(at["MEM_E7"], at["MXM_W"]) == ("W", 6)
    assert plan.hops(at["MEM_W4"], at["MEM_W3"]) == ("E", 1)
    assert plan.hops(at["VXM"], at["MXM_E"]) == ("E", 4)


def test_names_that_do_not_exist():
    """The message lists the slices, or says how to list the queues."""
    plan = preset("nano").floorplan
    with pytest.raises(ValueError, match=r"slice must be one of C2C_W, MXM_W, .* not 'MEM_W2'"):
        plan.slice("MEM_W2")
    with pytest.raises(ValueError, match=r"there is no queue 'VXM.2'; `tsp info` lists"):
        plan.queue("VXM.2")


def test_inward_and_outward():
    """Outward is away from the VXM."""
    assert (Hemisphere.W.outward, Hemisphere.W.inward) == ("W", "E")
    assert (Hemisphere.E.outward, Hemisphere.E.inward) == ("E", "W")


def test_the_stop_count_follows_the_sharing():
    """SXM, MXM and VXM take five stops; MEM slices share the others."""
    for step in range(1, 9):
        config = dataclasses.replace(preset("small"), mem_slices_per_stop=step)
        assert config.floorplan.stops == 5 + 2 * -(-8 // step)
