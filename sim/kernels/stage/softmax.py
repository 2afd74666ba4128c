"""Scores, their maximum, and probabilities of one head and piece of rows, on a stage."""

from itertools import zip_longest

import numpy as np

from tsp.hw.floorplan import Hemisphere
from tsp.hw.isa import DType
from tsp.hw.isa.sxm import ReduceKind
from tsp.sim.kernels.attention_problem import LOWEST, SMALLEST
from tsp.sim.kernels.common import cut
from tsp.sim.kernels.stage.products import Rows, rounds
from tsp.sim.kernels.stage.sweep import Part

WEST, EAST = Hemisphere.W, Hemisphere.E
FP16, FP32 = DType.FP16, DType.FP32
_READ_TO_WRITTEN = 21  # cycles that probabilities need at least
_LONGEST_HOLD = 20
_PARTS = 4  # sums that are kept apart until their inverse is wanted


class Softmax:
    """The softmax of a head's scores, for a piece of rows.

    Members
    -------
    seen : list of int
        Tiles of keys that any of the rows sees.
    probabilities : Rows
        fp16, by tile of keys; not yet divided by their sums.
    """

    def __init__(self, plan, head, piece, parity):
        self.plan, self.head, self.piece, self.parity = plan, head, piece, parity
        self.stage, self.lanes = plan.stage, plan.lanes
        self.size = len(piece)
        found = [n for n in range(plan.key_tiles) if self._mask(n).any()]
        self.seen = found or [0]  # someone must write a row of zeros
        rows = plan.layer.seen[piece.start : piece.stop]
        self.blind = not rows.any(axis=1).all()  # whether a row sees nothing
        copies = 2 if len(self.seen) == 1 and len(self.stage.sides) == 2 else 1
        name = f"probabilities {parity}"
        self.probabilities = Rows(plan.tiles, name, self.lanes, FP16, copies)
        self._scores, self.most, self._totals = {}, None, []

    def _mask(self, n):
        """Which scores of a tile of keys count: bool (rows, L); one row if all are alike."""
        seen = self.plan.layer.seen[self.piece.start : self.piece.stop, n * self.lanes :]
        mask = np.zeros((self.size, self.lanes), bool)
        mask[:, : min(self.lanes, seen.shape[1])] = seen[:, : self.lanes]
        return mask[:1] if (mask == mask[0]).all() else mask

    def _tile(self, kind, width, side, number=0):
        """A tile for an intermediate result, the same for every second softmax."""
        longest = max(map(len, self.plan.pieces))
        key = kind, self.parity, number, side
        tile = self.plan.tiles.tile(key, longest, width, side)
        return [Part(tile, 0, 0, self.size)]

    def scores(self):
        """Place the products of queries and keys.

        Scores of one round may become probabilities on their way, if the plan says so: then they
        wait inside the ALUs while the SXM finds their maximum.
        """
        plan = self.plan
        found = rounds(self.stage, [(n,) for n in self.seen], self.piece, split=False)
        self._side = {work.n: work.plane.side for works in found for work in works}
        fits = len(self.seen) <= self.stage.config.special_alus
        if plan.streamed and len(found) == 1 and fits:
            self._product(found[0], self._stream)
            return
        for number, works in enumerate(found):
            left = (len(found) - 1 - number) % 2
            new = self._tile("maximum", 4, EAST if left else WEST, left)
            final = number == len(found) - 1

            def finish(p, times, new=new, final=final):
                self._keep_scores(p, times, new, final)

            self._product(works, finish)
            self.most = new

    def _product(self, works, finish):
        plan, layer = self.plan, self.plan.layer
        shared = self.head * layer.kv_heads // layer.heads
        tiles = plan.k.tiles
        plan.product(
            f"scores of head {self.head}, rows {self.piece.start} on",
            plan.queries,
            works,
            lambda n, k: plan.key_rows.weights(shared * tiles + k, n * self.lanes),
            finish,
            ks=range(self.head * tiles, (self.head + 1) * tiles),
            count=lambda k: self.lanes,
            columns=lambda n: min(self.lanes, plan.keys - n * self.lanes),
            emitted=FP32,
        )

    def _stream(self, p, times):
        """Probabilities of scores as they arrive, all tiles of keys at a time."""
        values = [self._score(p, work, time) for work, time in times.items()]
        most = self._most(p, values)
        powers = []
        for work, value in zip(times, values, strict=True):
            value = p.op("exp", p.op("subf", value, most))
            self._keep_powers(p, work.n, value, range(self.size))
            powers.append(value)
        # ALUs may be short for the sum: the units of the SXMs can take parts of it.
        count = len(values)
        needed = 5 * count - 2 + 2 * self.blind
        needed += sum(not self._mask(work.n).all() for work in times)
        units = {WEST: p.units(WEST), EAST: p.units(EAST)}
        short = max(needed - p.config.alus * p.interval, 0)
        parts = 1 + min(short, sum(units.values()) - 1, count - 1)
        sides = [EAST] * units[EAST] + [WEST] * units[WEST]
        self._totals = []
        for number, side in zip(range(parts), sides, strict=False):
            some = powers[number:] if number == parts - 1 else powers[number : number + 1]
            total = p.reduce(side, ReduceKind.SUM, _tree(p, "addf", some), self.lanes)
            self._totals.append(self._keep_total(p, total, side, number, range(self.size)))

    def _keep_total(self, p, total, side, number, rows):
        """Write sums over all lanes; returns the copies, as the hemispheres may need one each."""
        copies = [self._tile("sum", 4, side, number)]
        if self.plan.values_share(self.piece):
            copies.append(self._tile("second sum", 4, side, number))
        some = [_some(copy, rows) for copy in copies]
        if self.blind:
            p.keep(p.op("maxf", total, SMALLEST), *some)
        else:
            p.keep_reduced(total, side, *some)
        return copies

    def _score(self, p, work, time):
        """The scores of a tile of keys, minus infinity where they do not count."""
        value, mask = p.arriving(self.stage.results(work.plane), time), self._mask(work.n)
        if mask.all():
            return value
        return p.op("select", value, -np.inf, self._loaded_mask(p, mask, work.plane))

    def _most(self, p, values, final=True):
        """The largest of some values and those before; in the end, that of all lanes."""
        most = _tree(p, "maxf", values)
        if self.most:
            most = p.op("maxf", most, p.rows_of(self.most))
        if most.node is None or most.node.targets:
            most = p.op("mov", most)
        if final:
            most = p.reduce(WEST, ReduceKind.MAX, most, self.lanes)
            if self.blind:
                most = p.op("maxf", most, LOWEST)
        return most

    def _keep_scores(self, p, times, new, final):
        values = []
        for work, time in times.items():
            side = work.plane.side
            parts = self._scores[work.n] = self._tile("scores", 4, side, work.n)
            value = self._score(p, work, time)
            if value.node is None:
                stop = self.stage.stops[side]
                driven = time - abs(stop - self.stage.vxm)
                p.keep_stream(self.stage.results(work.plane), stop, driven, parts)
            else:
                p.keep(value, parts)
            values.append(value)
        most = self._most(p, values, final)
        if final and not self.blind:
            p.keep_reduced(most, WEST, new)
        else:
            p.keep(most, new)

    def _loaded_mask(self, p, mask, plane):
        """A byte of ones where a score counts, for every row."""
        key = "mask", mask.tobytes(), mask.shape, plane.name
        tile = self.plan.tiles.tile(key, len(mask), 1, plane.side)
        if not tile.filled:
            tile.filled = True
            self.plan.tiles.fill(tile, np.where(mask, np.uint8(255), np.uint8(0))[None])
        if len(mask) == 1:
            return p.word(tile)
        return p.rows_of([Part(tile, 0, 0, self.size)])

    def powers(self):
        """Place the passes that make probabilities of scores, where they are not yet."""
        if self._totals:
            return
        # Tiles of both hemispheres in turn, so that the banks of both are busy.
        by_side = [[n for n in self.seen if self._side[n] is side] for side in (WEST, EAST)]
        order = [n for pair in zip_longest(*by_side) for n in pair if n is not None]
        step = max(1, min(self.plan.group, self.stage.config.special_alus))
        groups = [order[i : i + step] for i in range(0, len(order), step)]
        copies = 1 + self.plan.values_share(self.piece)
        apart = len(groups) * copies <= _PARTS  # or the sum of all groups goes from pass to pass
        pieces = cut(range(self.size), -(-self.size // self.plan.short))
        old, totals = None, {}
        for number, group in enumerate(groups):
            side = (EAST, WEST)[(len(groups) - 1 - number) % 2]
            if apart:
                side = WEST if number < len(groups) // 2 else EAST
            new = None
            if not (apart or group is groups[-1]):
                new = self._tile("sum so far", 4, side, number % 2)

            for rows in pieces:

                def build(p, number=number, group=group, old=old, new=new, side=side, rows=rows):
                    total = self._power_pass(p, group, old, rows)
                    if new:
                        p.keep(total, _some(new, rows))
                    else:
                        total = p.reduce(side, ReduceKind.SUM, total, self.lanes)
                        totals[number] = self._keep_total(p, total, side, number, rows)
                    return 0

                first = self.piece.start + rows.start
                name = f"powers of head {self.head}, rows {first} on, keys {group}"
                self.stage.sweep(name, len(rows), build)
            old = new
        self._totals = list(totals.values())

    def _power_pass(self, p, group, old, rows):
        """Probabilities of a group of tiles; returns their sum, with that of groups before."""
        most, values = p.rows_of(_some(self.most, rows)), []
        # Let probabilities be written when their scores have been read, so that banks can serve
        # for both, and sums after that; if that is not too long.
        hold = len(rows) - _READ_TO_WRITTEN
        hold = hold if 0 < hold < _LONGEST_HOLD else 0
        for n in group:
            value = p.op("subf", p.rows_of(_some(self._scores[n], rows)), most)
            value = p.op("exp", value, hold=hold)
            self._keep_powers(p, n, value, rows)
            values.append(value)
        total = _tree(p, "addf", values)
        return p.op("addf", total, p.rows_of(_some(old, rows))) if old else total

    def _keep_powers(self, p, n, value, rows):
        both = [(0, WEST), (1, EAST)]
        for copy, side in both if self.probabilities.copies == 2 else [(0, self._side[n])]:
            first, last = self.piece.start, self.piece.stop
            tile = self.probabilities.segment(n, first, last, side, copy)
            p.keep(p.convert(value, FP32, FP16), _some([Part(tile, 0, 0, self.size)], rows))

    def sums(self, side, first, last):
        """Where parts of the sums of some rows are, of the copy for a hemisphere."""
        found = []
        for copies in self._totals:
            (part,) = copies[self.stage.sides.index(side) % len(copies)]
            found.append([Part(part.tile, first - self.piece.start, 0, last - first)])
        return found


def _some(parts, rows):
    """The part of a single part that has some of its rows."""
    (part,) = parts
    return [Part(part.tile, part.word + rows.start, 0, len(rows))]


def _tree(p, name, values):
    """Values combined in pairs, and pairs of pairs."""
    while len(values) > 1:
        pairs = [values[i : i + 2] for i in range(0, len(values), 2)]
        values = [p.op(name, *pair) if len(pair) == 2 else pair[0] for pair in pairs]
    return values[0]
