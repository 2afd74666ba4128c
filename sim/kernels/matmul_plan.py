"""Who computes what in a matrix multiply: jobs for the planes, and the ways to divide the work."""

from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from tsp.hw.config import Config
from tsp.hw.floorplan import Hemisphere
from tsp.hw.isa import DType
from tsp.sim.kernels.common import chunks

LW_STREAMS = 16
"""Streams that one LW takes at most."""


@dataclass(frozen=True)
class Problem:
    """C[m, n] = A[m, k] B[k, n] on a core, in vectors and tiles of that core."""

    config: Config
    m: int
    k: int
    n: int
    a_dtype: DType
    b_dtype: DType
    out_dtype: DType

    @property
    def lanes(self):
        """Lanes in all: the side of a tile."""
        return self.config.vector

    @property
    def k_tiles(self):
        """Tiles along the dot products."""
        return -(-self.k // self.lanes)

    @property
    def n_tiles(self):
        """Tiles along the columns of C."""
        return -(-self.n // self.lanes)

    @property
    def requantises(self):
        """Whether C passes through the VXM on its way to memory."""
        return self.out_dtype is DType.INT8

    def bytes(self):
        """Bytes of A, B and C with their padding, each stored once."""
        words = (
            self.m * self.k_tiles * self.a_dtype.bytes,
            self.n_tiles * self.lanes * self.k_tiles * self.b_dtype.bytes,
            self.m * self.n_tiles * self.out_dtype.bytes,
        )
        return tuple(count * self.lanes for count in words)


class Part(NamedTuple):
    """What one plane computes in one job: rows `first` to `last` - 1 of C, in one tile of N."""

    plane: int
    first: int
    last: int
    tile: int

    @property
    def rows(self):
        """Number of rows."""
        return self.last - self.first


@dataclass(frozen=True)
class Work:
    """The jobs of one hemisphere, in order; a job has a part for each plane that is busy.

    The parts of a job share either their rows, and so one stream of A, or their tile, and so one
    stream of weights.
    """

    hemisphere: Hemisphere
    planes: int
    jobs: tuple[tuple[Part, ...], ...]
    by_rows: bool

    @property
    def slots(self):
        """Streams of A that a job needs at most."""
        return max(len({part[1:3] for part in job}) for job in self.jobs)


@dataclass(frozen=True)
class Plan:
    """One way to do it all.

    `tight` : any bank may hold anything, and results leave after the last pass of a job.
    `cost` : cycles, as far as can be told without a schedule.
    `passes` : passes of all hemispheres.
    """

    works: tuple[Work, ...]
    tight: bool
    cost: int
    passes: int


def plans(problem):
    """Every plan worth trying, the fastest first."""
    config = problem.config
    planes = {Hemisphere.W: config.planes_west, Hemisphere.E: config.planes_east}
    if problem.requantises:  # each plane of a hemisphere needs its own two ALUs
        planes = {h: min(p, max(1, config.alus // 2)) for h, p in planes.items()}
    sides = [h for h, p in planes.items() if p]
    crews = [sides] + [[h] for h in sides] * (len(sides) > 1)
    found = []
    for crew, split_rows, by_rows in product(crews, (False, True), (False, True)):
        if (split_rows and len(crew) == 1) or (by_rows and max(planes[h] for h in crew) == 1):
            continue
        shares = _shares(problem, crew, planes, split_rows)
        works = [
            _work(problem, hemisphere, planes[hemisphere], rows, tiles, by_rows)
            for hemisphere, (rows, tiles) in zip(crew, shares, strict=True)
            if len(rows) and len(tiles)
        ]
        for tight in (False, True):
            if not (tight and by_rows):
                cost = max(_cost(problem, work, tight) for work in works)
                passes = problem.k_tiles * sum(len(work.jobs) for work in works)
                found.append(Plan(tuple(works), tight, cost, passes))
    return sorted(found, key=lambda plan: (plan.cost, plan.tight))


def _shares(problem, crew, planes, split_rows):
    """``(rows, tiles)`` of each hemisphere of the crew, in proportion to its planes."""
    rows, tiles = range(problem.m), range(problem.n_tiles)
    if len(crew) == 1:
        return [(rows, tiles)]
    west, east = (planes[h] for h in crew)
    if split_rows:
        costs = [-(-len(tiles) // p) for p in (west, east)]
        middle = round(problem.m * costs[1] / sum(costs))
        return [(rows[:middle], tiles), (rows[middle:], tiles)]
    middle = min(
        range(len(tiles) + 1), key=lambda x: max(-(-x // west), -(-(len(tiles) - x) // east))
    )
    return [(rows, tiles[:middle]), (rows, tiles[middle:])]


def _work(problem, hemisphere, planes, rows, tiles, by_rows):
    longest = problem.config.acc_rows
    jobs = []
    if by_rows:
        pieces = chunks(rows, longest, planes)
        groups = [pieces[i : i + planes] for i in range(0, len(pieces), planes)]
        for group, tile in product(groups, tiles):
            jobs.append(tuple(Part(p, r.start, r.stop, tile) for p, r in enumerate(group)))
    else:
        groups = [tiles[i : i + planes] for i in range(0, len(tiles), planes)]
        for piece, group in product(chunks(rows, longest), groups):
            jobs.append(tuple(Part(p, piece.start, piece.stop, t) for p, t in enumerate(group)))
    return Work(hemisphere, planes, tuple(jobs), by_rows)


def _cost(problem, work, tight):
    streams = problem.config.streams - work.slots * problem.a_dtype.bytes
    vectors = problem.lanes * problem.b_dtype.bytes
    cost = 0
    for job in work.jobs:
        tiles = len({part.tile for part in job})
        load = -(-vectors // min(LW_STREAMS, streams // tiles))
        rows = max(part.rows for part in job)
        cost += problem.k_tiles * (load + rows if tight else max(load, rows))
        cost += tight * sum(part.rows for part in job)
    return cost
