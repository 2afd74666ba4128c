"""The golden model's SXM. Oracle: the manual's sentences in plain Python, element by element."""

import struct

import numpy as np
import pytest

from tsp.hw.config import Config, preset
from tsp.hw.errors import EncodingError
from tsp.hw.isa import (
    SG1,
    SG2,
    SG4,
    Broadcast,
    Distribute,
    Permute,
    Reduce,
    ReduceKind,
    Rotate,
    SelectLanes,
    Shift,
    StreamGroup,
    Transpose,
)
from tsp.sim.golden.model import run
from tsp.sim.golden.sxm import add, execute, greater
from tsp.sim.program import Block, Region
from tsp.sim.schedule import Operation, Schedule

SEED = 41
CONFIGS = [
    Config(name="sixteen", superlanes=3),
    Config(name="four", lanes=4, superlanes=5, streams=16),
]
ON_CONFIGS = pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
SIZES = pytest.mark.parametrize("size", [1, 2, 4])


@pytest.fixture
def rng():
    return np.random.default_rng(SEED)


def words(rng, config, size):
    return rng.integers(0, 256, (size, config.vector), np.uint8)


def elements(rows):
    """The elements of a vector, one per lane, as bytes."""
    return [bytes(column) for column in np.asarray(rows).T]


def groups(size):
    return {"source": StreamGroup(size, "E", 0), "target": StreamGroup(size, "W", 1)}


@ON_CONFIGS
@SIZES
def test_shift(rng, config, size):
    vector = words(rng, config, size)
    lanes, zero = elements(vector), bytes(size)
    for amount in (0, 1, -1, 5, -7, config.vector - 1, -config.vector, 300):
        (got,) = execute(Shift(**groups(size), amount=amount), config, [vector])
        inside = range(config.vector)
        want = [lanes[n - amount] if n - amount in inside else zero for n in inside]
        assert elements(got) == want


@ON_CONFIGS
@SIZES
def test_permute_takes_any_map(rng, config, size):
    vector = words(rng, config, size)
    numbers = [int(n) for n in rng.integers(0, config.vector + 9, config.vector)]
    numbers[:2] = 65535, config.vector
    pair = np.array([[n & 255 for n in numbers], [n >> 8 for n in numbers]], np.uint8)
    permute = Permute(**groups(size), map=SG2("E", 7))
    (got,) = execute(permute, config, [vector, pair])
    lanes = elements(vector)
    assert elements(got) == [lanes[n] if n < config.vector else bytes(size) for n in numbers]
    assert len(set(numbers)) < len(numbers)


@ON_CONFIGS
@SIZES
def test_distribute_counts_lanes_from_its_superlane(rng, config, size):
    vector = words(rng, config, size)
    numbers = [int(n) for n in rng.integers(0, config.lanes + 2, config.vector)]
    numbers[3] = 255
    lanes = elements(vector)
    for count in (0, 1, config.lanes + 1, config.vector):
        op = Distribute(**groups(size), map=SG1("E", 9), count=count)
        (got,) = execute(op, config, [vector, np.uint8([numbers])])
        want = [
            lanes[n // config.lanes * config.lanes + source]
            if source < config.lanes and n < count
            else bytes(size)
            for n, source in enumerate(numbers)
        ]
        assert elements(got) == want


@ON_CONFIGS
@SIZES
def test_select_takes_north_where_the_map_is_not_zero(rng, config, size):
    north, south = words(rng, config, size), words(rng, config, size)
    choice = rng.choice(np.uint8([0, 1, 0x80]), config.vector)
    group = StreamGroup(size, "E", 1)
    op = SelectLanes(north=group, south=group, map=SG1("E", 0), target=group)
    (got,) = execute(op, config, [north, south, choice[None]])
    pairs = zip(choice, elements(north), elements(south), strict=True)
    assert elements(got) == [a if c else b for c, a, b in pairs]


@pytest.mark.parametrize("n", [3, 4])
def test_rotate(rng, n):
    config, many = CONFIGS[0], n * n
    vector = words(rng, config, 1)
    op = Rotate(source=SG1("E", 1), target=SG1("E", 4), size=n)
    got = execute(op, config, [vector])
    assert [g.first for g, _ in op.drives(config)] == list(range(4, 4 + many))
    for j, rows in enumerate(got):
        for lane, byte in enumerate(rows[0]):
            within = lane % 16
            want = vector[0, lane - within + (within + j) % many] if within < many else 0
            assert byte == want


@ON_CONFIGS
def test_transpose(rng, config):
    n = config.lanes
    rows = [words(rng, config, 1) for _ in range(n)]
    op = Transpose(source=SG1("E", 0), target=SG1("W", 0))
    got = execute(op, config, rows)
    for i in range(n):
        for lane in range(config.vector):
            base, j = lane // n * n, lane % n
            assert got[i][0, lane] == rows[j][0, base + i]


@ON_CONFIGS
@SIZES
def test_broadcast(rng, config, size):
    vector = words(rng, config, size)
    for lane in (0, 3, config.vector - 1):
        (got,) = execute(Broadcast(**groups(size), lane=lane), config, [vector])
        assert elements(got) == [elements(vector)[lane]] * config.vector


def number(raw):
    return struct.unpack("<f", raw)[0]


def summed(a, b):
    """Exact in binary64, then rounded once: two binary32 numbers leave room for that."""
    with np.errstate(all="ignore"):
        total = np.float32(np.float64(number(a)) + np.float64(number(b)))
    return b"\x00\x00\xc0\x7f" if np.isnan(total) else total.tobytes()


def larger(a, b):
    if any(np.isnan(number(x)) for x in (a, b)):
        return b"\x00\x00\xc0\x7f"
    order = [(number(x), not x[3] & 0x80, x) for x in (a, b)]  # a negative zero is the lower one
    return max(order)[2]


CORNERS = np.array(
    [0x00000000, 0x80000000, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC00001, 0x7F800001,
     0x00000001, 0x80000001, 0x007FFFFF, 0x00800000, 0x80800000, 0x7F7FFFFF, 0xFF7FFFFF,
     0x3F800000, 0xBF800000, 0x33800000, 0x33800001, 0x34000000],
    np.uint32,
)  # fmt: skip
"""Zeros, infinities, NaNs, subnormals and their neighbours, the largest, ties of 1.0."""


def test_add_and_greater_on_corners():
    a, b = (x.ravel() for x in np.meshgrid(CORNERS, CORNERS))
    for function, oracle in ((add, summed), (greater, larger)):
        got = function(a.view(np.float32), b.view(np.float32))
        for x, y, z in zip(a, b, got, strict=True):
            assert z.tobytes() == oracle(x.tobytes(), y.tobytes()), f"{x:#x} {y:#x}"


def combined(lanes, config, kind, count):
    """The documented order, by recursion."""
    combine = larger if kind is ReduceKind.MAX else summed
    neutral = struct.pack("<f", float("-inf") if kind is ReduceKind.MAX else 0.0)

    def tree(part):
        half = len(part) // 2
        return combine(tree(part[:half]), tree(part[half:])) if half else part[0]

    lanes = [x if n < count else neutral for n, x in enumerate(lanes)]
    totals = [tree(lanes[i : i + config.lanes]) for i in range(0, len(lanes), config.lanes)]
    result = totals[0]
    for total in totals[1:]:
        result = combine(result, total)
    return result


@ON_CONFIGS
@pytest.mark.parametrize("kind", ReduceKind)
def test_reduce(rng, config, kind):
    seen = set()
    for count in (0, 1, config.lanes - 1, config.lanes + 2, config.vector, config.vector):
        vector = (rng.standard_normal(config.vector) * 1000).astype(np.float32)
        at = rng.integers(config.vector, size=2)
        vector[at] = rng.choice(CORNERS, 2).view(np.float32)
        vector[count:] = np.nan
        rows = np.ascontiguousarray(vector.view(np.uint8).reshape(-1, 4).T)
        companion = words(rng, config, 2)
        op = Reduce(
            source=SG4("E", 0),
            target=SG4("E", 1),
            kind=kind,
            count=count,
            companion=SG2("W", 0),
            companion_target=SG2("W", 1),
        )
        got, beside = execute(op, config, [rows, companion])
        want = combined(elements(rows), config, kind, count)
        assert elements(got) == [want] * config.vector, f"count {count}, seed {SEED}"
        assert (beside == companion).all()
        seen.add(want)
    neutral = -np.inf if kind is ReduceKind.MAX else 0.0
    assert np.float32(neutral).tobytes() in seen  # of no lanes


def test_the_order_of_a_sum_shows():
    """1 + eps/2 sixteen times: pairs of halves count, one by one they would be lost."""
    config = preset("small")
    vector = np.full(16, 2.0**-24, np.float32)
    vector[0] = 1
    rows = np.ascontiguousarray(vector.view(np.uint8).reshape(-1, 4).T)
    op = Reduce(source=SG4("E", 0), target=SG4("E", 1), kind=ReduceKind.SUM, count=16)
    (got,) = execute(op, config, [rows])
    assert number(elements(got)[0]) == 1 + 14 * 2.0**-24
    one_by_one = np.float32(1)
    for x in vector[1:]:
        one_by_one += x
    assert one_by_one == 1


def test_scheduled_transposition_from_memory_to_memory(rng):
    """Sixteen rows are read, transposed by the SXM and written; oracle: ``ndarray.T``."""
    config = preset("small")
    plan, unit = config.floorplan, config.floorplan.queue("SXM_W.0")
    matrix = rng.integers(0, 256, (16, 16), np.uint8)
    banks = [q for q in plan.queues if q.unit.value == "MEM" and q.slice.hemisphere.value == "W"]
    source, target = SG1("W", 4), SG1("E", 8)
    move, arrive = Operation(config, "transpose"), 10
    for i, bank in enumerate(banks):
        move.read(bank.name, 0, SG1("W", 4 + i), unit.stop, arrive)
    transpose = Transpose(source=source, target=target)
    driven = move.exchange(unit.name, transpose, arrive, to=plan.slice("MEM_W0").stop)
    assert driven - arrive == Transpose.timing(config).func - Transpose.timing(config).skew
    for i, bank in enumerate(banks):
        at = driven + abs(bank.stop - unit.stop)
        move.write(bank.name, 1, SG1("E", 8 + i), at)
    schedule = Schedule(config)
    schedule.place(move)
    where = [(bank.slice.name, bank.port) for bank in banks]
    program = schedule.program(
        image=[Block(s, b, 0, row[None]) for (s, b), row in zip(where, matrix, strict=True)],
        outputs=[Region(s, b, 1, 1) for s, b in where],
    )
    result = run(program)
    assert result.fault is None
    assert (np.concatenate(result.outputs) == matrix.T).all()


def test_scheduled_reduction_with_its_companion_going_another_way():
    """Result and companion claim their streams as far as each goes, and no farther."""
    config = preset("small")
    plan, unit = config.floorplan, config.floorplan.queue("SXM_E.0")
    op = Reduce(
        source=SG4("E", 0),
        target=SG4("W", 0),
        kind=ReduceKind.MAX,
        count=16,
        companion=SG4("E", 1),
        companion_target=SG4("E", 1),
    )
    move = Operation(config, "reduce")
    driven = move.exchange(
        "SXM_E.0", op, 20, to=plan.slice("VXM").stop, companion_to=unit.stop + 1, count=2
    )
    assert driven == 20 + Reduce.timing(config).func - Reduce.timing(config).skew
    stops = {d: [s for _, direction, _, s in _streams(move) if direction == d] for d in "EW"}
    assert set(stops["W"]) == set(range(plan.slice("VXM").stop, unit.stop))
    assert set(stops["E"]) == {unit.stop + 1}
    sampled = {(direction, stream) for _, direction, stream, _ in move.samples}
    assert sampled == {("E", stream) for stream in range(8)}


def test_what_a_core_cannot_do_is_refused():
    move = Operation(preset("nano"), "rotate")
    rotate = Rotate(source=SG1("E", 0), target=SG1("E", 0), size=3)
    with pytest.raises(EncodingError, match=r"rotate: queue SXM_E\.0: rotate size .* 4 lanes"):
        move.exchange("SXM_E.0", rotate, 20, to=0)


def _streams(operation):
    return [resource for resource in operation.claims if resource[0] == "stream"]
