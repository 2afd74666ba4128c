"""Banks for tiles whose accesses have been rehearsed: a search for the fewest that meet.

Two tiles in one bank cost the cycles in which both are accessed, since one would have to wait. The
search begins with the tile that has the least choice, and then moves tiles at random, by simulated
annealing.
"""

import numpy as np

from tsp.hw.floorplan import Hemisphere
from tsp.sim.kernels.stage.tiles import MARGIN
from tsp.sim.layout import CapacityError, banks

_HARD = 1000  # the cost of what must not be, while the search has not yet found better
_FULL = 1_000_000
_HOT, _COLD = 100.0, 0.5  # cycles that a move may cost, at first and in the end


def bind(config, tiles, together, seed=0, steps=60_000):
    """Banks for tiles that have been rehearsed, by key.

    Parameters
    ----------
    config : Config
        The core as it is.
    tiles : Tiles
    together : set of frozenset
        Pairs of keys that one rigid operation accesses in one cycle, which must not share a bank.
    seed, steps : int
        Of the search.

    Raises
    ------
    CapacityError
        If there is not enough room, or not enough banks for one operation.
    """
    found = {}
    for side in Hemisphere:
        mine = [tile for tile in tiles.all.values() if tile.side is side]
        where = banks(config, side)
        if mine:
            search = _Search(mine, together, len(where), config.bank_words, seed)
            if not search.run(steps):
                raise CapacityError(
                    f"{tiles.what} needs more banks than the {len(where)} of "
                    f"{config.bank_words} words in each hemisphere of config {config.name}; "
                    "use a larger config or a smaller problem"
                )
            for tile, numbers in zip(mine, search.best, strict=True):
                found[tile.key] = tuple(where[n] for n in sorted(numbers))
    return found


class _Search:
    """A search for banks of the tiles of one hemisphere.

    Members
    -------
    best : list of list of int
        Numbers of the banks of every tile.
    """

    def __init__(self, tiles, together, count, words, seed):
        self.tiles, self.count, self.words = tiles, count, words
        self.random = np.random.default_rng(seed)
        keys = [tile.key for tile in tiles]
        self.never = np.array([[frozenset((a, b)) in together for b in keys] for a in keys])
        np.fill_diagonal(self.never, False)
        self.meet = _meeting(tiles) + _HARD * self.never
        self.sizes = np.array([tile.words for tile in tiles])
        self.cost = np.zeros((len(tiles), count), np.int64)  # of a tile in a bank
        self.bad = np.zeros((len(tiles), count), np.int64)  # tiles there that must not meet it
        self.room = np.full(count, words)
        self.chosen = [[] for _ in tiles]
        self.best, self.least = None, None

    def run(self, steps):
        """Search; says whether there is anything that works."""
        self._begin()
        total, broken = self._total(self.cost), self._total(self.bad)
        if not broken and (self.room >= 0).all():
            self._note()
        many = [t for t, tile in enumerate(self.tiles) for _ in range(tile.width)]
        picks = self.random.choice(many, size=steps)
        heat = _HOT * (_COLD / _HOT) ** (np.arange(steps) / max(steps, 1))
        allowed = -heat * np.log(self.random.random(steps) + 1e-12)
        for step, (tile, most) in enumerate(zip(picks, allowed, strict=True)):
            old = self.chosen[tile]
            if step % 4:
                new = self._other(old)
            else:  # all of its banks, as cheap as chance will have it
                price = self.cost[tile] - self.random.exponential(heat[step], self.count)
                new = np.argsort(price)[: len(old)].tolist()
            leave = [bank for bank in old if bank not in new]
            enter = [bank for bank in new if bank not in old]
            if not enter or any(self.room[bank] < self.sizes[tile] for bank in enter):
                continue
            more = self.cost[tile, enter].sum() - self.cost[tile, leave].sum()
            if more > most:
                continue
            broken += 2 * (self.bad[tile, enter].sum() - self.bad[tile, leave].sum())
            for bank in leave:
                self._put(tile, bank, -1)
            for bank in enter:
                self._put(tile, bank, 1)
            self.chosen[tile] = new
            total += 2 * more
            if not broken and (self.least is None or total < self.least):
                self._note()
                if not total:
                    break
        return self.least is not None

    def _other(self, old):
        """The same banks but for one."""
        n, bank = self.random.integers(len(old)), int(self.random.integers(self.count))
        return old if bank in old else [*old[:n], bank, *old[n + 1 :]]

    def _begin(self):
        left = set(range(len(self.tiles)))
        while left:
            open_banks = {
                t: int(((self.bad[t] == 0) & (self.room >= self.sizes[t])).sum()) for t in left
            }
            tile = min(left, key=lambda t: (open_banks[t] - self.tiles[t].width, t))
            left.remove(tile)
            self._choose(tile)

    def _choose(self, tile):
        """Put a tile into the cheapest banks, by chance if several are."""
        full = self.room < self.sizes[tile]
        price = self.cost[tile] + np.where(full, _FULL, 0)
        order = np.lexsort((self.random.random(self.count), price))
        self.chosen[tile] = [int(b) for b in order[: self.tiles[tile].width]]
        for bank in self.chosen[tile]:
            self._put(tile, bank, 1)

    def _put(self, tile, bank, sign):
        self.cost[:, bank] += sign * self.meet[:, tile]
        self.bad[:, bank] += sign * self.never[:, tile]
        self.room[bank] -= sign * self.sizes[tile]

    def _total(self, cost):
        return sum(int(cost[t, b]) for t, c in enumerate(self.chosen) for b in c)

    def _note(self):
        """Keep what there is: it is better than all before."""
        self.least, self.best = self._total(self.cost), [list(c) for c in self.chosen]


def _meeting(tiles):
    """Cycles that accesses of two tiles would wait for each other: int (tiles, tiles).

    Of two accesses that meet, the one that begins later waits until the other ends.
    """
    windows = [_windows(tile) for tile in tiles]
    meet = np.zeros((len(tiles), len(tiles)), np.int64)
    for i, (starts, ends) in enumerate(windows):
        for j in range(i):
            other_starts, other_ends = windows[j]
            wait = np.where(
                starts[:, None] <= other_starts[None],
                ends[:, None] - other_starts[None],
                other_ends[None] - starts[:, None],
            )
            meet[i, j] = np.maximum(wait + 1 + MARGIN, 0).sum()
    return meet + meet.T


def _windows(tile):
    """First and last cycles of every time that a tile is accessed, those that touch joined."""
    merged = []
    for start, end in sorted((a.cycle, a.last) for a in tile.accesses):
        if merged and start <= merged[-1][1] + 1:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    return np.array(merged, int).reshape(-1, 2).T
