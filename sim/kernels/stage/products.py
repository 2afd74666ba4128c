"""Products on a stage: rows in tiles, the rounds in which planes take their columns, and sums.

The planes of both hemispheres go through the tiles of k in different order, so that one copy of
the rows is enough: when the west reads one tile, the east reads another.
"""

from dataclasses import dataclass
from typing import NamedTuple

from tsp.hw.isa import DType
from tsp.sim.kernels.common import chunks
from tsp.sim.kernels.passes import Plane
from tsp.sim.kernels.pipeline import PipelineError
from tsp.sim.kernels.stage.sweep import Part, Weights
from tsp.sim.layout import Span


class Segment(NamedTuple):
    """Rows `first` to `last` - 1 of a tensor's tile: words from `word` on of a tile."""

    first: int
    last: int
    tile: object
    word: int


class Rows:
    """A matrix in SRAM, in tiles of L columns, which are cut into segments of rows.

    Parameters
    ----------
    tiles : Tiles
    name : str
    lanes : int
    dtype : DType
    copies : int
        2 if each hemisphere has its own.
    """

    def __init__(self, tiles, name, lanes, dtype=DType.FP16, copies=1):
        self.tiles, self.name, self.lanes, self.dtype = tiles, name, lanes, dtype
        self.copies, self._segments = copies, {}

    def segment(self, n, first, last, side, copy=0, word=0):
        """The tile for rows `first` to `last` - 1, with room for whole tiles of weights."""
        words = -(-(last - first + word) // self.lanes) * self.lanes
        found = self._segments.setdefault((n, copy), [])
        key = self.name, n, first, copy
        tile = self.tiles.tile(key, words, self.dtype.bytes, side)
        if all(segment.tile is not tile for segment in found):
            found.append(Segment(first, last, tile, word))
        return tile

    def parts(self, n, first, last, copy=0):
        """Where rows `first` to `last` - 1 of a tile are: a list of :class:`Part`."""
        parts, row = [], first
        while row < last:
            found = next(s for s in self._segments[n, copy] if s.first <= row < s.last)
            end = min(found.last, last)
            word = found.word + row - found.first
            parts.append(Part(found.tile, word, row - first, end - row))
            row = end
        return parts

    def weights(self, n, first):
        """L rows of a tile from `first` on, as columns of weights.

        Instead of rows that no segment has, any words are loaded.
        """
        parts, row = [], first
        while row < first + self.lanes:
            begins = [(s.first - s.word, s) for s in self._segments[n, 0]]
            begin, found = max(
                (pair for pair in begins if pair[0] <= row), key=lambda pair: pair[0]
            )
            if row >= begin + found.tile.words:  # no row at all: any words will do
                begin = row
            later = [other for other, _ in begins if other > row]
            end = min([first + self.lanes, begin + found.tile.words, *later])
            parts.append(Part(found.tile, row - begin, row - first, end - row))
            row = end
        return Weights(tuple(parts), self.dtype)

    def expect(self):
        """Note that all segments are results."""
        for segments in self._segments.values():
            for segment in segments:
                rows = segment.last - segment.first
                self.tiles.expect(segment.tile, segment.word + rows)

    def spans(self):
        """Where the rows of all copies lie: a list of :class:`~tsp.sim.layout.Span`."""
        return [
            Span(n, s.first, s.last, s.tile.rows(s.word))
            for (n, _), found in self._segments.items()
            for s in found
        ]

    def segments(self):
        """``(tile number, segment)`` of the first copy."""
        return [(n, s) for (n, copy), found in self._segments.items() if not copy for s in found]


@dataclass(frozen=True)
class Work:
    """What a plane computes in a round: rows `first` to `last` - 1 of tile `n` of the columns."""

    plane: Plane
    n: int
    first: int
    last: int


def rounds(stage, groups, rows, split=True, multiple=1, planes=None):
    """The rounds in which planes take all tiles of columns, each a list of :class:`Work`.

    Parameters
    ----------
    groups : list of tuple
        Tiles that must be computed in one round: one, or two; all of the same length.
    rows : range
        No more than there are accumulator rows.
    split : bool
        Whether, if tiles are left for less than half of the planes, the hemispheres may share
        their rows.
    multiple : int
        Of what number of rows such a share must be.
    planes : list of Plane, optional
        Those that take part, instead of all.

    Raises
    ------
    PipelineError
        If there are fewer planes than a group needs.
    """
    size, planes = len(groups[0]), planes or stage.planes
    slots = [planes[i : i + size] for i in range(0, len(planes) - size + 1, size)]
    if not slots:
        raise PipelineError(
            f"a product needs {size} planes at a time, and {stage.config.name} has {len(planes)}; "
            "use a config with more planes"
        )
    found, whole = [], len(groups) - len(groups) % len(slots)
    for i in range(0, whole, len(slots)):
        found.append(_round(zip(slots, groups[i : i + len(slots)], strict=True), rows))
    left = groups[whole:]
    if not left:
        return found
    share = -(-len(rows) // (2 * multiple)) * multiple
    by_side = {s: [p for p in planes if p.side is s] for s in stage.sides}
    enough = len(by_side) == 2 and min(map(len, by_side.values())) >= len(left) * size
    if split and enough and share < len(rows):
        together = []
        parts = (rows[:share], rows[len(rows) - share :])
        for some, part in zip(by_side.values(), parts, strict=True):
            mine = [some[i : i + size] for i in range(0, len(some), size)]
            together += _round(zip(mine, left, strict=False), part)
        found.append(together)
    else:
        found.append(_round(zip(slots, left, strict=False), rows))
    return found


def _round(pairs, rows):
    return [
        Work(plane, n, rows.start, rows.stop)
        for planes, group in pairs
        for plane, n in zip(planes, group, strict=True)
    ]


def product(stage, name, rows, ks, works, weights, finish, *, count, columns, emitted):
    """Place the passes of one round, a pass per tile of k.

    Parameters
    ----------
    rows : Rows
    ks : list of int
        Tiles of `rows`, in the order of k.
    works : list of Work
    weights : callable
        From a tile of columns and the place of a tile in `ks` to :class:`Weights`.
    finish : callable
        From the last sweep and the cycles in which the sums of each work are at the VXM to
        nothing: it stores what it makes of them.
    count : callable
        From the place of a tile in `ks` to its lanes that count.
    columns : callable
        From a tile of columns to its lanes that count.
    emitted : DType
        FP32, or FP16 if sums go to memory as they are.
    """
    steps, size = len(ks), works[0].last - works[0].first
    for step in range(steps):
        turn = {s: (step + i * (steps // 2)) % steps for i, s in enumerate(stage.sides)}
        title = f"{name}, columns {[work.n for work in works]}, step {step}"
        ready = 0
        for work in works:
            tile = weights(work.n, turn[work.plane.side])
            ready = max(ready, stage.load(work.plane, tile, title))

        def build(p, step=step, turn=turn, ready=ready):
            times, seen = {}, set()
            for work in works:
                side, parts = work.plane.side, None
                if side not in seen:
                    copy = min(rows.copies - 1, stage.sides.index(side))
                    parts = rows.parts(ks[turn[side]], work.first, work.last, copy)
                    seen.add(side)
                times[work] = stage.multiply(
                    p,
                    work.plane,
                    parts,
                    0,
                    dtype=rows.dtype,
                    count=count(turn[side]),
                    step=step,
                    steps=steps,
                    columns=columns(work.n),
                    emitted=emitted,
                )
            if step == steps - 1:
                finish(p, times)
            return ready

        stage.start = stage.sweep(title, size, build)


def keep_emitted(stage, p, work, time, parts):
    """Write what a plane emits as fp16, at the VXM in cycle `time`, to parts on its side."""
    stop = stage.stops[work.plane.side]
    p.keep_stream(stage.results(work.plane, DType.FP16), stop, time - abs(stop - stage.vxm), parts)


def pieces(rows, config, least=1):
    """Rows cut into pieces that fit the accumulators, at least so many if there are the rows."""
    found = chunks(range(rows), config.acc_rows)
    if len(found) < least:
        found = chunks(range(rows), max(-(-rows // least), 1))
    return found
