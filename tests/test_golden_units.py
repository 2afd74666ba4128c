"""The golden model's MXM and VXM on programs small enough to work out by hand.

Oracle: numpy for values, the timing table added up by hand for cycles.
"""

import numpy as np
import pytest
from configs import PAIR
from test_golden import fault, words

from tsp.hw.config import Config, preset
from tsp.hw.fault import FaultKind
from tsp.hw.isa import (
    IMM,
    SG1,
    SG2,
    SG4,
    Abc,
    Acc,
    AccMode,
    AddI,
    Alu,
    DType,
    Iw,
    Late,
    Lw,
    Mov,
    Read,
    Select,
    Write,
)
from tsp.hw.isa.timing import (
    ABC_SAMPLE,
    ACC_SAMPLE,
    LW_BUFFER,
    MEM_READ,
    MEM_SAMPLE,
    VXM_SAMPLE,
    acc_emit,
    array_latency,
    vxm_result,
)
from tsp.sim.golden.model import run
from tsp.sim.program import Block, Region, Run, assemble

NANO, SMALL = preset("nano"), preset("small")


class Matrix:
    """Programs around one plane, fed from MEM_W slices: weights on 0 and 1, vectors on 2 and up."""

    def __init__(self, config):
        self.config, self.size = config, config.vector
        plan = config.floorplan
        self.mxm = "MXM_W.0"
        self.distance = {
            q.name: q.stop - plan.queue(f"{self.mxm}.LW").stop
            for q in plan.queues
            if q.unit.value == "MEM"
        }
        self.runs, self.image, self.used = {}, [], {}

    def feed(self, bank, stream, arrival, data):
        """Let vectors arrive at the MXM, one a cycle from `arrival` on."""
        address = self.used.get(bank, 0)
        self.used[bank] = address + len(data)
        where, port = bank.split(".")
        self.image.append(Block(where, int(port), address, data.view(np.uint8)))
        start = arrival - MEM_READ - self.distance[bank]
        self.add(bank, start, Read(address=address, stream=SG1("W", stream)), len(data), 1, 1)

    def add(self, queue, start, instruction, *repeat):
        self.runs.setdefault(queue, []).append(Run(start, instruction, *repeat))

    def load(self, start, weights):
        """LW one column a cycle from cycle `start` on; weights are (K, N)."""
        columns = np.ascontiguousarray(weights.T)
        self.feed("MEM_W0.0", 0, start + 1, columns)
        lw = Lw(column=0, dtype=DType.INT8, streams=(SG1("W", 0),))
        self.add(f"{self.mxm}.LW", start, lw, len(columns), 1, 1)

    def install(self, cycle):
        self.add(f"{self.mxm}.IW", cycle, Iw())

    def stream(self, start, vectors, count=None):
        self.feed("MEM_W1.0", 1, start + ABC_SAMPLE, vectors)
        count = self.size if count is None else count
        abc = Abc(source=SG1("W", 1), dtype=DType.INT8, count=count)
        self.add(f"{self.mxm}.ABC", start, abc, len(vectors))

    def hold(self, cycle):
        abc = Abc(source=SG1("W", 1), dtype=DType.INT8, hold=True, count=self.size)
        self.add(f"{self.mxm}.ABC", cycle, abc)

    def acc(self, cycle, row, mode=AccMode.WRITE, *repeat, emit=True, count=None):
        acc = Acc(
            row=row,
            mode=mode,
            emit=emit,
            dtype=DType.INT32,
            target=SG4("E", 1),
            count=self.size if count is None else count,
        )
        self.add(f"{self.mxm}.ACC", cycle, acc, *repeat)

    def collect(self, cycle, count, bank="MEM_W0"):
        """Write what an ACC issued in `cycle` and the next ones emit, as four banks of bytes."""
        names = ["MEM_W0.1", "MEM_W1.1", "MEM_E0.1", "MEM_E1.1"]
        for byte, name in enumerate(names):
            arrival = cycle + acc_emit(self.config) + self.distance[name]
            write = Write(address=0, stream=SG1("E", 4 + byte))
            self.add(name, arrival - MEM_SAMPLE, write, count, 1, 1)
        self.outputs = tuple(Region(n.split(".")[0], 1, 0, count) for n in names)

    def program(self):
        return assemble(
            self.config,
            self.runs,
            image=tuple(self.image),
            outputs=getattr(self, "outputs", ()),
        )

    def fault(self):
        """The fault of the program, the cycle counter running on well beyond it."""
        self.add("MEM_E1.0", 100, Read(address=0, stream=SG1("E", 0)))
        return fault(self.program())

    def results(self):
        """The int32 rows that were collected; the run must be free of faults."""
        program = self.program()
        result = run(program)
        assert result.fault is None
        assert result.cycles == program.cycles
        parts = np.stack(result.outputs, axis=-1)
        return np.ascontiguousarray(parts).view("<i4")[..., 0]


MXM_CONFIGS = [
    NANO,
    SMALL,
    Config(name="three", lanes=4, superlanes=3, mem_slices=2, mem_slices_per_stop=1),
]
WITH_MXM = pytest.mark.parametrize("config", MXM_CONFIGS, ids=lambda c: c.name)


def operands(config, seed, rows):
    rng = np.random.default_rng(seed)
    size = config.vector
    return (
        rng.integers(-128, 128, (size, size), np.int8),
        rng.integers(-128, 128, (rows, size), np.int8),
    )


def product(vectors, weights):
    return vectors.astype(np.int32) @ weights.astype(np.int32)


@WITH_MXM
def test_dot_products_stand_when_the_table_says(config):
    """LW, IW, ABC, ACC back to back, with no cycle to spare; oracle numpy."""
    weights, vectors = operands(config, 21, 5)
    m = Matrix(config)
    m.load(10, weights)
    installed = 10 + config.vector - 1 + LW_BUFFER
    m.install(installed)
    m.stream(installed, vectors)
    take = installed + array_latency(config) - ACC_SAMPLE
    m.acc(take, 0, AccMode.WRITE, 5, 1, 1)
    m.collect(take, 5)
    assert np.array_equal(m.results(), product(vectors, weights)), "seed 21"


@WITH_MXM
@pytest.mark.parametrize("off", [-1, 1])
def test_dot_products_stand_for_one_cycle(config, off):
    """An ACC one cycle early or late finds nothing."""
    weights, vectors = operands(config, 22, 1)
    m = Matrix(config)
    m.load(10, weights)
    installed = 10 + config.vector - 1 + LW_BUFFER
    m.install(installed)
    m.stream(installed, vectors)
    take = installed + array_latency(config) - ACC_SAMPLE + off
    m.acc(take, 0)
    assert m.fault() == (FaultKind.INVALID, "MXM_W", take + ACC_SAMPLE)


@WITH_MXM
def test_new_weights_take_over_between_two_vectors(config):
    """An ABC in the cycle of IW meets the new weights, the one before the old: no bubble.

    The last column, loaded a cycle too late for the IW, is still the old one.
    """
    old, vectors = operands(config, 23, 6)
    new, _ = operands(config, 24, 1)
    size = config.vector
    m = Matrix(config)
    m.load(10, old)
    m.install(10 + size - 1 + LW_BUFFER)
    switch = 10 + 2 * size + 20
    m.load(switch - LW_BUFFER - size + 2, new)
    m.install(switch)
    m.stream(switch - 3, vectors)
    take = switch - 3 + array_latency(config) - ACC_SAMPLE
    m.acc(take, 0, AccMode.WRITE, 6, 1, 1)
    m.collect(take, 6)
    mixed = np.hstack([new[:, :-1], old[:, -1:]])
    expected = np.vstack([product(vectors[:3], old), product(vectors[3:], mixed)])
    assert np.array_equal(m.results(), expected), "seeds 23, 24"


def test_hold_mask_add_keep():
    """hold, count, add and keep in consecutive cycles on one row; oracle numpy."""
    config = NANO
    weights, vectors = operands(config, 25, 1)
    m = Matrix(config)
    m.load(10, weights)
    start = 10 + config.vector - 1 + LW_BUFFER
    m.install(start)
    m.stream(start, vectors, count=3)
    m.hold(start + 1)
    m.hold(start + 2)
    take = start + array_latency(config) - ACC_SAMPLE
    m.acc(take, 3, AccMode.WRITE)
    m.acc(take + 1, 3, AccMode.ADD)
    m.acc(take + 2, 3, AccMode.ADD, count=2)
    m.acc(take + 3, 3, AccMode.KEEP)
    m.collect(take, 4)
    masked = product(vectors[:, :3], weights[:3])[0]
    whole = product(vectors, weights)[0]
    third = masked + 2 * whole
    expected = [masked, masked + whole, np.where(np.arange(config.vector) < 2, third, 0), third]
    assert np.array_equal(m.results(), expected), "seed 25"


def test_what_was_never_written_is_a_fault():
    """Weights, vectors and accumulator rows, each in its own cycle."""
    weights, vectors = operands(NANO, 26, 1)
    unwritten = FaultKind.UNWRITTEN

    m = Matrix(NANO)
    m.load(10, weights[:, :-1])
    m.install(30)
    assert m.fault() == (unwritten, "MXM_W", 31)

    m = Matrix(NANO)
    m.stream(30, vectors)
    assert m.fault() == (unwritten, "MXM_W", 30 + ABC_SAMPLE)

    m = Matrix(NANO)
    m.load(10, weights)
    m.install(40)
    m.hold(40)
    assert m.fault() == (unwritten, "MXM_W", 40 + ABC_SAMPLE)

    m = Matrix(NANO)
    m.acc(5, 2, AccMode.KEEP)
    assert m.fault() == (unwritten, "MXM_W", 5 + ACC_SAMPLE)

    m = Matrix(NANO)
    m.load(10, weights)
    m.install(40)
    m.stream(40, vectors)
    take = 40 + array_latency(NANO) - ACC_SAMPLE
    m.acc(take, 2, AccMode.ADD)
    assert m.fault() == (unwritten, "MXM_W", take + ACC_SAMPLE)


def vector_program(alus, target=None, arrivals=(), config=PAIR):
    """ALU instructions by ALU and cycle; `arrivals` are ``(cycle, stream, values)`` at the VXM."""
    plan = config.floorplan
    runs = {}
    for alu, cycle, op in alus:
        runs.setdefault(f"VXM.{alu}", []).append(Run(cycle, op))
    image = []
    stop = plan.slice("VXM").stop
    for number, (cycle, stream, values) in enumerate(arrivals):
        name = f"MEM_W{number % 2}.{number // 2}"
        start = cycle - MEM_READ - (stop - plan.queue(name).stop)
        runs.setdefault(name, []).append(Run(start, Read(address=0, stream=SG1("E", stream))))
        image.append(Block(name[:-2], int(name[-1]), 0, words(config, values)))
    outputs = ()
    if target is not None:
        hops = plan.queue("MEM_E0.0").stop - stop
        write = Write(address=0, stream=SG1("E", 4))
        runs["MEM_E0.0"] = [Run(target + hops - MEM_SAMPLE, write)]
        outputs = (Region("MEM_E0", 0, 0, 1),)
    return assemble(config, runs, image=tuple(image), outputs=outputs, checked=False)


def test_a_chain_of_alus_with_operands_that_wait():
    """x arrives at 10 and y at 14; (x + y) goes to the other ALU, which adds x from its wait."""
    x, y = [1, -2, 3], [10, 20, -30]
    issue = 10 - VXM_SAMPLE
    stands = issue + 4 + vxm_result(PAIR)
    ops = [
        (0, issue, AddI(a=SG1("E", 0), b=SG1("E", 1), wait=4)),
        (1, issue, AddI(a=SG1("E", 0), b=Alu(0), wait=stands - 10, target=SG1("E", 4))),
    ]
    done = issue + (stands - 10) + vxm_result(PAIR)
    program = vector_program(ops, done, [(10, 0, x), (14, 1, y)])
    result = run(program)
    assert result.fault is None
    expected = 2 * np.resize(x, PAIR.vector) + np.resize(y, PAIR.vector)
    assert np.array_equal(result.outputs[0].view(np.int8)[0], expected)
    assert result.counters.busy["VXM.1"] == 1
    assert result.counters.stream_words == 3


@pytest.mark.parametrize("late", list(Late))
def test_either_operand_waits(late):
    """The late one is the one sampled later; the other in the cycle after issue."""
    early, waits = (11, 9) if late is Late.A else (9, 11)
    issue = 9 - VXM_SAMPLE
    op = AddI(a=SG1("E", 0), b=SG1("E", 1), wait=2, late=late, target=SG1("E", 4))
    program = vector_program(
        [(0, issue, op)], issue + 2 + vxm_result(PAIR), [(early, 0, [5]), (waits, 1, [6])]
    )
    result = run(program)
    assert result.fault is None
    assert (result.outputs[0] == 11).all()


def test_faults_of_the_vxm():
    """An ALU's output stands for one cycle, and holds one result."""
    invalid, conflict = FaultKind.INVALID, FaultKind.CONFLICT
    feed = Mov(a=IMM, imm=7)
    chained = Mov(a=Alu(0), target=SG1("E", 4))
    end = [(1, 40, feed)]

    right = 5 + vxm_result(PAIR) - VXM_SAMPLE
    assert fault(vector_program([(0, 5, feed), (1, right, chained), *end])) is None
    for wrong in (right - 1, right + 1):
        program = vector_program([(0, 5, feed), (1, wrong, chained), *end])
        assert fault(program) == (invalid, "VXM", wrong + VXM_SAMPLE)

    two = [(0, 5, Mov(a=IMM, wait=3)), (0, 8, feed), *end]
    assert fault(vector_program(two)) == (conflict, "VXM", 8 + vxm_result(PAIR))
    assert fault(vector_program([(0, 5, Mov(a=IMM, wait=3)), (0, 7, feed), *end])) is None

    nothing = SG4("E", 1)
    assert fault(vector_program([(0, 5, Mov(a=IMM, b=nothing, c=nothing)), *end])) is None
    assert fault(vector_program([(0, 5, AddI(a=IMM, b=nothing, c=nothing)), *end])) == (
        invalid,
        "VXM",
        5 + VXM_SAMPLE,
    )
    select = Select(a=IMM, b=IMM, c=nothing, wait=6)
    assert fault(vector_program([(0, 5, select), *end])) == (invalid, "VXM", 11 + VXM_SAMPLE)

    shared = [(n, 5, Mov(a=IMM, target=SG2("W", n))) for n in range(2)]
    assert fault(vector_program([*shared, *end])) is None
    shared = [(0, 5, Mov(a=IMM, target=SG4("W", 1))), (1, 5, Mov(a=IMM, target=SG2("W", 3)))]
    assert fault(vector_program([*shared, *end])) == (conflict, "VXM", 5 + vxm_result(PAIR))
