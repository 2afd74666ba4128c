"""The queue guard against the decoder of the ISA description, word by word."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from tsp.hw import isa
from tsp.hw.config import Config
from tsp.hw.guard import Guard
from tsp.hw.isa import SG1, DType, Unit
from tsp.hw.isa.base import ISA, Alu, EncodingError, StreamGroup, decode

CONFIGS = [
    Config(name="narrow", lanes=4, superlanes=3, streams=12, alus=3, special_alus=1, bank_words=48,
           acc_rows=5),
    Config(name="bytes_only", lanes=8, streams=8, datapath="int8", bank_words=64, acc_rows=16,
           alus=2, special_alus=0),
    Config(name="deep", lanes=4, streams=12, alus=3, special_alus=1, bank_words=48, acc_rows=5,
           pipeline="deep"),
    Config(name="wide", lanes=16, streams=28, alus=2, special_alus=0, bank_words=64, acc_rows=16),
]  # fmt: skip

PERIOD = 1e-6  # of the clock, in s


def verdict(config, unit, word, special=False):
    """Oracle: (undecodable, out of range), from the Python decoder and the config's limits."""
    try:
        i = decode(word, unit)
    except EncodingError:
        return True, False
    if i.unit is not unit or not i.executed or (i.special and not special):
        return True, False
    for info in i.fields():
        value = getattr(i, info.name)
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, StreamGroup) and item.first >= config.streams:
                return True, False
            if isinstance(item, Alu) and item.index >= config.alus:
                return True, False
    if config.datapath == "int8" and unit in (Unit.LW, Unit.ABC) and i.dtype != DType.INT8:
        return True, False
    runs = {
        isa.Rotate: lambda: [(i.target, i.size**2)],
        isa.Transpose: lambda: [(i.source, config.lanes), (i.target, config.lanes)],
    }.get(type(i), list)()
    if any(first.index + many > config.streams for first, many in runs):
        return True, False
    if isinstance(i, isa.Rotate) and i.size**2 > config.lanes:
        return True, False
    beyond = {
        Unit.MEM: lambda: i.address >= config.bank_words,
        Unit.LW: lambda: i.column + i.columns > config.vector,
        Unit.ABC: lambda: i.count > config.vector,
        Unit.ACC: lambda: i.count > config.vector or i.row >= config.acc_rows,
        Unit.SXM: lambda: (
            getattr(i, "count", 0) > config.vector or getattr(i, "lane", 0) >= config.vector
        ),
    }.get(unit, lambda: False)
    return False, beyond()


def words_of(unit, config, rng, number):
    """Random legal words, the same with one or two bits flipped, and noise."""
    own = [cls for cls in ISA.values() if cls.unit is unit]
    own += [cls for cls in ISA.values() if cls.unit is Unit.ICU][: len(own)]
    result = [0, (1 << unit.word_bits) - 1]
    while len(result) < number:
        cls = own[rng.integers(len(own))]
        try:
            values = {f.name: f.codec.sample(rng) for f in cls.fields()}
            for name in ("address", "row", "column", "count"):
                if name in values and rng.integers(4) and cls.unit is not Unit.ICU:
                    values[name] = int(rng.integers(0, 64)) % config.vector
            for name, value in values.items():
                if isinstance(value, StreamGroup) and rng.integers(4):
                    values[name] = StreamGroup(value.size, value.direction, value.index % 2)
            if "streams" in values and rng.integers(4):
                numbers = rng.integers(0, config.streams, 2 * rng.integers(1, 4)).tolist()
                values["streams"] = tuple(SG1("EW"[n % 2], n) for n in numbers)
            word = cls(**values).encode()
        except EncodingError:
            continue
        result.append(word)
        for flips in (1, 2):
            mask = sum(1 << int(b) for b in set(rng.integers(0, unit.word_bits, flips).tolist()))
            result.append(word ^ mask)
    return result


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)
@pytest.mark.parametrize(
    ("unit", "special"),
    [*((u, False) for u in Unit if u is not Unit.ICU), (Unit.VXM, True)],
)
def test_guard_agrees_with_the_decoder(config, unit, special):
    rng = np.random.default_rng(seed := 20 + list(Unit).index(unit))
    guard = Guard(config, unit, special)
    seen = set()

    async def bench(ctx):
        for word in words_of(unit, config, rng, 600):
            ctx.set(guard.word, word)
            await ctx.delay(PERIOD - 1e-9)
            if config.deep:  # by now the word has gone, and its verdict is there
                ctx.set(guard.word, 0)
            await ctx.delay(1e-9)
            got = bool(ctx.get(guard.undecodable)), bool(ctx.get(guard.out_of_range))
            want = verdict(config, unit, word, special)
            assert got == want, f"seed {seed}: {word:#x} judged {got}, decoder says {want}"
            assert bool(ctx.get(guard.legal)) is not any(want), f"seed {seed}: {word:#x}"
            seen.add(got)

    simulator = Simulator(guard)
    simulator.add_clock(PERIOD, if_exists=True)  # deep guards of units that execute anything
    simulator.add_testbench(bench)
    simulator.run()
    assert (True, False) in seen
    if any(cls.unit is unit and cls.executed for cls in ISA.values()):
        assert (False, False) in seen


def test_a_boundary_address_is_legal_and_the_next_is_not():
    config = CONFIGS[0]
    guard = Guard(config, Unit.MEM)
    stream = isa.SG1("W", config.streams - 1)

    async def bench(ctx):
        for address, beyond in ((config.bank_words - 1, False), (config.bank_words, True)):
            ctx.set(guard.word, isa.Read(address=address, stream=stream).encode())
            await ctx.delay(1e-9)
            assert bool(ctx.get(guard.out_of_range)) is beyond
            assert not ctx.get(guard.undecodable)

    simulator = Simulator(guard)
    simulator.add_testbench(bench)
    simulator.run()
