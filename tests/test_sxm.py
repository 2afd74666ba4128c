"""An SXM unit on RTL: every instruction, values, cycles, stagger and faults.

Oracle: the golden model's ``execute`` for values, the timing table for cycles.
"""

import numpy as np
import pytest
from bench_unit import SliceUnit, Unit

from tsp.hw.config import Config
from tsp.hw.fault import FaultKind
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
from tsp.hw.sxm import SxmUnit
from tsp.hw.sxm.combine import Combine
from tsp.sim.golden.sxm import add, execute, greater

SEED = 31
CONFIGS = {
    name: Config(name=name, alus=2, special_alus=0, datapath="int8", **sizes)
    for name, sizes in {
        "two_by_four": {"lanes": 4, "superlanes": 2, "streams": 8},
        "seven_by_four": {"lanes": 4, "superlanes": 7, "streams": 8},
        "three_by_eight": {"lanes": 8, "superlanes": 3, "streams": 12},
        "one_by_sixteen": {"lanes": 16, "superlanes": 1, "streams": 20},
        "deep": {"lanes": 4, "superlanes": 3, "streams": 8, "pipeline": "deep"},
    }.items()
}
LONG = CONFIGS["seven_by_four"]
WIDE = CONFIGS["one_by_sixteen"]
SAMPLE = Shift.timing(WIDE).skew


class Bench:
    """A unit that is simulated again and again.

    A scenario is what is issued, by cycle, and what arrives for superlane 0 on
    ``(direction, stream)``, by cycle: bytes of all lanes; all else is invalid. For superlane i it
    arrives i cycles later.
    """

    def __init__(self, config):
        self.config, dut = config, SxmUnit(config)
        self.unit = SliceUnit(dut, "sxm", config, {"issue": dut.issue})

    def run(self, issues, streams):
        """``{(cycle, tile): [(direction, stream, bytes)]}`` driven, and the set of
        ``(cycle, FaultKind)``.
        """
        cycles = max(issues) + Reduce.timing(self.config).func + self.config.superlanes + 2
        drives, faults = {}, set()
        ran = self.unit.run(
            cycles,
            lambda now, _: issues.get(now),
            lambda now, *stream: streams.get(now, {}).get(stream),
        )
        for now, (ports, kinds) in enumerate(ran):
            faults |= {(now, kind) for kind in kinds}
            for (tile, _), port in ports.items():
                drives.setdefault((now, tile), []).extend(self._driven(port))
        return drives, faults

    def _driven(self, port):
        lanes, direction = self.config.lanes, "EW"[port.westward]
        data = port.data.to_bytes(4 * lanes, "little")
        for k in range(4):
            if port.mask >> k & 1:
                yield direction, 4 * port.quad + k, data[k * lanes : (k + 1) * lanes]


_BENCHES = {}


def bench(config):
    """The bench of a configuration; it is made once."""
    if config.name not in _BENCHES:
        _BENCHES[config.name] = Bench(config)
    return _BENCHES[config.name]


def drawn(rng, config, specials=True):
    """Words on all streams that make interesting numbers and maps, by direction and stream."""
    vectors = {}
    for direction in "EW":
        for quad in range(config.streams // 4):
            number = numbers(rng, config.vector) if specials and rng.integers(2) else None
            for k in range(4):
                kind = rng.integers(3)
                row = rng.integers(0, [256, config.lanes + 2, 2][kind], config.vector, np.uint8)
                vectors[direction, 4 * quad + k] = row if number is None else number[k]
    return vectors


def numbers(rng, count):
    """fp32 with few exponents, corners among them, as uint8 (4, count)."""
    corners = [0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1.1754942e-38, 3.4e38, 2.0**-126]
    values = (rng.standard_normal(count) * 2.0 ** rng.integers(-6, 7, count)).astype(np.float32)
    kind = rng.integers(4)
    if kind == 0:
        values = rng.integers(0, 1 << 32, count, np.uint32).view(np.float32)
    elif kind == 1:
        at = rng.integers(count, size=2)
        values[at] = rng.choice(np.float32(corners), 2)
    elif kind == 2:
        values = (rng.integers(-(1 << 24), 1 << 24, count) * 2.0**-149).astype(np.float32)
    return np.ascontiguousarray(values.view(np.uint8).reshape(count, 4).T)


def group(rng, config, size):
    """A stream group that exists."""
    return StreamGroup(size, "EW"[rng.integers(2)], int(rng.integers(config.streams // size)))


def quad(rng, config, many):
    """A first stream of `many` that exist, its number a multiple of 4."""
    return SG1("EW"[rng.integers(2)], 4 * int(rng.integers((config.streams - many) // 4 + 1)))


def some(rng, config, cls):
    """An instruction of that class that `config` executes."""
    size = int(rng.choice([1, 2, 4]))
    source, south, target = (group(rng, config, size) for _ in range(3))
    count = int(rng.integers(config.vector + 1))
    match cls.__name__:
        case "Shift":
            amount = int(rng.integers(-config.vector - 1, config.vector + 2))
            return Shift(source=source, target=target, amount=amount)
        case "Broadcast":
            return Broadcast(source=source, target=target, lane=int(rng.integers(config.vector)))
        case "Permute":
            return Permute(source=source, map=group(rng, config, 2), target=target)
        case "Distribute":
            where = group(rng, config, 1)
            return Distribute(source=source, map=where, target=target, count=count)
        case "SelectLanes":
            return SelectLanes(north=source, south=south, map=group(rng, config, 1), target=target)
        case "Rotate":
            n = int(rng.choice([3, 4]))
            return Rotate(source=group(rng, config, 1), target=quad(rng, config, n * n), size=n)
        case "Transpose":
            first, onto = (quad(rng, config, config.lanes) for _ in range(2))
            return Transpose(source=first, target=onto)
    more = {"companion": south, "companion_target": target} if rng.integers(2) else {}
    source, target = group(rng, config, 4), group(rng, config, 4)
    kind = ReduceKind(int(rng.integers(2)))
    return Reduce(source=source, target=target, kind=kind, count=count, **more)


ALL = (Shift, SelectLanes, Permute, Distribute, Rotate, Transpose, Reduce, Broadcast)


def expected(config, issues, streams):
    """What is driven, by (cycle, tile)."""
    drives = {}
    for cycle, op in issues.items():
        times = op.timing(config)
        words = [
            np.array([streams[cycle + times.skew][g.direction, s] for s in g.streams])
            for g, _ in op.samples(config)
        ]
        for (g, _), rows in zip(op.drives(config), execute(op, config, words), strict=True):
            for stream, row in zip(g.streams, rows, strict=True):
                for tile in range(config.superlanes):
                    part = row[tile * config.lanes : (tile + 1) * config.lanes]
                    driven = g.direction, stream, bytes(part)
                    drives.setdefault((cycle + times.func + tile, tile), []).append(driven)
    return drives


def check(config, issues, streams):
    """The unit drives just what the golden model says, when the table says, without a fault."""
    drives, faults = bench(config).run(issues, streams)
    want = expected(config, issues, streams)
    assert not faults
    for at in want.keys() | drives.keys():
        assert sorted(drives.get(at, [])) == sorted(want.get(at, [])), f"{at}, seed {SEED}"


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_any_instruction_in_every_cycle(config):
    """Random instructions and words, one a cycle; every kind occurs often."""
    rng = np.random.default_rng(SEED)
    kinds = ALL if config.lanes == 16 else [op for op in ALL if op is not Rotate]
    issues = {cycle: some(rng, config, kinds[rng.integers(len(kinds))]) for cycle in range(120)}
    streams = {cycle: drawn(rng, config) for cycle in range(125)}
    check(config, issues, streams)
    assert {type(op) for op in issues.values()} == set(kinds)


@pytest.mark.parametrize("config", [LONG, WIDE], ids=lambda c: c.name)
def test_edges(config):
    """Amounts, lanes and counts at both ends, with everything else fixed."""
    rng, last = np.random.default_rng(SEED), config.vector - 1
    pair = {"source": SG2("E", 0), "target": SG2("W", 1)}
    word = {"source": SG4("E", 0), "target": SG4("W", 1)}
    ops = [Shift(**pair, amount=a) for a in (0, 1, -1, last, -last, last + 1, -512, 511)]
    ops += [Broadcast(**pair, lane=lane) for lane in (0, last)]
    counts = (0, 1, config.lanes, last + 1)
    ops += [Distribute(**pair, map=SG1("W", 0), count=count) for count in counts]
    ops += [Reduce(**word, kind=kind, count=count) for count in counts for kind in ReduceKind]
    streams = {cycle: drawn(rng, config) for cycle in range(len(ops) + 2)}
    check(config, dict(enumerate(ops)), streams)


def test_results_of_different_latency_stand_in_one_cycle():
    """A reduction, a shift and a transposition end together; all of them are driven."""
    config = LONG
    end = Reduce.timing(config).func
    first = Reduce(
        source=SG4("E", 0),
        target=SG4("E", 0),
        kind=ReduceKind.SUM,
        count=config.vector,
        companion=SG2("E", 3),
        companion_target=SG2("W", 3),
    )
    shift = Shift(source=SG1("E", 1), target=SG1("W", 5), amount=3)
    transpose = Transpose(source=SG1("E", 0), target=SG1("W", 0))
    issues = {0: first} | {end - op.timing(config).func: op for op in (shift, transpose)}
    assert len(issues) == 3
    rng = np.random.default_rng(SEED)
    check(config, issues, {cycle: drawn(rng, config) for cycle in range(end)})


def test_nothing_is_driven_before_or_after():
    """One instruction alone, long after reset."""
    rng = np.random.default_rng(SEED)
    op = Permute(source=SG4("E", 0), map=SG2("W", 0), target=SG4("W", 1))
    streams = {cycle: drawn(rng, LONG) for cycle in range(40)}
    check(LONG, {23: op}, streams)


FAULTS = [
    (Shift(source=SG2("E", 1), target=SG2("E", 0), amount=1), [2, 3]),
    (Permute(source=SG1("E", 0), map=SG2("E", 2), target=SG1("E", 0)), [0, 4, 5]),
    (Distribute(source=SG4("E", 1), map=SG1("E", 1), target=SG4("E", 0), count=4),
     [1, 4, 5, 6, 7]),
    (SelectLanes(north=SG2("E", 0), south=SG2("E", 3), map=SG1("E", 4), target=SG2("E", 0)),
     [0, 1, 6, 7, 4]),
    (Transpose(source=SG1("E", 4), target=SG1("E", 0)), [4, 5, 6, 7]),
    (Broadcast(source=SG1("E", 7), target=SG1("E", 0), lane=0), [7]),
    (Reduce(source=SG4("E", 1), target=SG4("E", 0), kind=ReduceKind.MAX, count=0), [4, 5, 6, 7]),
    (Reduce(source=SG4("E", 0), target=SG4("E", 0), kind=ReduceKind.MAX, count=0,
            companion=SG2("E", 2), companion_target=SG2("W", 0)), [0, 1, 2, 3, 4, 5]),
]  # fmt: skip


@pytest.mark.parametrize(("op", "needed"), FAULTS, ids=[op.mnemonic for op, _ in FAULTS])
def test_an_invalid_word_is_a_fault_if_it_is_needed(op, needed):
    """Each stream in turn carries nothing when the operation samples, and at no other time."""
    config = CONFIGS["two_by_four"]
    rng = np.random.default_rng(SEED)
    for stream in range(config.streams):
        streams = {cycle: drawn(rng, config) for cycle in range(12)}
        del streams[4 + SAMPLE]["E", stream]
        _, faults = bench(config).run({4: op}, streams)
        tiles = range(config.superlanes)
        want = {(4 + SAMPLE + tile + 2, FaultKind.INVALID) for tile in tiles}  # known later
        assert faults == (want if stream in needed else set()), stream


@pytest.mark.parametrize("deep", [False, True], ids=["short", "deep"])
def test_combine_on_corners_and_random_numbers(deep):
    """Oracle: numpy's binary32. Every pair of corners, then numbers that nearly cancel or tie."""
    rng = np.random.default_rng(SEED)
    corners = np.uint32(
        [0, 1 << 31, 1, 0x80000001, 0x7FFFFF, 0x800000, 0x80800000, 0x7F7FFFFF, 0xFF7FFFFF,
         0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC00001, 0x7F800001, 0x3F800000, 0xBF7FFFFF,
         0x33800000, 0x33800001, 0x73000000, 0x7E800000]
    )  # fmt: skip
    a, b = (x.ravel() for x in np.meshgrid(corners, corners))
    near = rng.integers(0, 1 << 32, 1500, np.uint32)
    moved = near ^ (
        rng.integers(0, 1 << 9, 1500, np.uint32) << rng.integers(0, 24, 1500, np.uint32)
    )
    flipped = moved ^ np.uint32(1 << 31)
    far = rng.integers(0, 1 << 32, 1500, np.uint32)
    a = np.concatenate([a, near, near, near])
    b = np.concatenate([b, moved, flipped, far])
    want = {
        largest: function(a.view(np.float32), b.view(np.float32)).view(np.uint32)
        for largest, function in ((0, add), (1, greater))
    }
    dut, latency = Combine(deep), Combine.latency(deep)
    inputs = {name: getattr(dut, name) for name in ("work", "largest", "a", "b")}
    unit = Unit(dut, f"combine-{deep}", inputs, {"total": dut.total})
    for largest in (0, 1):
        pairs = zip(a, b, strict=True)
        steps = [{"work": -1, "largest": largest, "a": x, "b": y} for x, y in pairs]
        got = unit.run([*steps, *[{}] * latency])[latency:]
        for x, y, outputs, theirs in zip(a, b, got, want[largest], strict=True):
            mine = outputs["total"]
            assert mine == theirs, f"{largest}: {x:#x}, {y:#x} give {mine:#x}, numpy {theirs:#x}"
