"""The norms of a stage's rows: sums tile by tile, and then every tile with the root of its sum."""

import numpy as np

from tsp.hw.floorplan import Hemisphere
from tsp.hw.isa import DType
from tsp.hw.isa.sxm import ReduceKind
from tsp.sim.kernels.norms import mean_of
from tsp.sim.kernels.rows import clamped
from tsp.sim.kernels.stage.sweep import Part

WEST, EAST = Hemisphere.W, Hemisphere.E
FP16, FP32 = DType.FP16, DType.FP32
_TOGETHER = 4
_SPARE = 14


def normalise(plan):
    """Place the passes that write the norm of `plan.x` to `plan.wide`."""
    _Norm(plan).run()


class _Norm:
    def __init__(self, plan):
        self.plan, self.layer, self.stage = plan, plan.layer, plan.stage
        self.columns, self.rows, self.lanes = plan.width, plan.rows, plan.lanes
        gamma, beta = self.layer.gamma, self.layer.beta
        ones = np.ones(self.columns) if gamma is None else gamma.astype(np.float64)
        self.gamma = self._row("gamma", ones * np.sqrt(self.columns))
        self.beta = None if beta is None else self._row("beta", beta)

    def _row(self, name, array):
        padded = np.zeros((1, self.plan.width_tiles * self.lanes), np.float32)
        padded[0, : len(array)] = array
        return [
            self.plan.constant((name, n), padded[:, n * self.lanes :][:, : self.lanes], EAST)
            for n in range(self.plan.width_tiles)
        ]

    def run(self):
        mean = None
        if self.layer.norm == "layer":
            mean = self._sum("sum", lambda p, x: x, lambda p, x: mean_of(p, x, self.columns))

        def square(p, x):
            x = x if mean is None else p.op("subf", x, p.shared_rows(*mean))
            return p.op("mulf", x, x)

        squares = self._sum("squares", square, lambda p, x: p.op("mov", x))
        for n in range(self.plan.width_tiles):

            def build(p, n=n):
                x = self._wide(p, n)
                x = x if mean is None else p.op("subf", x, p.rows_of(mean))
                total = p.op("addf", p.rows_of(squares), float(self.layer.epsilon * self.columns))
                value = p.op("mulf", p.op("mulf", x, p.op("rsqrt", total)), p.word(self.gamma[n]))
                if self.beta is not None:
                    value = p.op("addf", value, p.word(self.beta[n]))
                value = clamped(p, value, self.layer.saturate)
                word = self.plan.slot
                for copy, side in self.plan.sides_of(self.plan.wide, n):
                    tile = self.plan.wide.segment(n, 0, self.rows, side, copy, word)
                    p.keep(p.convert(value, FP32, FP16), [Part(tile, word, 0, self.rows)])
                return 0

            self.stage.sweep(f"norm of tile {n}", self.rows, build)

    def _wide(self, p, n):
        return p.convert(p.rows_of(self.plan.x.parts(n, 0, self.rows)), FP16, FP32)

    def _sum(self, name, values, finish):
        """Where the sums over whole rows are, on every lane: tiles that are full go together."""
        whole = self.columns // self.lanes
        # A tile needs two streams, and a dozen are needed besides.
        step = max(min((self.stage.config.streams - _SPARE) // 2, _TOGETHER), 1)
        groups = [range(i, min(i + step, whole)) for i in range(0, whole, step)]
        if whole < self.plan.width_tiles:
            groups.append(range(whole, whole + 1))
        old = None
        for number, group in enumerate(groups):
            tile = self.plan.tiles.tile((name, number % 2), self.rows, 4, WEST)
            count = min(self.lanes, self.columns - group[0] * self.lanes)

            def build(p, group=group, old=old, tile=tile, count=count):
                found = [values(p, self._wide(p, n)) for n in group]
                total = found[0]
                for value in found[1:]:
                    total = p.op("addf", total, value)
                total = p.reduce(WEST, ReduceKind.SUM, total, count)
                if old:
                    total = p.op("addf", total, p.rows_of(old))
                last = group is groups[-1]
                total = finish(p, total) if last else p.op("mov", total)
                p.keep(total, [Part(tile, 0, 0, self.rows)])
                return 0

            self.stage.sweep(f"{name} of tiles {group.start} on", self.rows, build)
            old = [Part(tile, 0, 0, self.rows)]
        return old
