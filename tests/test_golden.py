"""The golden model on programs small enough to work out by hand.

Oracle: the timing table added up by hand, numpy for values, and for the stream registers the
contract's rule written down once more, register by register.
"""

import dataclasses

import numpy as np
import pytest
from configs import PAIR

from tsp.hw.config import preset
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
    Exp,
    Gather,
    Ifetch,
    Lw,
    Mov,
    Nop,
    Notify,
    Read,
    Recip,
    Repeat,
    RSqrt,
    Sync,
    TanH,
    Write,
)
from tsp.hw.isa.timing import (
    MEM_BANK,
    MEM_READ,
    MEM_SAMPLE,
    VXM_SAMPLE,
    vxm_result,
)
from tsp.sim.golden.model import run
from tsp.sim.program import Block, Program, Region, Run, assemble

NANO, SMALL = preset("nano"), preset("small")


def words(config, *rows):
    """Vectors whose lanes hold a value each, repeated to the vector length."""
    return np.array([np.resize(row, config.vector) for row in rows], np.int8).view(np.uint8)


def fault(program):
    """``(kind, slice, cycle)`` of the fault of a program, or None."""
    found = run(program).fault
    return found and (found.kind, found.slice, found.cycle)


def copy(config, source, target, stream, *, start=3, early=0):
    """A program that reads word 5 of `source` and writes it to word 9 of `target`."""
    plan = config.floorplan
    direction, hops = plan.hops(plan.queue(source).stop, plan.queue(target).stop)
    arrival = start + MEM_READ + hops
    stream = SG1(direction, stream)
    where, bank = source.split(".")
    there, other = target.split(".")
    return assemble(
        config,
        {
            source: [Run(start, Read(address=5, stream=stream))],
            target: [Run(arrival - MEM_SAMPLE - early, Write(address=9, stream=stream))],
        },
        image=(Block(where, int(bank), 5, words(config, [1, 2, 3])),),
        outputs=(Region(there, int(other), 9, 1),),
    )


ROUTES = [
    ("MEM_W1.0", "MEM_E1.1"),
    ("MEM_E0.1", "MEM_W0.0"),
    ("MEM_W7.0", "MEM_E7.0"),
    ("MEM_E7.1", "MEM_W3.1"),
]


@pytest.mark.parametrize(("source", "target"), ROUTES)
def test_a_word_arrives_when_the_table_says(source, target):
    """A read drives MEM_READ cycles on and moves a stop a cycle; the write samples it there."""
    program = copy(SMALL, source, target, 7)
    result = run(program, trace=True)
    assert result.fault is None
    assert np.array_equal(result.outputs[0], words(SMALL, [1, 2, 3]))
    assert result.cycles == program.cycles
    assert result.counters.stream_words == 1

    plan = SMALL.floorplan
    stop = plan.queue(source).stop
    step = 1 if plan.queue(target).stop > stop else -1
    expected = {
        (3 + MEM_READ + k, int(step < 0), stop + k * step, 7, 0)
        for k in range(1, plan.stops)
        if 0 <= stop + k * step < plan.stops and 3 + MEM_READ + k < result.cycles
    }
    assert set(map(tuple, np.argwhere(result.trace.valid).tolist())) == expected
    for cycle, direction, where, stream, _ in expected:
        data = result.trace.data[cycle, direction, where, stream]
        assert np.array_equal(data, words(SMALL, [1, 2, 3])[0])


@pytest.mark.parametrize(("source", "target"), ROUTES)
@pytest.mark.parametrize("early", [-1, 1])
def test_a_cycle_too_early_or_late_is_a_fault(source, target, early):
    """The word stands at a stop in one cycle only."""
    program = copy(SMALL, source, target, 7, early=early)
    issue = program.runs[target][0].start
    assert fault(program) == (FaultKind.INVALID, target.split(".")[0], issue + MEM_SAMPLE)


def test_a_bank_does_its_accesses_in_order():
    """Every MEM instruction touches the SRAM equally late: a read sees the write before it, and
    not the one after it.
    """
    stream, back = SG1("E", 0), SG1("W", 3)
    first = MEM_READ + 2 - MEM_SAMPLE  # MEM_E0 is two hops from MEM_W0
    returned = first + 1 + MEM_READ + 2
    program = assemble(
        NANO,
        {
            "MEM_W0.0": [Run(0, Read(address=0, stream=stream), 3, 1, 1)],
            "MEM_E0.0": [
                Run(first, Write(address=4, stream=stream)),
                Run(first + 1, Read(address=4, stream=back)),
                Run(first + 2, Write(address=4, stream=stream)),
            ],
            "MEM_W1.1": [Run(returned - MEM_SAMPLE, Write(address=1, stream=back))],
        },
        image=(Block("MEM_W0", 0, 0, words(NANO, [7], [8], [9])),),
        outputs=(Region("MEM_W1", 1, 1, 1), Region("MEM_E0", 0, 4, 2)),
    )
    result = run(program)
    assert result.fault is None
    assert np.array_equal(result.outputs[0], words(NANO, [7]))
    assert np.array_equal(result.outputs[1], words(NANO, [9], [0])), "memory starts as zero"


def test_reading_does_not_consume():
    """A word is sampled at two stops, and at the first of them replaced in the same cycle."""
    stream = SG1("E", 0)
    passes = MEM_READ + 2
    config = dataclasses.replace(NANO, name="apart", mem_slices=3)
    twice = Write(address=9, stream=stream)
    runs = {
        "MEM_W0.0": [Run(0, Read(address=0, stream=stream), 2)],
        "MEM_E0.0": [Run(passes - MEM_SAMPLE, twice, 2, 1, 1)],
        "MEM_E1.0": [Run(passes + 1 - MEM_READ, Read(address=0, stream=stream))],
        "MEM_E2.0": [Run(passes + 1 - MEM_SAMPLE, twice, 2, 1, 1)],
    }
    image = (
        Block("MEM_W0", 0, 0, words(config, [5])),
        Block("MEM_E1", 0, 0, words(config, [8])),
    )
    outputs = (Region("MEM_E0", 0, 9, 2), Region("MEM_E2", 0, 9, 2))
    result = run(assemble(config, runs, image=image, outputs=outputs))
    assert result.fault is None
    assert np.array_equal(result.outputs[0], words(config, [5], [5]))
    assert np.array_equal(result.outputs[1], words(config, [5], [8]))


def naive(config, reads, cycles):
    """Every stream register in every cycle, by the letter of the contract.

    `reads` are ``(drive cycle, stop, group, value)``; None is an invalid word.
    """
    stops, streams = config.floorplan.stops, config.streams
    east = [[None] * streams for _ in range(stops)]
    west = [[None] * streams for _ in range(stops)]
    history = []
    for now in range(cycles):
        history.append([[list(row) for row in east], [list(row) for row in west]])
        held = [[None] * streams, *(list(row) for row in east[:-1])]
        wheld = [*(list(row) for row in west[1:]), [None] * streams]
        for cycle, stop, group, value in reads:
            if cycle == now and group.direction == "E" and stop + 1 < stops:
                held[stop + 1][group.first] = value
            if cycle == now and group.direction == "W" and stop >= 1:
                wheld[stop - 1][group.first] = value
        east, west = held, wheld
    return history


@pytest.mark.parametrize("config", [NANO, SMALL, preset("duo32")], ids=lambda c: c.name)
def test_random_reads_fill_the_registers_as_the_contract_says(config):
    """Random reads that meet no other drive, overwriting one another downstream."""
    seed = 11
    rng = np.random.default_rng(seed)
    plan = config.floorplan
    runs, drives, taken = {}, [], set()
    image = []
    for queue in plan.queues:
        if queue.unit.value != "MEM":
            continue
        image.append(Block(queue.slice.name, queue.port, 0, words(config, [queue.index % 100])))
        for cycle in sorted(rng.choice(40, 12, replace=False).tolist()):
            stream = SG1("EW"[rng.integers(2)], int(rng.integers(config.streams)))
            if (cycle, queue.stop, stream) not in taken:
                taken.add((cycle, queue.stop, stream))
                runs.setdefault(queue.name, []).append(Run(cycle, Read(address=0, stream=stream)))
                drives.append((cycle + MEM_READ, queue.stop, stream, queue.index % 100))
    program = assemble(config, runs, image=tuple(image))
    result = run(program, trace=True)
    assert result.fault is None, f"seed {seed}"
    expected = naive(config, drives, program.cycles)
    for now in range(program.cycles):
        for direction in range(2):
            for stop in range(plan.stops):
                for stream, value in enumerate(expected[now][direction][stop]):
                    at = now, direction, stop, stream
                    assert result.trace.valid[at].all() == (value is not None), f"{seed=} {at=}"
                    if value is not None:
                        assert (result.trace.data[at] == value).all(), f"{seed=} {at=}"
    driven = sum(1 for cycle, *_ in drives if cycle < program.cycles)
    assert result.counters.stream_words == driven
    assert sum(result.counters.busy.values()) == len(drives)


def test_two_drives_on_one_register_conflict():
    """Slices of one stop in one cycle; not in two cycles, at two stops, or in two directions."""
    plan, stream = NANO.floorplan, SG1("E", 2)
    assert plan.slice("MEM_W1").stop == plan.slice("MEM_W0").stop

    def found(other, cycle, stream):
        queues = {"MEM_W1.0": (4, SG1("E", 2)), other: (cycle, stream), "MEM_E1.1": (20, stream)}
        return fault(
            assemble(NANO, {q: [Run(t, Read(address=0, stream=s))] for q, (t, s) in queues.items()})
        )

    # The hardware cannot tell slices of one stop apart: the westernmost is named.
    assert found("MEM_W0.1", 4, stream) == (FaultKind.CONFLICT, "MEM_W1", 4 + MEM_READ)
    assert found("MEM_W1.1", 4, stream) == (FaultKind.CONFLICT, "MEM_W1", 4 + MEM_READ)
    assert found("MEM_W0.1", 5, stream) is None
    assert found("MEM_W0.1", 4, SG1("W", 2)) is None
    assert found("MEM_W0.1", 4, SG1("E", 3)) is None
    assert found("MEM_E0.0", 4, stream) is None


def test_what_the_last_instructions_do_is_part_of_the_program():
    """Two reads, issued in cycle 4, drive in cycle 7; an operation that waits samples after that.

    On the last cycle in which anything happens follows the end.
    """
    read = [Run(4, Read(address=0, stream=SG1("E", 2)))]
    program = assemble(NANO, {"MEM_W1.0": read, "MEM_W0.0": read})
    assert run(program).cycles == program.cycles == 8
    assert fault(program) == (FaultKind.CONFLICT, "MEM_W1", 7)
    waits = Run(0, AddI(a=IMM, b=SG4("W", 1), wait=31))
    program = assemble(NANO, {"VXM.0": [waits]})
    assert run(program).cycles == program.cycles == 31 + vxm_result(NANO) + 1
    assert fault(program) == (FaultKind.INVALID, "VXM", 31 + VXM_SAMPLE)


def test_of_several_faults_the_westernmost_is_reported():
    """Two writes of nothing in one cycle, and later an illegal address."""
    runs = {
        "MEM_E1.0": [Run(2, Write(address=0, stream=SG1("E", 0)))],
        "MEM_W1.0": [Run(2, Write(address=0, stream=SG1("E", 0)))],
        "MEM_W0.0": [Run(4, Read(address=NANO.bank_words, stream=SG1("E", 0)))],
    }
    program = assemble(NANO, runs, checked=False)
    assert fault(program) == (FaultKind.INVALID, "MEM_W1", 2 + MEM_SAMPLE)
    assert run(program).cycles == 5
    # In one cycle the lower kind comes first.
    runs["MEM_W1.0"] = [Run(2, Write(address=0, stream=SG1("E", 0)), 2, 1, -1)]
    assert fault(assemble_raw(NANO, runs)) == (FaultKind.INVALID, "MEM_W1", 3)


def assemble_raw(config, runs):
    """As `assemble`, for runs whose strides leave the field: nothing is merged or checked."""
    queues = {}
    for name, (one,) in runs.items():
        barrier = [Sync()] if queues else [Notify()]
        wait = [Nop(count=one.start)] if one.start else []
        again = [Repeat(count=one.count - 1, stride=one.stride)] if one.count > 1 else []
        queues[name] = (*barrier, *wait, one.instruction, *again)
    return Program(config, queues, checked=False)


WIDE_ABC = Abc(source=SG1("E", 0), dtype=DType.INT8, count=9)
FP16_ABC = Abc(source=SG2("E", 0), dtype=DType.FP16, count=8)
TWO = (SG1("E", 0), SG1("E", 1))
NINTH = Acc(row=0, mode=AccMode.WRITE, target=SG4("E", 0), count=9)
ROW = Acc(row=16, mode=AccMode.WRITE, target=SG4("E", 0), count=8)


@pytest.mark.parametrize(
    ("queue", "instruction", "repeat", "kind", "cycle"),
    [
        ("MEM_W0.0", Read(address=256, stream=SG1("E", 0)), None, "ADDRESS", 0),
        ("MEM_W0.0", Read(address=255, stream=SG1("E", 0)), (1, 1), "ADDRESS", 1),
        ("MEM_W0.0", Read(address=1, stream=SG1("E", 0)), (2, -1), "ADDRESS", 2),
        ("MEM_W0.0", Read(address=0, stream=SG1("E", 8)), None, "DECODE", 0),
        ("MEM_W0.0", Gather(stream=SG1("E", 0), map=SG1("E", 1)), None, "DECODE", 0),
        ("MEM_W0.0", Ifetch(stream=SG1("E", 0)), None, "DECODE", 0),
        ("VXM.0", Mov(a=Alu(2)), None, "DECODE", 0),
        *(("VXM.1", op(a=IMM), None, "DECODE", 0) for op in (Exp, TanH, RSqrt, Recip)),
        ("VXM.0", Mov(a=IMM, b=SG4("W", 2)), None, "DECODE", 0),
        ("VXM.1", Mov(a=IMM, target=SG1("W", 31)), None, "DECODE", 0),
        ("MXM_W.0.ABC", WIDE_ABC, None, "ADDRESS", 0),
        ("MXM_W.0.ABC", FP16_ABC, None, "DECODE", 0),
        ("MXM_W.0.LW", Lw(column=7, dtype=DType.INT8, streams=TWO), None, "ADDRESS", 0),
        ("MXM_W.0.LW", Lw(column=0, dtype=DType.FP16, streams=TWO), None, "DECODE", 0),
        ("MXM_W.0.ACC", NINTH, None, "ADDRESS", 0),
        ("MXM_W.0.ACC", ROW, None, "ADDRESS", 0),
    ],
)
def test_the_queue_traps_what_the_core_cannot_do(queue, instruction, repeat, kind, cycle):
    """In the issue cycle, strides included; a strided field wraps at its own width."""
    again = [Repeat(count=repeat[0], stride=repeat[1])] if repeat else []
    program = Program(PAIR, {queue: (Notify(), Nop(count=3), instruction, *again)}, checked=False)
    where = PAIR.floorplan.queue(queue).slice.name
    assert fault(program) == (FaultKind[kind], where, 3 + cycle)


def test_special_functions_run_on_special_alus_only():
    """The first ALU of a pair is one, and of a core without any none is."""
    for op in (Exp, TanH, RSqrt, Recip):
        queues = {"VXM.0": (Notify(), Nop(count=3), op(a=IMM))}
        assert fault(Program(PAIR, queues)) is None
        assert fault(Program(NANO, queues, checked=False)) == (FaultKind.DECODE, "VXM", 3)


def test_a_field_wraps_around_its_width():
    """With 65,536 words an address that passes the last is the first again."""
    config = dataclasses.replace(NANO, name="deep", bank_words=65536)
    stream = SG1("E", 0)
    program = Program(
        config,
        {
            "MEM_W0.0": (Notify(), Read(address=65535, stream=stream), Repeat(count=1, stride=1)),
            "MEM_E0.0": (
                Sync(),
                Nop(count=4),
                Write(address=0, stream=stream),
                Repeat(count=1, stride=-1),
            ),
        },
        image=(
            Block("MEM_W0", 0, 65535, words(config, [1])),
            Block("MEM_W0", 0, 0, words(config, [2])),
        ),
        outputs=(Region("MEM_E0", 0, 0, 1), Region("MEM_E0", 0, 65535, 1)),
        checked=False,
    )
    result = run(program)
    assert result.fault is None
    first, last = result.outputs
    assert first[0, 0] == 1
    assert last[0, 0] == 2


def test_the_count_of_cycles():
    """The counter ends after the last issue, NOPs included, and after what that started."""
    late = assemble(SMALL, {"MEM_W0.0": [Run(7, Read(address=0, stream=SG1("E", 0)))]})
    assert run(late).cycles == late.cycles == 7 + MEM_READ + 1
    waits = Program(SMALL, {"MEM_W0.0": (Notify(), Nop(count=12))})
    assert run(waits).cycles == waits.cycles == 12
    assert run(Program(SMALL, {})).cycles == 0
    for config in (SMALL, preset("duo32"), preset("base")):
        program = copy(config, "MEM_W1.0", "MEM_E1.0", 0)
        write = program.runs["MEM_E1.0"][0].start
        result = run(program)
        assert result.cycles == program.cycles == write + MEM_BANK + config.superlanes


def test_progress_is_told():
    """The callback sees the cycles done and the cycles in all."""
    seen = []
    program = Program(NANO, {"MEM_W0.0": (Notify(), Nop(count=3000))})
    run(program, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 3000), (1024, 3000), (2048, 3000)]
