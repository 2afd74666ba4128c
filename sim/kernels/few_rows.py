"""Products of one or few rows with weights that are read once: the way of a token.

Here the weights are what streams. Every cycle brings as many columns as the planes can load; a
tile of weights meets its vector in the cycle in which it is installed, and gives way to the next.
One vector of the rows is held for all tiles of columns, and each of these has accumulator rows of
its own. The words of the weights lie in a ring of banks in the order in which they are needed.
"""

from dataclasses import dataclass, field
from itertools import groupby, product

import numpy as np

from tsp.hw.errors import CapacityError
from tsp.hw.floorplan import Hemisphere
from tsp.hw.isa import Acc, AccMode
from tsp.sim.kernels.common import from_vectors, to_vectors
from tsp.sim.kernels.few_rows_step import Step
from tsp.sim.kernels.matmul_plan import LW_STREAMS
from tsp.sim.kernels.passes import planes_of, weight_streams
from tsp.sim.kernels.pipeline import Pipeline, narrowest
from tsp.sim.kernels.rows import FP16
from tsp.sim.layout import Memory, Place, Span, banks
from tsp.sim.schedule import Schedule


@dataclass(eq=False)
class Vectors:
    """Rows of fp16, vector by vector, with a copy for the planes of each hemisphere.

    `spans` are the columns of each vector. `places` are words for all of them by hemisphere, in one
    or two pairs of banks that take turns, a vector's rows one after the other.
    """

    spans: list
    places: dict
    rows: int

    def place(self, side, number):
        """The words of one vector."""
        turn, pair = divmod(number, len(self.places[side]))
        place = self.places[side][pair]
        return Place(place.banks, tuple(first + turn * self.rows for first in place.addresses))


@dataclass(eq=False)
class Tile:
    """Columns that a few planes, each with a weight of its own, compute in step.

    `works` are names of weights and planes, `rows` the first accumulator row of each.
    """

    span: tuple
    works: tuple
    rows: list = field(default_factory=list)
    stands: list = field(default_factory=list)  # cycles in which the last sums of each stand


class FewRows:
    """A schedule of such products, and what lies in memory for them.

    Parameters
    ----------
    config : Config
    what : str
        What is computed, for messages.
    rows : int
    saturate : bool
        Whether what is beyond fp16 becomes its largest number, and no infinity.
    """

    def __init__(self, config, what, rows, saturate=False):
        self.config, self.what, self.rows, self.saturate = config, what, rows, saturate
        self.lanes, self.schedule, self.memory = config.vector, Schedule(config), Memory(config)
        self.planes = planes_of(config)
        self.sides = [s for s in Hemisphere if any(p.side is s for p in self.planes)]
        self.each = max(sum(p.side is side for p in self.planes) for side in self.sides)
        plan = config.floorplan
        self.vxm = plan.slice("VXM").stop
        self.stops = {side: plan.slice(f"MXM_{side.value}").stop for side in self.sides}
        self._deal_banks()
        self.start = 0  # of what may come next
        self._turn = 0  # of the ALUs
        self._row, self._drained = 0, {}  # next accumulator row, and when rows were emitted last
        self._written = {}  # cycle in which the last row of a place is written
        self.warm = set()  # planes whose buffers have been full

    # Banks

    def _deal_banks(self):
        """Banks for vectors, results and numbers near the VXM, and a ring for the weights."""
        self.near, self.ring = {}, {}
        self._next, self._spread = dict.fromkeys(Hemisphere, 0), dict.fromkeys(Hemisphere, 0)
        for side in Hemisphere:
            found = sorted(banks(self.config, side), key=lambda bank: abs(bank.stop - self.vxm))
            if side in self.sides:
                enough = [n for n in (12, 8) if len(found) - n >= LW_STREAMS * self.each]
                kept = max(enough, default=4)
                if len(self.sides) == 1:
                    kept = 0  # the other hemisphere has room
                self.near[side], self.ring[side] = found[:kept], found[kept:][::-1]
            else:
                self.near[side] = found[:12]
        if any(len(self.near[self._home(side)]) < 4 for side in self.sides):
            raise CapacityError(
                f"{self.what} needs more banks than the {2 * self.config.mem_slices} in each "
                f"hemisphere of config {self.config.name}; use a larger config"
            )

    def _home(self, side):
        """The hemisphere in which vectors for the planes of a hemisphere lie."""
        return side if self.near[side] else next(s for s in Hemisphere if s is not side)

    def _take(self, chosen, words):
        if any(self.memory.room(bank) < words for bank in chosen):
            raise self._full()
        return self.memory.take(chosen, words)

    def _full(self):
        """The error that says that there are too few banks."""
        return CapacityError(
            f"{self.what} needs more than the {2 * self.config.mem_slices} banks of "
            f"{self.config.bank_words} words in each hemisphere of config {self.config.name}; use "
            "a larger config or a smaller problem"
        )

    def vectors(self, spans, x=None):
        """Words for vectors of so many columns each; filled with rows of `x`, float16, if given.

        Those that are made while others are read already have two pairs of banks.
        """
        places, pairs = {}, [0] if x is not None else [2, 0]
        for side in self.sides:
            chosen, words = self.near[self._home(side)], -(-len(spans) // len(pairs)) * self.rows
            places[side] = [self._take(chosen[n : n + 2], words) for n in pairs]
        found = Vectors(spans, places, self.rows)
        if x is not None:
            for (n, (a, b)), side in product(enumerate(spans), self.sides):
                self._fill(found.place(side, n), x[:, a:b], "x")
        return found

    def results(self, side):
        """Words for fp16 rows of a tile, which are results."""
        place = self._take(self.near[self._home(side)][2:4], self.rows)
        for bank, address in place:
            self.memory.expect(bank, address, self.rows)
        return place

    def pairs(self):
        """Two planes for two weights in step: of one hemisphere, or else of both, or one twice."""
        by_side = [[p for p in self.planes if p.side is side] for side in self.sides]
        found = [tuple(planes) for planes in by_side if len(planes) == 2]
        return found or [(self.planes[0], self.planes[-1])]

    def result(self, outputs, place):
        """The rows of such words, from the outputs of a run."""
        planes = [self.memory.result(outputs, *at, self.rows) for at in place]
        return from_vectors(planes, FP16)

    def tiles_of(self, outputs, places, shape):
        """A float16 result of a shape, of which `places` has the words by first and last column."""
        out = np.empty(shape, np.float16)
        for (first, last), place in places.items():
            out[:, first:last] = self.result(outputs, place)[:, : last - first]
        return out

    def vector_spans(self, vectors):
        """The spans of all copies of vectors, each of which is a tile."""
        return tuple(
            Span(n, 0, self.rows, vectors.place(side, n))
            for n in range(len(vectors.spans))
            for side in self.sides
        )

    def column_spans(self, places):
        """The spans of places by first and last column, or None if they are no whole vectors."""
        if any(first % self.lanes for first, _ in places):
            return None
        return tuple(
            Span(first // self.lanes, 0, self.rows, place) for (first, _), place in places.items()
        )

    def words(self, x, side=None, number=0, name=""):
        """The place of the rows of a matrix of one tile, float16 or float32.

        Those of float32 with another `number` are in other banks, if there are enough.
        """
        chosen, size = self.near[self._home(side or self.sides[0])], x.dtype.itemsize
        if size == 4:
            first = max(0, len(chosen) - 4 - (4 * number if len(chosen) == 12 else 0))
            chosen = chosen[first:]
        place = self._take(chosen[:size], len(x))
        self._fill(place, x, name)
        return place

    def _fill(self, place, x, name):
        for plane, (bank, address) in zip(to_vectors(x, self.lanes), place, strict=True):
            self.memory.fill(bank, address, plane[:, 0], name)

    def spread(self, vectors, name=""):
        """Places for the words of tiles, uint8 (bytes, tiles, words, lanes), in different banks.

        They are in banks of the ring, which are idle until the first weights load.
        """
        size, places = len(vectors), {}
        for tile in range(vectors.shape[1]):
            side = self.sides[tile % len(self.sides)]
            ring, turn = self.ring[side], self._spread[side]
            first = turn if turn + size <= len(ring) else 0
            self._spread[side] = first + size
            if size > len(ring):
                raise self._full()
            places[tile] = self._take(ring[first : first + size], vectors.shape[2])
            for plane, (bank, address) in zip(vectors[:, tile], places[tile], strict=True):
                self.memory.fill(bank, address, plane, name)
        return places

    def between(self, number):
        """The place of fp32 rows that one pipeline leaves to another."""
        side = self.sides[number % len(self.sides)]
        chosen = self.near[self._home(side)]
        first = max(0, len(chosen) - 4 * (1 + number // 2 % 2))
        return self._take(chosen[first : first + 4], self.rows)

    def weight_banks(self, side, words, names):
        """Store words of weights, uint8 (words, lanes), in the next banks of the ring in turn.

        `names` are those of the weights, word by word. Returns the bank and address of each word.
        """
        ring, turn = self.ring[side], self._next[side]
        self._next[side] = turn + len(words)
        turns, first = [ring[(turn + n) % len(ring)] for n in range(len(words))], {}
        for n, bank in enumerate(turns[: len(ring)]):
            mine = words[n :: len(ring)]
            ((_, first[bank]),) = self._take([bank], len(mine))
            self.memory.fill(bank, first[bank], mine)
            address = first[bank]
            for name, same in groupby(names[n :: len(ring)]):
                count = len(list(same))
                self.memory.note(name, "input", bank, address, count)
                address += count
        return [(bank, first[bank] + n // len(ring)) for n, bank in enumerate(turns)]

    # What is computed where

    def width(self, dtype):
        """Streams of an LW: as many as there are banks and streams for, but no more than help."""
        free = self.config.streams - 2 * (self.rows > 1)  # a held vector needs a cycle now and then
        most = min(LW_STREAMS, free // self.each, min(map(len, self.ring.values())) // self.each)
        words = self.lanes * dtype.bytes
        most -= most % dtype.bytes
        if not most:
            raise CapacityError(f"{self.what} needs more banks than config {self.config.name} has")
        even = -(-words // -(-words // most))
        return even + even % dtype.bytes

    def unit(self, columns, teams, dtype):
        """Of what the shares of so many columns should be multiples, so that they take least."""
        load = max(1, self.width(dtype) // dtype.bytes)

        def cycles(unit):
            whole, rest = divmod(-(-columns // (unit * teams)) * unit, self.lanes)
            tiles = [self.lanes] * whole + [rest] * bool(rest)
            return sum(max(self.rows, -(-tile // load)) for tile in tiles)

        return min(self.lanes, min(load * self.rows, self.lanes), key=cycles)

    def spans(self, columns):
        """The columns of each vector of rows of so many."""
        return [(n, min(n + self.lanes, columns)) for n in range(0, columns, self.lanes)]

    def tiles(self, columns, teams, unit):
        """Deal columns to teams of planes, each ``((weight, plane), ...)``, in equal shares.

        A share is a multiple of `unit` columns; it is cut into tiles. The first tiles of all teams
        come first.
        """
        share = -(-columns // (unit * len(teams))) * unit
        found = []
        for turn in range(0, share, self.lanes):
            for number, team in enumerate(teams):
                first, end = number * share + turn, min((number + 1) * share, columns)
                last = min(first + self.lanes, end)
                if first < last:
                    found.append((turn, Tile((first, last), tuple(team))))
        turns = dict.fromkeys(turn for turn, _ in found)
        return [[tile for other, tile in found if other == turn] for turn in turns]

    # The schedule

    def multiply(self, name, vectors, turns, weights, finish):
        """Place a product.

        Parameters
        ----------
        vectors : Vectors
        turns : list of list of Tile
            As :meth:`tiles` returns them.
        weights : dict
            Matrix and format by name.
        finish : callable
            ``finish(p, tile, sums)`` in a pipeline of the rows: `sums` are the values of the
            tile's weights. It stores them.
        """
        each = self._rows_of_turn(turns)
        most = self.config.acc_rows // each
        if not most:
            raise CapacityError(
                f"{self.what} needs {each} accumulator rows of each plane, and config "
                f"{self.config.name} has {self.config.acc_rows}"
            )
        for first in range(0, len(turns), most):
            group = turns[first : first + most]
            self._give_rows(group)
            there = [self._since(vectors, k) for k in range(len(vectors.spans))]
            order = sorted(range(len(there)), key=there.__getitem__)
            for k in order:
                step = Step(self, name, vectors, k, weights, k == order[0])
                self._step(step, group)
            for tile in (tile for turn in group for tile in turn):
                self._emit(f"{name}, columns {tile.span[0]} to {tile.span[1] - 1}", tile, finish)

    def _works(self, turn):
        """``(tile, index of its work, weight, plane)`` of a turn, by plane."""
        found = {}
        for tile in turn:
            for i, (weight, plane) in enumerate(tile.works):
                found.setdefault(plane, []).append((tile, i, weight))
        return found

    def _rows_of_turn(self, turns):
        return self.rows * max(len(w) for turn in turns for w in self._works(turn).values())

    def _give_rows(self, group):
        """Accumulator rows for all tiles, those after the ones that were given last."""
        each = self._rows_of_turn(group)
        if self._row + each * len(group) > self.config.acc_rows:
            self._row = 0
        for turn in group:
            for tile in turn:
                tile.rows = [None] * len(tile.works)
                tile.stands = [None] * len(tile.works)
            for works in self._works(turn).values():
                for n, (tile, i, _) in enumerate(works):
                    tile.rows[i] = self._row + n * self.rows
            self._row += each

    def _step(self, step, group):
        """A vector of each row, and all tiles of weights that it meets."""
        for turn in group:
            works = self._works(turn)
            for n in range(max(map(len, works.values()))):
                step.tile({plane: mine[n] for plane, mine in works.items() if n < len(mine)})
        step.load()
        earliest = max(self.start, self._since(step.vectors, step.k) - step.sampled)
        for plane, row, stands in step.rows:
            earliest = max(earliest, self._drained.get((plane, row), 0) - stands)
        start = self.schedule.place(step.operation, earliest)
        self.start = start + step.next
        for tile, i, stands in step.stands:
            tile.stands[i] = start + stands

    def _emit(self, name, tile, finish):
        """What becomes of the sums of a tile, as soon as they stand."""
        p, ready, times = narrowest(lambda interval: self._emitted(name, tile, finish, interval))
        start = self.place(p, ready)
        for (_, plane), row, stands in zip(tile.works, tile.rows, times, strict=True):
            for n in range(self.rows):
                self._drained[plane, row + n] = start + stands + n * p.interval + 1

    def formula(self, name, formula):
        """Place a pipeline of the rows that ``formula(p)`` describes."""

        def build(interval):
            p = Pipeline(self.config, name, self.rows, interval)
            p.alus = _rotated(self.config, self._turn)
            formula(p)
            return p

        p = narrowest(build)
        self._turn += len(p.operation.runs)
        self.place(p)

    def place(self, p, ready=0):
        """Place a pipeline of the rows from `ready` on, when what it reads is there."""
        span = (self.rows - 1) * p.interval
        for place, cycles in p.reads.items():
            if place in self._written:
                ready = max(ready, self._written[place] + 1 - min(cycles))
        start = self.schedule.place(p.finish(), ready)
        for place, cycles in p.writes.items():
            self._written[place] = max(self._written.get(place, 0), start + max(cycles) + span)
        return start

    def _since(self, vectors, k):
        """The cycle since which vector `k` can be read everywhere."""
        return max(self._written.get(vectors.place(side, k), -1) + 1 for side in self.sides)

    def _emitted(self, name, tile, finish, interval):
        """The pipeline of a tile: with it, the cycle it is ready, and when its sums leave."""
        p, values, ready, times = Pipeline(self.config, name, self.rows, interval), [], 0, []
        p.alus = _rotated(self.config, self._turn)
        for plane in self.planes:
            p.reserve(plane.side.inward, plane.side, plane.results.streams)
        # Weights that share a plane, or the banks of their scales, leave one after the other.
        apart = len(self.near[self._home(tile.works[0][1].side)]) < 12
        apart |= len({plane for _, plane in tile.works}) < len(tile.works)
        for i, (_, plane) in enumerate(tile.works):
            acc = Acc(
                row=tile.rows[i],
                mode=AccMode.KEEP,
                emit=True,
                target=plane.results,
                count=tile.span[1] - tile.span[0],
            )
            stands = i * max(2, self.rows * interval) if apart else 0
            times.append(stands)
            driven = p.operation.accumulate(plane.name, acc, stands, self.vxm, self.rows, interval)
            ready = max(ready, tile.stands[i] + 1 - stands)
            arrive = driven + abs(self.stops[plane.side] - self.vxm)
            values.append(p.arriving(plane.results, arrive))
        finish(p, tile, values)
        self._turn += len(p.operation.runs)
        return p, ready, times


def _rotated(config, turn):
    """The ALUs in an order that begins elsewhere each time; the special ones are the last."""
    plain = list(range(config.special_alus, config.alus))
    first = turn % max(1, len(plain))
    return plain[first:] + plain[:first] + list(range(config.special_alus))


def pays(config, rows, dtypes):
    """Whether so few rows are faster this way than by :class:`~tsp.sim.kernels.layers.Layers`.

    There a tile takes a cycle per row, or as many as weights need on the few streams that all
    planes of a hemisphere share; here rows do not flow quite without gaps.
    """
    words = config.vector * max(dtype.bytes for dtype in dtypes)
    planes = max(config.planes_west, config.planes_east)
    return 2 * rows <= -(-words // weight_streams(config)) * planes and rows <= config.acc_rows
