"""Banks for tiles whose accesses a dry run has timed: a search for the fewest that meet.

Two tiles in one bank cost the cycles in which both are accessed, since one would have to wait. The
search begins with the tile that has the least choice, and then moves tiles at random, by simulated
annealing. It counts in integers, so that it finds the same banks on every machine.
"""

import numpy as np

from tsp.hw.floorplan import Hemisphere
from tsp.sim.chance import Chance
from tsp.sim.kernels.common import too_few_banks
from tsp.sim.kernels.stage.tiles import MARGIN
from tsp.sim.layout import banks

_STEPS = (100, 2000)  # for each bank of each tile, at first, and if accesses still meet
_BATCH = 20_000
_HARD = 1000  # the cost of what must not be, while the search has not yet found better
_HOT = 32  # cycles that every second move may cost at first


def bind(config, tiles, together, seed=0):
    """Banks for tiles that a dry run has timed, by key.

    Parameters
    ----------
    config : Config
        The core as it is.
    tiles : Tiles
    together : set of frozenset
        Pairs of keys that one rigid operation accesses in one cycle, which must not share a bank.
    seed : int
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
            search = _Search(mine, together, where, config, seed)
            if not search.run():
                size = sum(tile.width * tile.words for tile in mine) * config.vector
                raise too_few_banks(tiles.what, config, size)
            for tile, numbers in zip(mine, search.best, strict=True):
                found[tile.key] = tuple(where[n] for n in sorted(numbers))
    return found


class _Search:
    """A search for banks of the tiles of one hemisphere.

    Members
    -------
    best : list of list of int or None
        Numbers of the banks of every tile; None if nothing works.
    least : int or None
        Cycles for which accesses wait with these.
    """

    def __init__(self, tiles, together, where, config, seed):
        self.count, self.words, self.chance = len(where), config.bank_words, Chance(seed)
        vxm = config.floorplan.slice("VXM").stop
        self.far = [abs(bank.stop - vxm) for bank in where]
        self.widths = [tile.width for tile in tiles]
        self.sizes = [tile.words for tile in tiles]
        self.never = _apart(tiles, together)
        self.meet = _meeting(tiles) + _HARD * self.never
        self.best, self.least = None, None

    def run(self):
        """Search; says whether there is anything that works."""
        if max(self.widths) > self.count or max(self.sizes) > self.words:
            return False
        self._begin()
        self._note()
        many = [t for t, width in enumerate(self.widths) for _ in range(width)]
        for steps in (each * len(many) for each in _STEPS):
            for first in range(0, steps, _BATCH):
                if self.least != 0:
                    self._anneal(many, range(first, min(first + _BATCH, steps)), steps)
        return self.least is not None

    def _anneal(self, many, some, steps):
        """Try moves of one bank of a tile, those of the numbers `some` of all."""
        bits = self.chance.words(len(some))
        tiles = np.array(many)[_share(bits, 0, len(many))]
        places = _share(bits, 16, np.array(self.widths)[tiles])
        banks = _share(bits, 32, self.count)
        # Of 2**n moves one may cost n times half the heat, which falls with the third power.
        dice = (bits >> np.uint64(48)).astype(np.int64) | 1 << 16
        luck = np.frexp(dice & -dice)[1].astype(np.int64) - 1
        left = ((steps - np.arange(some.start, some.stop)) << 10) // steps
        limits = _HOT * luck * left**3 >> 31
        room, sizes = self.room, self.sizes
        moves = zip(*(a.tolist() for a in (tiles, places, banks, limits)), strict=True)
        for tile, place, new, limit in moves:
            mine, cost = self.chosen[tile], self.cost[tile]
            old = mine[place]
            more = cost[new] - cost[old]
            if more > limit or new in mine or room[new] < sizes[tile]:
                continue
            mine[place] = new
            self._move(tile, old, new)
            self.total += more
            if self.least is None or self.total < self.least:
                self._note()
                if not self.total:
                    break

    def _begin(self):
        """Give every tile the cheapest banks near the VXM, those first with the least choice."""
        count, sizes = self.count, np.array(self.sizes)
        cost = np.zeros((len(sizes), count), np.int64)  # of a tile in a bank
        shut = np.zeros((len(sizes), count), np.int64)  # tiles there that must not meet it
        room, self.chosen = np.full(count, self.words), [[] for _ in sizes]
        left = set(range(len(sizes)))
        while left:
            spare = ((shut == 0) & (room >= sizes[:, None])).sum(1) - self.widths
            tile = min(left, key=lambda t: (spare[t], t))
            left.remove(tile)
            price = [
                (full, cycles, self.far[bank], self.chance.bits(), bank)
                for bank, (full, cycles) in enumerate(
                    zip((room < sizes[tile]).tolist(), cost[tile].tolist(), strict=True)
                )
            ]
            mine = [bank for *_, bank in sorted(price)[: self.widths[tile]]]
            cost[:, mine] += self.meet[:, [tile]]
            shut[:, mine] += self.never[:, [tile]]
            room[mine] -= sizes[tile]
            self.chosen[tile] = mine
        # From here on single numbers change, for which lists are faster than arrays.
        self.cost, self.shut, self.room = cost.tolist(), shut.tolist(), room.tolist()
        self.near = [
            [(int(other), int(row[other]), int(never[other])) for other in row.nonzero()[0]]
            for row, never in zip(self.meet, self.never, strict=True)
        ]
        self.total, self.broken = (
            sum(table[t][b] for t, mine in enumerate(self.chosen) for b in mine) // 2
            for table in (self.cost, self.shut)
        )

    def _move(self, tile, old, new):
        self.broken += self.shut[tile][new] - self.shut[tile][old]
        for other, cycles, never in self.near[tile]:
            cost, shut = self.cost[other], self.shut[other]
            cost[old] -= cycles
            cost[new] += cycles
            shut[old] -= never
            shut[new] += never
        self.room[old] += self.sizes[tile]
        self.room[new] -= self.sizes[tile]

    def _note(self):
        """Keep what there is, if it works: it is better than all before."""
        if not self.broken and min(self.room) >= 0:
            self.least, self.best = self.total, [[*mine] for mine in self.chosen]


def _share(bits, at, count):
    """16 bits of random words, from bit `at` on, as numbers below `count`."""
    return ((bits >> np.uint64(at)).astype(np.uint16) * np.int64(count)) >> 16


def _apart(tiles, together):
    """1 for every two tiles that must not share a bank: int (tiles, tiles)."""
    number = {tile.key: n for n, tile in enumerate(tiles)}
    never = np.zeros((len(tiles), len(tiles)), np.int64)
    for pair in together:
        if pair <= number.keys():
            a, b = (number[key] for key in pair)
            never[a, b] = never[b, a] = 1
    return never


def _meeting(tiles):
    """Cycles that accesses of two tiles would wait for each other: int (tiles, tiles).

    Of two accesses that meet, the one that begins later waits until the other ends; if they begin
    together, the longer waits for the shorter.
    """
    windows = [_windows(tile) for tile in tiles]
    counts = [len(starts) for starts, _ in windows]
    owner = np.repeat(np.arange(len(tiles)), counts)
    all_starts, all_ends = (np.concatenate(parts) for parts in zip(*windows, strict=True))
    meet = np.zeros((len(tiles), len(tiles)), np.int64)
    for row, (starts, ends) in zip(meet, windows, strict=True):
        first, second = (starts[:, None], ends[:, None]), (all_starts[None], all_ends[None])
        mine, other = first[1] - second[0], second[1] - first[0]  # cycles that either would wait
        wait = np.where(first[0] < second[0], mine, other)
        wait = np.where(first[0] == second[0], np.minimum(mine, other), wait)
        np.add.at(row, owner, np.maximum(wait + 1 + MARGIN, 0).sum(0))
    np.fill_diagonal(meet, 0)
    return meet


def _windows(tile):
    """First and last cycles of every time that a tile is accessed, those that touch joined."""
    merged = []
    for start, end in sorted((a.cycle, a.last) for a in tile.accesses):
        if merged and start <= merged[-1][1] + 1:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    return np.array(merged, int).reshape(-1, 2).T
