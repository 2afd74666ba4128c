"""Products of rows and weights one after the other in one program, each kept for the next.

What a product reads as rows lies in both hemispheres, so that the planes of both can stream them.
"""

from itertools import product

import numpy as np

from tsp.sim.kernels.common import chunks, from_vectors, to_vectors
from tsp.sim.kernels.passes import STREAMS, Passes, WeightTile
from tsp.sim.kernels.pipeline import narrowest
from tsp.sim.kernels.pool import Pool
from tsp.sim.kernels.rows import FP16, FP32


class Layers(Passes):
    """Passes with banks for rows, weights, and what columns are given.

    Parameters
    ----------
    config : Config
    what : str
        What is computed, for messages.
    rows : int
        Rows of everything; they are cut into chunks that fit the accumulators.
    """

    def __init__(self, config, what, rows):
        super().__init__(config)
        self.pool, self.rows = Pool(config, what), rows
        self.chunks = [(c.start, c.stop) for c in chunks(range(rows), config.acc_rows)]
        self.given, self._given_banks = {}, {}

    def tiles(self, columns):
        """Vectors in a row of so many columns."""
        return -(-columns // self.lanes)

    # Memory

    def empty(self, columns, sides, together=1):
        """Places for rows of fp16 in each of some hemispheres, by (hemisphere, first row, tile).

        So many consecutive tiles can be written `together`: their banks differ.
        """
        places, groups = {}, {}
        for tile, (first, last), side in product(range(self.tiles(columns)), self.chunks, sides):
            key = side, tile % together
            if key not in groups:
                groups[key] = [self.pool.take(side, 2)]
            places[side, first, tile] = self.pool.rows_in(groups[key], side, last - first)
        return places

    def beside(self, columns):
        """Places for rows of fp16, each tile in the hemisphere and in banks of its plane."""
        places, groups = {}, {p: [self.pool.take(p.side, 2)] for p in self.planes}
        for tile, (first, last) in product(range(self.tiles(columns)), self.chunks):
            plane = self.plane(tile)
            place = self.pool.rows_in(groups[plane], plane.side, last - first)
            places[plane.side, first, tile] = place
        return places

    def filled(self, x, together=1):
        """Places for the rows of `x`, float16, in every hemisphere that has planes."""
        vectors = to_vectors(x, self.lanes)
        places = self.empty(x.shape[1], self.sides, together)
        ends = dict(self.chunks)
        for (_, first, tile), place in places.items():
            self.pool.fill(place, vectors[:, first : ends[first], tile])
        return places

    def weights(self, w, dtype, plane_of, share=1.0):
        """Tiles of `w` (k, columns) by (tile of columns, k tile), near the planes that use them.

        `share` is the part of the free banks that they may take.
        """
        size, found = self.lanes, {}
        numbers, steps = range(self.tiles(w.shape[1])), range(self.tiles(w.shape[0]))
        by_side = {s: [n for n in numbers if plane_of(n).side is s] for s in self.sides}
        for side, mine in by_side.items():
            if not mine:
                continue
            words = size * dtype.bytes * len(steps) * len(mine)
            free = int(len(self.pool.free[side]) * share)
            banks = [self.pool.take(side, self._width(words, dtype, free))]

            def take(dtype, side=side, banks=banks):
                return self.pool.rows_in(banks, side, size * dtype.bytes // len(banks[-1]))

            for number, step in product(mine, steps):
                part = w[step * size : (step + 1) * size, number * size : (number + 1) * size]
                found[number, step] = WeightTile.of(self.pool.memory, take, part.T, dtype)
        return found

    def _width(self, words, dtype, free):
        """Banks over which the columns of a tile are dealt: the more, the faster it loads.

        As few as hold all words at a time, so that more of them can be taken when they are full.
        """
        width = dtype.bytes
        while 2 * width <= STREAMS and self.lanes * dtype.bytes % (2 * width) == 0:
            if 2 * width * -(-words // (2 * width * self.config.bank_words)) > free:
                break
            width *= 2
        return width

    def give(self, name, array, plane_of):
        """Store a number per column, a word for every tile of columns, near the tile's plane."""
        if array is None:
            return
        padded = np.zeros((1, self.tiles(len(array)) * self.lanes), array.dtype)
        padded[0, : len(array)] = array
        vectors, groups = to_vectors(padded, self.lanes), self._given_banks
        for number in range(self.tiles(len(array))):
            plane = plane_of(number)
            key = plane, array.dtype.itemsize
            if key not in groups:
                groups[key] = [self.pool.take(plane.side, array.dtype.itemsize)]
            place = self.pool.rows_in(groups[key], plane.side, 1)
            self.pool.fill(place, vectors[:, :, number])
            self.given[name, number] = place

    def expect(self, places):
        """Note that rows are a result."""
        ends = dict(self.chunks)
        for (_, first, _), place in places.items():
            for bank, address in place:
                self.pool.memory.expect(bank, address, ends[first] - first)

    def result(self, outputs, places, columns):
        """The rows of a result, from the outputs of a run."""
        out, ends = np.empty((self.rows, columns), np.float16), dict(self.chunks)
        for (_, first, tile), place in places.items():
            last = ends[first]
            planes = [self.pool.memory.result(outputs, *at, last - first) for at in place]
            part = out[first:last, tile * self.lanes :][:, : self.lanes]
            part[:] = from_vectors(planes, FP16)[:, : part.shape[1]]
        return out

    # Schedule

    def multiply_rows(self, name, rows, k, rounds, finish):
        """Place a product: for every chunk of rows, and every round, a pass per tile of k.

        Parameters
        ----------
        rows : dict
            Places of the rows, as :meth:`filled` returns them.
        k : int
            Columns of the rows.
        rounds : list of dict
            The planes that are busy at a time: by plane, ``(weights, tile of columns)``.
        finish : callable
            From a pipeline, the first row of the chunk, and the cycles in which sums are at the
            VXM by plane, to nothing: it stores what it makes of them.
        """
        steps = self.tiles(k)
        for (first, last), busy, step in product(self.chunks, rounds, range(steps)):
            title = f"{name}, rows {first} to {last - 1}, k tile {step}"
            ready = max(self.load(p, weights[n, step], title) for p, (weights, n) in busy.items())
            count = min(self.lanes, k - step * self.lanes)

            def build(interval, first=first, last=last, busy=busy, step=step, count=count):
                p = self.pipeline(f"{name}, rows {first} to {last - 1}", last - first, interval)
                sources = {
                    side: self.stream(p, side, rows[side, first, step])
                    for side in sorted({plane.side for plane in busy}, key=lambda s: s.value)
                }
                times = {
                    plane: self.multiply(
                        p, plane, sources[plane.side], 0, count, step, steps, self.lanes
                    )
                    for plane in busy
                }
                if step == steps - 1:
                    finish(p, first, times)
                return p, []

            self.place(*narrowest(build), ready=ready)

    def scaled(self, p, plane, time, name, number):
        """The sums of a plane at the VXM, times the scale of that name, if there is one."""
        value = p.arriving(plane.results, time)
        if (name, number) in self.given:
            value = p.op("mulf", value, p.load(self.given[name, number], same=True))
        return value

    def keep(self, p, value, first, tile, places):
        """Store fp32 rows as fp16 in every hemisphere that `places` has."""
        for (_, start, number), place in places.items():
            if (start, number) == (first, tile):
                p.store(p.convert(value, FP32, FP16), place)
