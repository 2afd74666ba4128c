"""A pair of planes: one computes scores, the other weighs values, of one piece of work after it.

A piece of work is some rows of a head, with all tiles of keys that they see. Its scores are one
rigid operation: the rows of Q stream past one tile of K after the other without a gap, scores go
to SRAM, and the running maximum of each lane meets the row again a period later. So are its
values: scores come back, less the maximum, and go through exp to the other plane past one tile of
V after the other, while a running sum of each lane meets the row again.
"""

from itertools import pairwise, product

import numpy as np

from tsp.hw.isa import IMM, Abc, Acc, AccMode, Alu, Convert, DType, Lw, Select
from tsp.hw.isa.sxm import ReduceKind
from tsp.hw.isa.timing import LW_BUFFER
from tsp.hw.isa.vxm import AddF, Exp, Late, MaxF, Mov, MulF, Recip, SubF
from tsp.sim.kernels.attention_problem import LOWEST, SMALLEST
from tsp.sim.kernels.attention_store import PairStore
from tsp.sim.kernels.attention_timed import Timed
from tsp.sim.kernels.attention_wiring import PlanError, Running, bits, stagger
from tsp.sim.kernels.passes import Plane
from tsp.sim.kernels.pipeline import LONGEST_WAIT
from tsp.sim.schedule import resource as res

FP16, FP32 = DType.FP16, DType.FP32


class Pair:
    """Two planes, and what belongs to them alone.

    Parameters
    ----------
    problem : Problem
    pool : Pool
        From which banks are taken.
    streams : Streams
    scorer, weigher : Plane
    alus : dict
        ALU by role.
    rows : int
        Rows of a piece of work, or less; the period in which a row comes again.
    masked : bool
        Whether there are masks.
    """

    def __init__(self, problem, pool, streams, scorer: Plane, weigher: Plane, alus, rows, masked):
        self.problem, self.config = problem, problem.config
        self.scorer, self.weigher, self.alus, self.rows = scorer, weigher, alus, rows
        plan = self.config.floorplan
        self.vxm = plan.slice("VXM").stop
        self.stops = {p: plan.slice(f"MXM_{p.side.value}").stop for p in (scorer, weigher)}
        # Tiles whose sums the accumulators hold at a time; sums of a single step leave at once.
        self.together = self.config.acc_rows // rows if problem.size_tiles > 1 else None
        self.store = PairStore(problem, pool, scorer, weigher, rows, masked)
        self._wire(streams, masked)

    def _wire(self, streams, masked):
        west, east, period = self.scorer.side, self.weigher.side, self.rows
        problem = self.problem
        out, back = west.outward, west.inward
        self.weights = {
            plane: [
                streams.take(1, plane.side.outward, plane.side)
                for _ in range(2 * self.store.columns)
            ]
            for plane in (self.scorer, self.weigher)
        }
        sides = {west, east}  # the maximum is kept beside the plane that weighs
        self.rows_in = streams.take(2, out, west)
        self.scored = streams.take(4, back, west)
        self.kept = streams.take(4, out, west) if masked else None
        self.loaded = streams.take(4, back, west)
        self.mask = streams.take(1, back, west) if masked else None
        self.most = Running(
            self.config,
            self.alus["max"],
            MaxF,
            ReduceKind.MAX,
            LOWEST,
            period,
            f"SXM_{west.value}.{self.scorer.number}",
            self._sxm(west),
            streams.take(4, out, west),
            streams.take(4, back, *sides),
        )
        out, back = east.outward, east.inward
        self.loaded_most = streams.take(4, back, east)
        self.powers = streams.take(2, out, east)
        self.weighed = streams.take(4, back, east)
        self.results_out = streams.take(2, out, east)
        pauses = self.together and self.together < problem.key_tiles
        self.most_out = streams.take(4, out, east) if pauses else None
        self.most_in = streams.take(4, back, east) if pauses else None
        self.total = Running(
            self.config,
            self.alus["add"],
            AddF,
            ReduceKind.SUM,
            0.0,
            period,
            f"SXM_{east.value}.{self.weigher.number}",
            self._sxm(east),
            streams.take(4, out, east),
            streams.take(4, back, east),
        )

    def _sxm(self, side):
        return self.config.floorplan.slice(f"SXM_{side.value}").stop

    # Scores

    def score(self, work, slots, most):
        """The operation that computes the scores of a piece of work, and their maximum.

        The first ABC is issued in cycle 0. `slots`, one for every tile, and `most` say where they
        are kept: a group of banks, 0 or 1, and a number there.
        """
        timed, problem = Timed(self.config, f"scores of {work.name}"), self.problem
        seen = [problem.seen(work.first, work.first + work.rows, tile) for tile in work.tiles]
        masked = not all(part.all() for part in seen)
        issue = 0
        for bunch in self._bunches(len(work.tiles)):
            for step, index in product(range(problem.size_tiles), bunch):
                tile = work.tiles[index]
                self._install(timed, self.scorer, self.store.keys(work.head, tile, step), issue)
                place, stop = self.store.queries(work, step), self.stops[self.scorer]
                arrive = issue + Abc.timing(self.config).skew
                timed.read(None, place, self.rows_in, stop, arrive, work.rows)
                row = (index - bunch[0]) * self.rows if self.together else 0
                counts = problem.elements_in(step), problem.keys_in(tile)
                sums = step, problem.size_tiles, row
                time = self._multiply(
                    timed, self.scorer, self.rows_in, issue, work.rows, sums, counts, self.scored
                )
                if time is not None:
                    value, time = self._keep(timed, work, time, seen[index], masked, slots[index])
                    self._fold(timed, work, index, bunch, value, time, most)
                issue += self.rows
        return timed

    def _bunches(self, count):
        """Ranges of so many tiles, about equally many, whose sums the accumulators hold."""
        bunches = -(-count // (self.together or count))
        edges = [count * i // bunches for i in range(bunches + 1)]
        return [range(*edge) for edge in pairwise(edges)]

    def _keep(self, timed, work, time, seen, masked, slot):
        """Let scores that are at the VXM in cycle `time` go to SRAM; returns them and when."""
        place, rows = self.store.scores(slot), work.rows
        value, what = self.scored, ("scores", *slot)
        if masked:
            far = self._farthest(place, self.vxm)
            if seen.all():
                instruction = Mov(a=self.scored, target=self.kept)
            else:
                timed.read(None, self.store.mask(seen), self.mask, self.vxm, time, rows)
                instruction = Select(
                    a=self.scored, b=IMM, c=self.mask, imm=bits(-np.inf), target=self.kept
                )
            value = Alu(self.alus["mask"])
            time = self._compute(timed, "mask", instruction, time, rows, far)
            timed.write(what, place, self.kept, self.vxm, time, rows)
        else:
            stop = self.stops[self.scorer]
            left = time - abs(self.vxm - stop)
            timed.write(what, place, self.scored, stop, left, rows)
        return value, time

    def _fold(self, timed, work, index, bunch, value, time, most):
        """Let scores that stand in cycle `time` into the maximum, which is kept between bunches."""
        what, place, rows = ("most", *most), self.store.most(most), work.rows
        op, met, last = timed.operation, None, index == len(work.tiles) - 1
        if not index:
            met = IMM
        elif index == bunch[0]:
            met, early = self.most_in, time - self.most.wait
            for bank in place.banks:
                read = timed.read_cycle(bank, self.vxm, early)
                if read < timed.last_writes[what, bank] + rows:
                    raise PlanError(f"scores of {work.name} come before their maximum is kept")
            timed.read(what, place, met, self.vxm, early, rows)
        if last:
            sxm = self.most.stop
            far = self._farthest(place, sxm)
            driven = self.most.round(op, value, time, rows, met, True, far)
            timed.write(what, place, self.most.back, sxm, driven, rows)
        elif index == bunch[-1]:
            far = self._farthest(place, self.vxm)
            stands = self.most.round(op, value, time, rows, met, False, far, self.most_out)
            timed.write(what, place, self.most_out, self.vxm, stands, rows)
        else:
            self.most.round(op, value, time, rows, met, False, None)

    # Values

    def weigh(self, work, slots, most, number):
        """The operation that computes tile `number` of the values of a piece of work.

        The first row of scores is at the VXM in cycle 0.
        """
        timed = Timed(self.config, f"values of {work.name}, tile {number}")
        op, rows = timed.operation, work.rows
        for index, tile in enumerate(work.tiles):
            last, time = index == len(work.tiles) - 1, index * self.rows
            met = None if index else IMM
            for what, place, streams in (
                (("scores", *slots[index]), self.store.scores(slots[index]), self.loaded),
                (("most", *most), self.store.most(most), self.loaded_most),
            ):
                timed.read(what, place, streams, self.vxm, time, rows)
            instruction = SubF(a=self.loaded, b=self.loaded_most)
            time = self._compute(timed, "subtract", instruction, time, rows)
            value = Alu(self.alus["subtract"])
            if self.problem.folded[2] != 1:
                instruction = MulF(a=value, b=IMM, imm=bits(self.problem.folded[2]))
                time = self._compute(timed, "scale", instruction, time, rows)
                value = Alu(self.alus["scale"])
            time = self._compute(timed, "exp", Exp(a=value), time, rows)
            value, stop = Alu(self.alus["exp"]), self.stops[self.weigher]
            instruction = Convert(a=value, source=FP32, result=FP16, target=self.powers)
            sent = self._compute(timed, "narrow", instruction, time, rows, stop)
            driven = self.total.round(op, value, time, rows, met, last, self.vxm)
            issue = sent + abs(stop - self.vxm) - Abc.timing(self.config).skew
            self._install(timed, self.weigher, self.store.values(work.head, tile, number), issue)
            sums = index, len(work.tiles), 0
            counts = self.problem.keys_in(tile), self.problem.elements_in(number)
            home = self._multiply(
                timed, self.weigher, self.powers, issue, rows, sums, counts, self.weighed
            )
            if last:
                total = driven + abs(self.total.stop - self.vxm)
                self._divide(timed, work, number, home, total)
        return timed

    def _divide(self, timed, work, number, home, total):
        """Divide rows that come home in cycle `home` by sums that do in cycle `total`."""
        rows, sums = work.rows, self.total.back
        if self.problem.some_see_nothing(work.first, work.first + rows):
            instruction = MaxF(a=sums, b=IMM, imm=bits(SMALLEST))
            total = self._compute(timed, "floor", instruction, total, rows)
            sums = Alu(self.alus["floor"])
        # An ALU that inverts and rounds begins to round when the last row is inverted.
        pause = (
            stagger(self.problem.config, rows) if self.alus["round"] == self.alus["recip"] else 0
        )
        instruction = Recip(a=sums, wait=pause)
        inverse = self._compute(timed, "recip", instruction, total + pause, rows)
        wait = abs(inverse - home)
        if wait > LONGEST_WAIT:
            raise PlanError(f"sums and values are {wait} cycles apart")
        late = Late.B if inverse >= home else Late.A
        instruction = MulF(a=self.weighed, b=Alu(self.alus["recip"]), wait=wait, late=late)
        time = self._compute(timed, "divide", instruction, max(inverse, home), rows)
        place = self.store.result(work, number)
        instruction = Convert(
            a=Alu(self.alus["divide"]),
            source=FP32,
            result=FP16,
            target=self.results_out,
            wait=pause,
        )
        far = self._farthest(place, self.vxm)
        time = self._compute(timed, "round", instruction, time + pause, rows, far)
        timed.write(None, place, self.results_out, self.vxm, time, rows)

    # Both

    def _install(self, timed, plane, tile, issue):
        """Load a tile of weights just in time for an IW in cycle `issue`, and install it."""
        op, stop, streams = timed.operation, self.stops[plane], tuple(self.weights[plane])
        steps = self.config.vector // tile.columns
        first = issue - steps - LW_BUFFER + 1
        for step in range(steps):
            lw = Lw(column=step * tile.columns, dtype=tile.dtype, streams=streams)
            op.perform(f"{plane.name}.LW", lw, first + step)
        op.claim(res.weight_buffer(plane.name), first, res.ones(issue - first))
        # No other work comes in between where there are fewer rows, and uses the accumulators.
        op.install(plane.name, issue, used=self.rows)
        arrive = first + lw.timing(self.config).skew
        for stream, (bank, address) in zip(streams, tile.place, strict=True):
            op.read(bank.queue, address, stream, stop, arrive, steps)

    def _multiply(self, timed, plane, source, issue, rows, sums, counts, target):
        """Rows past the loaded weights, from ABCs in cycle `issue` on.

        `sums` are the step, the number of steps, and the first accumulator row; `counts` the
        valid lanes of the rows and of the sums. Says when the sums of the last step are at the VXM.
        """
        op, (step, steps, row) = timed.operation, sums
        abc = Abc(source=source, dtype=FP16, count=counts[0])
        stands = op.multiply(plane.name, abc, issue, rows)
        last = step == steps - 1
        acc = Acc(
            row=row,
            mode=AccMode.ADD if step else AccMode.WRITE,
            emit=last,
            dtype=FP32,
            target=target,
            count=counts[1],
        )
        driven = op.accumulate(plane.name, acc, stands, self.vxm, rows)
        return driven + abs(self.stops[plane] - self.vxm) if last else None

    def _compute(self, timed, role, instruction, sample, rows, to=None):
        return timed.operation.compute(f"VXM.{self.alus[role]}", instruction, sample, to, rows)

    @staticmethod
    def _farthest(place, stop):
        return max((bank.stop for bank in place.banks), key=lambda other: abs(other - stop))
