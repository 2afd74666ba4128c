"""Tiles of rows that a program keeps in SRAM, and the banks that they are given.

A bank has one port, so that what is written while something else is read must lie elsewhere. Which
accesses meet is known only once everything has a time. A plan therefore begins with a dry run, on a
core with banks for everybody; then :mod:`.binding` finds every tile banks that are idle whenever it
is accessed; and then the final plan is made on the core as it is.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from tsp.hw.config import Config
from tsp.hw.floorplan import Hemisphere
from tsp.sim.layout import Memory, Place, banks

_EACH = 512  # slices at every stop of a core for dry runs
MARGIN = 3  # cycles by which a binding keeps accesses apart, as stops of banks differ


class Access(NamedTuple):
    """`count` words of a tile, read or written `interval` cycles apart, the first in `cycle`.

    `row` is the first word, and `stride` 1 for words that follow each other, 0 for one word.
    In a bank that is farther along the streams all is up to `lag` cycles later.
    """

    write: bool
    tile: "Tile"
    row: int
    count: int
    cycle: int
    interval: int
    stride: int = 1
    lag: int = 0

    @property
    def last(self):
        """Cycle of the last word."""
        return self.cycle + (self.count - 1) * self.interval + self.lag

    @property
    def end(self):
        """The word after the last."""
        return self.row + (self.count - 1) * self.stride + 1

    def at(self, row):
        """Cycle of a word, in the first bank."""
        return self.cycle + (row - self.row) * self.interval * self.stride


@dataclass(eq=False)
class Tile:
    """Words that lie side by side in `width` banks of a hemisphere, one for each byte.

    Members
    -------
    key : tuple
        Its name, the same whenever the plan is made.
    words : int
    width : int
    side : Hemisphere
    place : Place
    accesses : list of Access
        All there have been, in absolute cycles.
    filled : bool
        Set by who fills it only once.
    """

    key: tuple
    words: int
    width: int
    side: Hemisphere
    place: Place
    accesses: list = field(default_factory=list)
    filled: bool = False

    def rows(self, first):
        """The place of the words from `first` on."""
        return Place(self.place.banks, tuple(a + first for a in self.place.addresses))


@dataclass(frozen=True, kw_only=True)
class _Roomy(Config):
    """A core with more memory than any that can be built."""

    def __post_init__(self):
        pass


@lru_cache(maxsize=16)
def roomy(config):
    """A core like `config`, with a multitude of banks wherever `config` has banks.

    Dry runs use it; nobody builds it.
    """
    stops = -(-config.mem_slices // config.mem_slices_per_stop)
    fields = config.as_dict() | {
        "mem_slices": stops * _EACH,
        "mem_slices_per_stop": _EACH,
        "bank_words": 1 << 16,
    }
    return _Roomy(**fields)


def _name(key):
    """The tensor that a tile belongs to, by the tile's key."""
    match key:
        case (what, "c" | "s" as kind, *_):
            return f"{'cosine' if kind == 'c' else 'sine'} of {what}"
    return str(key[0])


class Tiles:
    """The tiles of a plan.

    Parameters
    ----------
    config : Config
    what : str
        What is computed, for messages.
    bound : dict, optional
        Banks by the key of a tile; without, tiles take turns on all banks.
    ports : int
        Banks of a hemisphere that may be busy in one cycle of a dry run.
    """

    def __init__(self, config, what, bound=None, ports=0):
        self.config, self.what, self.bound, self.ports = config, what, bound, ports
        self._busy = {side: np.zeros(4096, int) for side in Hemisphere}  # banks, by cycle
        self.memory = Memory(config)
        self.all = {}
        self._turn = {side: (banks(config, side), 0) for side in Hemisphere}

    def tile(self, key, words, width, side):
        """The tile of that key, made when it is first asked for."""
        if key not in self.all:
            where = self._roomy_banks(side, width) if self.bound is None else self.bound[key]
            place = self.memory.take(where, words)
            self.all[key] = Tile(key, words, width, side, place)
            for bank, address in place if self.bound is not None else ():
                self.memory.note(_name(key), "kept", bank, address, words)
        return self.all[key]

    def _roomy_banks(self, side, width):
        found, turn = self._turn[side]
        self._turn[side] = found, turn + width
        return [found[i % len(found)] for i in range(turn, turn + width)]

    def fill(self, tile, vectors):
        """Put uint8 vectors (bytes, rows, lanes) into the image."""
        if self.bound is not None:
            for plane, (bank, address) in zip(vectors, tile.place, strict=True):
                self.memory.fill(bank, address, plane, _name(tile.key))

    def expect(self, tile, words):
        """Note that so many words of a tile are a result."""
        for bank, address in tile.place:
            self.memory.expect(bank, address, words)

    def earliest(self, accesses):
        """The first start from which every access comes after those that it depends on."""
        start = 0
        for new in accesses:
            for old in new.tile.accesses:
                if not (new.write or old.write):
                    continue
                first, last = max(new.row, old.row), min(new.end, old.end) - 1
                if first <= last:
                    if not new.stride or not old.stride:
                        start = max(start, old.last + 1 - new.cycle)
                    for row in (first, last):
                        start = max(start, old.at(row) + old.lag + 1 - new.at(row))
        return start

    def crowded(self, accesses, start):
        """Cycles to wait, in a dry run, until no more banks are busy than there will be.

        What alone needs more banks than that need not wait: there will be no binding.
        """
        if self.bound is not None or not accesses:
            return 0
        first = min(access.cycle for access in accesses)
        wait = 0
        for side, mine in self._demand(accesses, first).items():
            if mine.max() > self.ports:
                continue
            at = start + first + wait
            while (self._load(side, at, len(mine)) + mine > self.ports).any():
                at, wait = at + 1, wait + 1
        return wait

    @staticmethod
    def _demand(accesses, first):
        """Banks that some accesses need in every cycle from `first` on, by hemisphere."""
        span = max(access.last for access in accesses) - first + 1
        found = {}
        for access in accesses:
            mine = found.setdefault(access.tile.side, np.zeros(span, int))
            begin, end = access.cycle - first, access.last - first + 1
            mine[begin : end : access.interval] += access.tile.width
        return found

    def _load(self, side, first, span):
        """Banks that are busy in `span` cycles from `first` on."""
        busy = self._busy[side]
        if len(busy) < first + span:
            more = max(len(busy), first + span - len(busy))
            busy = self._busy[side] = np.concatenate([busy, np.zeros(more, int)])
        return busy[first : first + span]

    def note(self, accesses, start):
        """Note accesses that were placed."""
        if self.bound is None and accesses:
            first = min(access.cycle for access in accesses)
            for side, mine in self._demand(accesses, first).items():
                load = self._load(side, start + first, len(mine))
                load += mine
        for access in accesses:
            access.tile.accesses.append(access._replace(cycle=access.cycle + start))
