"""Sweeps: passes of rows whose operands and results are tiles, and the stage on which they run.

Streams have fixed uses in all hemispheres and both directions, so that words may come from either
side of the VXM: the first carry weights, the next two rows for the planes, a quad for each plane
what it emits, and the others belong to the VXM.
"""

from dataclasses import dataclass

from tsp.hw.floorplan import Hemisphere
from tsp.hw.isa import SG1, Abc, Acc, AccMode, DType, Lw, StreamGroup
from tsp.hw.isa.timing import MEM_BANK, MEM_READ, MEM_SAMPLE
from tsp.sim.kernels.passes import planes_of
from tsp.sim.kernels.pipeline import Pipeline, PipelineError, Value, narrowest
from tsp.sim.kernels.stage.tiles import MARGIN, Access
from tsp.sim.schedule import Operation, Schedule

_FEWEST = 16  # streams in each direction that a stage needs
_TURNS = 4  # choices of ALUs and streams
_FAR = 4  # of the weights' streams, those on which weights may come from the other hemisphere


@dataclass(frozen=True)
class Part:
    """Rows `row` to `row` + `count` - 1 of a pass, which are words from `word` on of a tile."""

    tile: object
    word: int
    row: int
    count: int


@dataclass(frozen=True)
class Weights:
    """L columns of weights, dealt over the banks of tiles.

    An LW takes as many columns as the banks hold bytes of; column c is in group c modulo them.
    Rows of tiles of two banks are columns of fp16 weights as they lie.

    Members
    -------
    parts : tuple of Part
        One after the other; `row` counts LWs.
    dtype : DType
    """

    parts: tuple
    dtype: DType

    @property
    def width(self):
        """Banks, and streams, that one LW takes from."""
        return self.parts[0].tile.width


class Sweep(Pipeline):
    """A pipeline whose loads and stores are parts of tiles.

    Parameters
    ----------
    stage : Stage
    name, rows, interval
        As for a pipeline.
    turn : int
        Which ALUs and streams are taken first.

    Members
    -------
    accesses : list of Access
        In cycles relative to the start.
    """

    def __init__(self, stage, name, rows, interval, turn=0):
        super().__init__(stage.config, name, rows, interval)
        first, count, special = 4 * turn, stage.config.alus, stage.config.special_alus
        self.alus.sort(key=lambda alu: (alu < special, (alu - first) % count))
        if turn % 2:
            self.streams.reverse()
        self.stage, self.accesses, self._shared = stage, [], {}
        rows = stage.weights, stage.weights + 1
        for side in stage.sides:
            away = Hemisphere.E if side is Hemisphere.W else Hemisphere.W
            self.reserve(side.outward, side, (*range(stage.weights), *rows))
            self.reserve(side.outward, away, (*range(_FAR), *rows))
        for plane in stage.planes:
            self.reserve(plane.side.inward, plane.side, stage.results(plane).streams)

    def rows_of(self, parts):
        """The rows of a pass that stand in parts of tiles of one hemisphere; read when used."""
        return Value(None, None, load=parts)

    def shared_rows(self, part):
        """The same value whenever the same part is asked for: it is read once."""
        if part not in self._shared:
            self._shared[part] = self.rows_of([part])
        return self._shared[part]

    def word(self, tile, word=0):
        """One word of a tile, for every row."""
        return Value(None, None, load=(tile, word))

    def keep(self, value, *copies):
        """Write rows to parts of tiles; all copies are in one hemisphere."""
        tiles = [part.tile for parts in copies for part in parts]
        stops = [bank.stop for tile in tiles for bank in tile.place.banks]
        group = self._group(tiles[0].side.outward, tiles[0].side, tiles[0].width)
        self._drive(value, group, max(stops, key=lambda stop: abs(stop - self._vxm)))
        for parts in copies:
            self.keep_stream(group, self._vxm, value.time, parts)

    def keep_stream(self, group, source, driven, parts):
        """Write rows that a stop drives from cycle `driven` on, as they pass."""
        for part in parts:
            begin = driven + part.row * self.interval
            for stream, (bank, address) in zip(
                group.streams, part.tile.rows(part.word), strict=True
            ):
                arrive = begin + abs(bank.stop - source)
                single = SG1(group.direction, stream)
                self.operation.write(bank.queue, address, single, arrive, part.count, self.interval)
            hops = [abs(bank.stop - source) for bank in part.tile.place.banks]
            landed = [begin + hop + MEM_BANK - MEM_SAMPLE for hop in (min(hops), max(hops))]
            times = part.count, *landed, self.interval
            self.accesses.append(_access(True, part.tile, part.word, *times))

    def read(self, group, stop, time, parts):
        """Read rows so that the first is at a stop in cycle `time`."""
        for part in parts:
            begin = time + part.row * self.interval
            for stream, (bank, address) in zip(
                group.streams, part.tile.rows(part.word), strict=True
            ):
                single = SG1(group.direction, stream)
                self.operation.read(
                    bank.queue, address, single, stop, begin, part.count, self.interval
                )
            times = part.count, *_read_at(part.tile, stop, begin), self.interval
            self.accesses.append(_access(False, part.tile, part.word, *times))

    def units(self, side):
        """Units of a hemisphere's SXM that this pass does not use yet."""
        planes = {Hemisphere.W: self.config.planes_west, Hemisphere.E: self.config.planes_east}
        return max(planes[side], 1) - self._units[side]

    def keep_reduced(self, value, side, *copies):
        """Write what the SXM of a hemisphere reduced to parts there, on its way to the VXM."""
        driven = value.time - abs(self._sxm[side] - self._vxm)
        for parts in copies:
            self.keep_stream(value.operand, self._sxm[side], driven, parts)

    def permuted(self, side, value, tile):
        """Lanes of fp32 rows in another order: that of the map in `tile`, one for all rows."""
        arrive = value.time + abs(self._sxm[side] - self._vxm)
        times = self.rows, *_read_at(tile, self._sxm[side], arrive), self.interval
        self.accesses.append(_access(False, tile, 0, *times, stride=0))
        return self.permute(side, value, tile.place)

    def _width(self, value):
        tile = value.load[0] if isinstance(value.load, tuple) else value.load[0].tile
        return tile.width

    def _pin(self, value, time):
        if isinstance(value.load, tuple):
            tile, word = value.load
            group = self._group(tile.side.inward, tile.side, tile.width)
            for stream, (bank, address) in zip(group.streams, tile.rows(word), strict=True):
                single = SG1(group.direction, stream)
                times = time, self.rows, self.interval, 0
                self.operation.read(bank.queue, address, single, self._vxm, *times)
            times = self.rows, *_read_at(tile, self._vxm, time), self.interval
            self.accesses.append(_access(False, tile, word, *times, stride=0))
        else:
            tile = value.load[0].tile
            group = self._group(tile.side.inward, tile.side, tile.width)
            self.read(group, self._vxm, time, value.load)
        value.time, value.operand = time, group


def _settled(operation):
    """The claims that are the same whatever ALUs and streams a pass takes."""
    kinds = ("buffer", "array", "row")
    return {
        resource: mask
        for resource, mask in operation.claims.items()
        if resource[0] in kinds or (resource[0] == "issue" and not resource[1].startswith("VXM"))
    }


def _read_at(tile, stop, arrive):
    """Cycles in which the first and last bank of a tile are read for words at a stop."""
    hops = [abs(bank.stop - stop) for bank in tile.place.banks]
    return [arrive - hop - MEM_READ + MEM_BANK for hop in (max(hops), min(hops))]


def _access(write, tile, word, count, first, last, interval, stride=1):
    """An access whose first word is touched in `first` in one bank, and in `last` in another."""
    return Access(write, tile, word, count, first, interval, stride, last - first)


class Stage:
    """The planes of a core, the schedule of what they do, and the tiles that they work on.

    Parameters
    ----------
    config : Config
    tiles : Tiles

    Members
    -------
    planes : list of Plane
        Those of the west first.
    sides : list of Hemisphere
        Those that have planes.
    together : set of frozenset
        Pairs of keys of tiles that one operation accesses in one cycle.
    weights : int
        Streams of weights; rows have the two after them.
    """

    def __init__(self, config, tiles):
        if config.streams < _FEWEST:
            raise PipelineError(
                f"{tiles.what} needs {_FEWEST} streams in each direction, and {config.name} has "
                f"{config.streams}; use a larger config"
            )
        self.weights = 8 if config.streams > _FEWEST else 4
        self.config, self.tiles, self.schedule = config, tiles, Schedule(config)
        self.lanes, plan = config.vector, config.floorplan
        self.planes = sorted(planes_of(config), key=lambda p: (p.side is Hemisphere.E, p.number))
        self.sides = list(dict.fromkeys(plane.side for plane in self.planes))
        self.vxm = plan.slice("VXM").stop
        self.stops = {side: plan.slice(f"MXM_{side.value}").stop for side in self.sides}
        self.start = 0  # of the last pass; the weights of the next are loaded from there on
        self.together = set()
        self._waiting = {}  # since when a plane's weights wait

    def results(self, plane, dtype=DType.FP32):
        """The streams on which a plane emits."""
        first = self.weights + 4 + 4 * plane.number
        return StreamGroup(dtype.bytes, plane.side.inward, first // dtype.bytes)

    def load(self, plane, weights, name):
        """Load a tile of weights; says from when it can be installed."""
        operation, width = Operation(self.config, f"weights of {name}"), weights.width
        stop, outward = self.stops[plane.side], plane.side.outward
        base = plane.number * width if 2 * width <= _FAR else 0
        streams = tuple(SG1(outward, base + n) for n in range(width))
        columns, accesses = width // weights.dtype.bytes, []
        steps = -(-self.lanes // columns)
        for step in range(steps):
            lw = Lw(column=step * columns, dtype=weights.dtype, streams=streams)
            done = operation.load(plane.name, lw, step)
        for part in weights.parts:
            arrive = lw.timing(self.config).skew + part.row
            for stream, (bank, address) in zip(streams, part.tile.rows(part.word), strict=True):
                operation.read(bank.queue, address, stream, stop, arrive, part.count)
            times = part.count, *_read_at(part.tile, stop, arrive), 1
            accesses.append(_access(False, part.tile, part.word, *times))
        start = self._place(operation, accesses, self.start)
        self._waiting[plane] = start + steps
        return start + done

    def sweep(self, name, rows, build):
        """Place a pass of rows at the smallest interval that ALUs and streams allow.

        ``build(sweep)`` fills it, and says from which cycle on it may start. It is built with
        different ALUs and streams until it need not wait for those of another pass, or waits for
        something else anyway.
        """
        best = None
        for turn in range(_TURNS):

            def at(interval, turn=turn):
                sweep = Sweep(self, name, rows, interval, turn)
                return sweep, build(sweep)

            sweep, ready = narrowest(at)
            operation = sweep.finish()
            wanted = max(ready, self.tiles.earliest(sweep.accesses), -operation.first)
            start = self._earliest(operation, sweep.accesses, wanted)
            if best is None or start < best[0]:
                best = start, operation, sweep.accesses
            if start == wanted or start == self._earliest(
                operation, sweep.accesses, wanted, _settled(operation)
            ):
                break
        start, operation, accesses = best
        return self._place(operation, accesses, start)

    def multiply(self, p, plane, parts, issue, *, dtype, count, step, steps, columns, emitted):
        """Rows past the loaded weights, from ABCs in cycle `issue` on, step `step` of `steps`.

        The rows are read for the first plane of a hemisphere, and shared by the next. Says when
        the first sums are at the VXM, or leave the plane if `emitted` is fp16: after the last step.
        """
        times, used = (p.rows, p.interval), (p.rows - 1) * p.interval + 1
        source = StreamGroup(dtype.bytes, plane.side.outward, self.weights // dtype.bytes)
        if parts is not None:
            p.read(source, self.stops[plane.side], issue + Abc.timing(self.config).skew, parts)
        p.operation.install(plane.name, issue, since=self._waiting[plane], used=used)
        stands = p.operation.multiply(
            plane.name, Abc(source=source, dtype=dtype, count=count), issue, *times
        )
        last = step == steps - 1
        acc = Acc(
            row=0,
            mode=AccMode.ADD if step else AccMode.WRITE,
            emit=last,
            dtype=emitted,
            target=self.results(plane, emitted),
            count=columns,
        )
        driven = p.operation.accumulate(plane.name, acc, stands, self.vxm, *times)
        return driven + abs(self.stops[plane.side] - self.vxm) if last else None

    def _earliest(self, operation, accesses, start, claims=None):
        """The first start at which nothing collides, and a dry run has enough banks.

        With `claims`, at which these do not collide.
        """
        while True:
            start = self.schedule.find(operation, start, claims)
            wait = self.tiles.crowded(accesses, start)
            if not wait:
                return start
            start += wait

    def _place(self, operation, accesses, ready):
        # In other banks, both may come nearer to each other by as many hops as there are.
        stops = -(-self.config.mem_slices // self.config.mem_slices_per_stop)
        margin = max(MARGIN, 2 * (stops - 1))
        for i, one in enumerate(accesses):
            for other in accesses[:i]:
                apart = one.cycle > other.last + margin or other.cycle > one.last + margin
                if not apart and one.tile is not other.tile:
                    self.together.add(frozenset((one.tile.key, other.tile.key)))
        start = max(ready, self.tiles.earliest(accesses))
        start = self.schedule.place(operation, self._earliest(operation, accesses, start))
        self.tiles.note(accesses, start)
        return start
