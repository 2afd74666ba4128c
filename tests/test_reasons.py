"""Why operations did not start sooner. Oracles: placing them anew, and what the golden model does.

A claim is true if the operation, put where the reason says that it cannot be, is refused because of
that resource. A dependence is true if the golden model, in the course of the run, touches that very
place for the holder first and for the operation then.
"""

from collections import Counter, defaultdict
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from random_kernels import MAKES, NAMES, drawn_case

from tsp.hw.config import preset
from tsp.hw.errors import RefusedError
from tsp.hw.isa import SG1, SG4, Abc, Acc, AccMode, DType, Lw, timing
from tsp.sim import binary
from tsp.sim.golden import model
from tsp.sim.kernels.attention import attention
from tsp.sim.kernels.attention_layer import attention_layer
from tsp.sim.kernels.chain import chain
from tsp.sim.kernels.ffn import ffn
from tsp.sim.kernels.linear import linear
from tsp.sim.kernels.matmul import matmul
from tsp.sim.kernels.norms import rmsnorm
from tsp.sim.kernels.rows import softmax
from tsp.sim.kernels.transpose import transpose
from tsp.sim.layout import banks
from tsp.sim.schedule import Operation, Schedule
from tsp.sim.schedule import resource as res
from tsp.sim.schedule.columns import Runs
from tsp.sim.schedule.dependences import KINDS as DEPENDENCES
from tsp.sim.schedule.idle import plane_cycles
from tsp.sim.schedule.reasons import CLAIMS, RUN, critical_path, reasons
from tsp.sim.view.operations import operations

SMALL, QUAD, DUO = preset("small"), preset("quad16"), preset("duo32")


def fp16(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float16)


def int8(*shape):
    return np.random.default_rng(sum(shape)).integers(-128, 128, shape).astype(np.int8)


KERNELS = {
    "matmul on small": lambda: matmul(SMALL, fp16(40, 40), fp16(40, 40), DType.FP32),
    "matmul on quad16": lambda: matmul(QUAD, int8(64, 48), int8(48, 64), DType.INT32),
    "matmul on duo32": lambda: matmul(DUO, fp16(40, 70), fp16(70, 90), DType.FP16),
    "attention on small": lambda: attention(
        SMALL, fp16(32, 2, 16), fp16(32, 2, 16), fp16(32, 2, 16), causal=True
    ),
    "attention on duo32": lambda: attention(DUO, fp16(64, 2, 64), fp16(64, 1, 64), fp16(64, 1, 64)),
    "softmax of long rows": lambda: softmax(SMALL, fp16(20, 40)),
    "rmsnorm": lambda: rmsnorm(QUAD, fp16(20, 40), fp16(40)),
    "transpose": lambda: transpose(SMALL, fp16(40, 30)),
    "linear of one row": lambda: linear(DUO, fp16(1, 64), fp16(64, 128)),
    "linear": lambda: linear(QUAD, fp16(40, 32), fp16(32, 32), bias=fp16(32)),
    "chain": lambda: chain(softmax(SMALL, fp16(9, 16)), rmsnorm(SMALL, fp16(9, 16), fp16(16))),
    "ffn of one row": lambda: ffn(
        DUO, fp16(1, 64), gate=fp16(64, 96), up=fp16(64, 96), down=fp16(96, 64)
    ),
    "attention layer": lambda: attention_layer(
        QUAD,
        fp16(16, 32),
        q=fp16(32, 32),
        k=fp16(32, 32),
        v=fp16(32, 32),
        out=fp16(32, 32),
        heads=2,
    ),
}


class Watched(model.Model):
    """A golden model that notes who touches what: ``(place, what, cycle, queue)``."""

    def __init__(self, program):
        super().__init__(program)
        self.touched = []

    def note(self, queue, what, address):
        name = queue.name if what in ("read", "write") else queue.name.rpartition(".")[0]
        self.touched.append(((name, address), what, self.now, queue.name))

    def mem(self, queue, instruction, address):
        self.note(queue, instruction.mnemonic, address)
        super().mem(queue, instruction, address)

    def acc(self, queue, acc, row):
        self.note(queue, f"acc {acc.mode.name.lower()}", row)
        super().acc(queue, acc, row)

    def lw(self, queue, lw, column):
        self.note(queue, "lw", None)
        super().lw(queue, lw, column)

    def iw(self, queue, iw, value):
        self.note(queue, "iw", None)
        super().iw(queue, iw, value)

    def abc(self, queue, abc, value):
        self.note(queue, "abc", None)
        super().abc(queue, abc, value)


GETS, KEEPS = {"read", "acc add", "acc keep"}, {"write", "acc add", "acc write"}
LEAST = {("lw", "iw"): timing.LW_BUFFER, ("iw", "lw"): -1, ("iw", "abc"): 0, ("abc", "iw"): 1}
"""The least distance of issues that touch weights, from the contract of the MXM."""


def least(first, then):
    """At least how many cycles after one touch of a place another must come; None: no matter."""
    if first in GETS | KEEPS and then in GETS | KEEPS:
        return 1 if first in KEEPS or then in KEEPS else None
    return LEAST.get((first, then))


def acts(touch):
    """When a touch of a place happens: the cycle, and the phase of that cycle."""
    _, what, cycle, _ = touch
    match what:
        case "lw":
            return cycle + timing.LW_BUFFER, model.COMMIT
        case "iw":
            return cycle + timing.IW_INSTALL, model.INSTALL
        case "abc":
            return cycle + timing.ABC_SAMPLE, model.SAMPLE
    return cycle, model.COMMIT


def slacks(program, placed):
    """By operation ``(slack, holder, place)`` of what must come before it, as it runs."""
    owner = {
        (queue, start + cycle): number
        for number, (operation, start) in enumerate(placed)
        for queue, run in operation.runs
        for cycle in run.cycles
    }
    watched = Watched(program)
    while watched.busy:
        watched.step()
    assert watched.fault is None
    seen, found = defaultdict(dict), defaultdict(list)
    for place, what, cycle, queue in sorted(watched.touched, key=acts):
        mine = owner[queue, cycle]
        for before, (when, holder) in seen[place].items():
            apart = least(before, what)
            if apart is not None and holder < mine:
                found[mine].append((cycle - when - apart, holder, place, when))
        seen[place][what] = cycle, mine
    return found


def text(place):
    """What a place of the golden model is called in a reason."""
    name, address = place
    if "MEM" in name:
        return {f"word {address} of {name}"}
    if address is not None:
        return {f"accumulator row {address} of {name}"}
    return {
        f"{what} of {name}"
        for what in ("the weights", "the weight buffer", "the installed weights")
    }


def check(program, placed, found):
    """Every reason is true, and nothing stops an operation sooner."""
    waits, schedule = slacks(program, placed), Schedule(program.config)
    for number, ((operation, start), reason) in enumerate(zip(placed, found, strict=True)):
        where = f"{operation.name} at {start}: {reason}"
        for sooner in range(1, reason.slack + 1):
            assert not schedule.clash(operation, start - sooner), where
        wait = min(waits[number], default=None, key=lambda w: w[0])
        assert wait is None or reason.slack <= wait[0], where
        there = start - reason.slack - 1
        assert -1 <= reason.holder < number, where
        if reason.kind == "start":
            assert there + operation.first < 0, where
        elif any(w[1:] for w in waits[number] if same(w, reason)):
            assert reason.kind in DEPENDENCES, where
        else:
            assert reason.kind in CLAIMS, where
            assert collides(operation, there, reason, placed[reason.holder]), where
            assert schedule.clash(operation, there), where
        schedule.fix(operation, start)


def same(wait, reason):
    """Whether a wait that the model showed is the one that a reason speaks of."""
    slack, holder, place, cycle = wait
    said = reason.slack, reason.holder, reason.cycle
    return said == (slack, holder, cycle) and reason.resource in text(place)


def collides(operation, start, reason, holder):
    """Whether an operation would take the resource when its holder has it."""
    other, at = holder
    for resource, mask in operation.claims.items():
        if res.describe(resource) == reason.resource:
            time = (
                res.diagonal(resource[1], reason.cycle, resource[3])
                if resource[0] == "stream"
                else reason.cycle
            )
            held = [h for h in other.holds if h.resource == resource]
            has = other.claims.get(resource, 0) >> (time - at + res.BIAS) & 1
            has = has or any(h.since <= time < at + h.until for h in held)
            return has and mask >> (time - start + res.BIAS) & 1
    return False


def check_path(program, placed, found):
    """The path leads from the last operation back to one that waits for nothing, cycle by cycle."""
    path, spent = critical_path(placed, found)
    assert sum(spent.values()) == program.cycles
    last, start = placed[path[0]]
    assert start + last.end == program.cycles
    assert spent[RUN] == last.end
    for number, holder in zip(path, [*path[1:], -1], strict=True):
        assert found[number].holder == holder


def check_planes(program, placed, found):
    """Busy and idle cycles of a plane are all; busy ones are those that the golden model counts."""
    result = model.run(program)
    for plane in plane_cycles(Runs.of(program.config, placed), found, program.cycles):
        assert plane.busy == result.counters.vectors[f"{plane.name}.ABC"]
        assert plane.busy + sum(plane.idle.values()) == program.cycles


@pytest.mark.parametrize("name", KERNELS)
def test_every_reason_is_true(name):
    program = KERNELS[name]().program
    placed = program.operations
    found = reasons(program.config, placed)
    assert placed
    check(program, placed, found)
    check_path(program, placed, found)
    check_planes(program, placed, found)


@pytest.mark.parametrize("name", KERNELS)
def test_a_program_without_operations_is_taken_apart(name):
    """What its words join is an operation, and all of its issues are in one."""
    program = KERNELS[name]().program
    bare = binary.from_binary(binary.to_binary(program))
    placed = operations(bare)
    assert issues(placed) == issues(program.operations)
    found = reasons(bare.config, placed)
    check(bare, placed, found)
    check_path(bare, placed, found)
    check_planes(bare, placed, found)


def issues(placed):
    return Counter(
        (queue, start + cycle, instruction)
        for operation, start in placed
        for queue, run in operation.runs
        for cycle, instruction in run.issues()
    )


@pytest.mark.parametrize("seed", range(12))
def test_reasons_of_random_kernels_are_true(seed):
    """On random configurations; the seed of a failure is the test's."""
    random = Random(seed)
    while True:
        config, name, sizes, drawn = drawn_case(random, NAMES)
        try:
            program = MAKES[name][0](config, np.random.RandomState(drawn), **sizes).program
        except RefusedError:
            continue
        if program.cycles < 3000:
            break
    for placed in (program.operations, operations(replace(program))):
        found = reasons(config, placed)
        check(program, placed, found)
        check_path(program, placed, found)
        check_planes(program, placed, found)


# By hand


def read(name, bank, stream, to, count=1, address=0):
    """An operation of reads that issue from its start on, and drive from `bank` to stop `to`."""
    made, stop = Operation(SMALL, name), SMALL.floorplan.queue(bank).stop
    made.read(bank, address, stream, to, timing.MEM_READ + abs(to - stop), count)
    return made


def told(placed):
    """Kind, holder, resource, cycle and slack of every reason."""
    return [tuple(vars(reason).values()) for reason in reasons(SMALL, placed)]


def test_a_claim_names_its_holder_and_the_cycle():
    one = read("one", "MEM_W0.0", SG1("W", 0), 0, count=5)
    two = read("two", "MEM_W0.0", SG1("W", 1), 0, count=3)
    schedule = Schedule(SMALL)
    schedule.place(one)
    schedule.place(two)
    schedule.fix(read("three", "MEM_W0.0", SG1("W", 1), 0), 12)
    issue = "the issue slot of MEM_W0.0"
    assert told(schedule.placed) == [
        ("start", -1, "the first cycle", 0, 0),
        ("issue", 0, issue, 4, 0),
        ("issue", 1, issue, 7, 4),  # it could start in cycle 8
    ]


def test_the_reason_is_what_stops_it_first():
    """Of several things in the way, that which comes first on the way to sooner starts."""
    far, near = (b for b in ("MEM_W5.0", "MEM_W0.0"))
    stops = [SMALL.floorplan.queue(name).stop for name in (far, near)]
    schedule = Schedule(SMALL)
    schedule.fix(read("one", far, SG1("E", 3), stops[1] + 1, count=2), 10)
    # Its word would have to stand beside the other's last one, on the same diagonal.
    apart = stops[1] - stops[0]
    schedule.fix(read("two", near, SG1("E", 3), stops[1] + 1), 30)
    (_, (kind, holder, resource, cycle, slack)) = told(schedule.placed)
    assert (kind, holder, resource) == ("stream", 0, f"stream e3 at stop {stops[1] + 1}")
    assert (cycle, slack) == (11 + timing.MEM_READ + apart + 1, 30 - (11 + apart) - 1)


def test_a_word_must_have_been_written():
    """Even if its bank was busy all the time, the word is what counts."""
    writer, bank = Operation(SMALL, "writer"), "MEM_W0.0"
    source = next(b for b in banks(SMALL) if b.stop == SMALL.floorplan.queue(bank).stop - 1)
    arrive = timing.MEM_READ + 1
    writer.read(source.queue, 0, SG1("E", 0), source.stop + 1, arrive, 4)
    writer.write(bank, 7, SG1("E", 0), arrive, 4)
    issued = arrive - timing.MEM_SAMPLE
    schedule = Schedule(SMALL)
    schedule.fix(writer, 0)
    schedule.fix(read("reader", bank, SG1("W", 0), 0, address=9), issued + 10)
    schedule.fix(read("second", bank, SG1("W", 1), 0, address=10), issued + 4)
    assert told(schedule.placed)[1:] == [
        ("issue", 0, "the issue slot of MEM_W0.0", issued + 3, 6),
        ("word", 0, "word 10 of MEM_W0.0", issued + 3, 0),
    ]


def test_weights_wait_for_the_array_and_vectors_for_weights():
    plane, schedule = "MXM_W.0", Schedule(SMALL)
    stop = SMALL.floorplan.queue("MXM_W.0.LW").stop
    words, rows = [bank.queue for bank in banks(SMALL) if bank.stop == stop + 2][:2]

    def loading(name):
        made = Operation(SMALL, name)
        made.load(plane, Lw(column=0, dtype=DType.INT8, streams=(SG1("W", 0),)), 0)
        made.read(words, 0, SG1("W", 0), stop, timing.LW_SAMPLE)
        return made

    def passing(name, since):
        made = Operation(SMALL, name)
        made.install(plane, 0, since, used=8)
        made.read(rows, 9, SG1("W", 4), stop, timing.ABC_SAMPLE, 8)
        stands = made.multiply(plane, Abc(source=SG1("W", 4), dtype=DType.INT8, count=4), 0, 8)
        made.accumulate(plane, Acc(row=0, mode=AccMode.WRITE, target=SG4("E", 0), count=4), stands)
        return made

    loaded = schedule.place(loading("weights"))
    first = schedule.place(passing("pass", loaded + 1), loaded + timing.LW_BUFFER)
    again = schedule.place(loading("more weights"), loaded)
    second = schedule.place(passing("next pass", again + 1), again + timing.LW_BUFFER)
    # The buffer is held until the installation, and the array until the last vector.
    assert (first, again, second) == (loaded + 2, first, first + 8)
    assert told(schedule.placed) == [
        ("start", -1, "the first cycle", 0, 0),
        ("weights", 0, f"the weights of {plane}", loaded, 0),
        ("buffer", 1, f"the weight buffer of {plane}", first - 1, 0),
        ("array", 1, f"the installed weights of {plane}", first + 7, 0),
    ]
    found = reasons(SMALL, schedule.placed)
    assert critical_path(schedule.placed, found)[0] == [3, 1, 0]
    (cycles, _) = plane_cycles(Runs.of(SMALL, schedule.placed), found, schedule.cycles)
    assert cycles.busy == 16
    assert cycles.idle == {"fill": first, "drain": schedule.cycles - second - 8}


def test_a_program_that_does_nothing_has_no_path():
    assert critical_path([], []) == ([], {})
    (plane, _) = plane_cycles(Runs(SMALL, []), [], 5)
    assert (plane.busy, plane.idle) == (0, {"unused": 5})
