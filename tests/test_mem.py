"""Stream hops and MEM banks on Amaranth's simulator, against the timing rule in plain Python."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from tsp.hw.config import Config
from tsp.hw.hop import Hop
from tsp.hw.isa import SG1, Read, Write, timing
from tsp.hw.mem import Bank, BankTile


def simulate(component, bench):
    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def drive(ctx, port, values):
    """Set the members of an interface."""
    for name, value in values.items():
        ctx.set(getattr(port, name), value)


def check_word(ctx, row, stream, expected, seed):
    """Check a word of a row; what is not valid may be anything."""
    data, valid = expected
    assert ctx.get(row.valid[stream]) == valid, f"seed {seed}"
    assert not valid or ctx.get(row.data[stream]) == data, f"seed {seed}"


@pytest.mark.parametrize("width", [1, 4])
def test_hop_holds_or_takes_what_is_driven(width):
    """Oracle: a dict of registers, updated by the timing rule."""
    rng = np.random.default_rng(seed := 3)
    lanes, streams, drivers = 4, 8, 3
    hop = Hop(lanes=lanes, streams=streams, drivers=drivers, width=width)
    word_bits = 8 * lanes

    async def bench(ctx):
        for _ in range(150):
            arriving = {}
            for direction, side in (("E", hop.east), ("W", hop.west)):
                for s in range(streams):
                    value = int(rng.integers(0, 1 << word_bits)), int(rng.integers(2))
                    arriving[direction, s] = value
                    ctx.set(side.data[s], value[0])
                    ctx.set(side.valid[s], value[1])
            owners = {}
            expected = dict(arriving)
            for n in range(drivers):
                log2 = int(rng.integers(3)) if width == 4 else 0
                size = 1 << log2
                first = int(rng.integers(streams // size)) * size
                direction, valid = "EW"[rng.integers(2)], int(rng.integers(2))
                words = [int(w) for w in rng.integers(0, 1 << word_bits, width)]
                data = sum(w << word_bits * i for i, w in enumerate(words))
                ctx.set(
                    hop.drive[n],
                    {"data": data, "stream": first, "westward": direction == "W", "log2": log2,
                     "valid": valid},
                )  # fmt: skip
                if valid:
                    for i in range(size):
                        owners.setdefault((direction, first + i), []).append(n)
                        expected[direction, first + i] = words[i], 1
            clash = any(len(who) > 1 for who in owners.values())
            await ctx.tick()
            assert bool(ctx.get(hop.conflict)) == clash, f"seed {seed}"
            assert ctx.get(hop.driven) == sum(len(who) for who in owners.values())
            for direction, side in (("E", hop.east_next), ("W", hop.west_next)):
                for s in range(streams):
                    if len(owners.get((direction, s), ())) < 2:
                        check_word(ctx, side, s, expected[direction, s], seed)

    simulate(hop, bench)


def test_hop_takes_quads():
    """Oracle: a dict of registers. Ports with a mask each, beside a driver of the other kind."""
    rng = np.random.default_rng(seed := 5)
    lanes, streams, bits = 4, 12, 32
    hop = Hop(lanes=lanes, streams=streams, drivers=1, width=1, quads=3)

    async def bench(ctx):
        clashes = set()
        for _ in range(200):
            expected, owners = {}, []
            for direction, side in (("E", hop.east), ("W", hop.west)):
                for s in range(streams):
                    value = int(rng.integers(0, 1 << bits)), int(rng.integers(2))
                    expected[direction, s] = value
                    ctx.set(side.data[s], value[0])
                    ctx.set(side.valid[s], value[1])
            lone, valid = int(rng.integers(streams)), int(rng.integers(2))
            ctx.set(hop.drive[0], {"data": 77, "stream": lone, "westward": 0, "log2": 0,
                                   "valid": valid})  # fmt: skip
            driven = [("E", lone, 77)] * valid
            for port in hop.quad:
                quad, mask = int(rng.integers(streams // 4)), int(rng.integers(1, 16))
                direction, valid = "EW"[rng.integers(2)], int(rng.integers(2))
                words = [int(w) for w in rng.integers(0, 1 << bits, 4)]
                data = sum(w << bits * i for i, w in enumerate(words))
                ctx.set(port, {"data": data, "quad": quad, "westward": direction == "W",
                               "mask": mask, "valid": valid})  # fmt: skip
                if valid:
                    driven += [
                        (direction, 4 * quad + k, words[k]) for k in range(4) if mask >> k & 1
                    ]
            for direction, s, word in driven:
                owners.append((direction, s))
                expected[direction, s] = word, 1
            clash = len(set(owners)) < len(owners)
            clashes.add(clash)
            await ctx.tick()
            assert bool(ctx.get(hop.conflict)) == clash, f"seed {seed}"
            assert ctx.get(hop.driven) == len(owners)
            for direction, side in (("E", hop.east_next), ("W", hop.west_next)):
                for s in range(streams):
                    if owners.count((direction, s)) < 2:
                        check_word(ctx, side, s, expected[direction, s], seed)
        assert clashes == {False, True}

    simulate(hop, bench)


def test_hop_taps_sample_one_stream_and_report_an_invalid_one():
    hop = Hop(lanes=4, streams=8, drivers=1, taps=2)

    async def bench(ctx):
        for s in range(8):
            ctx.set(hop.east.data[s], 100 + s)
            ctx.set(hop.west.data[s], 200 + s)
        ctx.set(hop.east.valid, 0b11110111)
        ctx.set(hop.west.valid, 0b11111111)
        for stream, westward, data, invalid in ((5, 0, 105, 0), (5, 1, 205, 0), (3, 0, 103, 1)):
            ctx.set(hop.stream[1], stream)
            ctx.set(hop.westward[1], westward)
            ctx.set(hop.enable[1], 1)
            await ctx.tick()
            assert ctx.get(hop.invalid[1]) == invalid
            assert ctx.get(hop.invalid[0]) == 0
            assert ctx.get(hop.sample[1]).data == data
        ctx.set(hop.enable[1], 0)
        await ctx.tick()
        assert ctx.get(hop.sample[1]).data == 103
        assert ctx.get(hop.invalid[1]) == 0

    simulate(hop, bench)


CONFIG = Config(name="unit", lanes=4, superlanes=3, streams=8, bank_words=32, acc_rows=8)


def test_bank_latencies_and_stagger():
    """A read drives MEM_READ after issue, superlane i another i later; the table is the oracle."""
    bank = Bank(CONFIG)
    drives, taps = {}, {}

    async def bench(ctx):
        data = sum(0xABC0 + i << 32 * i for i in range(3))
        drive(ctx, bank.host, {"select": 1, "write": 1, "address": 5, "data": data})
        await ctx.tick()
        ctx.set(bank.host.select, 0)
        for cycle in range(12):
            word = {
                0: Read(address=5, stream=SG1("W", 6)),
                1: Write(address=6, stream=SG1("E", 3)),
            }.get(cycle)
            ctx.set(bank.issue.valid, word is not None)
            ctx.set(bank.issue.word, word.encode() if word else 0)
            await ctx.delay(1e-8)
            for i in range(3):
                if ctx.get(bank.drive[i].valid):
                    drives[i] = (
                        cycle,
                        ctx.get(bank.drive[i].data),
                        ctx.get(bank.drive[i].stream),
                        ctx.get(bank.drive[i].westward),
                    )
                if ctx.get(bank.tap[i].write):
                    taps[i] = cycle, ctx.get(bank.tap[i].stream), ctx.get(bank.tap[i].westward)
                # The hop registers what the tap asks for: it is there a cycle later.
                ctx.set(bank.sample[i].data, 1000 * i + cycle)
            await ctx.tick()
        drive(ctx, bank.host, {"select": 1, "write": 0, "address": 6, "data": 0})
        await ctx.tick()
        ctx.set(bank.host.select, 0)
        assert ctx.get(bank.read_data) == 0
        await ctx.tick()
        for i in range(3):
            written = 1 + timing.MEM_BANK + i
            assert ctx.get(bank.read_data) >> 32 * i & 0xFFFF_FFFF == 1000 * i + written
        await ctx.tick()
        assert ctx.get(bank.read_data) == 0

    simulate(bank, bench)
    assert drives == {i: (timing.MEM_READ + i, 0xABC0 + i, 6, 1) for i in range(3)}
    assert taps == {i: (1 + timing.MEM_SAMPLE + i, 3, 0) for i in range(3)}


def test_bank_reads_and_writes_one_word_a_cycle():
    """Oracle: a dict. Issues of both kinds follow each other without a gap."""
    rng = np.random.default_rng(seed := 4)
    tile = BankTile(lanes=4, words=32)
    memory = dict.fromkeys(range(32), 0)
    pending = []

    async def bench(ctx):
        last_sample = None
        for cycle in range(300):
            write = bool(rng.integers(2))
            address = int(rng.integers(32))
            data = int(rng.integers(1 << 32))
            ctx.set(
                tile.op,
                {"read": not write, "write": write, "address": address, "stream": 1, "westward": 0},
            )
            pending.append((write, address, data, cycle))
            # The word for the op of two cycles ago is on `sample` now.
            if len(pending) > timing.MEM_BANK:
                last_sample = pending[-1 - timing.MEM_BANK][2]
                ctx.set(tile.sample.data, last_sample)
            if len(pending) > timing.MEM_READ:
                was_write, where, _, _ = pending[-1 - timing.MEM_READ]
                assert ctx.get(tile.drive.valid) == (not was_write)
                if not was_write:
                    assert ctx.get(tile.drive.data) == memory[where], f"seed {seed} cycle {cycle}"
            if len(pending) > timing.MEM_BANK + 1:
                was_write, where, value, _ = pending[-1 - timing.MEM_BANK]
                if was_write:
                    memory[where] = value
            elif len(pending) > timing.MEM_BANK and pending[0][0]:
                memory[pending[0][1]] = pending[0][2]
            await ctx.tick()

    simulate(tile, bench)
    assert any(memory.values())
