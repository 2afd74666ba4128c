"""Runs, queues and the cycle count.

Oracle: the issues of every run, one by one, as a set of (cycle, instruction).
"""

from dataclasses import replace

import numpy as np
import pytest

from tsp.hw.config import preset
from tsp.hw.errors import InputError
from tsp.hw.isa import (
    IMM,
    SG1,
    AddI,
    Alu,
    Exp,
    Iw,
    Mov,
    Nop,
    Notify,
    Read,
    Repeat,
    Send,
    Sync,
    Write,
)
from tsp.hw.isa.timing import MEM_BANK, MEM_READ
from tsp.sim.golden.model import run
from tsp.sim.golden.queues import issues
from tsp.sim.program import (
    Block,
    Program,
    ProgramError,
    Region,
    Run,
    assemble,
    issue_cycles,
    to_instructions,
    to_runs,
)

SMALL = preset("small")
QUEUE = SMALL.floorplan.queue("MEM_W0.0")
STREAM = SG1("E", 3)


def read(address):
    return Read(address=address, stream=STREAM)


def expanded(runs):
    """Every issue, in order of time."""
    return sorted((issue for run in runs for issue in run.issues()), key=lambda issue: issue[0])


def issued(instructions):
    """What the golden model's queue issues: the second opinion on NOP and Repeat."""
    return [
        (cycle, i.strided_by(value - getattr(i, i.strided)) if i.strided else i)
        for cycle, i, value, kind in issues(SMALL, QUEUE, instructions)
        if not isinstance(i, Nop) and kind is None
    ]


def random_runs(rng):
    """Runs that never issue twice in one cycle, some of them interleaved."""
    taken, runs = set(), []
    for _ in range(rng.integers(1, 12)):
        start = int(rng.integers(0, 200))
        count = int(rng.choice([1, 1, 2, 3, 8]))
        interval = int(rng.choice([1, 1, 2, 5, 30]))
        stride = int(rng.integers(-3, 4))
        run = Run(start, read(int(rng.integers(50, 60))), count, interval, stride)
        if taken.isdisjoint(run.cycles):
            taken.update(run.cycles)
            runs.append(run)
    return runs


def test_random_runs_compile_and_read_back():
    """Whatever the order of the runs, the queue issues them and nothing else."""
    for seed in range(500):
        rng = np.random.default_rng(seed)
        runs = random_runs(rng)
        instructions = to_instructions(runs)
        assert expanded(to_runs(instructions)) == expanded(runs), f"{seed=}"
        assert issued(instructions) == expanded(runs), f"{seed=}"
        assert issue_cycles(instructions) == 1 + max(run.last for run in runs), f"{seed=}"
        assert len(instructions) <= 2 * len(expanded(runs)), f"{seed=}"


@pytest.mark.parametrize(
    ("runs", "instructions"),
    [
        ([], ()),
        ([Run(0, read(5))], (read(5),)),
        ([Run(2, read(5))], (Nop(count=2), read(5))),
        ([Run(0, read(5), 4)], (read(5), Repeat(count=3))),
        ([Run(1, read(5)), Run(0, read(4))], (read(4), Repeat(count=1, stride=1))),
        (
            [Run(0, read(5), 2, 3, -1), Run(6, read(3), 2, 3, -1)],
            (read(5), Repeat(count=3, interval=3, stride=-1)),
        ),
        (
            [Run(0, read(5), 2), Run(70000, read(9))],
            (read(5), Repeat(count=1), Nop(count=65535), Nop(count=4463), read(9)),
        ),
        ([Run(0, Iw()), Run(1, Iw())], (Iw(), Repeat(count=1))),
        (
            [Run(0, Mov(a=Alu(0))), Run(1, AddI(a=Alu(0)))],
            (Mov(a=Alu(0)), AddI(a=Alu(0))),
        ),
        (
            [Run(0, read(0)), Run(1, Write(address=1, stream=STREAM))],
            (read(0), Write(address=1, stream=STREAM)),
        ),
        # Interleaved runs come apart into single issues.
        (
            [Run(0, read(0), 3, 4), Run(1, read(9)), Run(3, read(7))],
            (
                read(0),
                Repeat(count=1, stride=9),
                Nop(),
                read(7),
                Repeat(count=1, stride=-7),
                Nop(count=3),
                read(0),
            ),
        ),
        # Where only one of them issues it is a Repeat again, be its issues some cycles apart.
        (
            [Run(0, Mov(a=Alu(0)), 5, 2), Run(7, AddI(a=Alu(0)), 3, 2)],
            (
                Mov(a=Alu(0)),
                Repeat(count=3, interval=2),
                AddI(a=Alu(0)),
                Mov(a=Alu(0)),
                AddI(a=Alu(0)),
                Repeat(count=1, interval=2),
            ),
        ),
    ],
)
def test_the_words_of_small_queues(runs, instructions):
    """Worked by hand."""
    assert to_instructions(runs) == instructions
    assert expanded(to_runs(instructions)) == expanded(runs)


def test_two_issues_in_one_cycle_are_refused():
    """The message names the cycle."""
    with pytest.raises(ProgramError, match="read would issue in cycle 4 twice"):
        to_instructions([Run(0, read(0), 3, 2), Run(4, read(1))])


def test_what_collides_is_named():
    """Two instructions in one cycle are both named; an early start is no collision."""
    write = Write(address=1, stream=STREAM)
    with pytest.raises(ProgramError, match="read and write would both issue in cycle 4;"):
        to_instructions([Run(0, read(0), 3, 2), Run(4, write)])
    early = "read would issue in cycle -3; the first cycle of a queue is 0"
    with pytest.raises(ProgramError, match=early):
        to_instructions([Run(-3, read(0)), Run(0, write)])


@pytest.mark.parametrize(
    "instructions",
    [
        (Repeat(count=1),),
        (read(0), Nop(), Repeat(count=1)),
        (read(0), Repeat(count=1), Repeat(count=1)),
        (Sync(), Repeat(count=1)),
    ],
)
def test_repeat_needs_an_instruction_before_it(instructions):
    """And the queue traps it."""
    with pytest.raises(ProgramError, match="repeat must follow"):
        to_runs(instructions)
    assert any(kind is not None for *_, kind in issues(SMALL, QUEUE, instructions))


def test_a_run_counts_from_its_start():
    """First, last, and all cycles."""
    run = Run(10, read(3), 3, 4, 2)
    assert run.last == 18
    assert list(run.cycles) == [10, 14, 18]
    assert list(run.issues()) == [(10, read(3)), (14, read(5)), (18, read(7))]


def test_cycles_of_a_program():
    """The last NOP, or the last write in the last superlane; oracle: added up by hand."""
    for config in (SMALL, preset("base")):
        write = Write(address=0, stream=STREAM)
        reads = assemble(config, {"MEM_W0.0": [Run(50, read(0))]})
        assert reads.cycles == 50 + MEM_READ + config.superlanes
        writes = assemble(config, {"MEM_W0.0": [Run(40, write, 11)]})
        assert writes.cycles == 50 + MEM_BANK + config.superlanes
        assert Program(config, {"MEM_W0.0": (Notify(), Nop(count=9))}).cycles == 9
        assert Program(config, {}).cycles == 0


def test_assemble_puts_the_barrier_first():
    """One queue notifies, all others wait; queues without work stay empty."""
    program = assemble(
        SMALL, {"VXM.0": [Run(0, Mov(a=Alu(0)))], "MEM_W7.1": [Run(0, read(0))], "MEM_W0.0": []}
    )
    assert [program.queues[name][0] for name in ("MEM_W7.1", "VXM.0")] == [Notify(), Sync()]
    assert set(program.queues) == {"MEM_W7.1", "VXM.0"}
    assert program.runs == {
        "MEM_W7.1": [Run(0, read(0))],
        "VXM.0": [Run(0, Mov(a=Alu(0)))],
    }


VECTORS = np.zeros((4, SMALL.vector), np.uint8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Program(SMALL, {"MEM_W9.0": ()}), "there is no queue 'MEM_W9.0'"),
        (lambda: Program(SMALL, {"MEM_W0.0": (Iw(),)}), "queue MEM_W0.0 does not execute iw"),
        (
            lambda: Program(SMALL, {"MEM_W0.0": (read(0),) * 4097}),
            "queue MEM_W0.0 needs 4097 instructions and holds 4096",
        ),
        (
            lambda: Program(SMALL, {}, image=(Block("MEM_W0", 0, 2045, VECTORS),)),
            "words 2045 to 2048 of MEM_W0 bank 0 exceed its 2048 words",
        ),
        (
            lambda: Program(SMALL, {}, outputs=(Region("MEM_W0", 1, -1, 2),)),
            "an address of MEM_W0 bank 1 must be 0 to 2047, not -1",
        ),
        (
            lambda: Program(SMALL, {}, outputs=(Region("MEM_W0", 1, 2048, 1),)),
            "an address of MEM_W0 bank 1 must be 0 to 2047, not 2048",
        ),
        (
            lambda: Program(SMALL, {}, outputs=(Region("MEM_W0", 1, 3, 0),)),
            "an output of MEM_W0 bank 1 must have 1 word or more, not 0",
        ),
        (
            lambda: Program(SMALL, {}, outputs=(Region("MEM_W0", 1, 3, -3),)),
            "an output of MEM_W0 bank 1 must have 1 word or more, not -3",
        ),
        (
            lambda: Program(SMALL, {}, image=(Block("MEM_W0", 0, 5, VECTORS.astype(int)),)),
            r"the data of MEM_W0 bank 0 from address 5 on must be uint8 of shape \(words, 16\), "
            r"not int64 of shape \(4, 16\)",
        ),
        (
            lambda: Program(SMALL, {}, image=(Block("MEM_W0", 0, 5, VECTORS[:, :3]),)),
            r"must be uint8 of shape \(words, 16\), not uint8 of shape \(4, 3\)",
        ),
        (
            lambda: Program(SMALL, {}, image=(Block("MEM_W0", 0, 5, VECTORS[0]),)),
            r"not uint8 of shape \(16,\)",
        ),
        (
            lambda: Program(SMALL, {}, image=(Block("MEM_W0", 0, 5, VECTORS.tolist()),)),
            r"must be uint8 of shape \(words, 16\), not a list",
        ),
        (
            lambda: Program(SMALL, {"MEM_W0.0": (Notify(), Nop(count=3), read(0), Sync())}),
            "queue MEM_W0.0 has sync as instruction 3; the barrier must come first",
        ),
        (
            lambda: Program(SMALL, {"MEM_W0.0": (Sync(), Notify(), read(0))}),
            "queue MEM_W0.0 has notify as instruction 1",
        ),
        (
            lambda: Program(SMALL, {}, outputs=(Region("VXM", 0, 0, 2),)),
            "VXM bank 0 is not a bank of a MEM slice",
        ),
        (
            lambda: Program(SMALL, {}, outputs=(Region("MEM_W0", 2, 0, 2),)),
            "MEM_W0 bank 2 is not a bank",
        ),
    ],
)
def test_what_the_core_cannot_hold_is_refused(make, message):
    """The message names the place, the value and the limit."""
    with pytest.raises(ValueError, match=message):
        make()


MOVE = Mov(a=IMM)


@pytest.mark.parametrize(
    ("queues", "image", "message", "place"),
    [
        (
            {"MEM_W0.0": (Notify(), read(0), Read(address=2048, stream=STREAM))},
            (),
            r"queue MEM_W0\.0: read address must be 0 to 2047 on small, not 2048",
            ("MEM_W0.0", 2),
        ),
        (
            {"MEM_W0.0": (Notify(), read(2040), Nop(), read(2040), Repeat(count=8, stride=1))},
            (),
            r"queue MEM_W0\.0: read address must be 0 to 2047 on small, not 2048",
            ("MEM_W0.0", 4),
        ),
        (
            {"VXM.0": (Notify(), MOVE, Repeat(count=8, stride=1))},
            (),
            r"queue VXM\.0: mov has no field that Repeat can stride",
            ("VXM.0", 2),
        ),
        (
            {"VXM.5": (Notify(), Exp(a=IMM))},
            (),
            r"queue VXM\.5 does not execute exp, because small has 2 special ALUs",
            ("VXM.5", 1),
        ),
        (
            {"C2C_W.0": (Notify(), Send(stream=STREAM, link=0))},
            (),
            r"queue C2C_W\.0: send has an encoding, but this core does not execute it",
            ("C2C_W.0", 1),
        ),
        (
            {"MEM_W0.0": (Notify(), Repeat(count=1))},
            (),
            "has repeat as instruction 1; repeat must follow an instruction",
            ("MEM_W0.0", 1),
        ),
        (
            {"MEM_W0.0": (Notify(), read(0)), "MEM_W0.1": (Notify(), read(0))},
            (),
            r"queues MEM_W0\.0 and MEM_W0\.1 both begin with notify",
            ("MEM_W0.1", 0),
        ),
        (
            # Results stand in 8 + 4, ..., 8 + 4 + 6, by 2, and in 8 + 10.
            {
                "VXM.0": (
                    *(Notify(), replace(MOVE, wait=4), Repeat(count=3, interval=2)),
                    *(Nop(count=3), MOVE),
                )
            },
            (),
            r"queue VXM\.0: the results of instructions 1 \(mov\) and 4 \(mov\) meet in cycle 18",
            ("VXM.0", 4),
        ),
        (
            {},
            tuple(Block("MEM_W0", bank, at, VECTORS) for bank, at in ((0, 5), (1, 5), (0, 2))),
            "the image gives word 5 of MEM_W0 bank 0 twice",
            ("image", 2),
        ),
    ],
)
def test_what_is_known_to_be_wrong_is_refused(queues, image, message, place):
    """With its place; and there is a door for those who want to see what the core makes of it."""
    with pytest.raises(ProgramError, match=message) as caught:
        Program(SMALL, queues, image)
    assert caught.value.place == place
    program = Program(SMALL, queues, image, checked=False)
    assert program.cycles == run(program).cycles
    with pytest.raises(ProgramError, match=message):
        replace(program, checked=True)


def test_cycles_of_what_the_queues_trap():
    """A trapped instruction takes its cycle and starts nothing. Oracle: the golden model."""
    far = read(SMALL.bank_words - 2)
    assert far.lasts(SMALL) == 4
    runs = {"MEM_W0.0": [Run(0, far, 5, stride=1)]}  # of which two are within the bank
    program = assemble(SMALL, runs, checked=False)
    assert program.cycles == run(program).cycles == 1 + 4
    runs["MEM_W0.1"] = [Run(20, far, 2, 2, 7)]
    program = assemble(SMALL, runs, checked=False)
    assert program.cycles == run(program).cycles == 20 + 4


def test_a_queue_that_is_not_there_is_refused():
    """Whatever it is to issue."""
    for name, runs in {"MEM_W9.0": [Run(0, read(0))], "VXM.77": []}.items():
        with pytest.raises(InputError, match=f"there is no queue {name!r}; `tsp info` lists"):
            assemble(SMALL, {name: runs})


def test_results_that_pass_each_other_do_not_meet():
    """A long wait and a short one after it, in every cycle but the one in which they meet."""
    for pause in range(1, 12):
        wait = (Notify(), replace(MOVE, wait=6), Nop(count=pause), MOVE)
        if pause == 5:
            with pytest.raises(ProgramError, match="meet in cycle 14"):
                Program(SMALL, {"VXM.0": wait})
        else:
            assert run(Program(SMALL, {"VXM.0": wait})).fault is None
