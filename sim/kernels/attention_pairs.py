"""Attention by pairs of planes: one computes scores while the other weighs values."""

from collections import defaultdict

from tsp.hw.floorplan import Hemisphere
from tsp.sim.kernels.attention_pair import Pair, Work
from tsp.sim.kernels.attention_wiring import NoPlan, Streams, deal_alus
from tsp.sim.kernels.passes import planes_of
from tsp.sim.kernels.pool import Pool
from tsp.sim.schedule import Schedule


def pairs_of(config):
    """The pairs of planes of a core: those of a hemisphere, or else one of each hemisphere."""
    planes = planes_of(config)
    sides = [[p for p in planes if p.side is side] for side in Hemisphere]
    pairs = [tuple(side) for side in sides if len(side) == 2]
    if not pairs and all(sides):
        pairs = [(sides[0][0], sides[1][0])]
    return pairs


class Pairs:
    """Attention on its way into a schedule.

    Parameters
    ----------
    problem : Problem
    rows : int
        Rows of a piece of work.

    Raises
    ------
    NoPlan
        If the core has too little of something for it.
    CapacityError
        If it does not fit.
    """

    def __init__(self, problem, rows):
        self.problem, self.rows, config = problem, rows, problem.config
        planes = pairs_of(config)
        if not planes:
            raise NoPlan(f"config {config.name} has no pair of planes")
        if rows > config.acc_rows:
            raise NoPlan(f"{rows} rows exceed the accumulators")
        works = self._works()
        masked = any(not self._sees_all(work) for work in works)
        busy = ["max", "add", "subtract", "narrow", "exp"]
        seldom = ["divide", "round"]
        if problem.folded[2] != 1:
            busy.append("scale")
        if masked:
            busy.insert(0, "mask")
        if problem.some_see_nothing(0, problem.queries):
            seldom.append("floor")
        alus = deal_alus(config, len(planes), busy, seldom)
        self.schedule, self.pool = Schedule(config), Pool(config, "attention")
        streams = Streams(config)
        self.pairs = [
            Pair(problem, self.pool, streams, *pair, roles, rows, masked)
            for pair, roles in zip(planes, alus, strict=True)
        ]
        self.works = self._deal(works)
        self._written, self._read, self._start = {}, {}, defaultdict(int)

    def _works(self):
        problem, found = self.problem, []
        for head in range(problem.heads):
            for first in range(0, problem.queries, self.rows):
                last = min(first + self.rows, problem.queries)
                tiles = problem.tiles_seen(first, last)
                found.append(Work(head, first, last - first, tuple(tiles)))
        return found

    def _sees_all(self, work):
        last = work.first + work.rows
        return all(self.problem.seen(work.first, last, tile).all() for tile in work.tiles)

    def _deal(self, works):
        """The works of each pair: as many of each length, heads together, the longest first."""
        classes, loads = defaultdict(list), [0] * len(self.pairs)
        for work in works:
            classes[len(work.tiles)].append(work)
        dealt = [[] for _ in self.pairs]
        for length, alike in sorted(classes.items(), reverse=True):
            share, more = divmod(len(alike), len(self.pairs))
            order = sorted(range(len(loads)), key=lambda number: (loads[number], number))
            counts = {number: share + (rank < more) for rank, number in enumerate(order)}
            for number, mine in enumerate(dealt):
                mine += alike[: counts[number]]
                alike = alike[counts[number] :]
                loads[number] += length * counts[number]
        return dealt

    def run(self):
        """Place everything: the scores of a piece of work before the values of the one before."""
        for turn in range(max(map(len, self.works)) + 1):
            for pair, works in zip(self.pairs, self.works, strict=True):
                if turn < len(works):
                    self._place(pair, pair.scorer, pair.score(works[turn], turn % 2))
                if 0 < turn <= len(works):
                    for number in range(self.problem.size_tiles):
                        timed = pair.weigh(works[turn - 1], (turn - 1) % 2, number)
                        self._place(pair, pair.weigher, timed)

    def _place(self, pair, plane, timed):
        """Place an operation after what it depends on.

        What it reads has been written by then, and what it writes has been read. Words follow each
        other in one order at one rate, so that it is enough to look at the first.
        """
        earliest = self._start[plane]
        for times, accesses in ((self._written, timed.reads), (self._read, timed.writes)):
            for (what, bank), cycle in accesses.items():
                if (pair, what, bank) in times:
                    earliest = max(earliest, times[pair, what, bank] + 1 - cycle)
        start = self.schedule.place(timed.operation, earliest)
        self._start[plane] = start
        for times, accesses in ((self._read, timed.reads), (self._written, timed.writes)):
            for (what, bank), cycle in accesses.items():
                times[pair, what, bank] = start + cycle

    def kernel(self):
        """The kernel of everything placed."""
        results = {key: at for pair in self.pairs for key, at in pair.results.items()}
        return self.problem.kernel(self.schedule, self.pool.memory, results)
