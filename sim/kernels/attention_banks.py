"""Where attention keeps what: banks by role, and tensors in them."""

from tsp.hw.floorplan import Hemisphere
from tsp.sim.kernels.passes import planes_of, weight_streams
from tsp.sim.kernels.pool import Pool


class Banks(Pool):
    """The banks of a core by what attention uses them for.

    Members
    -------
    queries : dict
        By hemisphere, pairs for the rows that stream through the planes.
    weights : dict
        By hemisphere, groups of banks over which the columns of a tile are dealt in pairs.
    scores : dict
        By plane, the four banks that its scores are kept in.
    most : tuple
        Four banks for the maximum of each row.
    totals : tuple
        Four banks each, or none, for the sums of even and of odd passes.
    """

    def __init__(self, config):
        super().__init__(config, "attention")
        planes = planes_of(config)
        sides = sorted({plane.side for plane in planes}, key=lambda side: side.value)
        self.queries = {side: [self.take(side, 2)] for side in sides}
        self.scores = {plane: self.take(plane.side, 4) for plane in planes}
        self.most = self.take(Hemisphere.W, 4)
        self.totals = self.take(Hemisphere.E, 4), None
        for side in Hemisphere:
            if len(self.free[side]) >= 6 and self.totals[1] is None:
                self.totals = self.totals[0], self.take(side, 4)
        self._results = {}
        self.weights = {}
        for side in sides:
            pairs = 1
            most = min(len(self.free[side]), weight_streams(config))
            while 4 * pairs <= most and not config.vector % (2 * pairs):
                pairs *= 2
            self.weights[side] = [self.take(side, 2 * pairs)]

    def total(self, step, reading):
        """Where the sums of a pass go that reads the scores of plane `reading`.

        Sums alternate between two groups of banks, so that old ones are read while new ones are
        written. If there is one group only, the other is that of scores which neither this pass
        nor the next reads.
        """
        if step % 2 == 0 or self.totals[1]:
            return self.totals[step % 2]
        planes = list(self.scores)
        return self.scores[planes[(planes.index(reading) + 2) % len(planes)]]

    def masks(self, rounds, used):
        """Single banks that rest while the scores of the planes `used` are computed."""
        found = [bank for side in Hemisphere for bank in self.free[side]]
        if rounds == 1:
            found += self.totals[0]
        found += self.totals[1] or ()
        for plane, banks_of_plane in self.scores.items():
            if plane not in used:
                found += banks_of_plane
        return found

    def results(self, number, count, busy):
        """The place of rows of a tile of results, in no bank of `busy`.

        It is in a pair of banks that nothing else uses, or else in those of scores, which have
        been used up by then.
        """
        groups = self._results.setdefault(number, [])
        if not groups or any(self.memory.room(bank) < count for bank in groups[-1]):
            side = max(Hemisphere, key=lambda s: len(self.free[s]))
            if len(self.free[side]) >= 2:
                groups.append(self.take(side, 2))
            else:
                idle = [four for four in self.scores.values() if not busy & set(four)]
                if not idle:
                    raise self.full(side, 2)
                return self.memory.take(
                    idle[number // 2 % len(idle)][2 * (number % 2) :][:2], count
                )
        return self.memory.take(groups[-1], count)

    def weight_place(self, side, dtype):
        """The place of a tile of weights for the planes of a hemisphere."""
        groups = self.weights[side]
        columns = len(groups[-1]) // dtype.bytes
        return self.rows_in(groups, side, self.config.vector // columns)
