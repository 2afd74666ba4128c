"""Where a matrix multiply keeps its vectors, so that nothing meets in a bank or on a stream."""

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise

from tsp.hw.errors import CapacityError
from tsp.hw.floorplan import Hemisphere
from tsp.sim.kernels.matmul_plan import LW_STREAMS
from tsp.sim.layout import Bank, Memory, banks


@dataclass(frozen=True)
class Load:
    """One LW: in cycle `cycle` of the loading, the columns from `column` on, by bank and stream."""

    cycle: int
    planes: tuple[int, ...]
    tile: int
    column: int
    sources: tuple[tuple[Bank, int], ...]


@dataclass(frozen=True)
class Fetch:
    """Consecutive words of one bank, read from cycle `cycle` of the loading on.

    `vectors` are ``(tile, vector)`` of each word; vector ``column * bytes + byte`` of a tile.
    """

    bank: Bank
    stream: int
    cycle: int
    address: int
    vectors: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Weights:
    """The tiles of one loading: what is fetched, and the LWs that take it."""

    loads: tuple[Load, ...]
    fetches: tuple[Fetch, ...]


class Layout:
    """Places of A, B and C for one plan.

    Members
    -------
    memory : Memory
    a : dict
        Place, a bank per byte, by ``(hemisphere, first row, k tile)``.
    c : dict
        Place, a bank per byte, by part.
    weights : dict
        :class:`Weights` by ``(hemisphere, planes, tile, k tile)``.
    cold : dict
        :class:`Weights` of the very first job, spread over all banks, by hemisphere.

    Raises
    ------
    CapacityError
        If the plan does not fit in memory.
    """

    def __init__(self, problem, plan):
        self.problem, self.plan = problem, plan
        self.memory = Memory(problem.config)
        self.a, self.c, self.weights, self.cold = {}, {}, {}, {}
        for work in plan.works:
            hemisphere = work.hemisphere if len(plan.works) > 1 else None
            pool = banks(problem.config, hemisphere)
            if plan.tight:
                self._share_banks(work, pool)
            else:
                self._separate_banks(work, pool)

    def stop(self, hemisphere):
        """Stop of a hemisphere's MXM."""
        return 0 if hemisphere is Hemisphere.W else self.problem.config.floorplan.stops - 1

    def first_weight_stream(self, work):
        """The lowest outward stream that carries weights; those below carry A."""
        return work.slots * self.problem.a_dtype.bytes

    def weight_streams(self, work):
        """Outward streams left for weights; the highest carry requantised results."""
        taken = work.planes if self.problem.requantises else 0
        return self.problem.config.streams - self.first_weight_stream(work) - taken

    def demands(self, job):
        """``(planes, tile)`` of every tile that a job loads."""
        planes = defaultdict(list)
        for part in job:
            planes[part.tile].append(part.plane)
        return [(tuple(p), tile) for tile, p in planes.items()]

    # Separate banks for A, B and C: nothing ever waits

    def _separate_banks(self, work, pool):
        problem, hemisphere = self.problem, work.hemisphere
        outer = self.stop(hemisphere)
        vxm = problem.config.floorplan.slice("VXM").stop
        pool = sorted(pool, key=lambda bank: abs(bank.stop - outer))
        near = vxm if problem.requantises else outer
        results = [
            _Stack(self.memory, pool, problem.out_dtype.bytes, near) for _ in range(work.planes)
        ]
        vectors = [
            _Stack(self.memory, pool, problem.a_dtype.bytes, outer) for _ in range(work.slots)
        ]
        for job in work.jobs:
            for part in job:
                self.c[part] = results[part.plane].take(part.rows)
        slots = {}  # rows by the stream that carries them; a chunk keeps its stream in every job
        for job in work.jobs:
            for slot, rows in enumerate(dict.fromkeys(part[1:3] for part in job)):
                slots[rows] = slot
        for k in range(problem.k_tiles):
            for (first, last), slot in slots.items():
                self.a[hemisphere, first, k] = vectors[slot].take(last - first)
        spare = list(pool)
        self._spread_weights(work, pool)
        held = [bank for stack in results for group in stack.groups for bank in group]
        self._spread_cold(work, held + spare)

    def _spread_weights(self, work, pool):
        """Deal the tiles of B over banks that hold nothing else."""
        tiles = self._tiles(work)
        sets = sorted({planes for planes, _ in tiles})
        if min(len(pool), self.weight_streams(work)) <= LW_STREAMS:
            sets = [None]  # planes take turns on the same banks
        width = self._weight_width(work, len(pool), len(sets), len(tiles))
        count = self.problem.lanes * self.problem.b_dtype.bytes
        stacks = {s: _Stack(self.memory, pool, width, self.stop(work.hemisphere)) for s in sets}
        first = self.first_weight_stream(work)
        for k in range(self.problem.k_tiles):
            for planes, tile in tiles:
                group = None if sets == [None] else planes
                base = first + width * sets.index(group)
                chosen = stacks[group].banks(-(-count // width))
                sources = [(bank, base + i, 0) for i, bank in enumerate(chosen)]
                key = work.hemisphere, planes, tile, k
                self.weights[key] = self._deal(sources, [(planes, tile)])

    def _tiles(self, work):
        """``(planes, tile)`` of all tiles of the work, each once."""
        return list(dict.fromkeys(d for job in work.jobs for d in self.demands(job)))

    def _weight_width(self, work, pool, sets, tiles):
        """Banks over which a tile of B is dealt: the more, the faster it loads.

        Each set of banks serves its share of the tiles; when its banks are full, another
        generation of as many banks goes on.
        """
        size, count = self.problem.b_dtype.bytes, self.problem.lanes * self.problem.b_dtype.bytes
        rows = min(part.rows for job in work.jobs for part in job)
        passes = -(-tiles // sets) * self.problem.k_tiles
        for generations in range(1, pool + 1):
            streams = self.weight_streams(work) // sets
            width = min(LW_STREAMS, streams, pool // (sets * generations))
            width -= width % size
            if width < size:
                break
            for candidate in (self._even(width, rows if sets > 1 else rows // work.planes), width):
                tiles_per_bank = self.problem.config.bank_words // -(-count // candidate)
                if tiles_per_bank * generations >= passes:
                    return candidate
        raise CapacityError(f"{pool} banks are too few for B")

    def _even(self, width, rows):
        """The largest width that loads a tile in equal LWs, if a pass is long enough for it."""
        size, count = self.problem.b_dtype.bytes, self.problem.lanes * self.problem.b_dtype.bytes
        for narrower in range(width, 0, -size):
            if count % narrower == 0 and count // narrower <= rows:
                return narrower
        return width

    def _spread_cold(self, work, pool):
        """Spread the first tiles over every bank that is idle at the start, the near ones first."""
        outer = self.stop(work.hemisphere)
        hops = {bank: abs(bank.stop - outer) for bank in pool}
        # Once the far banks' words arrive too, every cycle loads a column of each tile.
        longest = max(hops.values()) - min(hops.values()) + self.problem.lanes
        roomy = [bank for bank in pool if self.memory.room(bank) >= longest]
        chosen = sorted(roomy, key=hops.get)[: self.weight_streams(work)]
        demands = self.demands(work.jobs[0])
        if len(chosen) >= self.problem.b_dtype.bytes * len(demands):
            first = self.first_weight_stream(work)
            sources = [(b, first + i, hops[b] - hops[chosen[0]]) for i, b in enumerate(chosen)]
            self.cold[work.hemisphere] = self._deal(sources, demands)

    # Any bank for anything: the scheduler finds gaps

    def _share_banks(self, work, pool):
        problem, hemisphere = self.problem, work.hemisphere
        for k in range(problem.k_tiles):
            for first, last in dict.fromkeys(part[1:3] for job in work.jobs for part in job):
                self.a[hemisphere, first, k] = self._take(pool, problem.a_dtype.bytes, last - first)
        for job in work.jobs:
            for part in job:
                self.c[part] = self._take(pool, problem.out_dtype.bytes, part.rows)
        first, size = self.first_weight_stream(work), problem.b_dtype.bytes
        count = problem.lanes * size
        for k in range(problem.k_tiles):
            for planes, tile in self._tiles(work):
                free = sorted(pool, key=self.memory.room, reverse=True)
                width = min(LW_STREAMS, self.weight_streams(work), len(free))
                width -= width % size
                while width and self.memory.room(free[width - 1]) < -(-count // width):
                    width -= size
                if not width:
                    raise CapacityError("the banks are too full for B")
                sources = [(bank, first + i, 0) for i, bank in enumerate(free[:width])]
                self.weights[hemisphere, planes, tile, k] = self._deal(sources, [(planes, tile)])

    def _take(self, pool, width, words):
        emptiest = sorted(pool, key=self.memory.room, reverse=True)[:width]
        if len(emptiest) < width:
            raise CapacityError(f"{len(pool)} banks are too few for elements of {width} bytes")
        return self.memory.take(emptiest, words)

    def _deal(self, sources, demands):
        """Deal the columns of tiles over ``(bank, stream, first cycle)``, and take the words."""
        size = self.problem.b_dtype.bytes
        loads, done, cycle = [], [0] * len(demands), 0
        uses = defaultdict(list)
        while min(done) < self.problem.lanes:
            free = [(bank, stream) for bank, stream, first in sources if first <= cycle]
            for i, (planes, tile) in enumerate(demands):
                columns = min(len(free) // size, LW_STREAMS // size, self.problem.lanes - done[i])
                if columns:
                    taken, free = free[: columns * size], free[columns * size :]
                    loads.append(Load(cycle, planes, tile, done[i], tuple(taken)))
                    for v, source in enumerate(taken, start=done[i] * size):
                        uses[source].append((cycle, (tile, v)))
                    done[i] += columns
            cycle += 1
        return Weights(tuple(loads), tuple(self._fetches(uses)))

    def _fetches(self, uses):
        for (bank, stream), items in uses.items():
            ((_, address),) = self.memory.take([bank], len(items))
            breaks = [i + 1 for i, (a, b) in enumerate(pairwise(items)) if b[0] != a[0] + 1]
            for start, end in pairwise([0, *breaks, len(items)]):
                vectors = tuple(vector for _, vector in items[start:end])
                yield Fetch(bank, stream, items[start][0], address + start, vectors)


class _Stack:
    """Banks taken from a pool, `width` at a time, as they fill; those near a stop first."""

    def __init__(self, memory, pool, width, near):
        self.memory, self.pool, self.width, self.near = memory, pool, width, near
        self.groups = []

    def banks(self, words):
        """A group of banks with room for so many words in each."""
        if not self.groups or any(self.memory.room(bank) < words for bank in self.groups[-1]):
            if len(self.pool) < self.width or words > self.memory.config.bank_words:
                raise CapacityError(f"{self.width} more banks are needed")
            # A stable sort keeps banks of one stop in the order of the pool.
            nearest = sorted(self.pool, key=lambda bank: abs(bank.stop - self.near))
            self.groups.append(nearest[: self.width])
            for bank in self.groups[-1]:
                self.pool.remove(bank)
        return self.groups[-1]

    def take(self, words):
        """The place of so many words in each of `width` banks."""
        return self.memory.take(self.banks(words), words)
