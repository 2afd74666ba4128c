"""One vector meets all tiles of weights of its rows: a step of :mod:`~tsp.sim.kernels.few_rows`."""

from collections import defaultdict
from functools import lru_cache

import numpy as np

from tsp.hw.isa import SG1, Abc, Acc, AccMode, DType, Lw, StreamGroup, timing
from tsp.sim.kernels.common import NUMPY, to_vectors
from tsp.sim.schedule import Operation
from tsp.sim.schedule import resource as res


@lru_cache(maxsize=4096)
def _lw(direction, base, words, column, dtype):
    """The LW of so many words, on streams from `base` on."""
    streams = tuple(SG1(direction, base + n) for n in range(words))
    return Lw(column=column, dtype=dtype, streams=streams)


class Step:
    """The operation in which one vector, or one of each row, meets tiles of weights.

    Members
    -------
    next : int
        Cycle, from the start, in which the weights of the next step may load.
    sampled : int
        Cycle in which the first word of the vectors is read from memory.
    rows : list
        ``(plane, row, cycle)`` of the accumulator rows that are written anew.
    stands : list
        ``(tile, index of its work, cycle)`` of the last sums of each tile.
    """

    def __init__(self, few, name, vectors, k, weights, anew):
        self.few, self.vectors, self.k = few, vectors, k
        self.weights, self.anew = weights, anew
        self.operation = Operation(few.config, f"{name}, vector {k}")
        self.next, self.sampled, self.rows, self.stands = 0, None, [], []
        self.widest = max(few.width(dtype) for _, dtype in weights.values())
        self.source = {
            side: StreamGroup(2, side.outward, few.config.streams // 2 - 1) for side in few.sides
        }
        self.skipped = None  # cycle that is left to the vector, if the weights take all streams
        self.first = True
        self.loads = defaultdict(list)  # cycles by plane and LW
        self.words = defaultdict(list)  # what is loaded, by which LW, when, by hemisphere

    def tile(self, works):
        """A tile of weights for some planes: ``(tile, index, weight)`` by plane."""
        few, words = self.few, {}
        for plane, (tile, _, weight) in works.items():
            words[plane] = self._words(plane, weight, tile.span)
        width = {plane: few.width(self.weights[work[2]][1]) for plane, work in works.items()}
        count = max(-(-len(words[plane]) // width[plane]) for plane in works)
        slots = self._slots(max(count, few.rows))
        install = slots[-1] + timing.LW_BUFFER
        for n, slot in enumerate(slots):
            for plane, (_, _, weight) in works.items():
                first = n * width[plane]
                part = words[plane][first : first + width[plane]]
                self._note(plane, weight, first, part, slot)
        for plane, (tile, i, _) in works.items():
            # What is loaded is in the buffer from two cycles later on, so that a tile may be
            # installed while the next one loads.
            there = slots[0] + timing.LW_BUFFER
            buffer = res.weight_buffer(plane.name)
            self.operation.claim(buffer, there, res.ones(install + 1 - there))
            self._multiply(plane, tile, i, install)
        if few.rows > 1 or self.first:
            self._read_vectors({plane.side for plane in works}, install)
        self.first = False

    def _slots(self, count):
        """The next cycles in which weights load."""
        slots = []
        while len(slots) < count:
            if self.next != self.skipped:
                slots.append(self.next)
            self.next += 1
        return slots

    def _words(self, plane, weight, span):
        """The words of a tile of weights, uint8 (words, lanes), column by column."""
        matrix, dtype = self.weights[weight]
        first, last = self.vectors.spans[self.k]
        size = self.few.lanes
        # The first time all columns are loaded, since the buffer must have been full once.
        columns = span[1] - span[0] if plane in self.few.warm else size
        self.few.warm.add(plane)
        padded = np.zeros((columns, size), NUMPY[dtype])
        padded[: span[1] - span[0], : last - first] = matrix[first:last, slice(*span)].T
        return to_vectors(padded, size)[:, :, 0].transpose(1, 0, 2).reshape(-1, size)

    def _note(self, plane, weight, first, words, cycle):
        """Note that an LW issued in `cycle` loads words of a tile, from word `first` on."""
        if not len(words):
            return
        base, (_, dtype) = plane.number * self.widest, self.weights[weight]
        lw = _lw(plane.side.outward, base, len(words), first // dtype.bytes, dtype)
        self.loads[plane.name, lw].append(cycle)
        arrive = cycle + lw.timing(self.few.config).skew
        self.words[plane.side].append((words, weight, lw.streams, arrive))

    def load(self):
        """Issue all LWs, and read the words that they load, which go to the ring of banks."""
        for (plane, lw), cycles in self.loads.items():
            self.operation.perform_at(f"{plane}.LW", lw, cycles)
        for side, parts in self.words.items():
            words = np.concatenate([words for words, *_ in parts])
            names = [name for _, name, streams, _ in parts for _ in streams]
            arrivals = [(s, arrive) for *_, streams, arrive in parts for s in streams]
            places = self.few.weight_banks(side, words, names)
            reads = (
                (bank.queue, address, *arrival)
                for (bank, address), arrival in zip(places, arrivals, strict=True)
            )
            self.operation.read_words(self.few.stops[side], reads)

    def _multiply(self, plane, tile, i, install):
        few, held = self.few, self.few.rows == 1 and not self.first
        first, last = self.vectors.spans[self.k]
        source = self.source[plane.side]
        abc = Abc(source=source, dtype=DType.FP16, hold=held, count=last - first)
        self.operation.install(plane.name, install, used=few.rows)
        stands = self.operation.multiply(plane.name, abc, install, few.rows)
        mode = AccMode.WRITE if self.anew else AccMode.ADD
        acc = Acc(row=tile.rows[i], mode=mode, target=plane.results, count=few.lanes)
        self.operation.accumulate(plane.name, acc, stands, count=few.rows)
        self.stands.append((tile, i, stands))
        if self.anew:
            self.rows += [(plane, tile.rows[i] + n, stands + n) for n in range(few.rows)]

    def _read_vectors(self, sides, install):
        """Bring the vectors to the planes that meet their first tile, or another one."""
        arrive = install + timing.ABC_SAMPLE
        for side in sides:
            stop, source = self.few.stops[side], self.source[side]
            place = self.vectors.place(side, self.k)
            for stream, (bank, address) in zip(source.streams, place, strict=True):
                single = SG1(side.outward, stream)
                self.operation.read(bank.queue, address, single, stop, arrive, self.few.rows)
                driven = arrive - abs(stop - bank.stop)
                accessed = driven - timing.MEM_READ + timing.MEM_BANK
                self.sampled = accessed if self.sampled is None else min(self.sampled, accessed)
        if self.few.each * self.widest + 2 > self.few.config.streams:
            self.skipped = install
