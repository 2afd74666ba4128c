"""An SXM unit on RTL: every instruction, values, cycles, stagger and faults.

Oracle: the golden model's ``execute`` for values, the timing table for cycles.
"""

import numpy as np
import pytest
from amaranth.sim import Simulator

from tsp.hw.config import Config
from tsp.hw.fault import FaultKind
from tsp.hw.isa import (
    SG1,
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
from tsp.sim.golden.sxm import execute

SEED = 31
CONFIGS = {
    name: Config(name=name, alus=2, special_alus=0, datapath="int8", **sizes)
    for name, sizes in {
        "two_by_four": {"lanes": 4, "superlanes": 2, "streams": 8},
        "seven_by_four": {"lanes": 4, "superlanes": 7, "streams": 8},
        "three_by_eight": {"lanes": 8, "superlanes": 3, "streams": 12},
        "one_by_sixteen": {"lanes": 16, "superlanes": 1, "streams": 20},
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
        self.config, self.ran = config, False
        self.dut = SxmUnit(config)
        self.simulator = Simulator(self.dut)
        self.simulator.add_clock(1e-6)
        self.simulator.add_testbench(self._play)

    def run(self, issues, streams):
        """``{(cycle, tile): [(direction, stream, bytes)]}`` driven, and the set of
        ``(cycle, FaultKind)``.
        """
        self.issues, self.streams = issues, streams
        self.cycles = max(issues) + Reduce.timing(self.config).func + self.config.superlanes + 2
        self.drives, self.faults = {}, set()
        if self.ran:
            self.simulator.reset()
        self.ran = True
        self.simulator.run()
        return self.drives, self.faults

    async def _play(self, ctx):
        config, dut = self.config, self.dut
        for now in range(self.cycles):
            instruction = self.issues.get(now)
            ctx.set(dut.issue.valid, instruction is not None)
            ctx.set(dut.issue.word, instruction.encode() if instruction else (1 << 64) - 1)
            for tile in range(config.superlanes):
                arriving = self.streams.get(now - tile, {})
                part = slice(tile * config.lanes, (tile + 1) * config.lanes)
                for direction, row in (("E", dut.east[tile]), ("W", dut.west[tile])):
                    for stream, word in enumerate(row):
                        vector = arriving.get((direction, stream))
                        data = bytes(vector[part]) if vector is not None else b"\xee" * config.lanes
                        value = {
                            "data": int.from_bytes(data, "little"),
                            "valid": vector is not None,
                        }
                        ctx.set(word, value)
            fault = ctx.get(dut.fault)
            self.faults |= {(now, kind) for kind in FaultKind if fault >> kind & 1}
            for tile in range(config.superlanes):
                for port in dut.drive[tile]:
                    if ctx.get(port.valid):
                        self._drive(ctx, now, tile, port)
            await ctx.tick()

    def _drive(self, ctx, now, tile, port):
        lanes, direction = self.config.lanes, "EW"[ctx.get(port.westward)]
        data = ctx.get(port.data).to_bytes(4 * lanes, "little")
        for k in range(4):
            if ctx.get(port.mask) >> k & 1:
                driven = direction, 4 * ctx.get(port.quad) + k, data[k * lanes : (k + 1) * lanes]
                self.drives.setdefault((now, tile), []).append(driven)


_BENCHES = {}


def bench(config):
    """The bench of a configuration; simulators are built once."""
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
            for g in op.reads(config)
        ]
        for g, rows in zip(op.drives(config), execute(op, config, words), strict=True):
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
