"""Attention by pairs of planes: one computes scores while the other weighs values."""

from collections import defaultdict

from tsp.hw.floorplan import Hemisphere
from tsp.hw.isa import Reduce
from tsp.sim.kernels.attention_pair import Pair
from tsp.sim.kernels.attention_store import Work
from tsp.sim.kernels.attention_wiring import PlanError, Streams, deal_alus, step_of
from tsp.sim.kernels.passes import planes_of
from tsp.sim.kernels.pool import Pool
from tsp.sim.schedule import Schedule

_TRIALS = 8


def pairs_of(config):
    """The pairs of planes of a core: those of a hemisphere, or else one of each hemisphere."""
    planes = planes_of(config)
    sides = [[p for p in planes if p.side is side] for side in Hemisphere]
    pairs = [tuple(side) for side in sides if len(side) == 2]
    if not pairs and all(sides):
        pairs = [(sides[0][0], sides[1][0])]
    return pairs


def periods(problem):
    """The rows that a piece of work may have, to be tried: about as many as a tile has columns.

    Among them are as many as make all pieces of a head alike.
    """
    lanes, queries = problem.lanes, problem.queries
    alike = -(-queries // -(-queries // lanes))
    wanted = {lanes // 2, alike, lanes, 2 * lanes}
    return sorted({min(rows, problem.config.acc_rows) for rows in wanted})


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
        scoring = ["mask", "max"] if masked else ["max"]
        weighing = ["subtract", "narrow", "add"]
        if problem.folded[2] != 1:
            weighing.append("scale")
        dividing = ["divide", "round"]
        if problem.some_see_nothing(0, problem.queries):
            dividing.append("floor")
        alus = deal_alus(config, len(planes), scoring, weighing, dividing, rows)
        self.schedule, self.pool = Schedule(config), Pool(config, "attention")
        streams = Streams(config)
        self.pairs = [
            Pair(problem, self.pool, streams, *pair, roles, rows, masked)
            for pair, roles in zip(planes, alus, strict=True)
        ]
        self.works = self._deal(works)
        self._written, self._read, self._start = {}, {}, defaultdict(int)
        self.tight, self.ring = problem.size_tiles == 1, self._ring()
        self._follow, self._reading = defaultdict(int), defaultdict(list)
        self._kept = {pair: [0, 0] for pair in self.pairs}

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
        late = 2 * step_of(config) + Reduce.timing(config).func + 2 * reach
        longest = max(len(work.tiles) for works in self.works for work in works)
        return 2 * -(-(longest + 1 + -(-late // self.rows)) // 2)

    def _sees_all(self, work):
        last = work.first + work.rows
        return all(self.problem.seen(work.first, last, tile).all() for tile in work.tiles)

    def _deal(self, works):
        """The works of each pair: as many of each length, heads together, the shortest first."""
        classes, loads = defaultdict(list), [0] * len(self.pairs)
        for work in works:
            classes[len(work.tiles)].append(work)
        dealt = [[] for _ in self.pairs]
        for length, alike in sorted(classes.items()):
            share, more = divmod(len(alike), len(self.pairs))
            order = sorted(range(len(loads)), key=lambda number: (loads[number], number))
            counts = {number: share + (rank < more) for rank, number in enumerate(order)}
            for number, mine in enumerate(dealt):
                mine += alike[: counts[number]]
                alike = alike[counts[number] :]
                loads[number] += length * counts[number]
        return dealt

    def run(self):
        """Place everything.

        If scores come in every cycle, those of a piece of work are placed around the values of the
        one before; if they come in bursts, its values around the scores of the one after.
        """
        waiting = {}
        for turn in range(max(map(len, self.works)) + 1):
            for pair, works in zip(self.pairs, self.works, strict=True):
                found = None
                if turn < len(works):
                    place = self._tight_scores if self.tight else self._loose_scores
                    found = place(pair, turn, works[turn])
                if self.tight:
                    waiting[pair] = found
                if waiting.get(pair):
                    self._values(pair, *waiting[pair])
                waiting[pair] = found

    def _loose_scores(self, pair, turn, work):
        """Place scores in the group of banks that those before are not in."""
        slots = [(turn % 2, index) for index in range(len(work.tiles))]
        most = turn % 2, 0
        timed = pair.score(work, slots, most)
        start = self.schedule.find(timed.operation, self._earliest(pair, pair.scorer, timed))
        self._place(pair, pair.scorer, timed, start)
        return work, slots, most

    def _values(self, pair, work, slots, most):
        """Place values as soon as their scores and maximum are known."""
        for number in range(self.problem.size_tiles):
            timed = pair.weigh(work, slots, most, number)
            start = self._in_step(pair, timed, slots[0])
            self._place(pair, pair.weigher, timed, start)
            for (what, *_), cycle in self._accesses(pair, timed.reads, start):
                if what[0] == "scores":
                    self._reading[pair].append((cycle, cycle + work.rows, what[1]))

    def _tight_scores(self, pair, turn, work):
        """Place scores in a group of banks, tile by tile, from which no values are read then.

        The maximum goes to a group of which the same is true.
        """
        start, count = self._follow[pair], len(work.tiles)
        trial = pair.score(work, [(0, index) for index in range(count)], (0, turn % self.ring))
        start, made = max(start, -trial.operation.first), {}
        for _ in range(_TRIALS * self.rows):
            start, groups = self._groups(pair, trial, count, start)
            if groups not in made:
                made[groups] = self._choices(pair, turn, work, groups)
            counts, slots, choices = made[groups]
            fitting = [most for most, one in choices.items() if self._fits(pair, one, start)]
            if fitting:
                break
            start += 1
        most = (fitting or list(choices))[0]
        timed = choices[most]
        if not fitting:
            start = self.schedule.find(timed.operation, self._earliest(pair, pair.scorer, timed))
        self._kept[pair] = counts
        self._place(pair, pair.scorer, timed, start)
        self._follow[pair] = start + count * self.rows
        return work, slots, most

    def _choices(self, pair, turn, work, groups):
        """Scores whose tiles go to these groups, by where their maximum may go, the best first.

        Returns ``(tiles that each group has had, slots, operations)``.
        """
        counts, slots = list(self._kept[pair]), []
        for group in groups:
            slots.append((group, counts[group] % self.ring))
            counts[group] += 1
        mosts = [(group % 2, turn % self.ring) for group in (turn, turn + 1)]
        return counts, slots, {most: pair.score(work, slots, most) for most in mosts}

    def _fits(self, pair, timed, start):
        """Whether scores can start in a cycle."""
        earliest = self._earliest(pair, pair.scorer, timed)
        return earliest <= start and not self.schedule.clash(timed.operation, start)

    def _groups(self, pair, trial, count, start):
        """The first start from `start` on at which every tile finds a group that is not read.

        Returns it with the group of each tile.
        """
        offsets = {}
        for (what, _), cycle in trial.writes.items():
            if what[0] == "scores":
                offsets.setdefault(what[2], cycle)
        self._reading[pair] = [one for one in self._reading[pair] if one[1] > start]
        for late in range(2 * self.rows):
            groups = []
            for index in range(count):
                first = start + late + offsets[index]
                busy = {
                    group
                    for begin, end, group in self._reading[pair]
                    if begin < first + self.rows and first < end
                }
                free = {0, 1} - busy
                if not free:
                    break
                other = groups[-1] if groups else 0
                groups.append(1 - other if 1 - other in free else other)
            else:
                return start + late, tuple(groups)
        return start, tuple(index % 2 for index in range(count))

    def _in_step(self, pair, timed, slot):
        """The first start of values that leaves scores of the next tiles no gap.

        Where the scores of a tile begin to be read, those of another begin to be written.
        """
        earliest = self._earliest(pair, pair.weigher, timed)
        what, bank = next(key for key in timed.reads if key[0] == ("scores", *slot))
        phase = self._written[what, pair, bank] - timed.reads[what, bank]
        start = self.schedule.find(timed.operation, earliest)
        if not self.tight:
            return start
        first = start + (phase - start) % self.rows
        for aligned in range(first, first + _TRIALS * self.rows, self.rows):
            if not self.schedule.clash(timed.operation, aligned):
                return aligned
        return start

    def _place(self, pair, plane, timed, start):
        self.schedule.fix(timed.operation, start)
        self._start[plane] = start
        self._read.update(self._accesses(pair, timed.last_reads, start))
        self._written.update(self._accesses(pair, timed.last_writes, start))

    @staticmethod
    def _accesses(pair, accesses, start):
        """``((what, pair, bank), cycle)`` of what an operation touches that starts in `start`."""
        return [((what, pair, bank), start + cycle) for (what, bank), cycle in accesses.items()]

    def _earliest(self, pair, plane, timed):
        """From when on an operation has what it depends on.

        What it reads has been written by then, and what it writes has been read. Words follow each
        other in one order at one rate, so that it is enough to look at the first.
        """
        earliest = self._start[plane]
        for times, accesses in ((self._written, timed.reads), (self._read, timed.writes)):
            for (what, bank), cycle in accesses.items():
                if (what, pair, bank) in times:
                    earliest = max(earliest, times[what, pair, bank] + 1 - cycle)
        return earliest

    def kernel(self):
        """The kernel of everything placed."""
        results = {key: at for pair in self.pairs for key, at in pair.store.results.items()}
        return self.problem.kernel(self.schedule, self.pool.memory, results)
