"""The golden model: the core cycle by cycle, a whole vector at a time.

It works in skewed time: what superlane i of the hardware does in cycle t + i happens here in
cycle t, so there is no stagger and all lanes of a vector move together.
"""

from collections import defaultdict
from collections.abc import Callable
from heapq import merge

import numpy as np

from tsp.hw.fault import FaultKind
from tsp.hw.isa import AccMode, Alu, Nop, Read, Unit, Write, timing
from tsp.hw.isa.base import Imm
from tsp.hw.isa.timing import (
    ABC_SAMPLE,
    ACC_SAMPLE,
    IW_INSTALL,
    LW_BUFFER,
    LW_SAMPLE,
    MEM_BANK,
    MEM_READ,
    MEM_SAMPLE,
    VXM_SAMPLE,
)
from tsp.sim.golden import alu, sxm
from tsp.sim.golden.plane import Plane, UnwrittenError
from tsp.sim.golden.queues import issues
from tsp.sim.golden.streams import Streams
from tsp.sim.program import Program, issue_cycles
from tsp.sim.result import Counters, Fault, Result, Trace

# The order of things within a cycle: results appear at the ALUs, weights are installed, streams
# and outputs are sampled, memories and buffers change. Then the streams move on.
STAND, INSTALL, SAMPLE, COMMIT = PHASES = range(4)


def run(
    program: Program,
    trace: bool = False,
    progress: Callable[[int, int], object] | None = None,
    requests: dict[int, str] | None = None,
    announced: dict[str, int] | None = None,
) -> Result:
    """The :class:`~tsp.sim.result.Result` of a program.

    The run ends at the first fault; the outputs are then the contents of memory in that cycle.

    Parameters
    ----------
    program : Program
    trace : bool
        Whether to keep every stream register in every cycle.
    progress : callable, optional
        Called now and then with the cycles done and the cycles in all.
    requests : dict, optional
        By cycle, the name of a slice whose SRAM or queue the host accesses then, which is a fault.
    announced : dict, optional
        By queue name, the number of instructions that the host announces, where that is not the
        number in the program: a queue with fewer underruns.
    """
    model = Model(program, requests, announced)
    snapshots = []
    total = max(map(issue_cycles, program.queues.values()), default=0)
    while model.fault is None and model.busy:
        if trace:
            snapshots.append(model.streams.snapshot())
        if progress and model.now % 1024 == 0:
            progress(min(model.now, total), total)
        model.step()
    return model.result(snapshots[: model.cycles] if trace else None)


class Model:
    """A core that executes `program`, one cycle per :meth:`step`.

    Each instruction is a method, which schedules its effects: how many cycles from now, and in
    which phase of that cycle. `value` is the strided field of the instruction as issued.
    """

    def __init__(self, program, requests=None, announced=None):
        config, plan = program.config, program.config.floorplan
        self.program, self.config, self.announced = program, config, announced or {}
        self.now, self.cycles, self.fault = 0, 0, None
        self.streams = Streams(config)
        # By queue name: the execution of its instructions, the SRAM of its bank, and its plane with
        # the dot products by the cycle in which they stand.
        self.execute, self.banks, self.planes = {}, {}, {}
        for queue in plan.queues:
            self.execute[queue.name] = getattr(self, queue.unit.value.lower(), None)
            if queue.unit is Unit.MEM:
                self.banks[queue.name] = np.zeros((config.bank_words, config.vector), np.uint8)
            if queue.unit is Unit.LW:
                plane = Plane(config), {}
            if queue.slice.kind == "MXM":  # the queues of a plane stand together, LW first
                self.planes[queue.name] = plane
        for block in program.image:
            self.words(block, len(block.data))[:] = block.data
        self.alus = [(None, None)] * config.alus  # when the last result stood, and the result
        self.turns = {}  # what an ALU executes, by ALU and the turn's issue cycle without a wait
        self.due = defaultdict(list)  # actions, by cycle and phase
        self.drives = defaultdict(list)  # (stop, stream group, words), by cycle
        self.requests = requests or {}
        self.offences = []  # (slice index, kind) of this cycle
        self.issued = {queue.name: 0 for queue in plan.queues}
        self.stream_words = 0
        queues = [self.queue(*item) for item in program.queues.items()]
        self.pending = merge(*queues, key=lambda issue: issue[0])
        self.upcoming = next(self.pending, None)

    def queue(self, name, instructions):
        """All issues of one queue, the queue with each."""
        queue = self.config.floorplan.queue(name)
        for cycle, *issue in issues(self.config, queue, instructions):
            yield cycle, queue, *issue
        if self.announced.get(name, 0) > len(instructions):
            # What is missing is looked for once, and then the queue counts as done.
            yield issue_cycles(instructions), queue, None, None, FaultKind.UNDERRUN

    def words(self, region, count):
        """The SRAM that a block or an output region of a program names."""
        bank = self.banks[f"{region.slice}.{region.bank}"]
        return bank[region.address : region.address + count]

    @property
    def busy(self):
        """Whether the cycle counter still runs in this cycle."""
        return self.upcoming is not None or self.now < self.cycles

    def step(self):
        """One cycle."""
        if self.now in self.requests:
            where = self.config.floorplan.slice(self.requests[self.now])
            self.fail(where, FaultKind.HOST)
        while self.upcoming and self.upcoming[0] == self.now:
            self.issue(*self.upcoming[1:])
            self.upcoming = next(self.pending, None)
        for phase in PHASES:
            for action in self.due.pop((self.now, phase), ()):
                action()
        drives = self.drives.pop(self.now, ())
        conflict = self.streams.step(drives)
        if conflict is not None:
            where = next(s for s in self.config.floorplan.slices if s.stop == conflict)
            self.fail(where, FaultKind.CONFLICT)
        self.stream_words += sum(group.size for _, group, _ in drives)
        if self.offences:
            index, kind = min(self.offences)
            self.fault = Fault(kind, self.config.floorplan.slices[index].name, self.now)
        self.now += 1

    def issue(self, queue, instruction, value, kind):
        """One instruction leaves its queue, or the queue traps it."""
        self.count(self.now, instruction, kind)
        if kind is not None:
            self.fail(queue.slice, kind)
        elif not isinstance(instruction, Nop):
            self.issued[queue.name] += 1
            self.execute[queue.name](queue, instruction, value)

    def count(self, cycle, instruction, kind):
        """Let the cycle counter run at least until what this issue starts has ended."""
        lasts = instruction.lasts(self.config) if kind is None else 1
        self.cycles = max(self.cycles, cycle + lasts)

    def at(self, delay, phase, action):
        """Let `action` happen so many cycles from now."""
        self.due[self.now + delay, phase].append(action)

    def drive(self, delay, queue, group, words):
        """Drive a stream group so many cycles from now."""
        self.drives[self.now + delay].append((queue.stop, group, words))

    def sample(self, queue, group):
        """What arrives on a stream group; None, and a fault, if that is not valid."""
        words = self.streams.read(queue.stop, group)
        if words is None:
            self.fail(queue.slice, FaultKind.INVALID)
        return words

    def fail(self, where, kind):
        """A fault of slice `where` in this cycle."""
        self.offences.append((where.index, kind))

    # MEM

    def mem(self, queue, instruction, address):
        bank, stream = self.banks[queue.name], instruction.stream

        def read():
            self.drive(MEM_READ - MEM_BANK, queue, stream, bank[address].copy())

        def sample():
            word = self.sample(queue, stream)
            self.at(MEM_BANK - MEM_SAMPLE, COMMIT, lambda: write(word))

        def write(word):
            bank[address] = word

        match instruction:
            case Read():
                self.at(MEM_BANK, COMMIT, read)
            case Write():
                self.at(MEM_SAMPLE, SAMPLE, sample)

    # MXM

    def lw(self, queue, lw, column):
        plane, _ = self.planes[queue.name]

        def sample():
            words = [self.sample(queue, stream) for stream in lw.streams]
            self.at(LW_BUFFER - LW_SAMPLE, COMMIT, lambda: load(np.concatenate(words)))

        def load(words):
            plane.load(column, lw.dtype, words)

        self.at(LW_SAMPLE, SAMPLE, sample)

    def iw(self, queue, iw, _):
        plane, _ = self.planes[queue.name]
        self.at(IW_INSTALL, INSTALL, lambda: self.use(queue, plane.install))

    def abc(self, queue, abc, _):
        plane, products = self.planes[queue.name]

        def sample():
            words = None if abc.hold else self.sample(queue, abc.source)
            if abc.hold or words is not None:
                stand = self.now - ABC_SAMPLE + timing.array_latency(self.config)
                products[stand] = self.use(queue, plane.dot, words, abc.dtype, abc.count)

        self.at(ABC_SAMPLE, SAMPLE, sample)

    def acc(self, queue, acc, row):
        plane, products = self.planes[queue.name]

        def sample():
            sums = products.pop(self.now, None)
            if sums is None and acc.mode is not AccMode.KEEP:
                self.fail(queue.slice, FaultKind.INVALID)
            else:
                self.use(queue, accumulate, sums)

        def accumulate(sums):
            plane.accumulate(row, acc.mode, sums)
            if acc.emit:
                words = plane.emit(row, acc.dtype, acc.count)
                self.drive(timing.acc_emit(self.config) - ACC_SAMPLE, queue, acc.target, words)

        self.at(ACC_SAMPLE, SAMPLE, sample)

    def use(self, queue, action, *arguments):
        """`action` on a plane; None, and a fault, if it needs what was never written."""
        try:
            return action(*arguments)
        except UnwrittenError:
            self.fail(queue.slice, FaultKind.UNWRITTEN)
            return None

    # VXM

    def vxm(self, queue, op, _):
        # Of two operations that sample late operands in one cycle the later issue is executed.
        result = op.stands(self.config)
        operands, turn = dict.fromkeys("abc"), (queue.port, self.now + result)
        met, self.turns[turn] = turn in self.turns, op

        def sample(name):
            if not op.is_late(name) or self.turns[turn] is op:
                operands[name] = self.operand(queue, getattr(op, name), op.imm)

        def stand():
            if self.turns.get(turn) is not op:
                return
            del self.turns[turn]
            if met:
                self.fail(queue.slice, FaultKind.CONFLICT)
            result = alu.execute(op, **operands)
            self.alus[queue.port] = self.now, result
            if op.target:
                self.drive(0, queue, op.target, alu.to_bytes(result, op.target.size))

        for name in op.reads:
            self.at(VXM_SAMPLE + op.wait * op.is_late(name), SAMPLE, lambda name=name: sample(name))
        self.at(result, STAND, stand)

    def operand(self, queue, operand, imm):
        """An operand in this cycle, uint32 (vector,); None, and a fault, if it is not valid."""
        match operand:
            case Imm():
                return np.full(self.config.vector, imm, np.uint32)
            case Alu(index=index):
                cycle, result = self.alus[index]
                if cycle != self.now:
                    self.fail(queue.slice, FaultKind.INVALID)
                return result
            case group:
                words = self.sample(queue, group)
                return None if words is None else alu.read_operand(words)

    # SXM

    def sxm(self, queue, op, _):
        skew = op.timing(self.config).skew

        def sample():
            words = [self.sample(queue, group) for group, _ in op.samples(self.config)]
            if any(word is None for word in words):
                return
            results = sxm.execute(op, self.config, words)
            for (group, func), result in zip(op.drives(self.config), results, strict=True):
                self.drive(func - skew, queue, group, result)

        self.at(skew, SAMPLE, sample)

    # The end

    def result(self, snapshots):
        """What the host reads; the queues of a core at fault run on, so their cycles count."""
        while self.upcoming:
            cycle, _, instruction, _, kind = self.upcoming
            self.count(cycle, instruction, kind)
            self.upcoming = next(self.pending, None)
        vectors = {
            queue.name: self.issued[queue.name]
            for queue in self.config.floorplan.queues
            if queue.unit is Unit.ABC
        }
        trace = None
        if snapshots is not None:
            valid, data = zip(*snapshots, strict=True) if snapshots else ((), ())
            trace = Trace(np.array(valid), np.array(data))
        return Result(
            outputs=tuple(self.words(r, r.words).copy() for r in self.program.outputs),
            cycles=self.cycles,
            fault=self.fault,
            counters=Counters(self.issued, vectors, self.stream_words),
            trace=trace,
        )
