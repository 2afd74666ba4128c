"""Passes of rows through the planes, with what the VXM does to the rows that come home.

A pass streams rows past one installed tile of weights in every plane that is busy, all planes at a
time. It is one rigid operation, built around a :class:`~tsp.sim.kernels.pipeline.Pipeline`.
"""

from dataclasses import dataclass

import numpy as np

from tsp.hw.floorplan import Hemisphere
from tsp.hw.isa import SG1, Abc, Acc, AccMode, DType, Lw, StreamGroup
from tsp.sim.kernels.common import NUMPY, to_vectors
from tsp.sim.kernels.pipeline import Pipeline
from tsp.sim.layout import Place
from tsp.sim.schedule import Operation, Schedule


def weight_streams(config):
    """Streams outward that weights take at most; the next two are for rows, the others free."""
    return 8 if config.streams >= 12 else 4


@dataclass(frozen=True)
class Plane:
    """An MXM plane: its hemisphere, and its number there."""

    side: Hemisphere
    number: int

    @property
    def name(self):
        """The plane's name, such as ``MXM_W.0``."""
        return f"MXM_{self.side.value}.{self.number}"

    @property
    def results(self):
        """The streams on which it emits fp32."""
        return StreamGroup(4, self.side.inward, self.number)


def planes_of(config):
    """All planes, those of both hemispheres in turn."""
    counts = {Hemisphere.W: config.planes_west, Hemisphere.E: config.planes_east}
    return [Plane(side, n) for n in range(2) for side in Hemisphere if n < counts[side]]


@dataclass(frozen=True)
class WeightTile:
    """L columns of weights of a format, dealt over the banks of a place.

    An LW takes as many columns as the banks hold bytes of; column c is in group c modulo them.
    """

    place: Place
    dtype: DType

    @property
    def columns(self):
        """Columns that one LW takes."""
        return len(self.place.banks) // self.dtype.bytes

    @classmethod
    def of(cls, memory, take, columns, dtype=DType.FP16, name=""):
        """Store the rows of `columns`, a matrix of at most L by L, as columns of weights.

        ``take(dtype)`` finds a place for weights of a format; `memory` is where it is, and `name`
        the tensor that they belong to.
        """
        size = memory.config.vector
        padded = np.zeros((size, size), NUMPY[dtype])
        padded[: columns.shape[0], : columns.shape[1]] = columns
        vectors = to_vectors(padded, size)[:, :, 0]
        tile = cls(take(dtype), dtype)
        for n, (bank, address) in enumerate(tile.place):
            group, byte = divmod(n, dtype.bytes)
            memory.fill(bank, address, vectors[byte, group :: tile.columns], name)
        return tile


class Passes:
    """The planes of a core, and the schedule of what they do.

    Members
    -------
    planes : list of Plane
    sides : list of Hemisphere
        Those that have planes.
    start : int
        Start of the last pass; weights of the next are loaded from there on.
    """

    def __init__(self, config):
        self.config, self.schedule, self.lanes = config, Schedule(config), config.vector
        self.planes = planes_of(config)
        self.sides = sorted({plane.side for plane in self.planes}, key=lambda s: s.value)
        plan = config.floorplan
        self.vxm = plan.slice("VXM").stop
        self.stops = {side: plan.slice(f"MXM_{side.value}").stop for side in self.sides}
        self.start = 0
        self._ready, self._busy = {}, {}  # cycles of a place's first and last write, and last use
        self._waiting = {}  # since when a plane's weights wait

    def plane(self, number):
        """The plane that computes the tile of that number."""
        return self.planes[number % len(self.planes)]

    def load(self, plane, tile, name):
        """Load a tile of weights; says from when it can be installed."""
        operation = Operation(self.config, f"weights of {name}")
        stop, outward = self.stops[plane.side], plane.side.outward
        streams = tuple(SG1(outward, n) for n in range(len(tile.place.banks)))
        steps = self.lanes // tile.columns
        for step in range(steps):
            lw = Lw(column=step * tile.columns, dtype=tile.dtype, streams=streams)
            done = operation.load(plane.name, lw, step)
        arrive = lw.timing(self.config).skew
        for stream, (bank, address) in zip(streams, tile.place, strict=True):
            operation.read(bank.queue, address, stream, stop, arrive, steps)
        start = self.schedule.place(operation, max(self.start, 0))
        self._waiting[plane] = start + steps
        return start + done

    def pipeline(self, name, rows, interval):
        """A pipeline that leaves alone what weights, rows and results of the planes take."""
        pipeline = Pipeline(self.config, name, rows, interval)
        for side in Hemisphere:
            pipeline.reserve(side.outward, side, range(weight_streams(self.config) + 2))
            for plane in self.planes:
                if plane.side is side:
                    pipeline.reserve(side.inward, side, plane.results.streams)
        return pipeline

    def row_streams(self, side):
        """The streams on which rows flow to the planes of a hemisphere."""
        return StreamGroup(2, side.outward, weight_streams(self.config) // 2)

    def stream(self, p, side, place, first=0):
        """Read fp16 rows for ABCs in cycle 0 on of a hemisphere's planes; says on which streams.

        Row `first` of the place is the first. The banks may be in the other hemisphere.
        """
        source = self.row_streams(side)
        arrive, stop = Abc.timing(self.config).skew, self.stops[side]
        for stream, (bank, address) in zip(source.streams, place, strict=True):
            single, driven = SG1(side.outward, stream), arrive - abs(stop - bank.stop)
            p.operation.read(bank.queue, address + first, single, stop, arrive, p.rows, p.interval)
            # As if all rows were read from the first on, and as if the last to be read were last.
            p.note_read(place, driven - first * p.interval)
            p.note_read(place, driven)
        return source

    def multiply(self, p, plane, source, issue, count, step, steps, columns, leaving=True):
        """Rows past the loaded weights, from ABCs in cycle `issue` on, step `step` of `steps`.

        Says when the first sums are at the VXM, if they leave: after the last step, if `leaving`.
        """
        times, used = (p.rows, p.interval), (p.rows - 1) * p.interval + 1
        p.operation.install(plane.name, issue, since=self._waiting[plane], used=used)
        abc = Abc(source=source, dtype=DType.FP16, count=count)
        stands = p.operation.multiply(plane.name, abc, issue, *times)
        last = leaving and step == steps - 1
        acc = Acc(
            row=0,
            mode=AccMode.ADD if step else AccMode.WRITE,
            emit=last,
            dtype=DType.FP32,
            target=plane.results,
            count=columns,
        )
        driven = p.operation.accumulate(plane.name, acc, stands, self.vxm, *times)
        return driven + abs(self.stops[plane.side] - self.vxm) if last else None

    def emit(self, p, plane, stands, columns):
        """Rows that stand in the accumulators, from cycle `stands` on; says when at the VXM."""
        keep = AccMode.KEEP
        acc = Acc(row=0, mode=keep, emit=True, target=plane.results, count=columns)
        driven = p.operation.accumulate(plane.name, acc, stands, self.vxm, p.rows, p.interval)
        return driven + abs(self.stops[plane.side] - self.vxm)

    def place(self, p, writes, ready):
        """Place a pass from `ready` on, and make it the last.

        What it reads has been written by then, and what it writes has been read. Rows follow each
        other, so that it is enough to look at the first and at the last.
        """
        reads = [(x, c) for x, cycles in p.reads.items() for c in cycles]
        writes = [*writes, *((x, c) for x, cycles in p.writes.items() for c in cycles)]
        span, earliest = (p.rows - 1) * p.interval, ready
        for times, accesses in ((self._ready, reads), (self._busy, writes)):
            for place, cycle in accesses:
                if place in times:
                    first, last = times[place]
                    earliest = max(earliest, first + 1 - cycle, last + 1 - cycle - span)
        self.start = start = self.schedule.place(p.finish(), earliest)
        for place, cycle in reads + writes:
            first, last = self._busy.get(place, (0, 0))
            self._busy[place] = max(first, start + cycle), max(last, start + cycle + span)
        for place, cycle in writes:
            self._ready[place] = start + cycle, start + cycle + span
