"""The drawn dataflow of attention. Oracle: who reads whose words in programs of its plan."""

from collections import defaultdict

import numpy as np

from tsp.hw.config import preset
from tsp.sim.dataflow import ATTENTION, COLUMNS, Action, Move
from tsp.sim.kernels.attention_problem import Problem
from tsp.sim.kernels.attention_rounds import Rounds


def flows(program):
    """``(from, to)`` of all words, MEM slices of a hemisphere taken as one."""
    config, drives, samples = program.config, defaultdict(dict), []
    for name, runs in program.runs.items():
        queue = config.floorplan.queue(name)
        for run in runs:
            for cycle, i in run.issues():
                for found, add in ((i.drives, drives), (i.samples, samples)):
                    for group, after in found(config):
                        step = 1 if group.direction == "E" else -1
                        for stream in group.streams:
                            way = group.direction, stream, cycle + after - step * queue.stop
                            if add is drives:
                                drives[way][step * queue.stop] = queue.slice.name
                            else:
                                samples.append((way, step * queue.stop, queue.slice.name))
    pairs = set()
    for way, stop, name in samples:
        nearest = max(at for at in drives[way] if at < stop)
        pairs.add((drives[way][nearest][:5], name[:5]))
    return pairs


def drawn():
    """The same of all arrows."""
    moves = [i for rows in ATTENTION.values() for row in rows for i in row.items]
    moves = [move for move in moves if isinstance(move, Move)]
    return {(m.source, to) for m in moves for to in (m.to, m.kept) if to}


def tile_by_tile(config, q, k, v, causal):
    """The program of the plan that is drawn, even if another would be shorter."""
    plan = Rounds(Problem.of(config, q, k, v, causal, None, None), config.acc_rows)
    plan.run()
    return plan.kernel().program


def test_every_arrow_is_in_a_program_and_every_flow_is_drawn():
    rng = np.random.default_rng(40)
    q, k, v = (rng.normal(size=(60, 2, 32)).astype(np.float16) for _ in range(3))
    small = preset("small")
    masked, whole = (tile_by_tile(small, q, k, v, causal) for causal in (True, False))
    assert flows(masked) | flows(whole) == drawn()


def test_what_works_receives_something_before():
    """A slice computes with words that a row above it, or its own, brings there."""
    for title, rows in ATTENTION.items():
        there = set()
        for row in rows:
            there |= {i.to for i in row.items if isinstance(i, Move)}
            for item in row.items:
                assert not isinstance(item, Action) or item.where in there, f"{title}: {item}"
                where = {item.where} if isinstance(item, Action) else {item.source, item.to}
                assert where <= set(COLUMNS)
