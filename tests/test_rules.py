"""What an instruction says of itself: what it refuses, samples, drives, and how long it lasts.

Oracle: the reference of instructions and the table of latencies, written out here per class.
"""

from dataclasses import replace

import numpy as np
import pytest

from tsp.hw.config import Config, preset
from tsp.hw.errors import EncodingError
from tsp.hw.fault import FaultKind
from tsp.hw.isa import (
    IMM,
    ISA,
    SG1,
    SG4,
    Abc,
    Acc,
    AccMode,
    AddI,
    Alu,
    Broadcast,
    DType,
    Exp,
    Gather,
    Late,
    Lw,
    Mov,
    Nop,
    Read,
    Reduce,
    ReduceKind,
    Rotate,
    Select,
    SelectLanes,
    Transpose,
    Unit,
    Write,
    refusal,
    run_refusal,
    timing,
)
from tsp.hw.isa.codecs import Unsigned
from tsp.hw.isa.rules import largest, with_field

SMALL = preset("small")
EIGHT = Config(name="eight", streams=8, planes_west=1, planes_east=0, acc_rows=16)
BYTES = Config(name="bytes_only", lanes=4, streams=8, datapath="int8", alus=2, special_alus=1)
QUEUES = {queue.name: queue for config in (EIGHT, BYTES) for queue in config.floorplan.queues}

LOAD = Lw(column=14, dtype=DType.FP16, streams=(SG1("W", 0), SG1("W", 1)) * 2)
SUM = Acc(row=0, mode=AccMode.WRITE, target=SG4("E", 0), count=4)


@pytest.mark.parametrize(
    ("config", "queue", "instruction", "kind", "reason"),
    [
        (EIGHT, "MEM_E3.0", Read(address=0, stream=SG1("E", 7)), None, ""),
        (
            EIGHT,
            "MEM_E3.0",
            Read(address=0, stream=SG1("E", 9)),
            FaultKind.DECODE,
            "queue MEM_E3.0: read stream must be within streams 0 to 7 of eight, not sg1.e9; "
            "use lower streams or a config with more",
        ),
        (
            EIGHT,
            "MEM_E3.0",
            Read(address=2048, stream=SG1("E", 0)),
            FaultKind.ADDRESS,
            "queue MEM_E3.0: read address must be 0 to 2047 on eight, not 2048; "
            "use a lower one or a config with more bank_words",
        ),
        (
            EIGHT,
            "VXM.0",
            Read(address=0, stream=SG1("E", 0)),
            FaultKind.DECODE,
            "queue VXM.0 does not execute read",
        ),
        (
            EIGHT,
            "MEM_E3.0",
            Gather(stream=SG1("E", 0), map=SG1("E", 1)),
            FaultKind.DECODE,
            "queue MEM_E3.0: gather has an encoding, but this core does not execute it",
        ),
        (
            BYTES,
            "VXM.1",
            Exp(a=IMM),
            FaultKind.DECODE,
            "queue VXM.1 does not execute exp, because bytes_only has 1 special ALUs; "
            "use VXM.0 to VXM.0",
        ),
        (
            BYTES,
            "VXM.1",
            Mov(a=Alu(2)),
            FaultKind.DECODE,
            "queue VXM.1: mov a must be an ALU below 2, which are all of bytes_only, not alu2; "
            "use a lower one or a config with more alus",
        ),
        (
            BYTES,
            "MXM_W.0.LW",
            replace(LOAD, column=0),
            FaultKind.DECODE,
            "queue MXM_W.0.LW: lw dtype must be int8 on the int8 datapath of bytes_only, not fp16; "
            "use int8 or a config with datapath fp16",
        ),
        (EIGHT, "MXM_W.0.LW", LOAD, None, ""),
        (
            EIGHT,
            "MXM_W.0.LW",
            replace(LOAD, column=15),
            FaultKind.ADDRESS,
            "queue MXM_W.0.LW: lw columns must be within 0 to 15 of eight, not 15 to 16",
        ),
        (
            EIGHT,
            "MXM_W.0.LW",
            replace(LOAD, streams=(SG1("W", 0), SG1("W", 8))),
            FaultKind.DECODE,
            "queue MXM_W.0.LW: lw streams must be within streams 0 to 7 of eight, not sg1.w8; "
            "use lower streams or a config with more",
        ),
        (
            EIGHT,
            "MXM_W.0.ACC",
            replace(SUM, count=17),
            FaultKind.ADDRESS,
            "queue MXM_W.0.ACC: acc count must be 0 to 16, which are the lanes of eight, not 17",
        ),
        (
            EIGHT,
            "MXM_W.0.ACC",
            replace(SUM, row=16),
            FaultKind.ADDRESS,
            "queue MXM_W.0.ACC: acc row must be 0 to 15 on eight, not 16; "
            "use a lower one or a config with more acc_rows",
        ),
        (
            EIGHT,
            "SXM_E.0",
            Transpose(source=SG1("E", 0), target=SG1("W", 0)),
            FaultKind.DECODE,
            "queue SXM_E.0: transpose source must begin 16 streams within 0 to 7 of eight, "
            "not sg1.e0; use a lower one or a config with more streams",
        ),
        (
            BYTES,
            "SXM_E.0",
            Rotate(source=SG1("E", 0), target=SG1("W", 0), size=3),
            FaultKind.DECODE,
            "queue SXM_E.0: rotate size must be n for n x n of the 4 lanes that a superlane of "
            "bytes_only has, not 3; use a config with more lanes",
        ),
        (
            BYTES,
            "SXM_E.0",
            Broadcast(source=SG1("E", 0), target=SG1("W", 0), lane=4),
            FaultKind.ADDRESS,
            "queue SXM_E.0: broadcast lane must be 0 to 3 on bytes_only, not 4",
        ),
    ],
)
def test_refusals(config, queue, instruction, kind, reason):
    """Value, limit and what to do; the kind is that of the hardware's trap."""
    found = refusal(instruction, config, QUEUES[queue])
    assert (found.kind, found.reason) == (kind, reason) if kind is not None else found is None
    if kind is not None and instruction.unit is QUEUES[queue].unit and not instruction.special:
        assert refusal(instruction, config).reason == reason.partition(": ")[2]


def test_refusals_of_strides():
    """The last issue counts as much as the first, and strides do not wrap."""
    queue = QUEUES["MEM_E3.0"]
    read = Read(address=2040, stream=SG1("E", 0))
    assert run_refusal(read, EIGHT, queue, 8, 1) is None
    assert "read address must be 0 to 2047 on eight, not 2048" in (
        run_refusal(read, EIGHT, queue, 9, 1).reason
    )
    assert run_refusal(read, EIGHT, queue, 9, 0) is None
    found = run_refusal(read, EIGHT, queue, 2, -2041)
    assert (found.kind, found.reason) == (
        None,
        "queue MEM_E3.0: read address must be 0 to 65535 after the strides of a Repeat too, not -1",
    )
    move = Mov(a=IMM)
    assert run_refusal(move, EIGHT, QUEUES["VXM.0"], 2, 1).reason == (
        "queue VXM.0: mov has no field that Repeat can stride; give it no stride"
    )


def sampled(i, config):
    """``(stream group, cycles after issue)`` of everything that an instruction samples."""
    skew = i.timing(config).skew
    match i:
        case Write():
            return [(i.stream, skew)]
        case Lw():
            return [(stream, skew) for stream in i.streams]
        case Abc():
            return [] if i.hold else [(i.source, skew)]
        case SelectLanes():
            return [(i.north, skew), (i.south, skew), (i.map, skew)]
        case Transpose():
            first = i.source
            streams = (SG1(first.direction, first.index + n) for n in range(config.lanes))
            return [(stream, skew) for stream in streams]
    if i.unit is Unit.SXM:
        groups = [getattr(i, name, None) for name in ("source", "map", "companion")]
        return [(group, skew) for group in groups if group is not None]
    if i.unit is Unit.VXM:
        late = {"c", "a" if i.late is Late.A else "b"}
        names = {"relui": "a", "select": "abc", "addi": "ab"}.get(i.mnemonic, i.reads)
        operands = [(name, getattr(i, name)) for name in names]
        return [
            (x, skew + (i.wait if name in late else 0))
            for name, x in operands
            if hasattr(x, "streams")
        ]
    return []


def driven(i, config):
    """The same of everything that it drives."""
    func = i.timing(config).func
    match i:
        case Read():
            return [(i.stream, func)]
        case Acc():
            return [(i.target, func)] if i.emit else []
        case Rotate() | Transpose():
            many, first = i.size**2 if isinstance(i, Rotate) else config.lanes, i.target
            return [(SG1(first.direction, first.index + n), func) for n in range(many)]
    if i.unit is Unit.SXM:
        groups = [i.target, getattr(i, "companion_target", None)]
        return [(group, func) for group in groups if group is not None]
    if i.unit is Unit.VXM:
        return [(i.target, func + i.wait)] if i.target is not None else []
    return []


def ended(i, config):
    """Cycles from issue to the last thing that an instruction does in superlane 0."""
    match i.unit:
        case Unit.MEM:
            return timing.MEM_BANK if isinstance(i, Write) else timing.MEM_READ
        case Unit.LW | Unit.IW:
            return timing.LW_BUFFER if isinstance(i, Lw) else timing.IW_INSTALL
        case Unit.ABC:
            return timing.array_latency(config)
        case Unit.ACC:
            return timing.acc_emit(config)
        case Unit.VXM:
            return timing.vxm_result(config) + i.wait
    return i.timing(config).func


def drawn(cls, rng):
    """A random instruction of a class that `small` executes; its numbers are low."""
    while True:
        values = {info.name: info.codec.sample(rng) for info in cls.fields()}
        for name in {"row", "count", "column", "address", "lane"} & values.keys():
            values[name] %= SMALL.lanes
        try:
            found = cls(**values)
        except EncodingError:
            continue
        if refusal(found, SMALL) is None:
            return found


@pytest.mark.parametrize("config", [SMALL, replace(SMALL, superlanes=3, pipeline="deep")])
def test_what_instructions_sample_and_drive(config):
    """Every class that the core executes, ten random instructions of each."""
    rng = np.random.default_rng(5)
    for cls in ISA.values():
        if not cls.executed or cls.unit is Unit.ICU:
            continue
        for _ in range(10):
            i = drawn(cls, rng)
            assert list(i.samples(config)) == sampled(i, config), f"seed 5: {i}"
            assert list(i.drives(config)) == driven(i, config), f"seed 5: {i}"
            stands = timing.vxm_result(config) + i.wait if i.unit is Unit.VXM else None
            assert i.stands(config) == stands, f"seed 5: {i}"
            assert i.lasts(config) == ended(i, config) + config.superlanes, f"seed 5: {i}"


@pytest.mark.parametrize("name", ["nano", "small", "base"])
def test_the_largest_number_of_a_field(name):
    """Oracle: what the config has of it; one more is refused."""
    config = preset(name)
    expected = {
        "address": config.bank_words - 1,
        "row": config.acc_rows - 1,
        "column": config.vector - 1,
        "lane": config.vector - 1,
        "count": config.vector,
        "wait": 31,
        "imm": 0xFFFF_FFFF,
        "size": 4,
    }
    for cls in ISA.values():
        if cls.unit is Unit.ICU or refusal(cls.least(), config):
            continue
        for info in cls.fields():
            if isinstance(info.codec, Unsigned):
                most = expected[info.name]
                assert largest(cls, config, info.name) == most
                more = with_field(cls.least(), info.name, most + 1)
                assert most == info.codec.limit or refusal(more, config)


def test_late_operands():
    """A wait moves the late operand and the condition, and no other."""
    some = Select(a=SG1("E", 0), b=SG1("E", 1), c=SG1("E", 2), wait=5)
    assert [after for _, after in some.samples(SMALL)] == [1, 6, 6]
    assert [after for _, after in replace(some, late=Late.A).samples(SMALL)] == [6, 1, 6]
    assert AddI(a=IMM, b=Alu(1), wait=3).samples(SMALL) == ()
    reduce = Reduce(source=SG4("E", 0), target=SG4("E", 1), kind=ReduceKind.MAX, count=4)
    assert [group for group, _ in reduce.samples(SMALL)] == [SG4("E", 0)]
    assert Nop(count=3).samples(SMALL) == Nop(count=3).drives(SMALL) == ()
