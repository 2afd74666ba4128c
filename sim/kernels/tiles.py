"""Tiles of rows that a program keeps in SRAM, and the banks that they are given.

A bank has one port, so that what is written while something else is read must lie elsewhere. Which
accesses meet is known only once everything has a time. A plan is therefore rehearsed on a core
with banks for everybody; then :mod:`~tsp.sim.kernels.binding` finds every tile banks that are idle
whenever it is accessed; and then the plan is performed on the core as it is.
"""

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from tsp.hw.floorplan import Hemisphere
from tsp.sim.layout import Memory, Place, banks

MARGIN = 3  # cycles by which a binding keeps accesses apart, as stops of banks differ


class Access(NamedTuple):
    """`count` words of a tile, read or written `interval` cycles apart, the first in `cycle`.

    `row` is the first word, and `stride` 1 for words that follow each other, 0 for one word.
    """

    write: bool
    tile: "Tile"
    row: int
    count: int
    cycle: int
    interval: int
    stride: int = 1

    @property
    def last(self):
        """Cycle of the last word."""
        return self.cycle + (self.count - 1) * self.interval

    @property
    def end(self):
        """The word after the last."""
        return self.row + (self.count - 1) * self.stride + 1

    def at(self, row):
        """Cycle of a word."""
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


def roomy(config):
    """A core like `config`, every bank where a bank of `config` is, with as many as there can be.

    Plans are rehearsed on it; nobody builds it.
    """
    stops = -(-config.mem_slices // config.mem_slices_per_stop)
    each = max(64 // stops, 1)
    return replace(config, mem_slices=stops * each, mem_slices_per_stop=each, bank_words=65536)


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
        Banks of a hemisphere that may be busy in one cycle of a rehearsal.
    """

    def __init__(self, config, what, bound=None, ports=0):
        self.config, self.what, self.bound, self.ports = config, what, bound, ports
        self._busy = defaultdict(int)  # banks, by hemisphere and cycle
        self.memory = Memory(config)
        self.all = {}
        self._turn = {side: (banks(config, side), 0) for side in Hemisphere}

    def tile(self, key, words, width, side):
        """The tile of that key, made when it is first asked for."""
        if key not in self.all:
            where = self._rehearsed(side, width) if self.bound is None else self.bound[key]
            self.all[key] = Tile(key, words, width, side, self.memory.take(where, words))
        return self.all[key]

    def _rehearsed(self, side, width):
        found, turn = self._turn[side]
        self._turn[side] = found, turn + width
        return [found[i % len(found)] for i in range(turn, turn + width)]

    def fill(self, tile, vectors, row=0):
        """Put uint8 vectors (bytes, rows, lanes) into the image, from word `row` on."""
        if self.bound is not None:
            for plane, (bank, address) in zip(vectors, tile.place, strict=True):
                self.memory.fill(bank, address + row, plane)

    def expect(self, tile):
        """Note that a tile is a result."""
        for bank, address in tile.place:
            self.memory.expect(bank, address, tile.words)

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
                        start = max(start, old.at(row) + 1 - new.at(row))
        return start

    def crowded(self, accesses, start):
        """Cycles to wait, in a rehearsal, because more banks would be busy than there will be."""
        if self.bound is not None:
            return 0
        mine = defaultdict(int)
        for access in accesses:
            first, last = start + access.cycle, start + access.last + 1
            for cycle in range(first, last, access.interval):
                mine[access.tile.side, cycle] += access.tile.width
        late = [key[1] for key, width in mine.items() if self._busy[key] + width > self.ports]
        return 1 if late else 0

    def note(self, accesses, start):
        """Note accesses that were placed."""
        if self.bound is None:
            for access in accesses:
                first, last = start + access.cycle, start + access.last + 1
                for cycle in range(first, last, access.interval):
                    self._busy[access.tile.side, cycle] += access.tile.width
        for access in accesses:
            access.tile.accesses.append(access._replace(cycle=access.cycle + start))
