"""Where a pair of planes keeps what: Q, K, V and masks, scores and maxima, and results."""

from dataclasses import dataclass

import numpy as np

from tsp.hw.isa.timing import LW_BUFFER
from tsp.sim.kernels.attention_wiring import PlanError
from tsp.sim.kernels.common import to_vectors
from tsp.sim.kernels.passes import Plane, WeightTile

_MOST_COLUMNS = 8  # of fp16 in an LW


@dataclass(frozen=True)
class Work:
    """`rows` rows of a head from row `first` on, and the tiles of keys that they see."""

    head: int
    first: int
    rows: int
    tiles: tuple[int, ...]

    @property
    def name(self):
        """Its name in the schedule."""
        return f"head {self.head}, rows {self.first} to {self.first + self.rows - 1}"


class PairStore:
    """The banks of a pair, and places in them, which are filled when they are first asked for.

    Scores, Q and masks lie beside the plane that scores; V, maxima and results beside the other.

    Parameters
    ----------
    problem : Problem
    pool : Pool
    scorer, weigher : Plane
    rows : int
        Rows of a piece of work, at most.
    masked : bool
        Whether there are masks.

    Members
    -------
    columns : int
        Columns of weights that an LW takes.
    results : dict
        Places of the result, each with its rows, by (head, first row, tile of its elements).
    """

    def __init__(self, problem, pool, scorer: Plane, weigher: Plane, rows, masked):
        self.problem, self.pool, self.rows = problem, pool, rows
        self.scorer, self.weigher, self.lanes = scorer, weigher, problem.lanes
        self.columns = self._columns()
        west, east = scorer.side, weigher.side
        # Banks at one stop, so that where one group ends to be read the other begins to be.
        together = pool.take_together(west, 8)
        self._scores = together[:4], together[4:]
        self._query_banks = [pool.take(west, 2)]
        self._weight_banks = {p: [pool.take(p.side, 2 * self.columns)] for p in (scorer, weigher)}
        self._most = pool.take(east, 4), pool.take(east, 4)
        self._result_banks = [pool.take(east, 2)]
        self._mask_banks = [pool.take(west, 1)] if masked else None
        self._places = {}
        self.results = {}

    def _columns(self):
        """As few as load a tile while the rows meet the one before."""
        columns = 1
        while self.lanes % columns or self.lanes // columns + LW_BUFFER - 1 > self.rows:
            columns *= 2
            if columns > _MOST_COLUMNS:
                raise PlanError(
                    f"{self.rows} rows pass before a tile of {self.lanes} columns is loaded"
                )
        return columns

    def scores(self, slot):
        """The place of the scores of a tile: `slot` is a group of banks, 0 or 1, and a number."""
        return self._kept(self._scores[slot[0]], ("scores", *slot))

    def most(self, slot):
        """The place of the maximum of every row of a piece of work, in a slot of its own."""
        return self._kept(self._most[slot[0]], ("most", *slot))

    def keys(self, head, tile, step):
        """The weights by which tile `step` of Q is multiplied: some keys of what a head shares."""
        rows, shared, part = self._part(tile), self.problem.shared(head), self._part(step)
        columns = self.problem.folded[1][rows, shared, part]
        return self._weights(self.scorer, (shared, tile, step), columns, "k")

    def values(self, head, tile, number):
        """The weights by which probabilities of a tile of keys give tile `number` of a head."""
        rows, shared, part = self._part(tile), self.problem.shared(head), self._part(number)
        columns = self.problem.v[rows, shared, part].T
        return self._weights(self.weigher, (shared, tile, number), columns, "v")

    def queries(self, work, step):
        """The place of tile `step` of the rows of Q of a piece of work."""
        key = "queries", work.head, work.first, step
        if key not in self._places:
            place = self.pool.rows_in(self._query_banks, self.scorer.side, work.rows)
            rows = slice(work.first, work.first + work.rows)
            part = self.problem.folded[0][rows, work.head, self._part(step)]
            self.pool.fill(place, to_vectors(part, self.lanes)[:, :, 0], "q")
            self._places[key] = place
        return self._places[key]

    def mask(self, seen):
        """The place of a mask, bool (rows, L): a byte of ones where a score counts."""
        key = "mask", seen.shape, seen.tobytes()
        if key not in self._places:
            place = self.pool.rows_in(self._mask_banks, self.scorer.side, len(seen))
            self.pool.fill(place, [np.where(seen, np.uint8(255), np.uint8(0))], "mask")
            self._places[key] = place
        return self._places[key]

    def result(self, work, number):
        """The place of tile `number` of the result of a piece of work."""
        place = self.pool.rows_in(self._result_banks, self.weigher.side, work.rows)
        for bank, address in place:
            self.pool.memory.expect(bank, address, work.rows)
        self.results[work.head, work.first, number] = place, work.rows
        return place

    def _part(self, tile):
        return slice(tile * self.lanes, (tile + 1) * self.lanes)

    def _kept(self, banks, key):
        if key not in self._places:
            self._places[key] = place = self.pool.rows(banks, self.rows)
            for bank, address in place:
                self.pool.memory.note(key[0], "kept", bank, address, self.rows)
        return self._places[key]

    def _weights(self, plane, key, columns, name):
        """A tile of weights of a plane, stored the first time."""
        if (plane, key) not in self._places:

            def take(dtype):
                words = self.lanes * dtype.bytes // (2 * self.columns)
                return self.pool.rows_in(self._weight_banks[plane], plane.side, words)

            made = WeightTile.of(self.pool.memory, take, columns, name=name)
            self._places[plane, key] = made
        return self._places[plane, key]
