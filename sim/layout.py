"""The layout of memory: banks, the words allocated in each, and the image under construction."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from tsp.hw.errors import CapacityError
from tsp.hw.isa import Unit
from tsp.sim.program import Block, Named, Region


@dataclass(frozen=True, order=True)
class Bank:
    """One bank of a MEM slice, and where its streams start and end."""

    slice: str
    number: int
    stop: int

    def __hash__(self):
        return hash(self.queue)  # whose own is kept

    @cached_property
    def queue(self):
        """Name of the bank's queue."""
        return f"{self.slice}.{self.number}"


def banks(config, hemisphere=None):
    """The banks of one hemisphere, or of the chip, west to east."""
    return [*_banks(config, hemisphere)]


@lru_cache(maxsize=64)
def _banks(config, hemisphere):
    return tuple(
        Bank(queue.slice.name, queue.port, queue.stop)
        for queue in config.floorplan.queues
        if queue.unit is Unit.MEM and hemisphere in (None, queue.slice.hemisphere)
    )


@dataclass(frozen=True)
class Place:
    """Consecutive words in each of several banks, from an address for each bank on."""

    banks: tuple[Bank, ...]
    addresses: tuple[int, ...]

    def __iter__(self):
        return iter(zip(self.banks, self.addresses, strict=True))


@dataclass(frozen=True)
class Span:
    """Rows `first` to `last` - 1 of a tile of a float16 matrix, in consecutive words.

    Tile n is columns n * vector to (n + 1) * vector - 1, the last one padded. `place` is two banks
    of one hemisphere: low bytes, and high bytes.
    """

    tile: int
    first: int
    last: int
    place: Place


@dataclass(frozen=True)
class Located:
    """A float16 matrix of a shape (rows, columns), and the spans of SRAM that hold it.

    Rows that are stored in several places have several spans: all of them are read or written.
    """

    shape: tuple[int, int]
    spans: tuple[Span, ...]


class Memory:
    """The words of every bank: how many are allocated, and the image.

    Words are allocated from address 0 up and never freed.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config):
        self.config = config
        self._taken = {}
        self._data = {}
        self._results = {}
        self._named = {}

    def room(self, bank):
        """The number of free words in a bank."""
        return self.config.bank_words - self._taken.get(bank, 0)

    def take(self, banks: Iterable[Bank], words):
        """Allocate `words` consecutive words in each bank; returns their :class:`Place`."""
        addresses = []
        for bank in banks:
            if words > self.room(bank):
                raise CapacityError(
                    f"{words} words do not fit in {bank.queue}, which has {self.room(bank)} left"
                )
            addresses.append(self._taken.get(bank, 0))
            self._taken[bank] = addresses[-1] + words
        return Place(tuple(banks), tuple(addresses))

    def fill(self, bank, address, data, name=""):
        """Put uint8 words of shape (words, vector) into the image, as part of the tensor `name`."""
        self.note(name, "input", bank, address, len(data))
        if bank not in self._data:
            shape = (self.config.bank_words, self.config.vector)
            self._data[bank] = np.zeros(shape, np.uint8), [address, address]
        image, extent = self._data[bank]
        image[address : address + len(data)] = data
        extent[:] = min(extent[0], address), max(extent[1], address + len(data))

    def expect(self, bank, address, words):
        """Note that `words` words will hold a result."""
        self.note("result", "output", bank, address, words)
        first, last = self._results.get(bank, (address, 0))
        self._results[bank] = min(first, address), max(last, address + words)

    def note(self, name, role, bank, address, words):
        """Note that so many words belong to the tensor `name`, if it has one."""
        if not name:
            return
        spans = self._named.setdefault((name, role, bank), [])
        if spans and spans[-1][1] == address:
            spans[-1][1] += words
        else:
            spans.append([address, address + words])

    def tensors(self):
        """Which words belong to which tensor; those of operands and results are not kept, too."""
        given = {
            (bank, word)
            for (_, role, bank), spans in self._named.items()
            for first, last in spans
            for word in range(first, last)
            if role != "kept"
        }
        return tuple(
            Named(name, role, bank.slice, bank.number, first, last - first)
            for (name, role, bank), spans in self._named.items()
            for first, last in spans
            if role != "kept" or (bank, first) not in given
        )

    def image(self):
        """The image as one block per bank, from the first word that was filled to the last."""
        return tuple(
            Block(bank.slice, bank.number, first, image[first:last])
            for bank, (image, (first, last)) in self._data.items()
        )

    def outputs(self):
        """One region per bank that holds results, from the first result to the last."""
        return tuple(
            Region(bank.slice, bank.number, first, last - first)
            for bank, (first, last) in self._results.items()
        )

    def result(self, outputs, bank, address, words):
        """The words of a result, given the data of :meth:`outputs`."""
        index = list(self._results).index(bank)
        first = address - self._results[bank][0]
        return outputs[index][first : first + words]
