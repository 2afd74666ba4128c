"""Banks for tiles whose accesses have been rehearsed: a search for the fewest that meet.

Two tiles in one bank cost the cycles in which both are accessed, since one would have to wait. The
search begins with the tile that has the least choice, and then moves tiles at random, by simulated
annealing.
"""

import numpy as np

from tsp.hw.floorplan import Hemisphere
from tsp.sim.kernels.tiles import MARGIN
from tsp.sim.layout import CapacityError, banks

_NEVER = 1_000_000  # the cost of what must not be
_HOT, _COLD = 60.0, 1.0  # cycles that a move may cost, at first and in the end


def bind(config, tiles, together, seed=0, steps=2000):
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
        self.meet = _meeting(tiles, together)
        self.sizes = np.array([tile.words for tile in tiles])
        self.cost = np.zeros((len(tiles), count), np.int64)  # of a tile in a bank
        self.room = np.full(count, words)
        self.chosen = [[] for _ in tiles]
        self.best, self.least = None, None

    def run(self, steps):
        """Search; says whether there is anything that works."""
        self._begin()
        total = self._note()
        many = [(t, n) for t, tile in enumerate(self.tiles) for n in range(tile.width)]
        picks = self.random.integers(len(many), size=steps)
        targets = self.random.integers(self.count, size=steps)
        heat = _HOT * (_COLD / _HOT) ** (np.arange(steps) / max(steps, 1))
        allowed = -heat * np.log(self.random.random(steps) + 1e-12)
        for pick, bank, most in zip(picks, targets, allowed, strict=True):
            tile, n = many[pick]
            old, chosen = self.chosen[tile][n], self.chosen[tile]
            if bank in chosen or self.room[bank] < self.sizes[tile]:
                continue
            more = self.cost[tile, bank] - self.cost[tile, old]
            if more > most:
                continue
            self._put(tile, old, -1)
            self._put(tile, int(bank), 1)
            chosen[n] = int(bank)
            total += 2 * more
            if total < (self.least or _NEVER) and not self._note():
                break
        return self.least is not None

    def _begin(self):
        left = set(range(len(self.tiles)))
        while left:
            open_banks = {
                t: int(((self.cost[t] < _NEVER) & (self.room >= self.sizes[t])).sum()) for t in left
            }
            tile = min(left, key=lambda t: (open_banks[t] - self.tiles[t].width, t))
            left.remove(tile)
            self._choose(tile)

    def _choose(self, tile):
        """Put a tile into the cheapest banks, by chance if several are."""
        full = self.room < self.sizes[tile]
        price = self.cost[tile] + np.where(full, _NEVER, 0)
        order = np.lexsort((self.random.random(self.count), price))
        self.chosen[tile] = [int(b) for b in order[: self.tiles[tile].width]]
        for bank in self.chosen[tile]:
            self._put(tile, bank, 1)

    def _put(self, tile, bank, sign):
        self.cost[:, bank] += sign * self.meet[:, tile]
        self.room[bank] -= sign * self.sizes[tile]

    def _note(self):
        """Keep what there is, if it is better than all before; returns its cost."""
        total = sum(int(self.cost[t, b]) for t, c in enumerate(self.chosen) for b in c)
        total += _NEVER * int((self.room < 0).sum())
        if total < _NEVER and (self.least is None or total < self.least):
            self.least, self.best = total, [list(c) for c in self.chosen]
        return total


def _meeting(tiles, together):
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
            if frozenset((tiles[i].key, tiles[j].key)) in together:
                meet[i, j] = _NEVER
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
