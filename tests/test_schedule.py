"""The scheduler. Oracles: the contract's rules, and a brute-force belt of stream registers."""

from collections import Counter

import numpy as np
import pytest

from tsp.hw.config import Config, preset
from tsp.hw.isa import (
    IMM,
    SG1,
    SG2,
    Abc,
    Acc,
    AccMode,
    DType,
    EncodingError,
    Exp,
    Iw,
    Late,
    Lw,
    Mov,
    MulF,
    Read,
    Write,
    timing,
)
from tsp.sim.layout import banks
from tsp.sim.schedule import Operation, Schedule, ScheduleError
from tsp.sim.schedule import resource as res

SMALL = preset("small")
BANKS = banks(SMALL)
PLANE = "MXM_W.0"


def operation(name):
    return Operation(SMALL, name)


def bank_at(stop, index=0):
    return [bank for bank in BANKS if bank.stop == stop][index].queue


def read(name, bank, stream, to, count=1):
    """An operation that reads onto a stream; its first read issues in cycle 0."""
    made = operation(name)
    stop = next(b.stop for b in BANKS if b.queue == bank)
    made.read(bank, 0, stream, to, timing.MEM_READ + abs(to - stop), count)
    return made


def refusal(schedule, made, start):
    with pytest.raises(ScheduleError) as caught:
        schedule.fix(made, start)
    error = caught.value
    for part in (error.claimant, error.holder, error.resource, f"cycle {error.cycle}"):
        assert part in str(error)
    return error.claimant, error.holder, error.resource, error.cycle


def test_issue_slot_of_a_bank_is_taken_once():
    schedule = Schedule(SMALL)
    schedule.fix(read("one", "MEM_W0.0", SG1("W", 0), 0, count=5), 10)
    other = read("two", "MEM_W0.0", SG1("W", 1), 0, count=3)
    assert refusal(schedule, other, 8) == ("two", "one", "the issue slot of MEM_W0.0", 10)
    assert refusal(schedule, other, 14) == ("two", "one", "the issue slot of MEM_W0.0", 14)
    schedule.fix(other, 7)
    assert schedule.place(read("three", "MEM_W0.0", SG1("W", 2), 0, count=3), 6) == 15


def test_two_banks_cannot_drive_one_stream_register():
    schedule = Schedule(SMALL)
    schedule.fix(read("one", bank_at(3, 0), SG1("W", 4), 2), 20)
    other = read("two", bank_at(3, 1), SG1("W", 4), 2)
    # Read issued in 20 drives in 23 at stop 3, and so stands at stop 2 in 24.
    found = refusal(schedule, other, 20)
    assert found == ("two", "one", "stream w4 at stop 2", 21 + timing.MEM_READ)
    schedule.fix(other, 21)


def test_a_word_in_flight_is_not_overwritten_before_its_last_reader():
    schedule = Schedule(SMALL)
    schedule.fix(read("far", bank_at(3), SG1("W", 0), to=0), 0)
    near = read("near", bank_at(2), SG1("W", 0), to=0)
    # The word of stop 3 passes stop 2 one cycle later; a read there must not drive in that cycle.
    assert refusal(schedule, near, 1)[:3] == ("near", "far", "stream w0 at stop 1")
    for start in (0, 2):
        schedule.fix(near, start)
    assert schedule.place(read("late", bank_at(2), SG1("W", 0), to=0), 0) == 3


def test_a_word_is_free_to_be_overwritten_after_its_last_reader():
    schedule = Schedule(SMALL)
    schedule.fix(read("short", bank_at(3), SG1("W", 0), to=2), 0)
    schedule.fix(read("onward", bank_at(2), SG1("W", 0), to=0), 1)


def test_eastward_and_westward_are_different_streams():
    schedule = Schedule(SMALL)
    schedule.fix(read("west", bank_at(3, 0), SG1("W", 0), to=0), 0)
    schedule.fix(read("east", bank_at(3, 1), SG1("E", 0), to=8), 0)
    with pytest.raises(ValueError, match="does not flow from stop 3 to 8"):
        read("wrong", bank_at(3), SG1("W", 0), to=8)


def test_a_sample_needs_a_driven_word():
    made = operation("deaf")
    made.write("MEM_E0.0", 0, SG1("E", 3), arrive=1)
    with pytest.raises(
        ScheduleError, match="deaf samples stream e3 at stop 5 in cycle 10"
    ) as error:
        Schedule(SMALL).fix(made, 9)
    assert error.value.holder is None
    # A word that another operation drives will do.
    schedule = Schedule(SMALL)
    schedule.fix(read("source", bank_at(3), SG1("E", 3), to=5), 0)
    made = operation("listener")
    made.write("MEM_E0.0", 0, SG1("E", 3), arrive=timing.MEM_READ + 2)
    schedule.fix(made, 0)


def weights(name, columns=16):
    made = operation(name)
    streams = tuple(SG1("W", s) for s in range(columns))
    for i, stream in enumerate(streams):
        arrive = Lw.timing(SMALL).skew
        made.read([b for b in BANKS if b.stop in (2, 3)][i].queue, 0, stream, 0, arrive)
    ready = made.load(PLANE, Lw(column=0, dtype=DType.INT8, streams=streams), 0)
    return made, ready


def rows(name, since, count=8):
    """Install the weights and stream rows past them, without an accumulator."""
    made = operation(name)
    abc = Abc(source=SG1("W", 31), dtype=DType.INT8, count=16)
    made.install(PLANE, 0, since, used=count)
    made.multiply(PLANE, abc, 0, count)
    made.read("MEM_E0.0", 0, SG1("W", 31), 0, abc.timing(SMALL).skew, count)
    return made


def test_weight_buffer_is_held_until_its_install():
    schedule = Schedule(SMALL)
    load, ready = weights("first tile")
    start = schedule.place(load)
    schedule.fix(rows("pass", since=start + 1), start + ready + 10)
    other, _ = weights("second tile")
    found = refusal(schedule, other, start + ready + 9)
    assert found == ("second tile", "pass", f"the weight buffer of {PLANE}", start + ready + 9)
    # In the cycle of the install the next tile may start, and no earlier.
    assert schedule.place(other, start + 1) == start + ready + 10


def test_a_hold_that_no_start_can_have_is_refused():
    schedule = Schedule(SMALL)
    for cycle in (5, 9):
        schedule.fix(weights(f"tile of cycle {cycle}")[0], cycle)
    with pytest.raises(ScheduleError, match="because tile of cycle 9 has it"):
        schedule.place(rows("pass", since=6), 12)


def test_installed_weights_stay_while_rows_stream():
    schedule = Schedule(SMALL)
    schedule.fix(rows("pass", None, count=8), 20)
    other = operation("install")
    other.install(PLANE, 0)
    found = refusal(schedule, other, 27)
    assert found == ("install", "pass", f"the installed weights of {PLANE}", 27)
    schedule.fix(other, 28)


def test_accumulator_rows_stay_until_their_last_use():
    schedule = Schedule(SMALL)
    keep = operation("job")
    keep.keep_rows(PLANE, stands=30, rows=4, since=10)
    schedule.fix(keep, 0)
    write = operation("next job")
    write.keep_rows(PLANE, stands=0, rows=4)
    found = refusal(schedule, write, 30)
    assert found == ("next job", "job", f"accumulator row 0 of {PLANE}", 30)
    assert schedule.place(write, 12) == 31


def test_results_of_one_alu_do_not_meet():
    schedule = Schedule(SMALL)
    first, second = operation("waits"), operation("hurries")
    late = MulF(a=IMM, b=IMM, wait=3, late=Late.B)
    stands = first.compute("VXM.2", late, sample=0)
    assert stands == timing.vxm_result(SMALL) - timing.VXM_SAMPLE
    assert first.first == -timing.VXM_SAMPLE - 3
    second.compute("VXM.2", MulF(a=IMM, b=IMM), sample=0)
    schedule.fix(first, 10)
    found = refusal(schedule, second, 10)
    assert found == ("hurries", "waits", "the result of VXM.2", 10 + stands)
    schedule.fix(second, 11)


def test_special_functions_need_a_special_alu():
    made = operation("softmax")
    assert (
        made.compute("VXM.1", Exp(a=IMM), sample=0) == timing.vxm_result(SMALL) - timing.VXM_SAMPLE
    )
    with pytest.raises(
        ValueError,
        match=r"softmax: queue VXM\.2 does not execute exp, .* small has 2 .* VXM\.0 to VXM\.1",
    ):
        made.compute("VXM.2", Exp(a=IMM), sample=0)


def test_an_operation_does_not_collide_with_itself():
    made = read("twice", "MEM_W0.0", SG1("W", 0), 0, count=3)
    with pytest.raises(
        ScheduleError, match=r"twice cannot have the issue slot of MEM_W0\.0 in cycle 2"
    ):
        made.read("MEM_W0.0", 0, SG1("W", 1), 0, timing.MEM_READ + 5)


def test_start_before_the_first_cycle_is_refused_or_put_off():
    made = operation("early")
    made.read("MEM_W0.0", 0, SG1("W", 0), 0, arrive=0)
    lead = timing.MEM_READ + next(b.stop for b in BANKS if b.queue == "MEM_W0.0")
    with pytest.raises(ValueError, match=f"early must start in cycle {lead} or later, not 0"):
        Schedule(SMALL).fix(made, 0)
    assert Schedule(SMALL).place(made) == lead


def test_a_start_before_cycle_0_is_legal_if_nothing_issues_before():
    """Oracle: the cycle of the issue."""
    schedule, bank = Schedule(SMALL), bank_at(2)
    made = [operation(name) for name in ("first", "second", "third")]
    for one in made:
        one.read(bank, 0, SG1("E", 0), 3, timing.MEM_READ + 1 + 10, count=3)
    first, second, third = made
    assert not schedule.clash(first, -10)
    assert schedule.fix(first, -10) == -10
    assert schedule.clash(second, -8)
    assert refusal(schedule, second, -8)[3] == 2
    assert schedule.place(second, earliest=-20) == -7
    heard = operation("hears")
    heard.write(bank_at(3), 0, SG1("E", 0), timing.MEM_READ + 1 + 10, count=6)
    assert schedule.fix(heard, -10) == -10
    with pytest.raises(ScheduleError, match="nothing drives it that far"):
        schedule.place(heard, earliest=-9)
    assert schedule.place(third) == 0
    runs = schedule.program().runs[bank]
    assert [(run.start, run.count) for run in runs] == [(0, 3), (3, 3), (10, 3)]


def test_a_start_can_be_found_without_placing_anything():
    schedule, bank = Schedule(SMALL), bank_at(3)
    schedule.place(read("first", bank, SG1("E", 0), 4, count=5))
    second = read("second", bank, SG1("E", 1), 4)
    assert [schedule.clash(second, start) for start in (-1, 0, 4, 5)] == [True, True, True, False]
    assert schedule.find(second) == schedule.find(second, 5) == 5
    assert schedule.find(second, 9) == 9
    assert schedule.place(second) == 5
    assert schedule.clash(second, 5)


def test_wrong_queue_is_refused():
    made = operation("lost")
    with pytest.raises(ValueError, match=r"there is no queue 'MEM_W9\.0' in small"):
        made.issue("MEM_W9.0", Read(address=0, stream=SG1("E", 0)), 0)
    with pytest.raises(EncodingError, match=r"lost: queue VXM\.0 does not execute read"):
        made.issue("VXM.0", Read(address=0, stream=SG1("E", 0)), 0)


def test_what_a_queue_would_trap_is_refused():
    """A stream or an address that a core lacks, strides included, and a result in its place."""
    eight = Config(name="eight", streams=8, planes_west=1, planes_east=0, acc_rows=16)
    made = Operation(eight, "linear")
    with pytest.raises(EncodingError, match=r"linear: queue MEM_E3\.0: read stream .* not sg1.e9;"):
        made.read("MEM_E3.0", 0, SG1("E", 9), eight.floorplan.stops - 1, 10)
    made.write("MEM_E3.0", 2040, SG1("E", 7), 10, count=8)
    with pytest.raises(EncodingError, match="write address must be 0 to 2047 on eight, not 2048"):
        made.write("MEM_E3.1", 2040, SG1("E", 7), 10, count=9)
    with pytest.raises(EncodingError, match="write address must be 0 to 65535 after the strides"):
        made.write("MEM_E2.1", 0, SG1("E", 7), 10, count=2, stride=-1)
    made.perform("VXM.0", Mov(a=IMM, wait=4), 0)
    with pytest.raises(ScheduleError, match=r"the result of VXM\.0 in cycle 12"):
        made.perform("VXM.0", Mov(a=IMM), 4)


def test_many_words_at_once_are_as_many_single_reads():
    """And an instruction in many cycles is as many of it. Oracle: one after the other."""
    rng = np.random.default_rng(3)
    together, apart = operation("weights"), operation("weights")
    words = [
        (bank_at(rng.integers(2, 4), rng.integers(4)), n, SG1("W", int(rng.integers(3))), arrive)
        for n, arrive in enumerate(rng.permutation(60).tolist())
    ]
    together.read_words(0, words)
    for bank, address, stream, arrive in words:
        apart.read(bank, address, stream, 0, arrive)
    lw, cycles = Lw(column=0, dtype=DType.INT8, streams=(SG1("W", 0), SG1("W", 1))), [9, 2, 50]
    together.perform_at(f"{PLANE}.LW", lw, cycles)
    for cycle in cycles:
        apart.perform(f"{PLANE}.LW", lw, cycle)
    assert together.claims == apart.claims
    assert together.samples == apart.samples
    assert sorted(together.runs, key=str) == sorted(apart.runs, key=str)


def test_many_words_at_once_are_refused_like_single_reads():
    e5, bank = SG1("E", 5), bank_at(2)
    with pytest.raises(ScheduleError, match=rf"the issue slot of {bank} in cycle 1, because w its"):
        operation("w").read_words(3, [(bank, 0, e5, 5), (bank, 1, SG1("E", 6), 5)])
    with pytest.raises(ScheduleError, match="stream e5 at stop 2 in cycle 4, because w itself has"):
        operation("w").read_words(3, [(bank, 0, e5, 5), (bank_at(2, 1), 1, e5, 5)])
    with pytest.raises(ScheduleError, match="stream e5 at stop 4 in cycle 5, because w itself has"):
        operation("w").read_words(4, [(bank_at(3), 0, e5, 5), (bank, 1, e5, 5)])
    with pytest.raises(EncodingError, match="read address must be 0 to 2047 on small, not 2048"):
        operation("w").read_words(3, [(bank, 1, e5, 5), (bank, 2048, e5, 6), (bank, 0, e5, 7)])
    with pytest.raises(EncodingError, match=r"w: queue VXM\.0 does not execute read"):
        operation("w").read_words(5, [(bank, 1, e5, 5), ("VXM.0", 0, e5, 6)])
    with pytest.raises(
        ScheduleError, match=r"the issue slot of MXM_W\.0\.IW in cycle 4, because w"
    ):
        operation("w").perform_at(f"{PLANE}.IW", Iw(), [4, 3, 4])
    with pytest.raises(EncodingError, match=r"w: queue VXM\.0 does not execute iw"):
        operation("w").perform_at("VXM.0", Iw(), [4, 3])


def test_emitted_groups_claim_every_stream():
    schedule = Schedule(SMALL)
    made = operation("emit")
    emit = Acc(row=0, mode=AccMode.KEEP, emit=True, dtype=DType.FP16, target=SG2("E", 1), count=16)
    driven = made.accumulate(PLANE, emit, 0, to=3)
    assert driven == timing.acc_emit(SMALL) - timing.ACC_SAMPLE
    schedule.fix(made, 10)
    for stream, free in ((1, True), (2, False), (3, False), (4, True)):
        # The word driven at stop 0 passes stop 2 two cycles later.
        start = 10 + driven + 2 - timing.MEM_READ
        other = read(f"e{stream}", bank_at(2, stream), SG1("E", stream), 4)
        if free:
            schedule.fix(other, start)
        else:
            found = refusal(schedule, other, start)
            assert found[1:3] == ("emit", f"stream e{stream} at stop 3")


def test_program_has_every_run_at_its_cycle():
    schedule = Schedule(SMALL)
    for start in (40, 7, 23):
        schedule.fix(read(f"at {start}", "MEM_W1.1", SG1("W", 0), 0, count=4), start)
    program = schedule.program(name="three")
    assert [run.start for run in program.runs["MEM_W1.1"]] == [7, 23, 40]
    assert program.cycles == 43 + timing.MEM_READ + 1


# Random operations against a belt of registers, simulated naively


def random_copy(rng, number):
    """Copy words from one bank to another over a random stream; a third one may listen."""
    streams = 3  # few, so that they collide
    made = operation(f"copy {number}")
    source, target = rng.choice(len(BANKS), 2, replace=False)
    source, target = BANKS[source], BANKS[target]
    if source.stop == target.stop:
        return random_copy(rng, number)
    direction = "E" if target.stop > source.stop else "W"
    stream = SG1(direction, int(rng.integers(streams)))
    times = int(rng.integers(1, 12)), int(rng.integers(1, 4))
    made.read(source.queue, number, stream, target.stop, 0, *times, stride=0)
    made.write(target.queue, number, stream, 0, *times, stride=0)
    between = [
        bank
        for bank in BANKS
        if min(source.stop, target.stop) < bank.stop < max(source.stop, target.stop)
    ]
    if between and rng.integers(2):
        bank = between[rng.integers(len(between))]
        made.write(bank.queue, number, stream, -abs(target.stop - bank.stop), *times, stride=0)
    return made


def simulate(program):
    """Run reads and writes on registers that hold the number of the copy; list what goes wrong."""
    stops = SMALL.floorplan.stops
    issues = [
        (cycle, queue, instruction)
        for queue, runs in program.runs.items()
        for run in runs
        for cycle, instruction in run.issues()
    ]
    wrong = [slot for slot, n in Counter((c, q) for c, q, _ in issues).items() if n > 1]
    drives, samples = {}, {}
    for cycle, queue, instruction in issues:
        stop = SMALL.floorplan.queue(queue).stop
        key = stop, instruction.stream.direction, instruction.stream.index
        if isinstance(instruction, Read):
            at = (cycle + timing.MEM_READ, *key)
            if at in drives:
                wrong.append(("two drivers", at))
            drives[at] = instruction.address
        else:
            assert isinstance(instruction, Write)
            samples.setdefault((cycle + timing.MEM_SAMPLE, *key), []).append(instruction.address)
    belt = {}
    for cycle in range(max(at[0] for at in samples) + 1):
        for (when, *key), numbers in samples.items():
            if when == cycle and {belt.get(tuple(key))} != set(numbers):
                wrong.append(("sample", when, key, numbers, belt.get(tuple(key))))
        belt |= {tuple(key): n for (when, *key), n in drives.items() if when == cycle}
        belt = {
            (stop + step, direction, stream): number
            for (stop, direction, stream), number in belt.items()
            for step in [1 if direction == "E" else -1]
            if 0 <= stop + step < stops
        }
    return wrong


@pytest.mark.parametrize("seed", range(4))
def test_random_operations_never_collide_and_start_as_early_as_they_can(seed):
    rng = np.random.default_rng(seed)
    schedule, starts = Schedule(SMALL), []
    for number in range(60):
        made, earliest = random_copy(rng, number), int(rng.integers(60))
        start = schedule.place(made, earliest)
        starts.append(start)
        others = Schedule(SMALL)
        for placed in schedule.placed[:-1]:
            others.fix(*placed)
        for sooner in range(max(earliest, -made.first), start):
            with pytest.raises(ScheduleError):
                others.fix(made, sooner)
    assert simulate(schedule.program()) == [], f"seed {seed}"
    assert len(set(starts)) > 20


def test_brute_force_notices_an_overwritten_word():
    """The oracle of the random test can fail: an intruder, put in by force."""
    schedule = Schedule(SMALL)
    copy = operation("copy")
    copy.read(bank_at(5), 1, SG1("W", 0), 2, 0)
    copy.write(bank_at(2), 1, SG1("W", 0), 0)
    schedule.fix(copy, 20)
    assert simulate(schedule.program()) == []
    intruder = operation("intruder")
    intruder.read(bank_at(3), 2, SG1("W", 0), 2, 0)
    schedule.placed.append((intruder, 20))
    assert simulate(schedule.program()) == [("sample", 20, [2, "W", 0], [1], 2)]


def test_resources_have_names():
    names = {
        res.issue_slot("MEM_W0.0"): "the issue slot of MEM_W0.0",
        res.stream_register("E", 3, 5): "stream e3 at stop 5",
        res.accumulator_row("MXM_E.1", 7): "accumulator row 7 of MXM_E.1",
    }
    for resource, name in names.items():
        assert res.describe(resource) == name


def test_combs_have_their_teeth_where_they_belong():
    for count, interval in ((1, 1), (5, 1), (1, 7), (4, 3)):
        teeth = sum(1 << i * interval for i in range(count))
        assert res.comb(count, interval) == teeth
