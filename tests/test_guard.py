"""What is legal: the guard of a queue and the rules of the description, word by word."""

from types import SimpleNamespace

import numpy as np
import pytest
from amaranth.sim import Simulator

from tsp.hw import isa
from tsp.hw.config import Config
from tsp.hw.errors import EncodingError
from tsp.hw.fault import FaultKind
from tsp.hw.guard import Guard
from tsp.hw.isa import SG1, DType, Unit, refusal
from tsp.hw.isa.base import ISA, Alu, StreamGroup, decode

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


def fields_of(word, unit):
    """The instruction class of a word and its fields by name; None if it decodes to nothing.

    The codecs decode every field for itself; rules have no part in it.
    """
    cls = ISA.get(word & 0xFF)
    if cls is None or cls.unit is not unit:
        return None
    used, values = 0xFF, {}
    for info in cls.fields():
        mask = (1 << info.width) - 1
        used |= mask << info.at
        values[info.name] = info.codec.decode(word >> info.at & mask)
        info.codec.check(info.name, values[info.name])
    return None if word & ~used else (cls, SimpleNamespace(**values))


def is_contradictory(cls, i):
    """Whether fields are legal alone and not together. Oracle: the reference, written out."""
    match cls.mnemonic:
        case "lw":
            return i.dtype == DType.FP16 and len(i.streams) % 2 == 1
        case "abc":
            return i.source.size != i.dtype.bytes
        case "acc":
            wrong = i.emit and i.target.size != i.dtype.bytes
            return wrong or (i.mode == isa.AccMode.KEEP and not i.emit)
        case "selectlanes":
            return not i.north.size == i.south.size == i.target.size
        case "reduce":
            sizes = [group and group.size for group in (i.companion, i.companion_target)]
            return sizes[0] != sizes[1]
        case "shift" | "permute" | "distribute" | "broadcast":
            return i.source.size != i.target.size
    return False


def verdict(config, unit, word, special=False):
    """Oracle: (undecodable, out of range), from codecs and limits that are written out here."""
    try:
        found = fields_of(word, unit)
    except EncodingError:
        return True, False
    if found is None:
        return True, False
    cls, i = found
    if not cls.executed or (cls.special and not special) or is_contradictory(cls, i):
        return True, False
    for value in vars(i).values():
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
    }.get(cls, list)()
    if any(first.index + many > config.streams for first, many in runs):
        return True, False
    if cls is isa.Rotate and i.size**2 > config.lanes:
        return True, False
    beyond = {
        Unit.MEM: lambda: i.address >= config.bank_words,
        Unit.LW: lambda: i.column + len(i.streams) // i.dtype.bytes > config.vector,
        Unit.ABC: lambda: i.count > config.vector,
        Unit.ACC: lambda: i.count > config.vector or i.row >= config.acc_rows,
        Unit.SXM: lambda: (
            getattr(i, "count", 0) > config.vector or getattr(i, "lane", 0) >= config.vector
        ),
    }.get(unit, lambda: False)
    return False, beyond()


def refused(config, unit, word, special=False):
    """The same from the rules, as all software evaluates them."""
    queue = SimpleNamespace(name="queue", unit=unit, special=special)
    try:
        found = refusal(decode(word, unit), config, queue)
    except EncodingError:
        return True, False
    kind = found and found.kind
    return kind is FaultKind.DECODE, kind is FaultKind.ADDRESS


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
def test_guard_and_rules_agree_with_the_oracle(config, unit, special):
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
            assert got == want, f"seed {seed}: {word:#x} judged {got}, oracle says {want}"
            assert refused(config, unit, word, special) == want, f"seed {seed}: {word:#x}"
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
