"""The VXM slice on RTL: operands, waiting, chains, targets, stagger and faults, cycle by cycle.

Oracle: the golden model's ``execute`` for values, the timing table for cycles.
"""

import numpy as np
import pytest
from bench_unit import SliceUnit

from tsp.hw.config import Config
from tsp.hw.fault import FaultKind
from tsp.hw.isa import IMM, SG1, SG2, SG4, Alu, DType, Late
from tsp.hw.isa import vxm as isa
from tsp.hw.vxm import Vxm
from tsp.sim.golden.alu import execute, read_operand, to_bytes

CONFIG = Config(name="three", lanes=4, superlanes=2, streams=12, alus=3, special_alus=1)
TIMING = isa.Mov.timing(CONFIG)
SEED = 21


class Bench:
    """A VXM that is simulated again and again.

    A scenario is what is issued, ``{(cycle, alu): instruction}``, and what arrives for superlane 0,
    ``{(cycle, direction, stream): bytes of all lanes}``; all else is invalid. For superlane i it
    arrives i cycles later.
    """

    def __init__(self, config):
        self.config, dut = config, Vxm(config)
        self.unit = SliceUnit(dut, "vxm", config, dict(enumerate(dut.issue)))

    def run(self, issues, streams=None, cycles=None):
        """``{(cycle, tile, alu): (direction, first stream, bytes)}`` driven, and the set of
        ``(cycle, FaultKind)``.
        """
        streams, drives, faults = streams or {}, {}, set()
        ran = self.unit.run(
            cycles or max(cycle for cycle, _ in issues) + 45,
            lambda *issue: issues.get(issue),
            lambda *word: streams.get(word),
        )
        for now, (ports, kinds) in enumerate(ran):
            faults |= {(now - 1, kind) for kind in kinds}  # those of the last cycle
            for (tile, number), port in ports.items():
                data = port.data.to_bytes(4 * self.config.lanes, "little")
                words = np.frombuffer(data, np.uint8).reshape(4, -1)[: 1 << port.log2]
                drives[now, tile, number] = "EW"[port.westward], port.stream, words
        return drives, faults


@pytest.fixture(scope="module")
def bench():
    return Bench(CONFIG)


@pytest.fixture
def rng():
    return np.random.default_rng(SEED)


def drawn(rng, size=4):
    """Random bytes of a stream group: (size, lanes)."""
    return rng.integers(0, 256, (size, CONFIG.vector), np.uint8)


def arriving(cycle, group, data):
    """The scenario's entries for `data` on `group`, as it is sampled by an issue in `cycle`."""
    at = cycle + TIMING.skew
    return {(at, group.direction, s): row for s, row in zip(group.streams, data, strict=True)}


def expect(drives, results):
    """`drives` are just those of `results`: ``(issue cycle + wait, alu, target, bits)``."""
    want = {}
    for cycle, number, target, bits in results:
        rows = to_bytes(bits, target.size)
        for tile in range(CONFIG.superlanes):
            part = rows[:, tile * CONFIG.lanes : (tile + 1) * CONFIG.lanes]
            at = cycle + TIMING.func + tile, tile, number
            want[at] = target.direction, target.first, part
    assert drives.keys() == want.keys(), f"seed {SEED}"
    for at, (direction, first, rows) in want.items():
        assert drives[at][:2] == (direction, first), f"{at} seed {SEED}"
        np.testing.assert_array_equal(drives[at][2], rows, f"{at} seed {SEED}")


GROUPS = [
    *(SG1("E", 0), SG1("W", 7), SG1("E", 11), SG1("E", 2), SG2("W", 0), SG2("E", 3), SG2("E", 5)),
    *(SG4("E", 0), SG4("W", 1), SG4("W", 2)),
]


@pytest.mark.parametrize("target", [SG1("W", 5), SG2("E", 2), SG4("W", 0), SG4("E", 2)], ids=str)
def test_groups_are_sign_extended_and_targets_get_low_bytes(bench, rng, target):
    """Every kind of group as either operand, one issue a cycle; numpy extends the sign."""
    issues, streams, results = {}, {}, []
    for cycle, group in enumerate(GROUPS):
        data = drawn(rng, group.size)
        kind = {1: np.int8, 2: np.int16, 4: np.int32}[group.size]
        extended = np.ascontiguousarray(data.T).view(kind)[:, 0].astype(np.int32).view(np.uint32)
        np.testing.assert_array_equal(read_operand(data), extended)
        other = int(rng.integers(1 << 32))
        streams |= arriving(cycle, group, data)
        issues[cycle, 0] = isa.SubI(a=group, b=IMM, imm=other, target=target)
        issues[cycle, 2] = isa.SubI(a=IMM, b=group, imm=other, target=target)
        results.append((cycle, 0, target, extended - np.uint32(other)))
        results.append((cycle, 2, target, np.uint32(other) - extended))
    drives, faults = bench.run(issues, streams)
    expect(drives, results)
    assert not faults


def test_select_reads_three_operands(bench, rng):
    a, b, c = drawn(rng), drawn(rng), drawn(rng, 1) % 2
    op = isa.Select(a=SG4("E", 0), b=SG4("W", 0), c=SG1("E", 9), target=SG4("E", 1))
    streams = arriving(3, op.a, a) | arriving(3, op.b, b) | arriving(3, op.c, c)
    drives, faults = bench.run({(3, 1): op}, streams)
    want = np.where(c[0] != 0, read_operand(a), read_operand(b))
    expect(drives, [(3, 1, op.target, want)])
    assert not faults


def test_convert_reads_its_formats(bench, rng):
    a = rng.standard_normal(CONFIG.vector).astype(np.float16)
    op = isa.Convert(a=SG2("E", 1), source=DType.FP16, result=DType.FP32, target=SG4("E", 1))
    drives, faults = bench.run({(0, 1): op}, arriving(0, op.a, a[:, None].view(np.uint8).T))
    expect(drives, [(0, 1, op.target, a.astype(np.float32).view(np.uint32))])
    assert not faults


def test_chain_of_alus(bench, rng):
    """(x + 1.5) * y, the sum going from ALU 0 to ALU 1, and the product on through ALU 1 itself."""
    x, y = rng.standard_normal((2, CONFIG.vector)).astype(np.float32)
    hop = TIMING.func - TIMING.skew
    half = int(np.float32(1.5).view(np.uint32))
    add = isa.AddF(a=SG4("E", 0), b=IMM, imm=half)
    mul = isa.MulF(a=Alu(0), b=SG4("W", 2), target=SG4("E", 2))
    mov = isa.Mov(a=Alu(1), target=SG4("W", 1))
    streams = arriving(0, add.a, x[:, None].view(np.uint8).T)
    streams |= arriving(hop, mul.b, y[:, None].view(np.uint8).T)
    drives, faults = bench.run({(0, 0): add, (hop, 1): mul, (2 * hop, 1): mov}, streams)
    product = ((x + np.float32(1.5)) * y).view(np.uint32)
    expect(drives, [(hop, 1, mul.target, product), (2 * hop, 1, mov.target, product)])
    assert not faults


def test_special_functions_take_as_long_as_all_others(bench, rng):
    """One in every cycle, between operations of the other kind in the same ALU."""
    kinds = [isa.Exp, isa.AddF, isa.TanH, isa.RSqrt, isa.MulI, isa.Recip, isa.Sra, isa.Exp]
    issues, streams, results = {}, {}, []
    for cycle, kind in enumerate(kinds):
        x = rng.uniform(-3, 3, CONFIG.vector).astype(np.float32)
        data, target = x[:, None].view(np.uint8).T, SG4("EW"[cycle % 2], cycle % 3)
        op = kind(a=SG4("W", 1), b=IMM, imm=0x40490FDB, target=target)
        streams |= arriving(cycle, op.a, data)
        issues[cycle, 0] = op
        second = np.full(CONFIG.vector, op.imm, np.uint32)
        results.append((cycle, 0, target, execute(op, read_operand(data), second, second)))
        if kind is isa.Exp:
            np.testing.assert_allclose(results[-1][-1].view(np.float32), np.exp(x), rtol=2e-7)
    drives, faults = bench.run(issues, streams)
    expect(drives, results)
    assert not faults


@pytest.mark.parametrize("late", Late)
@pytest.mark.parametrize("wait", [1, 2, 7, 30, 31])
def test_operands_wait(bench, rng, wait, late):
    """The early operand is there in its own cycle only, and so are the late ones."""
    a, b, c = drawn(rng), drawn(rng), drawn(rng, 2)
    c[:, ::2] = 0
    fields = {"a": SG4("E", 0), "b": SG4("E", 0), "wait": wait, "late": late}
    sub = isa.SubI(target=SG4("E", 1), **fields)
    select = isa.Select(c=SG2("W", 1), target=SG4("W", 1), **fields)
    early, last = (b, a) if late is Late.A else (a, b)
    streams = arriving(2, sub.a, early) | arriving(2 + wait, sub.a, last)
    streams |= arriving(2 + wait, select.c, c)
    drives, faults = bench.run({(2, 0): sub, (2, 2): select}, streams)
    a, b, c = read_operand(a), read_operand(b), read_operand(c)
    results = [(2 + wait, 0, sub.target, a - b)]
    results.append((2 + wait, 2, select.target, np.where(c != 0, a, b)))
    expect(drives, results)
    assert not faults


@pytest.mark.parametrize("late", Late)
def test_mov_with_wait_delays(bench, rng, late):
    """a is the early operand unless `late` names it."""
    data = drawn(rng)
    op = isa.Mov(a=SG4("W", 0), wait=9, late=late, target=SG4("E", 0))
    drives, faults = bench.run({(1, 0): op}, arriving(1 + 9 * (late is Late.A), op.a, data))
    expect(drives, [(10, 0, op.target, read_operand(data))])
    assert not faults


def test_random_traffic(bench, rng):
    """An issue in nearly every cycle, each waiting as long as it likes, no two meeting."""
    cycles, queue = 60, range(CONFIG.alus)
    streams = {
        (cycle, direction, stream): rng.integers(0, 256, CONFIG.vector, np.uint8)
        for cycle in range(cycles + 40)
        for direction in "EW"
        for stream in range(CONFIG.streams)
    }
    special = [op for op in isa.VXM_OPS.values() if op.special]
    plain = [op for op in isa.VXM_OPS.values() if not op.special and op is not isa.Convert]
    kinds = [special * 3 + plain] + [plain] * (CONFIG.alus - 1)
    issues, results, taken = {}, [], {}

    def operand(field, cycle):
        """A field and its value; ALUs are named when their output is valid."""
        standing = [n for n in queue if (n, cycle + TIMING.skew - TIMING.func) in taken]
        pick = rng.integers(3)
        if pick == 0 and standing:
            number = int(rng.choice(standing))
            return Alu(number), taken[number, cycle + TIMING.skew - TIMING.func]
        if pick == 1:
            imm = np.full(CONFIG.vector, field, np.uint32)
            return IMM, imm
        group = GROUPS[rng.integers(len(GROUPS))]
        at = cycle + TIMING.skew
        rows = np.stack([streams[at, group.direction, s] for s in group.streams])
        return group, read_operand(rows)

    for cycle in range(cycles):
        for number in queue:
            wait, late = int(rng.choice([0, 0, 1, 3, 17, 31])), Late(int(rng.integers(2)))
            if (number, cycle + wait) in taken:
                continue
            imm = int(rng.integers(1 << 32))
            times = {"a": wait * (late is Late.A), "b": wait * (late is Late.B), "c": wait}
            picks = {name: operand(imm, cycle + after) for name, after in times.items()}
            kind = kinds[number][rng.integers(len(kinds[number]))]
            target = GROUPS[rng.integers(len(GROUPS))]
            fields = {name: pick[0] for name, pick in picks.items()}
            op = kind(**fields, imm=imm, wait=wait, late=late, target=target)
            bits = execute(op, *(picks[name][1] for name in "abc"))
            taken[number, cycle + wait] = bits
            issues[cycle, number] = op
            results.append((cycle + wait, number, target, bits))
    drives, faults = bench.run(issues, streams, cycles + 40)
    expect(drives, results)
    assert not faults


def test_unused_operands_are_not_sampled(bench):
    nothing = SG4("W", 2)
    issues = {
        (0, 0): isa.Mov(a=IMM, b=nothing, c=nothing),
        (0, 1): isa.AddI(a=IMM, b=IMM, c=Alu(0)),
        (1, 0): isa.Mov(a=IMM, b=Alu(2), wait=4, late=Late.A),
        (1, 1): isa.Mov(a=IMM, b=nothing, wait=4, late=Late.B),
        (2, 2): isa.Convert(a=IMM, b=nothing, source=DType.FP16, result=DType.INT8),
    }
    drives, faults = bench.run(issues)
    assert not faults
    assert not drives


@pytest.mark.parametrize("missing", range(4))
@pytest.mark.parametrize("name", "abc")
def test_invalid_stream_word(bench, rng, name, missing):
    """One word of a quad is missing; the fault is in the cycle of sampling, in either tile."""
    op = isa.Select(**{"a": IMM, "b": IMM, "c": IMM, name: SG4("E", 1)}, target=SG4("E", 2))
    streams = arriving(4, SG4("E", 1), drawn(rng))
    del streams[4 + TIMING.skew, "E", 4 + missing]
    _, faults = bench.run({(4, 0): op}, streams)
    assert faults == {(4 + TIMING.skew + i, FaultKind.INVALID) for i in range(CONFIG.superlanes)}


@pytest.mark.parametrize(("late", "name", "delay"), [("A", "a", 6), ("A", "b", 0), ("B", "c", 6)])
def test_invalid_when_waiting(bench, late, name, delay):
    op = isa.Select(**{"a": IMM, "b": IMM, "c": IMM, name: SG1("W", 3)}, wait=6, late=Late[late])
    _, faults = bench.run({(4, 2): op})
    first = 4 + delay + TIMING.skew
    assert faults == {(first + i, FaultKind.INVALID) for i in range(CONFIG.superlanes)}


@pytest.mark.parametrize(("offset", "legal"), [(-1, False), (0, True), (1, False)])
def test_alu_output_is_valid_for_one_cycle(bench, offset, legal):
    cycle = TIMING.func - TIMING.skew + offset
    issues = {(0, 0): isa.Mov(a=IMM), (cycle, 1): isa.Mov(a=Alu(0))}
    _, faults = bench.run(issues)
    tiles = range(0 if legal else CONFIG.superlanes)
    assert faults == {(cycle + TIMING.skew + i, FaultKind.INVALID) for i in tiles}


@pytest.mark.parametrize(
    ("waits", "starts"), [((5, 0), (0, 5)), ((9, 2), (0, 7)), ((1, 0), (0, 1))]
)
def test_conflict(bench, waits, starts):
    """Two results meet: the fault is in the cycle of the result, which is the later issue's."""
    target = SG4("E", 0)
    issues = {
        (start, 1): isa.Mov(a=IMM, imm=i, wait=wait, target=target)
        for i, (start, wait) in enumerate(zip(starts, waits, strict=True))
    }
    drives, faults = bench.run(issues)
    meeting = starts[0] + waits[0]
    first = meeting + TIMING.func
    assert faults == {(first + i, FaultKind.CONFLICT) for i in range(CONFIG.superlanes)}
    expect(drives, [(meeting, 1, target, np.full(CONFIG.vector, 1, np.uint32))])


def test_places_of_the_buffer_are_free_again(bench):
    """A conflict is not remembered for the next that waits in the same place."""
    issues = {(c, 0): isa.Mov(a=IMM, wait=31) for c in range(70)}
    _, faults = bench.run(issues)
    assert not faults
