"""The plan of an attention layer: which pass follows which, and what the VXM does to its rows.

Keys, transposed values, queries, then for every head and piece of rows the scores, and a piece
later the values; at last the projection of what all heads found. Scores of one piece are computed
while the softmax of the one before is under way, so that the planes wait for nobody.
"""

from itertools import zip_longest

import numpy as np

from tsp.hw.floorplan import Hemisphere
from tsp.hw.isa import DType
from tsp.sim.kernels.common import from_vectors, to_vectors
from tsp.sim.kernels.rows import clamped
from tsp.sim.kernels.stage.norm import normalise
from tsp.sim.kernels.stage.operands import LayerOperands
from tsp.sim.kernels.stage.products import Rows, keep_emitted, pieces, product, rounds
from tsp.sim.kernels.stage.softmax import Softmax
from tsp.sim.kernels.stage.sweep import Part

WEST, EAST = Hemisphere.W, Hemisphere.E
FP16, FP32 = DType.FP16, DType.FP32


class LayerPlan(LayerOperands):
    """An attention layer on its way into a schedule.

    Parameters
    ----------
    config : Config
    layer : Layer
    tiles : Tiles
    group : int
        Tiles of keys whose probabilities are computed at a time.
    width : int
        Banks over which a tile of weights is dealt at most: 2, 4 or 8.
    streamed : bool
        Whether scores become probabilities on their way, where all keys fit in one round.
    late : bool
        Whether values are projected after the first scores, whose softmax they hide.
    least : int
        Pieces into which rows are cut at least: short passes need fewer banks at a time.
    short : int
        Rows of a pass of the VXM alone at most: short passes find banks that are idle.
    """

    def __init__(self, config, layer, tiles, *, group, width, streamed, late, least, short):
        super().__init__(config, layer, tiles, width)
        self.group, self.streamed, self.late = group, streamed, late
        self.least, self.short = least, short
        alone = layer.heads * len(pieces(self.rows, config)) == 1
        self.pieces = pieces(self.rows, config, max(least, 2 if alone else 1))

    # Schedule

    def run(self):
        """Place everything."""
        layer = self.layer
        if layer.norm != "none":
            normalise(self)
        self._project_keys()
        if not self.late:
            self._project_values()
        self.queries = self.matrix("queries", self.q.tiles)
        self._project("q", self.q, self.pieces, self.queries, 0)
        self.attended = self.matrix("attended", layer.heads * self.out.tiles)
        works = [(head, piece) for head in range(layer.heads) for piece in self.pieces]
        softmaxes = [Softmax(self, *work, number % 2) for number, work in enumerate(works)]
        ahead = min(2 if self.late else 1, len(works))
        for softmax in softmaxes[:ahead]:
            softmax.scores()
        if self.late:
            self._project_values()
            for softmax in softmaxes[:ahead]:
                softmax.powers()
        for now, then in zip_longest(softmaxes, softmaxes[ahead:]):
            if then and not self.late:
                then.scores()
            now.powers()
            self._attend(now)
            if then and self.late:  # which may use the places of the one before
                then.scores()
        self._project_out()

    def _count(self, step):
        """Lanes of a tile of the width that count."""
        return min(self.lanes, self.width - step * self.lanes)

    def product(self, name, rows, works, weights, finish, **options):
        options = {"count": self._count, "columns": lambda n: self.lanes, **options}
        ks = options.pop("ks", range(self.width_tiles))
        product(self.stage, name, rows, list(ks), works, weights, finish, **options)

    def _project_keys(self):
        layer, first = self.layer, self.layer.cached
        self.key_rows = Rows(self.tiles, "keys", self.lanes)
        if first:
            cache = self.k.spread(layer.keys.reshape(first, -1))
            padded = np.zeros((self.keys, cache.shape[1]), np.float16)
            padded[:first] = cache
            self.filled(self.key_rows, padded)
        cut = pieces(self.rows, self.stage.config, self.least)
        self._project("k", self.k, cut, self.key_rows, first, multiple=self.lanes)

    def _project(self, name, heads, cut, target, first, multiple=1):
        """Project the rows onto the columns of heads, turned if they are to be.

        `first` is the row of `target` that the first row becomes.
        """
        planes = None
        if self.layer.rope and self.layer.scales.get(name) is not None and not heads.paired:
            # Sums, scales and lanes in another order of two planes take more streams than there
            # are beside the angles.
            planes = [next(p for p in self.stage.planes if p.side is s) for s in self.stage.sides]
        for piece in cut:
            for works in rounds(
                self.stage, heads.groups(), piece, multiple=multiple, planes=planes
            ):
                scaled = (name, works[0].n, works[0].plane.side) in self.scales
                direct = not (scaled or self.layer.rope or first or target.copies == 2)
                # Queries are scaled for the scores, and planes do not saturate.
                direct = direct and name != "q" and not self.layer.saturate

                def finish(p, times, direct=direct):
                    for group in self._grouped(times, heads):
                        self._finish_heads(p, name, heads, group, times, target, first, direct)

                self.product(
                    f"{name}, rows {piece.start} on",
                    self.wide,
                    works,
                    self.weights[name],
                    finish,
                    emitted=FP16 if direct else FP32,
                )

    @staticmethod
    def _grouped(times, heads):
        works = list(times)
        size = 2 if heads.paired else 1
        return [works[i : i + size] for i in range(0, len(works), size)]

    def _finish_heads(self, p, name, heads, group, times, target, first, direct):
        first_row = next(iter(times)).first
        if direct:
            for work in group:
                parts = self._written(target, work, first, work.plane.side)
                keep_emitted(self.stage, p, work, times[work], parts)
            return
        values = [self.scaled(p, work, times[work], name) for work in group]
        if self.layer.rope:
            values = self._turned(p, name, heads, group, values, group[0].first != first_row)
        values = [clamped(p, value, self.layer.saturate) for value in values]
        for work, value in zip(group, values, strict=True):
            for copy, side in self._copies(target, work.plane.side):
                narrow = p.convert(value, FP32, FP16)
                p.keep(narrow, self._written(target, work, first, side, copy))

    def _written(self, target, work, first, side, copy=0):
        """The parts of `target` to which a work's rows go, of a segment of its own if new."""
        a, b = work.first + first, work.last + first
        if not first:
            return [Part(target.segment(work.n, a, b, side, copy), 0, 0, b - a)]
        return target.parts(work.n, a, b, copy)

    def scaled(self, p, work, time, name):
        """What a plane emits, times the scale of its columns, if there is one."""
        value = p.arriving(self.stage.results(work.plane), time)
        tile = self.scales.get((name, work.n, work.plane.side))
        if tile is not None:
            return p.op("mulf", value, p.word(tile))
        if name == "q" and not self.layer.rope:
            return p.op("mulf", value, float(self.layer.scale))
        return value

    def _turned(self, p, name, heads, group, values, copy):
        """Values turned by the angles of their rows: of one tile, or of two tiles of a pair.

        If hemispheres have different rows, the second takes the `copy` of the angles.
        """
        work, side = group[0], group[0].plane.side
        t = work.n % heads.tiles
        if not heads.paired:
            t = 0

        def table(kind):
            tile = self.turns[name, kind, t, int(copy)]
            return p.shared_rows(Part(tile, work.first, 0, work.last - work.first))

        if not heads.paired:
            (value,) = values
            if value.node is None:
                value = p.op("mov", value)
            other = p.permuted(side, value, self.turns["partners", work.plane])
            return [
                p.op(
                    "addf",
                    p.op("mulf", value, table("c")),
                    p.op("mulf", other, table("s")),
                )
            ]
        a, b = values
        cosine, sine = table("c"), table("s")
        return [
            p.op("subf", p.op("mulf", a, cosine), p.op("mulf", b, sine)),
            p.op("addf", p.op("mulf", b, cosine), p.op("mulf", a, sine)),
        ]

    def _project_values(self):
        """Values transposed: rows of the weights past the tokens, so that they can be loaded."""
        layer, size = self.layer, self.v.count * self.v.padded
        self.value_tiles = Rows(self.tiles, "values", self.lanes)
        old = None
        if layer.cached:
            cache = self.v.spread(layer.values.reshape(layer.cached, -1)).T
            whole = layer.cached // self.lanes * self.lanes
            self.filled(self.value_tiles, np.ascontiguousarray(cache[:, :whole]))
            if self.slot:
                old = Rows(self.tiles, "old values", self.lanes)
                self.filled(old, np.ascontiguousarray(cache[:, whole:]))
        acc_rows = self.stage.config.acc_rows
        longest = min(acc_rows, -(-size // self.least))
        longest = longest // self.lanes * self.lanes or longest
        new = range(layer.cached // self.lanes, self.key_tiles)
        for first in range(0, size, longest):
            piece = range(first, min(first + longest, size))
            groups = [(n,) for n in new]
            for works in rounds(self.stage, groups, piece, old is None, self.lanes):
                direct = self.value_scale is None and old is None and not layer.saturate

                def finish(p, times, direct=direct):
                    for work, time in times.items():
                        self._finish_values(p, work, time, old, direct)

                self.product(
                    f"v, rows {piece.start} on",
                    self.value_rows,
                    works,
                    lambda n, k: self.wide.weights(k, (n - new.start) * self.lanes - self.slot),
                    finish,
                    columns=lambda n: min(self.lanes, self.keys - n * self.lanes),
                    emitted=FP16 if direct else FP32,
                )

    def _finish_values(self, p, work, time, old, direct):
        side = work.plane.side
        tile = self.value_tiles.segment(work.n, work.first, work.last, side)
        parts = [Part(tile, 0, 0, work.last - work.first)]
        if direct:
            keep_emitted(self.stage, p, work, time, parts)
            return
        value = p.arriving(self.stage.results(work.plane), time)
        if self.value_scale is not None:
            scale = self.value_scale[self.stage.sides.index(side)]
            part = Part(scale, work.first, 0, work.last - work.first)
            value = p.op("mulf", value, p.shared_rows(part))
        value = p.convert(clamped(p, value, self.layer.saturate), FP32, FP16)
        if old is not None:
            value = p.op("or", value, p.rows_of(old.parts(0, work.first, work.last)))
        p.keep(value, parts)

    def _value_rounds(self, piece):
        return rounds(self.stage, [(n,) for n in range(self.v.tiles)], piece)

    def values_share(self, piece):
        """Whether the hemispheres share the rows of a piece when they multiply by values."""
        return any(len({w.first for w in works}) > 1 for works in self._value_rounds(piece))

    def _attend(self, softmax):
        """Place the products of probabilities and values, and divide by the sums."""
        head, piece, tiles = softmax.head, softmax.piece, softmax.seen
        shared = head * self.layer.kv_heads // self.layer.heads
        base, lanes = shared * self.v.padded, self.lanes
        for works in self._value_rounds(piece):

            def finish(p, times):
                inverse = {}
                for work, time in times.items():
                    side = work.plane.side
                    if work.first not in inverse:
                        first, *rest = softmax.sums(side, work.first, work.last)
                        total = p.rows_of(first)
                        for parts in rest:
                            total = p.op("addf", total, p.rows_of(parts))
                        inverse[work.first] = p.op("recip", total)
                    value = p.arriving(self.stage.results(work.plane), time)
                    value = p.op("mulf", value, inverse[work.first])
                    value = clamped(p, value, self.layer.saturate)
                    n = head * self.out.tiles + work.n
                    for copy, where in self._copies(self.attended, side):
                        tile = self.attended.segment(n, work.first, work.last, where, copy)
                        narrow = p.convert(value, FP32, FP16)
                        p.keep(narrow, [Part(tile, 0, 0, work.last - work.first)])

            self.product(
                f"values of head {head}, rows {piece.start} on",
                softmax.probabilities,
                works,
                lambda n, k: self.value_tiles.weights(tiles[k], base + n * lanes),
                finish,
                ks=tiles,
                count=lambda k: lanes,
                emitted=FP32,
            )

    def _copies(self, rows, side):
        return [(0, side)] if rows.copies == 1 else [(0, WEST), (1, EAST)]

    def _project_out(self):
        layer = self.layer
        self.output = Rows(self.tiles, "output", self.lanes)
        if layer.residual:
            names = [f"x of {side.value}" for side in self.stage.sides]
            self.rest = [Rows(self.tiles, name, self.lanes) for name in names]
            for rows, side in zip(self.rest, self.stage.sides, strict=True):
                self._beside(rows, layer.x, side)
        groups = [(n,) for n in range(self.width_tiles)]
        direct = "out" not in layer.scales and not layer.residual and not layer.saturate
        for piece in self.pieces:
            for works in rounds(self.stage, groups, piece):

                def finish(p, times):
                    for work, time in times.items():
                        self._finish_out(p, work, time, direct)

                self.product(
                    f"output, rows {piece.start} on",
                    self.attended,
                    works,
                    self.weights["out"],
                    finish,
                    ks=range(layer.heads * self.out.tiles),
                    count=lambda k: self.lanes,
                    emitted=FP16 if direct else FP32,
                )
        self.output.expect()

    def _beside(self, rows, array, side):
        """Fill rows, all in one hemisphere."""
        vectors = to_vectors(array, self.lanes)
        for n in range(vectors.shape[2]):
            self.tiles.fill(rows.segment(n, 0, len(array), side), vectors[:, :, n])

    def _finish_out(self, p, work, time, direct):
        side = work.plane.side
        tile = self.output.segment(work.n, work.first, work.last, side)
        parts = [Part(tile, 0, 0, work.last - work.first)]
        if direct:
            keep_emitted(self.stage, p, work, time, parts)
            return
        value = self.scaled(p, work, time, "out")
        if self.rest:
            rows = self.rest[self.stage.sides.index(side)].parts(work.n, work.first, work.last)
            value = p.op("addf", value, p.convert(p.rows_of(rows), FP16, FP32))
        p.keep(p.convert(clamped(p, value, self.layer.saturate), FP32, FP16), parts)

    def assemble(self):
        """Make the program of everything placed, :attr:`program`."""
        memory = self.tiles.memory
        self.program = self.stage.schedule.program(
            memory.image(), memory.outputs(), "attention_layer", memory.tensors()
        )

    def result(self, outputs):
        """The rows of the result, from the outputs of a run."""
        out, memory = np.empty((self.rows, self.width), np.float16), self.tiles.memory
        for n, segment in self.output.segments():
            count = segment.last - segment.first
            planes = [memory.result(outputs, *at, count) for at in segment.tile.place]
            part = out[segment.first : segment.last, n * self.lanes :][:, : self.lanes]
            part[:] = from_vectors(planes, FP16)[:, : part.shape[1]]
        return out
