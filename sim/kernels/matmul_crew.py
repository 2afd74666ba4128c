"""The operations of a matrix multiply, placed one after the other.

A job is a chunk of rows of A that fits the accumulators, times a tile of N per plane. It takes a
pass per tile of K: install the tile's weights, stream the rows, write or add the sums. The weights
of the next pass load meanwhile. The last pass emits the results in the same breath.
"""

from functools import cache

from tsp.hw.floorplan import Hemisphere
from tsp.hw.isa import SG1, Abc, Acc, AccMode, Alu, Convert, DType, Lw, MulF, StreamGroup
from tsp.hw.isa.base import IMM
from tsp.hw.isa.vxm import Late
from tsp.sim.schedule import Operation


@cache
def _lw(column, dtype, direction, streams):
    """An LW; a matrix multiply needs the same few again and again."""
    return Lw(column=column, dtype=dtype, streams=tuple(SG1(direction, s) for s in streams))


class Crew:
    """The planes of one hemisphere at work on their jobs.

    Parameters
    ----------
    layout : Layout
    work : Work
    schedule : Schedule
        Where the operations are placed.
    scale : numpy.float32
        What int8 results are multiplied by.
    """

    def __init__(self, layout, work, schedule, scale):
        self.layout, self.work, self.schedule = layout, work, schedule
        self.problem, self.config = layout.problem, layout.problem.config
        self.outward, self.inward = work.hemisphere.outward, work.hemisphere.inward
        self.stop = layout.stop(work.hemisphere)
        self.vxm = self.config.floorplan.slice("VXM").stop
        self.scale = int(scale.view("u4"))
        self.start = 0  # of the last pass
        self.rows_free = 0  # cycle from which sums may stand for the next job
        self.written = 0  # cycle in which the sums of the job's row 0 stood first

    def run(self):
        """Place all jobs."""
        for job in self.work.jobs:
            for k in range(self.problem.k_tiles):
                self._pass(job, k, *self._load(job, k))
            if self.layout.plan.tight:
                self._drain(job)

    def plane(self, part):
        """Name of a part's plane."""
        return f"MXM_{self.work.hemisphere.value}.{part.plane}"

    # Weights

    def _load(self, job, k):
        """Load the tiles of a pass: when it may start, and since when each plane's buffer waits."""
        cold = self.layout.cold.get(self.work.hemisphere)
        if cold and k == 0 and job is self.work.jobs[0]:
            loadings = [cold]
        else:
            loadings = [
                self.layout.weights[self.work.hemisphere, planes, tile, k]
                for planes, tile in self.layout.demands(job)
            ]
        ready, waiting = 0, {}
        earliest = self.start  # an LW may follow the IW of the last pass in the same cycle
        for weights in loadings:
            operation = Operation(self.config, f"weights of {self._title(job, k)}")
            done = self._load_operation(operation, weights)
            start = self.schedule.place(operation, earliest)
            ready = max(ready, start + max(done.values()))
            for load in weights.loads:
                waiting |= dict.fromkeys(load.planes, start + load.cycle + 1)
        return ready, waiting

    def _load_operation(self, operation, weights):
        """Fill in a loading whose first LW issues in cycle 0; says when each plane's is over."""
        dtype, done = self.problem.b_dtype, {}
        for load in weights.loads:
            streams = tuple(stream for _, stream in load.sources)
            lw = _lw(load.column, dtype, self.outward, streams)
            for plane in load.planes:
                name = f"MXM_{self.work.hemisphere.value}.{plane}"
                done[plane] = operation.load(name, lw, load.cycle)
        sampled = lw.timing(self.config).skew
        for fetch in weights.fetches:
            operation.read(
                fetch.bank.queue,
                fetch.address,
                SG1(self.outward, fetch.stream),
                to=self.stop,
                arrive=fetch.cycle + sampled,
                count=len(fetch.vectors),
            )
        return done

    # Passes

    def _pass(self, job, k, ready, waiting):
        """Stream the rows of a job past the weights of one tile of K."""
        problem, first = self.problem, k == 0
        final = k == problem.k_tiles - 1 and not self.layout.plan.tight
        interval = self._emit_interval() if final else 1
        operation = Operation(self.config, self._title(job, k))
        sources = self._stream_rows(operation, job, k, interval)
        count = min(problem.lanes, problem.k - k * problem.lanes)
        for part in job:
            plane, times = self.plane(part), (part.rows, interval)
            abc = Abc(source=sources[part.first], dtype=problem.a_dtype, count=count)
            span = (part.rows - 1) * interval + 1
            operation.install(plane, 0, since=waiting[part.plane], used=span)
            stands = operation.multiply(plane, abc, 0, *times)
            mode = AccMode.WRITE if first else AccMode.ADD
            self._accumulate(operation, part, mode, stands, final, interval)
            if final:
                operation.keep_rows(plane, stands, *times, None if first else self.written)
        if first:
            ready = max(ready, self.rows_free - stands)
        self.start = self.schedule.place(operation, ready)
        if first:
            self.written = self.start + stands
        rows = max(part.rows for part in job)
        self.rows_free = self.start + stands + rows * interval

    def _stream_rows(self, operation, job, k, interval):
        """Read the rows of A that a job needs; says on which streams, by first row."""
        sources = {}
        for part in job:
            if part.first in sources:
                continue  # the planes of a hemisphere share what flows past
            source = StreamGroup(self.problem.a_dtype.bytes, self.outward, len(sources))
            sources[part.first] = source
            arrive = Abc.timing(self.config).skew
            place = self.layout.a[self.work.hemisphere, part.first, k]
            for stream, (bank, address) in zip(source.streams, place, strict=True):
                stream = SG1(self.outward, stream)
                times = part.rows, interval
                operation.read(bank.queue, address, stream, self.stop, arrive, *times)
        return sources

    def _drain(self, job):
        """Emit the rows of a job, one plane after the other."""
        interval = self._emit_interval()
        for part in job:
            operation = Operation(self.config, f"results of {self._title([part])}")
            self._accumulate(operation, part, AccMode.KEEP, 0, True, interval)
            operation.keep_rows(self.plane(part), 0, part.rows, interval, self.written)
            start = self.schedule.place(operation, self.rows_free)
            self.rows_free = start + part.rows * interval

    def _accumulate(self, operation, part, mode, stands, emit, interval):
        """Take the sums that stand from cycle `stands` on; if asked, emit them to memory."""
        problem = self.problem
        emitted = DType.FP32 if problem.requantises else problem.out_dtype
        target = StreamGroup(emitted.bytes, self.inward, part.plane)
        acc = Acc(
            row=0,
            mode=mode,
            emit=emit,
            dtype=emitted,
            target=target,
            count=min(problem.lanes, problem.n - part.tile * problem.lanes),
        )
        place = self.layout.c[part]
        far = max(place.banks, key=lambda bank: abs(bank.stop - self.stop)).stop
        to = self.vxm if problem.requantises else far
        times = part.rows, interval
        driven = operation.accumulate(self.plane(part), acc, stands, to, *times)
        if not emit:
            return
        groups = [(SG1(self.inward, stream), self.stop) for stream in target.streams]
        if problem.requantises:
            arrive = operation.arrival(self.stop, self.vxm, driven)
            driven, group = self._requantise(operation, part, target, arrive, far, times)
            groups = [(group, self.vxm)]
        for (group, source), (bank, address) in zip(groups, place, strict=True):
            arrive = operation.arrival(source, bank.stop, driven)
            operation.write(bank.queue, address, group, arrive, *times)

    def _requantise(self, operation, part, source, arrive, to, times):
        """Chain two ALUs that scale and convert; says when the result is driven, and on what."""
        first, second = self._alus(part)
        wait = self._requantise_wait()
        later = {"wait": wait, "late": Late.B} if wait else {}
        result = SG1("E" if to > self.vxm else "W", self.config.streams - 1 - part.plane)
        scale = MulF(a=source, b=IMM, imm=self.scale, **later)
        formats = {"source": DType.FP32, "result": DType.INT8}
        convert = Convert(a=Alu(first), target=result, **formats, **later)
        scaled = operation.compute(f"VXM.{first}", scale, arrive + wait, None, *times)
        driven = operation.compute(f"VXM.{second}", convert, scaled + wait, to, *times)
        return driven, result

    def _alus(self, part):
        """The two ALUs of a part's plane; one and the same if there is only one."""
        pairs = self.config.alus // 2
        if not pairs:
            return 0, 0
        west = self.config.planes_west if self.work.hemisphere is Hemisphere.E else 0
        pair = (west + part.plane) % pairs
        return 2 * pair, 2 * pair + 1

    def _emit_interval(self):
        """Cycles from one emitted row to the next: 1, but 2 for a lone ALU that does two jobs."""
        return 2 if self.problem.requantises and self.config.alus == 1 else 1

    def _requantise_wait(self):
        """Cycles that operands wait in a lone ALU, so that the two jobs take turns at it.

        The second job of a row begins when the first has ended: it must be an odd number of cycles.
        """
        times = MulF(a=IMM).timing(self.config)
        return int(self.config.alus == 1 and (times.func - times.skew) % 2 == 0)

    def _title(self, job, k=None):
        """A name for messages."""
        rows = f"rows {job[0].first} to {max(part.last for part in job) - 1}"
        tiles = "/".join(str(tile) for tile in dict.fromkeys(part.tile for part in job))
        return f"{rows}, n tile {tiles}" + (f", k tile {k}" if k is not None else "")
