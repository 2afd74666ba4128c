"""Products of rows and weights one after the other in one program, each kept for the next.

Rows lie in memory once: a word that is read in one hemisphere flows past the VXM to the planes of
the other as well. A bank has one port, so that the hemispheres take the tiles of k in different
order. What is needed at different times shares banks: the passes are numbered before anything is
laid out, and everything says in which of them it is read or written.
"""

from contextlib import suppress
from dataclasses import dataclass
from itertools import product

import numpy as np

from tsp.hw.errors import NO_PLAN
from tsp.hw.floorplan import Hemisphere
from tsp.hw.isa.timing import array_latency
from tsp.sim.kernels.common import chunks, from_vectors, to_vectors
from tsp.sim.kernels.layers_pass import Pass
from tsp.sim.kernels.passes import Passes, WeightTile, weight_streams
from tsp.sim.kernels.pipeline import Pipeline
from tsp.sim.kernels.pool import Pool
from tsp.sim.kernels.products import Piece, Product
from tsp.sim.kernels.rows import FP16, FP32, clamped
from tsp.sim.layout import Span


@dataclass(frozen=True)
class Fit:
    """How banks are used: the fewer they are, the less can be done at a time.

    Members
    -------
    planes : int
        Planes of each hemisphere that are used at most.
    scales_first : bool
        Whether banks are found for scales before all rows, or after them.
    together : int
        Tiles that a norm makes at a time.
    slack : int
        See :class:`~tsp.sim.kernels.products.Product`; with 0, passes may wait for each other.
    order : str
        See :class:`~tsp.sim.kernels.pool.Pool`.
    """

    planes: int = 2
    scales_first: bool = False
    together: int = 2
    slack: int = 1
    order: str = "first"


class Layers(Passes):
    """Passes with banks for rows, weights, and what columns are given.

    Parameters
    ----------
    config : Config
    what : str
        What is computed, for messages.
    rows : int
        Rows of everything; they are cut into chunks that fit the accumulators.
    fit : Fit, optional
        How banks are used.
    saturate : bool
        Whether what is beyond fp16 becomes its largest number, and no infinity.
    """

    def __init__(self, config, what, rows, fit=None, saturate=False):
        super().__init__(config)
        fit = fit or Fit()
        self.saturate = saturate
        self.planes = [plane for plane in self.planes if plane.number < fit.planes]
        self.fit = fit
        self.pool, self.rows = Pool(config, what, fit.order), rows
        self.chunks = [(c.start, c.stop) for c in chunks(range(rows), config.acc_rows)]
        self.given, self.tiles_of = {}, {}
        self.numbered = 0  # passes so far
        self._drained = 0  # cycle in which row 0 of a product left its accumulator last

    def tiles(self, columns):
        """Vectors in a row of so many columns."""
        return -(-columns // self.lanes)

    # Passes, before anything is laid out

    def numbered_product(self, name, k, rounds):
        """Number the passes of a product of rows of `k` columns; rounds are pieces by plane."""
        steps, start = self.tiles(k), self.numbered + 1
        found = Product(
            name, k, steps, self.chunks, list(rounds), start, self.sides, self.fit.slack
        )
        self.numbered += found.passes + 1
        return found

    def rounds(self, weight, columns, halves=False):
        """All tiles of columns of a weight, one per plane at a time.

        With `halves`, if the last of them fill no more than the planes of a hemisphere, the
        hemispheres compute half of the rows each.
        """
        count, tiles = len(self.planes), range(self.tiles(columns))
        for first in tiles[::count]:
            some = tiles[first : first + count]
            by_side = [[p for p in self.planes if p.side is side] for side in self.sides]
            enough = min(last - first for first, last in self.chunks) > 1
            if halves and enough and len(by_side) == 2 and len(some) <= min(map(len, by_side)):
                yield {
                    planes[i]: Piece(weight, tile, half)
                    for half, planes in enumerate(by_side)
                    for i, tile in enumerate(some)
                }
            else:
                yield {
                    plane: Piece(weight, tile)
                    for plane, tile in zip(self.planes, some, strict=False)
                }

    # Memory

    def either(self, turn=0):
        """Hemispheres for what may lie in either: in turn, or first the one without planes."""
        if len(self.sides) == 1:
            return sorted(Hemisphere, key=self.sides.count)
        return list(Hemisphere)[:: -1 if turn % 2 else 1]

    def row_places(self, reader, made=lambda chunk, tile: set()):
        """Places for fp16 rows that a product reads, by (hemisphere of the planes, row, tile).

        ``made(chunk, tile)`` are passes in which they are used beside. A single tile is kept in
        each hemisphere, since both read it at a time.
        """
        places, apart = {}, len(self.sides) > 1 and reader.steps == 1
        for tile, (chunk, (first, last)) in product(range(reader.steps), enumerate(self.chunks)):
            groups = [[side] for side in self.sides] if apart else [self.sides]
            for sides in groups:
                uses = reader.reading(chunk, tile, sides) | made(chunk, tile)
                where = sides if apart else self.either(tile)
                place = self.pool.share(2, last - first, uses, where)
                places |= {(side, first, tile): place for side in sides}
        return places

    def fill(self, places, x):
        """Put the rows of `x`, float16, into the image."""
        vectors, ends = to_vectors(x, self.lanes), dict(self.chunks)
        for (_, first, tile), place in places.items():
            self.pool.fill(place, vectors[:, first : ends[first], tile], "x")

    def result_places(self, maker):
        """Places for fp16 rows that a product makes: ``(place, last row)`` by (first row, tile)."""
        places = {}
        for pieces, (chunk, (first, last)) in product(maker.rounds, enumerate(self.chunks)):
            for plane, piece in pieces.items():
                a, b = piece.rows(first, last)
                uses = maker.finishing(piece.weight, piece.tile, chunk)
                sides = self.either(list(Hemisphere).index(plane.side))
                places[a, piece.tile] = self.pool.share(2, b - a, uses, sides), b
        return places

    def give(self, name, array, maker, weight):
        """Store a number per column, a word for every tile of columns of a weight.

        The numbers are float32 and are given to the product `maker`, under the name `name`.
        """
        if array is None:
            return
        padded = np.zeros((1, self.tiles(len(array)) * self.lanes), np.float32)
        padded[0, : len(array)] = array
        vectors = to_vectors(padded, self.lanes)
        for pieces in maker.rounds:
            for plane, piece in pieces.items():
                if piece.weight != weight:
                    continue
                uses = maker.finishing(weight, piece.tile)
                place = self.wide(1, uses, list(Hemisphere).index(plane.side))
                self.pool.fill(place, vectors[:, :, piece.tile], name)
                self.given[name, piece.tile, piece.half] = place

    def wide(self, words, uses, turn):
        """The place of fp32 words, in the hemisphere whose turn it is if that has room.

        Four streams at a time are many: each hemisphere should have to carry as much.
        """
        first, other = self.either(turn)
        with suppress(*NO_PLAN):
            return self.pool.share(4, words, uses, [first])
        return self.pool.share(4, words, uses, [other])

    def deal_weights(self, products, weights):
        """Deal the tiles of all weights over the banks that are left, near their planes.

        A group of banks serves an LW. Groups are as wide as can be, but for the last ones, if the
        banks are needed; those serve tiles for which there is time, but never the first.

        Parameters
        ----------
        products : list of Product
        weights : dict
            Matrix and format by name.
        """
        for side in self.sides:
            needed = {
                (piece.weight, piece.tile, made.tile(side, step)): None
                for made in products
                for pieces in made.rounds
                for step in range(made.steps)
                for plane, piece in pieces.items()
                if plane.side is side
            }
            keys, first, groups = list(needed), len(self.planes), []
            for key in keys[:first] + keys[first:][::-1]:
                w, dtype = weights[key[0]]
                self.tiles_of[side, key] = self._weight_tile(side, w, dtype, groups, *key)

    def _weight_tile(self, side, w, dtype, groups, name, tile, step):
        """One tile of weights, in the last group of banks that has room or a new one."""
        size, memory = self.lanes, self.pool.memory
        part = w[step * size : (step + 1) * size, tile * size : (tile + 1) * size]
        bytes_in_all = size * dtype.bytes

        def take(dtype):
            for group in groups:
                words, rest = divmod(bytes_in_all, len(group))
                fits = not rest and len(group) % dtype.bytes == 0
                if fits and all(memory.room(bank) >= words for bank in group):
                    return memory.take(group, words)
            free = len(self.pool.free[side])
            widest = min(weight_streams(self.config), max(free, dtype.bytes))
            width = next(
                n for n in range(widest, 0, -1) if bytes_in_all % n == 0 and n % dtype.bytes == 0
            )
            groups.append(self.pool.take(side, width))
            return self.pool.rows(groups[-1], bytes_in_all // width)

        return WeightTile.of(memory, take, part.T, dtype, name)

    def expect(self, places):
        """Note that rows are a result."""
        for (first, _), (place, last) in places.items():
            for bank, address in place:
                self.pool.memory.expect(bank, address, last - first)

    def result(self, outputs, places, columns):
        """The rows of a result, from the outputs of a run."""
        out = np.empty((self.rows, columns), np.float16)
        for (first, tile), (place, last) in places.items():
            planes = [self.pool.memory.result(outputs, *at, last - first) for at in place]
            part = out[first:last, tile * self.lanes :][:, : self.lanes]
            part[:] = from_vectors(planes, FP16)[:, : part.shape[1]]
        return out

    def spans_of(self, places):
        """The spans of rows that products read, by (hemisphere, row, tile), every place once."""
        ends = dict(self.chunks)
        spans = (Span(tile, first, ends[first], p) for (_, first, tile), p in places.items())
        return tuple(dict.fromkeys(spans))

    def made_spans(self, places):
        """The spans of rows that a product makes: ``(place, last row)`` by (first row, tile)."""
        return tuple(
            Span(tile, first, last, place) for (first, tile), (place, last) in places.items()
        )

    # Schedule

    def pipeline(self, name, rows, interval):
        """A pipeline that leaves alone what passes take, rows that come from afar included."""
        pipeline = Pipeline(self.config, name, rows, interval)
        for side in self.sides:
            source, other = self.row_streams(side), next(s for s in Hemisphere if s is not side)
            pipeline.reserve(side.outward, side, range(weight_streams(self.config)))
            pipeline.reserve(side.outward, side, source.streams)
            pipeline.reserve(side.outward, other, source.streams)
        for plane in self.planes:
            pipeline.reserve(plane.side.inward, plane.side, plane.results.streams)
        return pipeline

    def multiply_rows(self, made, rows, finish, together=1):
        """Place all passes of a product.

        Sums leave their planes with the last pass, all planes at a time if there are ALUs for it;
        if not, some of the planes send theirs afterwards, one row per cycle.

        Parameters
        ----------
        made : Product
        rows : dict
            Places of the rows, as :meth:`row_places` returns them.
        finish : callable
            ``finish(p, (first, last), sums)`` in a pipeline whose rows are complete, for a chunk
            of rows: `sums` is ``(piece, value)`` of planes that are busy. It stores them.
        together : int
            How many pieces of a round, one after the other, `finish` needs at a time.
        """
        for pieces, chunk, step in product(made.rounds, self.chunks, range(made.steps)):
            work = Pass(self, made, rows, pieces, chunk, step, finish)
            ready = work.load()
            if step == 0:
                ready = max(ready, self._drained + 1 - array_latency(self.config))
            if step < made.steps - 1:
                self.place(work.build(1, []), [], ready)
                continue
            first, *others = work.groups(together)
            self.place(first, [], ready)
            for later in others:
                self._drained = work.drain(later)

    def scaled(self, p, value, name, piece, instead=None):
        """A value times what its column is given under a name, or times a number instead."""
        place = self.given.get((name, piece.tile, piece.half))
        if place is not None:
            return p.op("mulf", value, p.load(place, same=True))
        return value if instead is None else p.op("mulf", value, instead)

    def offset(self, p, value, name, piece):
        """A value plus what its column is given under a name, if that is anything."""
        place = self.given.get((name, piece.tile, piece.half))
        return value if place is None else p.op("addf", value, p.load(place, same=True))

    def keep(self, p, value, *places, **limits):
        """Store fp32 rows as fp16, once in each place; `limits` as of :func:`clamped`."""
        value = clamped(p, value, self.saturate, **limits)
        for place in dict.fromkeys(places):
            p.store(p.convert(value, FP32, FP16), place)


def roomiest(make, normed=False):
    """What ``make(fit)`` returns for the first of several ways to use the banks that suffices."""
    refused, sizes = None, (2, 1) if normed else (2,)
    for way in product((2, 1), sizes, (False, True), (1, 0), ("first", "emptiest")):
        planes, together, scales_first, slack, order = way
        try:
            return make(Fit(planes, scales_first, together, slack, order))
        except NO_PLAN as error:
            refused = error
    raise refused
