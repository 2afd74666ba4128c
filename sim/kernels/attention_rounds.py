"""Attention tile by tile of the keys: all planes on the same rows, a tile per plane at a time.

Scores leave the planes and are kept in SRAM as fp32, while the VXM finds the maximum of each row
among the tiles that pass and the SXM of the west reduces it. Then, tile by tile of the keys, the
VXM subtracts and exponentiates; probabilities go on to the planes of both hemispheres as fp16,
where they meet V, while the SXM of the east sums them. The VXM divides the rows that come home.
"""

import numpy as np

from tsp.hw.errors import CapacityError
from tsp.hw.isa import SG1, Abc
from tsp.hw.isa.timing import MEM_BANK, MEM_SAMPLE
from tsp.sim.kernels.attention_banks import Banks
from tsp.sim.kernels.attention_problem import LOWEST, SMALLEST
from tsp.sim.kernels.common import chunks, to_vectors
from tsp.sim.kernels.passes import Passes, WeightTile
from tsp.sim.kernels.pipeline import narrowest
from tsp.sim.kernels.rows import EAST, FP16, FP32, MAX, SUM, WEST


class Rounds(Passes):
    """Attention on its way into a schedule.

    Parameters
    ----------
    problem : Problem
    rows : int
        Rows that are worked on at a time, at most; no more than the accumulators hold.

    Raises
    ------
    CapacityError
        If it does not fit.
    """

    def __init__(self, problem, rows):
        config = problem.config
        super().__init__(config)
        self.problem = problem
        self.q, self.k, self.scale = problem.folded
        self.v, self.mask, self.banks = problem.v, problem.mask, Banks(config)
        self.size, self.key_tiles = problem.size, problem.key_tiles
        self.size_tiles = problem.size_tiles
        self.chunks = [(c.start, c.stop) for c in chunks(range(problem.queries), rows)]
        self.results = {}
        self._masks, self._places = {}, {}
        self._fill()

    # Memory

    def _fill(self):
        q, k, v, size = self.q, self.k, self.v, self.lanes
        self.queries, self.keys, self.values = {}, {}, {}
        for head in range(q.shape[1]):
            vectors = to_vectors(q[:, head], size)
            for tile in range(self.size_tiles):
                for side in self.sides:
                    for first, last in self.chunks:
                        groups = self.banks.queries[side]
                        place = self.banks.rows_in(groups, side, last - first)
                        self.banks.fill(place, vectors[:, first:last, tile], "q")
                        self.queries[side, head, first, tile] = place
        for head in range(k.shape[1]):
            for number in range(self.key_tiles):
                plane, rows = self.plane(number), slice(number * size, (number + 1) * size)
                for tile in range(self.size_tiles):
                    part = slice(tile * size, (tile + 1) * size)
                    columns = k[rows, head, part]
                    self.keys[head, number, tile] = self._weights(plane.side, columns, "k")
            for number in range(self.size_tiles):
                plane, part = self.plane(number), slice(number * size, (number + 1) * size)
                for tile in range(self.key_tiles):
                    rows = slice(tile * size, (tile + 1) * size)
                    self.values[head, number, tile] = self._weights(
                        plane.side, v[rows, head, part].T, "v"
                    )

    def _weights(self, side, columns, name):
        """A tile of weights for the planes of a hemisphere."""
        return WeightTile.of(
            self.banks.memory,
            lambda dtype: self.banks.weight_place(side, dtype),
            columns,
            name=name,
        )

    def _place(self, key, banks):
        """The place for the intermediate rows of a chunk, the same whenever `key` is."""
        if key not in self._places:
            longest = max(last - first for first, last in self.chunks)
            self._places[key] = self.banks.rows(banks, longest)
        return self._places[key]

    def _seen(self, first, last, tile):
        """Which scores of a tile count: bool (rows, L); one row if all are alike."""
        seen = self.problem.seen(first, last, tile)
        return seen[:1] if (seen == seen[0]).all() else seen

    def _mask_place(self, seen, bank):
        """The place of a mask, a byte of ones where a score counts, in `bank`."""
        key = seen.tobytes(), seen.shape, bank
        if key not in self._masks:
            self._masks[key] = place = self.banks.rows([bank], len(seen))
            self.banks.fill(place, [np.where(seen, np.uint8(255), np.uint8(0))], "mask")
        return self._masks[key]

    # Schedule

    def run(self):
        """Place everything: the scores of one piece of work before the values of the one before."""
        heads, shared = self.q.shape[1], self.q.shape[1] // self.k.shape[1]
        works = [(h, h // shared, *chunk) for h in range(heads) for chunk in self.chunks]
        pending = None
        for number, work in enumerate(works):
            scored = self._scores(work, number % 2)
            if pending:
                self._values(*pending)
            pending = work, scored
        self._values(*pending)

    # Scores

    def _scores(self, work, parity):
        """Place the passes that compute scores and their maximum; returns the tiles seen."""
        _, _, first, last = work
        rounds = self._rounds(self.problem.tiles_seen(first, last), first, last)
        most = None
        for number, some in enumerate(rounds):
            left = len(rounds) - 1 - number
            banks = self.banks.totals[0] if left % 2 else self.banks.most
            new = self._place(("most", parity, left % 2), banks)
            final = not left
            self._score_round(work, parity, some, most, new, final, len(rounds))
            most = new
        return [tile for some in rounds for tile in some], most, parity

    def _rounds(self, tiles, first, last):
        """Tiles of keys that are computed at a time: one per plane, as many as can be masked."""
        for limit in range(len(self.planes), 0, -1):
            rounds = []
            for tile in tiles:
                taken = {self.plane(t) for t in rounds[-1]} if rounds else set()
                if not rounds or len(rounds[-1]) == limit or self.plane(tile) in taken:
                    rounds.append([])
                rounds[-1].append(tile)
            if all(
                sum(not self._seen(first, last, t).all() for t in some)
                <= len(self.banks.masks(len(rounds), {self.plane(t) for t in some}))
                for some in rounds
            ):
                return rounds
        raise CapacityError(
            f"a mask needs a bank of its own, and config {self.config.name} has none to spare; "
            "use a config with more MEM slices"
        )

    def _score_round(self, work, parity, tiles, old, new, final, rounds):
        head, shared, first, last = work
        for step in range(self.size_tiles):
            name = f"scores of head {head}, rows {first} to {last - 1}, keys {tiles}, step {step}"
            ready = 0
            for tile in tiles:
                weights = self.keys[shared, tile, step]
                ready = max(ready, self.load(self.plane(tile), weights, name))
            build = self._score_pass(work, parity, tiles, old, new, final, rounds, step, name)
            self.place(*narrowest(build), ready=ready)

    def _score_pass(self, work, parity, tiles, old, new, final, rounds, step, name):
        """A function of the interval that builds a pass: its pipeline, and what it writes."""
        head, _, first, last = work
        count = min(self.lanes, self.size - step * self.lanes)

        def build(interval):
            p = self.pipeline(name, last - first, interval)
            sources = {
                side: self.stream(p, side, self.queries[side, head, first, step])
                for side in self.sides
                if any(self.plane(tile).side is side for tile in tiles)
            }
            standing = {}
            for tile in tiles:
                plane = self.plane(tile)
                columns = min(self.lanes, self.k.shape[0] - tile * self.lanes)
                standing[tile] = self.multiply(
                    p, plane, sources[plane.side], 0, count, step, self.size_tiles, columns
                )
            writes = []
            if step == self.size_tiles - 1:
                writes = self._keep_scores(p, work, parity, standing, old, new, final, rounds)
            return p, writes

        return build

    def _score_place(self, parity, tile):
        return self._place(("scores", parity, tile), self.banks.scores[self.plane(tile)])

    def _keep_scores(self, p, work, parity, standing, old, new, final, rounds):
        """Let the scores of the last step go to memory, and their maximum with them."""
        _, _, first, last = work
        values, writes = [], []
        masks = iter(self.banks.masks(rounds, {self.plane(tile) for tile in standing}))
        for tile, time in standing.items():
            plane, place = self.plane(tile), self._score_place(parity, tile)
            group = plane.results
            value = p.arriving(group, time)
            seen = self._seen(first, last, tile)
            if not seen.all():
                mask = self._mask_place(seen, next(masks))
                condition = p.load(mask, same=len(seen) == 1)
                value = p.op("select", value, -np.inf, condition)
                p.store(value, place)
            else:
                for stream, (bank, address) in zip(group.streams, place, strict=True):
                    arrive = time - abs(bank.stop - self.vxm)
                    single = SG1(plane.side.inward, stream)
                    p.operation.write(bank.queue, address, single, arrive, p.rows, p.interval)
                    writes.append((place, arrive + MEM_BANK - MEM_SAMPLE))
            values.append(value)
        while len(values) > 1:
            values = [
                p.op("maxf", *pair) if len(pair) == 2 else pair[0]
                for pair in (values[i : i + 2] for i in range(0, len(values), 2))
            ]
        (most,) = values
        if old:
            most = p.op("maxf", most, p.load(old))
        if final:
            if most.node is None or most.node.targets:
                most = p.op("mov", most)
            most = p.reduce(WEST, MAX, most, self.lanes)
            most = p.op("maxf", most, LOWEST)
        elif most.node is None or most.node.targets:
            most = p.op("mov", most)
        p.store(most, new)
        return writes

    # Values

    def _values(self, work, scored):
        """Place the passes that exponentiate and multiply by V, and the division."""
        tiles, most, parity = scored
        for group in range(0, self.size_tiles, len(self.planes)):
            numbers = range(group, min(group + len(self.planes), self.size_tiles))
            total = None
            for step, tile in enumerate(tiles):
                total = self._value_pass(work, parity, numbers, step, tiles, tile, most, total)

    def _value_pass(self, work, parity, numbers, step, tiles, tile, most, total):
        head, shared, first, last = work
        name = f"values of head {head}, rows {first} to {last - 1}, keys {tile}"
        ready, rows, final = 0, last - first, step == len(tiles) - 1
        for number in numbers:
            weights = self.values[shared, number, tile]
            ready = max(ready, self.load(self.plane(number), weights, name))
        busy = {*self.banks.scores[self.plane(tile)], *(total.banks if total else ())}
        place = None
        if not final:
            banks = self.banks.total(step, self.plane(tile))
            place = self._place(("total", banks), banks)

        def build(interval):
            p = self.pipeline(name, rows, interval)
            scores = p.load(self._score_place(parity, tile))
            difference = p.op("subf", scores, p.load(most))
            if self.scale != 1:
                difference = p.op("mulf", difference, self.scale)
            power = p.op("exp", difference)
            sums = p.reduce(EAST, SUM, power, self.lanes)
            standing = self._weigh(p, power, numbers, tile, step, len(tiles))
            if total:
                sums = p.op("addf", sums, p.load(total))
            if final:
                self._divide(p, work, standing, sums, busy)
            else:
                p.store(sums if sums.node else p.op("mov", sums), place)
            return p, []

        self.place(*narrowest(build), ready=ready)
        return place

    def _weigh(self, p, power, numbers, tile, step, steps):
        """Send probabilities to the planes; says when the first rows are back at the VXM."""
        standing, count = {}, min(self.lanes, self.k.shape[0] - tile * self.lanes)
        for side in sorted({self.plane(n).side for n in numbers}, key=lambda s: s.value):
            sent, there = p.send(p.convert(power, FP32, FP16), side, self.stops[side])
            issue = there - Abc.timing(self.config).skew
            for number in numbers:
                plane = self.plane(number)
                if plane.side is side:
                    columns = min(self.lanes, self.size - number * self.lanes)
                    standing[number] = self.multiply(
                        p, plane, sent, issue, count, step, steps, columns
                    )
        return standing

    def _divide(self, p, work, standing, sums, busy):
        """Divide the rows that come home by the sum of their probabilities, and store them."""
        head, _, first, _ = work
        if self.mask is not None:
            sums = p.op("maxf", sums, SMALLEST)
        inverse = p.op("recip", sums)
        for number, time in standing.items():
            value = p.op("mulf", p.arriving(self.plane(number).results, time), inverse)
            place = self._result(head, first, number, p.rows, busy)
            p.store(p.convert(value, FP32, FP16), place)

    def _result(self, head, first, number, rows, busy):
        """The place of a tile of the result, in no bank of `busy`."""
        key = head, first, number
        if key not in self.results:
            self.results[key] = place = self.banks.results(number, rows, busy)
            for bank, address in place:
                self.banks.memory.expect(bank, address, rows)
        return self.results[key]

    def kernel(self):
        """The kernel of everything placed."""
        ends = dict(self.chunks)
        results = {key: (place, ends[key[1]] - key[1]) for key, place in self.results.items()}
        return self.problem.kernel(self.schedule, self.banks.memory, results)
