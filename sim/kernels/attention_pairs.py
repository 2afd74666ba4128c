"""Attention by pairs of planes: one computes scores while the other weighs values."""

from collections import defaultdict

from tsp.hw.floorplan import Hemisphere
from tsp.hw.isa import Reduce
from tsp.sim.kernels.attention_pair import Pair, Work
from tsp.sim.kernels.attention_wiring import STEP, PlanError, Streams, deal_alus
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
    PlanError
        If the core has too little of something for it.
    CapacityError
        If it does not fit.
    """

    def __init__(self, problem, rows):
        self.problem, self.rows, config = problem, rows, problem.config
        planes = pairs_of(config)
        if not planes:
            raise PlanError(f"config {config.name} has no pair of planes")
        if rows > config.acc_rows:
            raise PlanError(f"{rows} rows exceed the accumulators")
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
        self._tiles, self.ring = defaultdict(int), self._ring()

    def _works(self):
        problem, found = self.problem, []
        for head in range(problem.heads):
            for first in range(0, problem.queries, self.rows):
                last = min(first + self.rows, problem.queries)
                tiles = problem.tiles_seen(first, last)
                found.append(Work(head, first, last - first, tuple(tiles)))
        return found

    def _ring(self):
        """Tiles of scores that are kept: those on their way while a maximum is found, and even."""
        config, reach = self.problem.config, self.problem.config.floorplan.stops
        late = 2 * STEP + Reduce.timing(config).func + 2 * reach
        longest = max(len(work.tiles) for works in self.works for work in works)
        return 2 * -(-(longest + 1 + -(-late // self.rows)) // 2)

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
        """Place everything: the scores of a piece of work, then its values."""
        for turn in range(max(map(len, self.works))):
            for pair, works in zip(self.pairs, self.works, strict=True):
                if turn < len(works):
                    self._run(pair, turn, works[turn])

    def _run(self, pair, turn, work):
        """Place a piece of work, its maximum where it can be soonest."""
        slots, found = self._slots(pair, turn, len(work.tiles)), []
        for group in range(2):
            most = group, turn % self.ring
            timed = pair.score(work, slots, most)
            start = self.schedule.find(timed.operation, self._earliest(pair, pair.scorer, timed))
            found.append((start, (group - turn) % 2, most, timed))
        start, _, most, timed = min(found, key=lambda one: one[:2])
        self._place(pair, pair.scorer, timed, start)
        for number in range(self.problem.size_tiles):
            timed = pair.weigh(work, slots, most, number)
            earliest = self._earliest(pair, pair.weigher, timed)
            start = self.schedule.find(timed.operation, earliest)
            if self.problem.size_tiles == 1:
                start = self._in_turn(pair, timed, slots[0], start)
            self._place(pair, pair.weigher, timed, start)

    def _in_turn(self, pair, timed, slot, start):
        """The first start from `start` on that leaves scores of the next tiles no gap.

        They are written to one group of banks while those of the other are read.
        """
        turn = 2 * self.rows
        what, bank = next(key for key in timed.reads if key[0] == ("scores", *slot))
        since = self._written[pair, what, bank] + self.rows - timed.reads[what, bank]
        first = start + (since - start) % turn
        for aligned in range(first, first + 4 * turn, turn):
            if self.schedule.find(timed.operation, aligned) == aligned:
                return aligned
        return start

    def _slots(self, pair, turn, count):
        """Where the scores of so many tiles are kept: (group of banks, number there) of each.

        One group is written while the other is read. If scores come in every cycle they alternate
        from tile to tile, and else from one piece of work to the next.
        """
        if self.problem.size_tiles > 1:
            return [(turn % 2, index) for index in range(count)]
        first = self._tiles[pair]
        self._tiles[pair] += count
        return [(n % 2, n % self.ring) for n in range(first, first + count)]

    def _place(self, pair, plane, timed, start):
        self.schedule.fix(timed.operation, start)
        self._start[plane] = start
        for times, accesses in ((self._read, timed.reads), (self._written, timed.writes)):
            for (what, bank), cycle in accesses.items():
                times[pair, what, bank] = start + cycle

    def _earliest(self, pair, plane, timed):
        """From when on an operation has what it depends on.

        What it reads has been written by then, and what it writes has been read. Words follow each
        other in one order at one rate, so that it is enough to look at the first.
        """
        earliest = self._start[plane]
        for times, accesses in ((self._written, timed.reads), (self._read, timed.writes)):
            for (what, bank), cycle in accesses.items():
                if (pair, what, bank) in times:
                    earliest = max(earliest, times[pair, what, bank] + 1 - cycle)
        return earliest

    def kernel(self):
        """The kernel of everything placed."""
        results = {key: at for pair in self.pairs for key, at in pair.results.items()}
        return self.problem.kernel(self.schedule, self.pool.memory, results)
