"""Every kind of fault, provoked on the RTL: kind, slice and cycle as the golden model has them."""

from dataclasses import replace

import numpy as np
import pytest
from configs import PAIR, TINY

from tsp.hw.fault import FaultKind
from tsp.hw.host import FaultRecord
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
    Broadcast,
    Distribute,
    DType,
    Exp,
    Gather,
    Iw,
    Lw,
    Mov,
    Permute,
    Read,
    Reduce,
    ReduceKind,
    Rotate,
    Send,
    Shift,
    Transpose,
    Write,
    timing,
)
from tsp.sim.backends import cocotb_backend
from tsp.sim.backends.script import Answers
from tsp.sim.golden import model
from tsp.sim.program import Run, assemble
from tsp.sim.result import Fault

READ = Read(address=0, stream=SG1("W", 0))
TO_SXM = timing.MEM_READ  # MEM_W is one hop from SXM_W, which samples a cycle after issue
TO_MXM = timing.MEM_READ + 2  # MEM_W is two hops from MXM_W
LOAD = Lw(column=0, dtype=DType.INT8, streams=(SG1("W", 0),) * 4)
VECTOR = Abc(source=SG1("W", 0), dtype=DType.INT8, count=4)
SUM = Acc(row=0, mode=AccMode.WRITE, target=SG4("E", 0), count=4)
PERMUTE = Permute(source=SG1("W", 0), map=SG2("W", 1), target=SG1("E", 0))
REDUCE = Reduce(
    source=SG4("W", 0),
    target=SG4("E", 1),
    kind=ReduceKind.SUM,
    count=4,
    companion=SG4("W", 0),
    companion_target=SG4("E", 0),
)


def with_reads(runs):
    """`runs`, with MEM_W0.0 driving stream W0 from cycle 0 on for 30 cycles."""
    return {"MEM_W0.0": [Run(0, READ, 30)], **runs}


def with_quad(runs):
    """`runs`, with streams W0 to W3 driven by four banks at one stop from cycle 0 on."""
    banks = ("MEM_W0.0", "MEM_W0.1", "MEM_W1.0", "MEM_W1.1")
    reads = {bank: [Run(0, replace(READ, stream=SG1("W", i)), 30)] for i, bank in enumerate(banks)}
    return reads | runs


def program(name, runs):
    """A program of `runs` that goes on for long enough to see the fault inside it."""
    last = Run(40, Read(address=0, stream=SG1("W", 7)))
    return assemble(PAIR, {**runs, "MEM_E1.1": [last]}, name=name, checked=False)


CASES = {
    "write of an invalid word": (
        {"MEM_E1.0": [Run(4, Write(address=0, stream=SG1("E", 5)))]},
        Fault(FaultKind.INVALID, "MEM_E1", 4 + timing.MEM_SAMPLE),
    ),
    "weights from an invalid stream": (
        {"MXM_W.0.LW": [Run(3, LOAD)]},
        Fault(FaultKind.INVALID, "MXM_W", 3 + timing.LW_SAMPLE),
    ),
    "a vector operation on an invalid stream": (
        {"VXM.1": [Run(2, Mov(a=SG1("W", 3)))]},
        Fault(FaultKind.INVALID, "VXM", 2 + timing.VXM_SAMPLE),
    ),
    "a vector operation on an idle ALU": (
        {"VXM.1": [Run(2, Mov(a=Alu(0)))]},
        Fault(FaultKind.INVALID, "VXM", 2 + timing.VXM_SAMPLE),
    ),
    "an accumulation without dot products": (
        {"MXM_W.0.ACC": [Run(5, SUM)]},
        Fault(FaultKind.INVALID, "MXM_W", 5 + timing.ACC_SAMPLE),
    ),
    "two banks on one stream": (
        {"MEM_W0.0": [Run(3, READ)], "MEM_W1.1": [Run(3, READ)]},
        Fault(FaultKind.CONFLICT, "MEM_W1", 3 + timing.MEM_READ),
    ),
    "two results at one ALU": (
        {
            "MEM_W0.0": [Run(0, Read(address=0, stream=SG1("E", 0)), 12)],
            "VXM.0": [
                Run(6, Mov(a=SG1("E", 0), wait=2)),
                Run(8, Mov(a=SG1("E", 0))),
            ],
        },
        Fault(FaultKind.CONFLICT, "VXM", 8 + timing.vxm_result(PAIR)),
    ),
    "two results at one ALU, of which the replaced would have sampled nothing": (
        {
            "MEM_W0.0": [Run(0, Read(address=0, stream=SG1("E", 0)), 12)],
            "VXM.0": [
                Run(6, AddI(a=SG1("E", 0), b=SG1("W", 3), wait=2)),
                Run(8, Mov(a=SG1("E", 0))),
            ],
        },
        Fault(FaultKind.CONFLICT, "VXM", 8 + timing.vxm_result(PAIR)),
    ),
    "an address beyond the bank": (
        {"MEM_W0.1": [Run(7, Read(address=PAIR.bank_words, stream=SG1("E", 1)))]},
        Fault(FaultKind.ADDRESS, "MEM_W0", 7),
    ),
    "an address that a stride takes beyond the bank": (
        {"MEM_W0.1": [Run(7, Read(address=254, stream=SG1("E", 1)), 4, 3, 1)]},
        Fault(FaultKind.ADDRESS, "MEM_W0", 13),
    ),
    "an accumulator row beyond the last": (
        {"MXM_W.0.ACC": [Run(1, Acc(row=16, mode=AccMode.WRITE, target=SG4("E", 0), count=4))]},
        Fault(FaultKind.ADDRESS, "MXM_W", 1),
    ),
    "gather, which is not executed": (
        {"MEM_E0.0": [Run(2, Gather(stream=SG1("E", 0), map=SG1("E", 1)))]},
        Fault(FaultKind.DECODE, "MEM_E0", 2),
    ),
    "a rotation of more lanes than a superlane has": (
        {"SXM_E.0": [Run(0, Rotate(source=SG1("E", 0), target=SG1("E", 0), size=3))]},
        Fault(FaultKind.DECODE, "SXM_E", 0),
    ),
    "a transposition of more streams than there are": (
        {"SXM_W.0": [Run(6, Transpose(source=SG1("W", 8), target=SG1("E", 0)))]},
        Fault(FaultKind.DECODE, "SXM_W", 6),
    ),
    "a broadcast of a lane beyond the last": (
        {"SXM_E.0": [Run(3, Broadcast(source=SG1("E", 0), target=SG1("E", 1), lane=4))]},
        Fault(FaultKind.ADDRESS, "SXM_E", 3),
    ),
    "a reduction of more lanes than there are": (
        {"SXM_E.0": [Run(4, replace(REDUCE, count=9))]},
        Fault(FaultKind.ADDRESS, "SXM_E", 4),
    ),
    "a distribution that keeps more lanes than there are": (
        {
            "SXM_W.0": [
                Run(4, Distribute(source=SG1("E", 0), map=SG1("E", 1), target=SG1("E", 2), count=9))
            ]
        },
        Fault(FaultKind.ADDRESS, "SXM_W", 4),
    ),
    "a shift of an invalid word": (
        {"SXM_E.0": [Run(5, Shift(source=SG1("E", 3), target=SG1("E", 1), amount=1))]},
        Fault(FaultKind.INVALID, "SXM_E", 5 + timing.SXM_SAMPLE),
    ),
    "a permutation by an invalid map": (
        with_reads({"SXM_W.0": [Run(TO_SXM, PERMUTE)]}),
        Fault(FaultKind.INVALID, "SXM_W", TO_SXM + timing.SXM_SAMPLE),
    ),
    "a transposition of streams of which one is valid": (
        with_reads({"SXM_W.0": [Run(TO_SXM, Transpose(source=SG1("W", 0), target=SG1("E", 0)))]}),
        Fault(FaultKind.INVALID, "SXM_W", TO_SXM + timing.SXM_SAMPLE),
    ),
    "a reduction and its companion on one stream": (
        with_quad({"SXM_W.0": [Run(TO_SXM, replace(REDUCE, companion_target=SG4("E", 1)))]}),
        Fault(FaultKind.CONFLICT, "SXM_W", TO_SXM + timing.reduce_latency(PAIR)),
    ),
    "a reduction and a later shift on one stream": (
        with_quad(
            {
                "SXM_W.0": [
                    Run(TO_SXM, REDUCE),
                    Run(
                        TO_SXM + timing.reduce_latency(PAIR) - timing.crossing_latency(PAIR),
                        Shift(source=SG1("W", 0), target=SG1("E", 6), amount=0),
                    ),
                ]
            }
        ),
        Fault(FaultKind.CONFLICT, "SXM_W", TO_SXM + timing.reduce_latency(PAIR)),
    ),
    "send, which is not executed": (
        {"C2C_W.0": [Run(1, Send(stream=SG1("W", 0), link=0))]},
        Fault(FaultKind.DECODE, "C2C_W", 1),
    ),
    "exp on an ordinary ALU": (
        {"VXM.0": [Run(3, Exp(a=IMM))], "VXM.1": [Run(5, Exp(a=IMM))]},
        Fault(FaultKind.DECODE, "VXM", 5),
    ),
    "a stream that the core lacks": (
        {"MEM_E0.0": [Run(2, Read(address=0, stream=SG1("E", 8)))]},
        Fault(FaultKind.DECODE, "MEM_E0", 2),
    ),
    "weights that were never loaded": (
        {"MXM_W.0.IW": [Run(2, Iw())]},
        Fault(FaultKind.UNWRITTEN, "MXM_W", 3),
    ),
    "a vector before any weights": (
        with_reads({"MXM_W.0.ABC": [Run(TO_MXM, VECTOR)]}),
        Fault(FaultKind.UNWRITTEN, "MXM_W", TO_MXM + timing.ABC_SAMPLE),
    ),
    "an accumulator row that was never written": (
        {
            "MXM_W.0.ACC": [
                Run(9, Acc(row=3, mode=AccMode.KEEP, emit=True, target=SG4("E", 0), count=4))
            ]
        },
        Fault(FaultKind.UNWRITTEN, "MXM_W", 9 + timing.ACC_SAMPLE),
    ),
}


def late(wait):
    """An operation that waits for an operand that does not come, and nothing after it."""
    return {"VXM.1": [Run(0, AddI(a=IMM, b=SG4("W", 1), wait=wait))]}


def emitting(row):
    """A dot product that goes into `row` and is emitted at once."""
    return Acc(row=row, mode=AccMode.WRITE, emit=True, target=SG4("E", 0), count=4)


LAST = {
    **{
        f"an operand that is awaited for {wait} cycles": (
            late(wait),
            Fault(FaultKind.INVALID, "VXM", wait + timing.VXM_SAMPLE),
        )
        for wait in (0, 1, 2, 8, 31)
    },
    "two banks on one stream": (
        {"MEM_W0.0": [Run(3, READ)], "MEM_W1.1": [Run(3, READ)]},
        Fault(FaultKind.CONFLICT, "MEM_W1", 3 + timing.MEM_READ),
    ),
    "a reduction and its companion on one stream": (
        with_quad({"SXM_W.0": [Run(30, replace(REDUCE, companion_target=SG4("E", 1)))]}),
        Fault(FaultKind.CONFLICT, "SXM_W", 30 + timing.reduce_latency(PAIR)),
    ),
    "two ALUs on one stream after one waited": (
        {
            "VXM.0": [Run(0, Mov(a=IMM, target=SG4("E", 0), wait=20))],
            "VXM.1": [Run(20, Mov(a=IMM, target=SG4("E", 0)))],
        },
        Fault(FaultKind.CONFLICT, "VXM", 20 + timing.vxm_result(PAIR)),
    ),
}
"""Faults of what the last instructions started, after everything has issued."""

SINGLE = {
    "MEM_W0.0": (READ, Write(address=0, stream=SG1("W", 0))),
    "MXM_W.0.LW": (LOAD,),
    "MXM_W.0.IW": (Iw(),),
    "MXM_W.0.ABC": (VECTOR,),
    "MXM_W.0.ACC": (SUM, emitting(1)),
    "SXM_W.0": (PERMUTE, REDUCE, Distribute(
        source=SG1("E", 0), map=SG1("E", 1), target=SG1("E", 2), count=4
    )),
    "VXM.1": (Mov(a=IMM), Mov(a=IMM, wait=1), Mov(a=IMM, wait=31)),
}  # fmt: skip
"""Programs of one instruction, by its queue: each ends when that has ended."""


def singles(config):
    return [
        assemble(config, {queue: [Run(5, instruction)]}, name=f"{queue}: {instruction}")
        for queue, instructions in SINGLE.items()
        for instruction in instructions
    ]


@pytest.fixture(scope="module")
def results():
    """All cases and an underrun, in one simulator process."""
    programs = [program(name, runs) for name, (runs, _) in CASES.items()]
    programs += [assemble(PAIR, runs, name=name, checked=False) for name, (runs, _) in LAST.items()]
    fine = assemble(PAIR, {"MEM_W0.0": [Run(4, READ, 3)]}, name="underrun")
    announce = [None] * len(programs) + [{"MEM_W0.0": 9}]
    found = cocotb_backend.run_many([*programs, fine], announce=announce)
    names = [*CASES, *(f"last: {name}" for name in LAST), "underrun"]
    return dict(zip(names, found, strict=True))


@pytest.mark.parametrize("name", CASES)
def test_fault(results, name):
    runs, expected = CASES[name]
    assert model.run(program(name, runs)).fault == expected
    assert results[name].fault == expected


@pytest.mark.parametrize("name", LAST)
def test_a_fault_of_what_the_last_instructions_started(results, name):
    """The host sees it when the program is done, and the cycle lies inside the program."""
    runs, expected = LAST[name]
    made = assemble(PAIR, runs, name=name, checked=False)
    golden, found = model.run(made), results[f"last: {name}"]
    assert golden.fault == found.fault == expected
    assert expected.cycle < made.cycles == golden.cycles == found.cycles


@pytest.mark.parametrize("config", [PAIR, TINY], ids=lambda c: c.name)
def test_a_program_ends_when_its_last_instruction_has(config):
    """On the RTL, in the golden model and by the instructions alone; faults change nothing."""
    programs = singles(config)
    for made, found in zip(programs, cocotb_backend.run_many(programs), strict=True):
        assert found.cycles == made.cycles == model.run(made).cycles, made.name


def test_the_length_of_programs_of_one_instruction():
    """Oracle: when things happen, counted by hand in the figures of the page on timing.

    The instruction issues in cycle 5. On `nano` dot products stand 6 cycles after issue.
    """
    by_hand = [3, 2, 2, 1, 6, 7, 7, 3, 14, 3, 13, 14, 44]
    assert [made.cycles for made in singles(PAIR)] == [5 + last + 1 for last in by_hand]


def test_underrun(results):
    """Nine instructions are announced, and four are there: NOP, Read, Repeat and the barrier."""
    assert results["underrun"].fault == Fault(FaultKind.UNDERRUN, "MEM_W0", 7)


def test_a_fault_is_of_a_kind_that_was_seen():
    """A core whose registers of faults contradict each other is found out."""
    made = program("none", {})
    words = np.zeros((6 + len(PAIR.floorplan.queues), 1), np.uint64)
    record = FaultRecord.const({"valid": 1, "kind": FaultKind.DECODE, "cycle": 7})
    words[2], words[3] = record.as_bits(), 1 << FaultKind.DECODE
    assert Answers.of(made, words).fault.kind is FaultKind.DECODE
    words[3] = 1 << FaultKind.CONFLICT
    with pytest.raises(RuntimeError, match="the first fault is of kind 3, but seen were 0b10"):
        Answers.of(made, words)


def test_every_kind_is_provoked():
    """Those of underruns and of the host, which are no program's, have tests of their own."""
    kinds = {fault.kind for _, fault in CASES.values()}
    assert kinds | {FaultKind.UNDERRUN, FaultKind.HOST} == set(FaultKind)
