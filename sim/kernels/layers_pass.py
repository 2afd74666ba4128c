"""A pass of a product, and how the sums of its planes leave: at a time, or one after the other."""

from contextlib import suppress

from tsp.hw.errors import NO_PLAN
from tsp.hw.isa.timing import array_latency
from tsp.sim.kernels.common import cut
from tsp.sim.kernels.pipeline import narrowest


class Pass:
    """A pass of a product: a chunk of rows past a tile of weights per plane."""

    def __init__(self, layers, made, rows, pieces, chunk, step, finish):
        self.layers, self.made, self.rows, self.pieces = layers, made, rows, pieces
        self.chunk, self.step, self.finish = chunk, step, finish
        self.title = f"{made.name}, rows {chunk[0]} to {chunk[1] - 1}"
        self.spans = {plane: piece.rows(*chunk) for plane, piece in pieces.items()}
        first, last = next(iter(self.spans.values()))
        self.count = last - first

    def load(self):
        """Load the weights; says when they can be installed."""
        ready = 0
        for plane, piece in self.pieces.items():
            key = piece.weight, piece.tile, self.made.tile(plane.side, self.step)
            tile = self.layers.tiles_of[plane.side, key]
            ready = max(ready, self.layers.load(plane, tile, f"{self.title}, k tile {key[2]}"))
        return ready

    def build(self, interval, leaving):
        """The pipeline of the pass, in which the sums of some planes leave."""
        layers, made, sources, sums = self.layers, self.made, {}, []
        p = layers.pipeline(self.title, self.count, interval)
        for plane, (start, _) in self.spans.items():
            tile = made.tile(plane.side, self.step)
            if plane.side not in sources:
                place = self.rows[plane.side, self.chunk[0], tile]
                sources[plane.side] = layers.stream(p, plane.side, place, start - self.chunk[0])
            lanes = min(layers.lanes, made.k - tile * layers.lanes)
            steps = self.step, made.steps, layers.lanes
            source, leaves = sources[plane.side], plane in leaving
            time = layers.multiply(p, plane, source, 0, lanes, *steps, leaves)
            if plane in leaving:
                sums.append((self.pieces[plane], p.arriving(plane.results, time)))
        if leaving:
            self.finish(p, self.chunk, sums)
        return p

    def groups(self, together):
        """Pipelines of the last pass and of what drains the planes afterwards.

        As few as there are ALUs for at one row per cycle; if there are too few even for the least
        that can leave at a time, one for all, at a longer interval.
        """
        planes = list(self.pieces)
        every = range(len(planes) // together)
        for count in range(1, len(every) + 1):
            parts = [planes[r.start * together : r.stop * together] for r in cut(every, count)]
            with suppress(*NO_PLAN):
                return [self.build(1, parts[0]), *map(self._rest, parts[1:])]
        return [narrowest(lambda interval: self.build(interval, planes))]

    def _rest(self, planes):
        """A pipeline in which planes emit what they have accumulated."""
        p = self.layers.pipeline(f"{self.title}, the rest", self.count, 1)
        sums = []
        for plane in planes:
            time = self.layers.emit(p, plane, 0, self.layers.lanes)
            sums.append((self.pieces[plane], p.arriving(plane.results, time)))
        self.finish(p, self.chunk, sums)
        return p

    def drain(self, p):
        """Place a pipeline that drains planes; says when their first sums have left."""
        layers = self.layers
        ready = layers.start + array_latency(layers.config) + self.count
        before = layers.start
        layers.place(p, [], ready)
        drained, layers.start = layers.start, before  # from then on the next weights are loaded
        return drained
