"""Short and deep pipelines. Oracle: the values that went in, and the cycles counted by hand."""

from typing import ClassVar

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from configs import PAIR

from tsp.hw.isa import timing
from tsp.hw.mxm import Plane
from tsp.hw.pipeline import Pipeline, Registers
from tsp.hw.sxm import SxmUnit
from tsp.hw.vxm.alu import Alu

SEED = 12


class Number(Registers):
    shapes: ClassVar = {"number": 8}


class Steps(wiring.Component):
    """Adds 1 in each of four steps, and what it was told; a list of `work` if `given`."""

    work: In(3)
    told: In(8)
    number: In(8)
    result: Out(8)

    def __init__(self, deep, cycles, given=False):
        self.deep, self.cycles, self.given = deep, cycles, given
        super().__init__()

    def elaborate(self, platform):
        m = Module()

        def more(value, step):
            made = Number(f"step{step}")
            m.d.comb += made.number.eq(value + 1)
            return made

        work = list(self.work) if self.given else self.work[0]
        pipe = Pipeline(m, work, self.deep, self.told)
        first = pipe.in_deep(more(self.number, 1))
        second = pipe.always(more(first.number, 2))
        third = pipe.in_short(more(second.number, 3))
        last = pipe.in_deep(more(third.number, 4))
        value = (last.number + pipe.control)[:8]
        m.d.comb += self.result.eq(pipe.end(value, self.cycles))
        return m


@pytest.mark.parametrize(("deep", "cycles"), [(False, 3), (True, 4)], ids=["short", "deep"])
def test_results_come_in_time_and_stay_without_work(deep, cycles):
    """Work in two cycles of three, at random; what is not worked on leaves no trace."""
    rng = np.random.default_rng(SEED)
    works, tolds, numbers = rng.random(200) < 0.66, *rng.integers(0, 256, (2, 200))
    dut, got = Steps(deep, cycles), []

    async def play(ctx):
        for work, told, number in zip(works, tolds, numbers, strict=True):
            ctx.set(dut.work, int(work))
            ctx.set(dut.told, int(told))
            ctx.set(dut.number, int(number))
            await ctx.tick()
            got.append(ctx.get(dut.result))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(play)
    simulator.run()
    result, want = 0, [0] * (cycles - 1)
    for work, told, number in zip(works, tolds, numbers, strict=True):
        result = int(number + told + 4) % 256 if work else result
        want.append(result)
    assert got == want[: len(got)], f"seed {SEED}"


def test_work_may_be_told_cycle_by_cycle():
    """Work for the second cycle alone moves only what the first has left."""
    dut = Steps(False, 3, given=True)

    async def play(ctx):
        ctx.set(dut.number, 10)
        for work, result in ((0b001, 0), (0b010, 0), (0b000, 0), (0b100, 14), (0b000, 14)):
            ctx.set(dut.work, work)
            await ctx.tick()
            assert ctx.get(dut.result) == result, bin(work)
            ctx.set(dut.number, 99)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(play)
    simulator.run()


@pytest.mark.usefixtures("refused")
def test_a_pipeline_of_another_length_is_refused():
    with pytest.raises(ValueError, match="this pipeline takes 4 cycles, not 3"):
        Steps(True, 3).elaborate(None)


@pytest.mark.usefixtures("refused")
@pytest.mark.parametrize("by", [-1, 1])
@pytest.mark.parametrize(
    ("function", "unit", "message"),
    [
        ("acc_emit", Plane, "acc_emit must be 7 for this pipeline"),
        ("array_latency", Plane, "array_latency must be 6 for this pipeline"),
        ("sxm_combine", SxmUnit, r"sxm_combine must be \(1, 3, 6\) for this pipeline"),
        ("vxm_result", Alu, "lanes, sample and operands take 13 cycles"),
    ],
)
def test_a_table_of_other_latencies_is_refused(monkeypatch, function, unit, message, by):
    right = getattr(timing, function)(PAIR)
    monkeypatch.setattr(timing, function, lambda config: right + by)
    with pytest.raises(ValueError, match=message):
        unit(PAIR)
