"""The instruction queue against the run lists of `tsp.sim.program`, cycle by cycle."""

import numpy as np
import pytest
from amaranth.hdl import Const
from amaranth.sim import Simulator

from tsp.hw import isa
from tsp.hw.config import Config
from tsp.hw.fault import FaultKind
from tsp.hw.host import ProgramClock
from tsp.hw.icu import Meaning, QueueControl
from tsp.hw.isa import SG1, Nop, Notify, Read, Repeat, Sync, Unit, Write, timing
from tsp.sim.program import issue_cycles, to_runs

CONFIG = Config(name="unit", lanes=4, streams=8, bank_words=64, acc_rows=8, queue_depth=64)
READ = Read(address=1, stream=SG1("E", 2))
WRITE = Write(address=9, stream=SG1("W", 7))


def load_word(ctx, queue, word):
    """Offer `word` to the queue, with what it means."""
    ctx.set(queue.load.word, word)
    bits = Meaning.of(Const(word, Unit.MEM.word_bits))
    ctx.set(queue.load.meaning, {name: ctx.get(bit) for name, bit in bits.items()})


def play(words, *, announced=None, cycles=80, resume_at=5):
    """Load `words`, start, resume the barrier, and record what the queue shows every cycle.

    Returns the issues as {cycle: word}, faults as {cycle: kinds}, and the cycle `done` came; the
    cycle is counted so that the first issue after the barrier is 0.
    """
    queue = QueueControl(CONFIG, Unit.MEM)
    issues, faults, done = {}, {}, []

    async def bench(ctx):
        for index, word in enumerate(words):
            ctx.set(queue.load.index, index)
            load_word(ctx, queue, word)
            ctx.set(queue.load.word_en, 1)
            await ctx.tick()
        ctx.set(queue.load.word_en, 0)
        ctx.set(queue.load.count, len(words) if announced is None else announced)
        ctx.set(queue.load.count_en, 1)
        await ctx.tick()
        ctx.set(queue.load.count_en, 0)
        await ctx.tick()
        ctx.set(queue.start, 1)
        await ctx.tick()
        ctx.set(queue.start, 0)
        for cycle in range(-resume_at - 2, cycles):
            ctx.set(queue.resume, cycle == -2)
            if ctx.get(queue.issue.valid):
                issues[cycle] = ctx.get(queue.issue.word)
            if ctx.get(queue.fault):
                faults[cycle] = ctx.get(queue.fault)
            if ctx.get(queue.done):
                done.append(cycle)
            await ctx.tick()
        assert ctx.get(queue.busy) == len(issues)

    simulator = Simulator(queue)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return issues, faults, done[0] if done else None


def expected(instructions):
    return {c: i.encode() for run in to_runs(instructions) for c, i in run.issues()}


@pytest.mark.parametrize("barrier", [Sync(), Notify()])
@pytest.mark.parametrize(
    "instructions",
    [
        (READ, WRITE, READ),
        (Nop(count=1), READ, Nop(count=5), WRITE),
        (READ, Repeat(count=1, interval=1), WRITE),
        (
            READ,
            Repeat(count=5, interval=1, stride=3),
            WRITE,
            Repeat(count=2, interval=7, stride=-2),
        ),
        (READ, Repeat(count=3, interval=4), Nop(count=2), WRITE),
        (WRITE, Nop(count=3)),
    ],
)
def test_issue_cycles(barrier, instructions):
    issues, faults, done = play([i.encode() for i in (barrier, *instructions)])
    assert issues == expected(instructions)
    assert not faults
    assert done == issue_cycles(instructions) - 1


@pytest.mark.parametrize("seed", range(8))
def test_random_sequences(seed):
    rng = np.random.default_rng(seed)
    instructions = []
    for _ in range(12):
        instructions.append([READ, WRITE][rng.integers(2)])
        if rng.integers(2):
            stride = int(rng.integers(0, 3))
            count, interval = rng.integers(1, 5, 2).tolist()
            instructions.append(Repeat(count=count, interval=interval, stride=stride))
        if rng.integers(2):
            instructions.append(Nop(count=int(rng.integers(1, 5))))
    issues, faults, done = play([i.encode() for i in (Sync(), *instructions)], cycles=220)
    assert issues == expected(instructions), f"seed {seed}"
    assert not faults
    assert done == issue_cycles(instructions) - 1


def test_a_stride_wraps_inside_its_field():
    top = Read(address=0xFFFF, stream=SG1("E", 0))
    issues, faults, _ = play([i.encode() for i in (Sync(), top, Repeat(count=1, stride=1))])
    assert issues == {1: Read(address=0, stream=SG1("E", 0)).encode()}
    assert faults == {0: 1 << FaultKind.ADDRESS}


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        (0, FaultKind.DECODE),
        (isa.Ifetch(stream=SG1("E", 0)).encode(), FaultKind.DECODE),
        (isa.Config(superlane=0, on=True).encode(), FaultKind.DECODE),
        (isa.Gather(stream=SG1("E", 0), map=SG1("E", 1)).encode(), FaultKind.DECODE),
        (Nop(count=1).encode() & 0xFF, FaultKind.DECODE),
        (Nop(count=1).encode() | 1 << 40, FaultKind.DECODE),
        (Sync().encode() | 1 << 20, FaultKind.DECODE),
        (Repeat(count=1).encode() & 0xFF0000FF, FaultKind.DECODE),
        (READ.encode() | 1 << 63, FaultKind.DECODE),
        (Read(address=64, stream=SG1("E", 0)).encode(), FaultKind.ADDRESS),
    ],
)
def test_words_that_are_trapped(word, kind):
    issues, faults, done = play([Sync().encode(), READ.encode(), word, WRITE.encode()])
    assert issues == {0: READ.encode(), 2: WRITE.encode()}
    assert faults == {1: 1 << kind}
    assert done == 2


@pytest.mark.parametrize("before", [Nop(count=2), Sync()])
def test_repeat_needs_an_instruction_before_it(before):
    words = (
        (before, Repeat(count=2)) if isinstance(before, Sync) else (Sync(), before, Repeat(count=2))
    )
    issues, faults, _ = play([i.encode() for i in words])
    assert not issues
    assert list(faults.values()) == [1 << FaultKind.DECODE]


def test_a_repeat_after_a_repeat_is_trapped():
    words = (Sync(), READ, Repeat(count=2, interval=3), Repeat(count=1))
    issues, faults, done = play([i.encode() for i in words])
    assert issues == expected((READ, Repeat(count=2, interval=3)))
    assert faults == {7: 1 << FaultKind.DECODE}
    assert done == 7


@pytest.mark.parametrize(("first", "length"), [(Nop(count=1), 1), (Nop(count=4), 4), (READ, 1)])
def test_the_first_word_acts_as_any_other(first, length):
    """It becomes the head as it is loaded, and issues two cycles after `start`, here in -1."""
    issues, faults, done = play([i.encode() for i in (first, WRITE)], resume_at=0)
    assert not faults
    assert issues.pop(length - 1) == WRITE.encode()
    assert issues == ({-1: READ.encode()} if first is READ else {})
    assert done == length - 1


def test_underrun_is_a_fault_and_ends_the_queue():
    issues, faults, done = play([Sync().encode(), READ.encode()], announced=5)
    assert list(issues) == [0]
    assert faults == {1: 1 << FaultKind.UNDERRUN}
    assert done is not None


def test_barrier_latency():
    """A Notify issued in cycle n lets queues issue again in n + BARRIER: queue and clock joined."""
    from amaranth.hdl import Module
    from amaranth.lib import wiring

    class Joined(wiring.Component):
        def __init__(self):
            super().__init__({})
            self.queue, self.clock = QueueControl(CONFIG, Unit.MEM), ProgramClock(3)

        def elaborate(self, platform):
            m = Module()
            m.submodules.queue, m.submodules.clock = self.queue, self.clock
            m.d.comb += [
                self.clock.notify.eq(self.queue.notify),
                self.queue.resume.eq(self.clock.resume),
                self.clock.idle.eq(self.queue.done),
            ]
            return m

    joined = Joined()
    seen = {}

    async def bench(ctx):
        queue = joined.queue
        for index, i in enumerate((Notify(), READ)):
            ctx.set(queue.load.index, index)
            load_word(ctx, queue, i.encode())
            ctx.set(queue.load.word_en, 1)
            ctx.set(queue.load.count, 2)
            ctx.set(queue.load.count_en, 1)
            await ctx.tick()
        ctx.set(queue.load.word_en, 0)
        ctx.set(queue.load.count_en, 0)
        ctx.set(queue.start, 1)
        ctx.set(joined.clock.start, 1)
        await ctx.tick()
        ctx.set(queue.start, 0)
        ctx.set(joined.clock.start, 0)
        for cycle in range(20):
            if ctx.get(queue.notify):
                seen["notify"] = cycle
            if ctx.get(queue.issue.valid):
                seen["issue"] = cycle
                assert ctx.get(joined.clock.cycles) == 0
            await ctx.tick()
        assert ctx.get(joined.clock.done)
        assert ctx.get(joined.clock.cycles) == 1

    simulator = Simulator(joined)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen["issue"] - seen["notify"] == timing.BARRIER


@pytest.mark.parametrize(
    ("ending", "length"), [({}, 3), ({2: 4, 3: 0}, 8), ({2: 0, 3: 1}, 6), ({0: 6}, 8)]
)
def test_a_program_is_over_when_what_it_started_has_ended(ending, length):
    """Bit n of `ending` in cycle t: something ends n + 1 cycles later, and the program then too.

    Oracle: counted by hand. All queues are done from cycle 2 on.
    """
    clock = ProgramClock(7)
    seen = {"locked": [], "done": [], "running": []}

    async def bench(ctx):
        await ctx.tick()
        ctx.set(clock.start, 1)
        await ctx.tick()
        ctx.set(clock.start, 0)
        ctx.set(clock.notify, 1)
        await ctx.tick()
        ctx.set(clock.notify, 0)
        await ctx.tick().repeat(timing.BARRIER - 1)
        for cycle in range(24):
            assert ctx.get(clock.cycles) == min(cycle, length)
            ctx.set(clock.ending, 1 << ending[cycle] if cycle in ending else 0)
            ctx.set(clock.idle, cycle >= 2)
            for name, cycles in seen.items():
                if ctx.get(getattr(clock, name)):
                    cycles.append(cycle)
            await ctx.tick()

    simulator = Simulator(clock)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen["locked"] == list(range(length + 1))
    assert seen["running"] == list(range(length + timing.SETTLE))
    assert seen["done"] == list(range(length + timing.SETTLE, 24))
