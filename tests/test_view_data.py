"""What a view holds. Oracles: the assembler, the program's issues, traces of the golden model."""

import gzip
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tsp.hw.config import preset
from tsp.hw.errors import InputError
from tsp.hw.isa import SG1, DType, Read, Write
from tsp.sim import asm, binary
from tsp.sim.faulty_programs import faulty_programs
from tsp.sim.golden import model
from tsp.sim.kernels.attention import attention
from tsp.sim.kernels.chain import chain
from tsp.sim.kernels.ffn import ffn
from tsp.sim.kernels.linear import linear
from tsp.sim.kernels.matmul import matmul
from tsp.sim.kernels.norms import rmsnorm
from tsp.sim.kernels.rows import softmax
from tsp.sim.kernels.transpose import transpose
from tsp.sim.program import Program, Run, assemble
from tsp.sim.random_programs import Generator
from tsp.sim.schedule import Operation
from tsp.sim.schedule.idle import IDLE
from tsp.sim.schedule.reasons import KINDS, critical_path, reasons
from tsp.sim.view.container import Column, pack, unpack
from tsp.sim.view.data import view_data
from tsp.sim.view.operations import operations
from tsp.sim.view.perfetto import write_trace

NANO, SMALL, DUO = preset("nano"), preset("small"), preset("duo32")
RNG = np.random.default_rng(3)


def fp16(*shape):
    return RNG.normal(size=shape).astype(np.float16)


def int8(*shape):
    return RNG.integers(-128, 128, shape).astype(np.int8)


KERNELS = {
    "matmul on nano": lambda: matmul(NANO, int8(6, 8), int8(8, 8), DType.INT32),
    "attention on small": lambda: attention(
        SMALL, fp16(16, 2, 16), fp16(16, 2, 16), fp16(16, 2, 16), causal=True
    ),
    "long softmax on small": lambda: softmax(SMALL, fp16(5, 40)),
    "transpose on small": lambda: transpose(SMALL, int8(20, 30)),
    "linear on duo32": lambda: linear(DUO, fp16(1, 64), fp16(64, 64)),
}


@pytest.fixture(scope="module", params=KERNELS)
def shown(request):
    """A program, and header and columns of its view."""
    program = KERNELS[request.param]().program
    return program, *unpack(view_data(program).payload)


def issues(header, columns):
    """``(queue, cycle, text, drives)`` of all issues; drives are the numbers of their words."""
    for run, queue in enumerate(columns["run.queue"]):
        template = header["templates"][columns["run.template"][run]]
        at = columns["run.drive"][run]
        for nth in range(columns["run.count"][run]):
            cycle = columns["run.start"][run] + nth * columns["run.interval"][run]
            value = columns["run.value"][run] + nth * columns["run.stride"][run]
            words = sum(size for _, size, _, _ in template["drives"])
            carried = columns["drive.word"][at + nth * words :][:words]
            yield header["queues"][queue], cycle, template, value, carried


def test_every_issue_can_be_read_back(shown):
    """The text of a template, with the value in its place, is what the assembler takes."""
    program, header, columns = shown
    found = Counter()
    for queue, cycle, template, value, _ in issues(header, columns):
        instruction = asm.parse_instruction(template["text"].format(value))
        assert template["mnemonic"] == instruction.mnemonic
        assert template["unit"] == queue["unit"]
        for flows, groups in (("samples", instruction.samples), ("drives", instruction.drives)):
            said = [(d, size, index, after) for d, size, index, after in template[flows]]
            real = [(g.direction, g.size, g.index, after) for g, after in groups(program.config)]
            assert said == real
        assert template["lasts"] == instruction.lasts(program.config)
        found[queue["name"], cycle, instruction] += 1
    assert found == Counter(
        (queue, cycle, instruction)
        for queue, runs in program.runs.items()
        for run in runs
        for cycle, instruction in run.issues()
    )


def test_every_word_is_what_the_golden_model_shows(shown):
    """A word that is driven stands a stop farther in the next cycle, in a trace."""
    program, header, columns = shown
    result = model.run(program, trace=True)
    words = columns["word.bytes"].reshape(-1, program.config.vector)
    assert len(np.unique(words, axis=0)) == len(words) == header["values"]["words"]
    assert header["values"]["until"] is None
    driven = 0
    for queue, cycle, template, _, carried in issues(header, columns):
        groups = [[*group, n] for group in template["drives"] for n in range(group[1])]
        for (direction, size, index, after, n), word in zip(groups, carried, strict=True):
            step = 1 if direction == "E" else -1
            stop, then, stream = queue["stop"] + step, cycle + after + 1, size * index + n
            driven += 1
            if 0 <= stop < program.config.floorplan.stops and then < result.cycles:
                at = then, int(direction == "W"), stop, stream
                assert result.trace.valid[at].all()
                np.testing.assert_array_equal(result.trace.data[at], words[word])
            else:
                assert word >= 0
    assert driven == result.counters.stream_words


def test_operations_and_reasons_are_those_of_the_schedule(shown):
    program, header, columns = shown
    placed = program.operations
    found = reasons(program.config, placed)
    strings = header["strings"]
    assert [strings[n] for n in columns["op.name"]] == [operation.name for operation, _ in placed]
    assert columns["op.start"].tolist() == [start for _, start in placed]
    assert columns["op.end"].tolist() == [start + operation.end for operation, start in placed]
    assert columns["op.first"].tolist() == [start + operation.first for operation, start in placed]
    kinds = [header["reason_kinds"][n] for n in columns["op.reason"]]
    said = zip(kinds, columns["op.holder"], [strings[n] for n in columns["op.resource"]],
               columns["op.cycle"], columns["op.slack"], strict=True)  # fmt: skip
    assert list(said) == [tuple(vars(reason).values()) for reason in found]
    assert (header["path"], header["path_cycles"]) == critical_path(placed, found)
    assert sum(header["path_cycles"].values()) == header["cycles"] == program.cycles
    for plane in header["planes"]:
        assert plane["busy"] + sum(plane["idle"].values()) == program.cycles
    # Runs belong to the operations that issue them.
    owners = Counter(columns["run.operation"].tolist())
    assert owners == {n: len(operation.runs) for n, (operation, _) in enumerate(placed)}


def test_places_are_those_of_the_floor_plan(shown):
    program, header, _ = shown
    plan = program.config.floorplan
    assert [s["name"] for s in header["slices"]] == [s.name for s in plan.slices]
    assert [(q["name"], q["stop"]) for q in header["queues"]] == [
        (q.name, q.stop) for q in plan.queues
    ]
    assert [header["slices"][q["slice"]]["name"] for q in header["queues"]] == [
        q.slice.name for q in plan.queues
    ]
    assert header["config"]["vector"] == program.config.vector
    said = [(t["name"], t["role"], plan.queues[t["bank"]].name, t["address"], t["words"])
            for t in header["tensors"]]  # fmt: skip
    assert said == [
        (t.name, t.role, f"{t.slice}.{t.bank}", t.address, t.words) for t in program.tensors
    ]


def test_a_program_from_a_file_shows_the_same_issues():
    program = KERNELS["attention on small"]().program
    bare = binary.from_binary(binary.to_binary(program))
    assert not bare.operations
    views = [unpack(view_data(p).payload) for p in (program, bare)]
    one, other = (
        Counter(
            (queue["name"], int(cycle), template["text"], int(value), carried.tobytes())
            for queue, cycle, template, value, carried in issues(*view)
        )
        for view in views
    )
    texts = [{(q, c, t, v) for q, c, t, v, _ in found} for found in (one, other)]
    assert texts[0] == texts[1]
    # It knows no names, but what is loaded before the run, and what is read after it.
    header, _ = views[1]
    assert {tensor["role"] for tensor in header["tensors"]} == {"input", "output"}
    assert {tensor["name"] for tensor in header["tensors"]} == {""}


def test_equal_programs_have_equal_views():
    program = KERNELS["long softmax on small"]().program
    assert view_data(program).payload == view_data(program).payload


def test_values_may_be_left_out():
    header, columns = unpack(
        view_data(KERNELS["matmul on nano"]().program, with_values=False).payload
    )
    assert header["values"] is None
    assert not {"word.bytes", "drive.word", "run.drive"} & set(columns)


def test_values_beyond_the_budget_are_left_out_from_a_cycle_on():
    program = KERNELS["attention on small"]().program
    view = view_data(program, budget=2000)
    header, columns = unpack(view.payload)
    assert 0 < view.until < program.cycles
    assert header["values"]["until"] == view.until
    full = view_data(program)
    assert full.until is None
    for _, cycle, template, _, carried in issues(header, columns):
        for (_, _, _, after), word in zip(template["drives"], carried, strict=False):
            assert (word >= 0) == (cycle + after < view.until)
    assert len(view.payload) < len(full.payload)


def test_a_fault_is_told_and_nothing_is_known_after_it():
    """A write of a word that nobody drives."""
    runs = {
        "MEM_W0.0": [Run(0, Write(address=0, stream=SG1("E", 3)))],
        "MEM_W1.0": [Run(5, Read(address=0, stream=SG1("E", 3)))],
    }
    header, columns = unpack(view_data(assemble(NANO, runs)).payload)
    assert header["fault"] == "invalid in MEM_W0 at cycle 1"
    assert columns["drive.word"].tolist() == [-1]
    assert header["reason_kinds"][columns["op.reason"][0]] == "flow"


@pytest.mark.parametrize("name", ["nano", "small"])
def test_a_program_that_is_wrong_can_be_shown(name, tmp_path):
    """Whatever is wrong with it, and up to the fault of the golden model; as a trace, too."""
    config = preset(name)
    seen = Counter()
    for faulty in faulty_programs(config, range(1), 6):
        header, columns = unpack(view_data(faulty.program).payload)
        if not faulty.announced:
            assert header["fault"] == str(faulty.fault)
        end = header["cycles"] if faulty.announced else faulty.fault.cycle
        for _, cycle, template, _, carried in issues(header, columns):
            flows = [after for _, size, _, after in template["drives"] for _ in range(size)]
            known = [cycle + after for after, w in zip(flows, carried, strict=True) if w >= 0]
            assert max(known, default=0) <= end
        assert sum(header["path_cycles"].values()) == header["cycles"]
        seen[faulty.fault.kind] += 1
        write_trace(tmp_path / "x.perfetto", faulty.program)
    assert len(seen) > 3


@pytest.mark.parametrize("seed", range(1))
def test_words_of_random_programs_are_what_the_golden_model_shows(seed):
    """With programs that no kernel would make."""
    program = Generator(SMALL, seed).grow().program(f"seed {seed}")
    header, columns = unpack(view_data(program).payload)
    words = columns["word.bytes"].reshape(-1, SMALL.vector)
    result = model.run(program, trace=True)
    assert sum(len(carried) for *_, carried in issues(header, columns)) == (
        result.counters.stream_words
    )
    for queue, cycle, template, _, carried in issues(header, columns):
        groups = [[*group, n] for group in template["drives"] for n in range(group[1])]
        for (direction, size, index, after, n), word in zip(groups, carried, strict=True):
            stop = queue["stop"] + (1 if direction == "E" else -1)
            at = cycle + after + 1, int(direction == "W"), stop, size * index + n
            if 0 <= stop < SMALL.floorplan.stops and at[0] < result.cycles:
                np.testing.assert_array_equal(result.trace.data[at], words[word])


def test_what_a_run_took_is_told():
    program = KERNELS["matmul on nano"]().program
    view = view_data(program, measured=7, fault="late", ideal=3, with_values=False)
    header, _ = unpack(view.payload)
    assert (header["measured"], header["fault"], header["ideal"]) == (7, "late", 3)


def test_a_program_of_nothing_can_be_shown():
    header, columns = unpack(view_data(Program(NANO, {})).payload)
    assert (header["cycles"], header["path"], header["path_cycles"]) == (0, [], {})
    assert all(not len(column) for column in columns.values())


def test_a_chain_knows_the_operations_of_its_kernels():
    first, second = softmax(SMALL, fp16(9, 16)), rmsnorm(SMALL, fp16(9, 16), fp16(16))
    program = chain(first, second).program
    names = [operation.name for operation, _ in program.operations]
    parts = [[o.name for o, _ in kernel.program.operations] for kernel in (first, second)]
    assert names[: len(parts[0])] == parts[0]
    assert names[-len(parts[1]) :] == parts[1]
    assert any(name.startswith("copy") for name in names)
    found = Counter(
        (queue, start + cycle, instruction)
        for operation, start in program.operations
        for queue, run in operation.runs
        for cycle, instruction in run.issues()
    )
    real = ((q, run) for q, runs in program.runs.items() for run in runs)
    assert found == Counter((q, cycle, i) for q, run in real for cycle, i in run.issues())


def test_replaced_fields_forget_the_operations():
    program = KERNELS["matmul on nano"]().program
    assert program.operations
    assert not replace(program, queues={}).operations
    assert program.with_data((), (), "other").operations == program.operations


def test_operations_of_a_found_program_are_in_the_order_of_their_starts():
    placed = operations(replace(KERNELS["attention on small"]().program))
    starts = [start for _, start in placed]
    assert starts == sorted(starts)
    assert all(isinstance(operation, Operation) for operation, _ in placed)
    assert any("abc in MXM" in operation.name for operation, _ in placed)


def test_the_container_holds_what_fits_its_columns():
    columns = {
        "a": Column(np.array([3, 1, 2]), "u8"),
        "b": Column(np.array([5, -7, 2**31 - 8]), "i32", delta=True),
        "c": Column(np.array([0, 2**32 - 1]), "u32"),
        "d": Column(np.array([], int), "u16"),
    }
    header, found = unpack(pack({"name": "æ"}, columns))
    assert header["name"] == "æ"
    for name, column in columns.items():
        assert found[name].tolist() == column.data.tolist()
        assert header["columns"][name]["offset"] % 8 == 0
    with pytest.raises(InputError, match="column a of a view holds 0 to 255, not 3 to 256"):
        pack({}, {"a": Column(np.array([3, 256]), "u8")})
    with pytest.raises(InputError, match="no payload of a view"):
        unpack(gzip.compress(b"TSPVIEW2"))


PAGE = (Path(__file__).parents[1] / "docs" / "view.md").read_text(encoding="utf-8")


def test_the_page_names_all_that_a_view_holds(shown):
    _, header, columns = shown
    reference = PAGE[PAGE.index("## The file") :]
    for name in (*header, *columns, *header["templates"][0]):
        assert f"`{name}`" in reference, name
    assert f"| `version` | {header['version']} |" in reference
    reasons = re.findall(r"^\| `(\w+)` \|", PAGE[PAGE.index("| reason |") :], re.M)
    assert set(reasons[: len(KINDS)]) == set(KINDS)
    idle = re.findall(r"^\| `(\w+)` \|", PAGE[PAGE.index("| idle |") :], re.M)
    assert set(idle[: len(IDLE)]) == set(IDLE)


LOOKED_AT = {
    "matmul --m 64 --k 64 --n 64": lambda: matmul(SMALL, fp16(64, 64), fp16(64, 64), DType.FP32),
    "attention --seq 64 --heads 2 --causal": lambda: attention(
        SMALL, fp16(64, 2, 64), fp16(64, 2, 64), fp16(64, 2, 64), causal=True
    ),
    "ffn --config duo32 --seq 1 --width 576 --inner 1536 --weight-dtype int8": lambda: ffn(
        DUO,
        fp16(1, 576),
        **{name: int8(576, 1536) for name in ("gate", "up")},
        down=int8(1536, 576),
        scales={n: np.ones(576 if n == "down" else 1536) for n in ("gate", "up", "down")},
    ),
}


@pytest.mark.parametrize("command", LOOKED_AT)
def test_the_page_says_where_the_cycles_went(command):
    program = LOOKED_AT[command]().program
    view = view_data(program, with_values=False)
    rows = PAGE[PAGE.index("| program | cycles |") :].splitlines()[2:]
    begin = next(n for n, row in enumerate(rows) if row.startswith(f"| `{command}`"))
    said = [row.strip("| ").split(" | ")[1:] for row in rows[begin : begin + 2]]
    sums = [f"{view.program.cycles:,}", listed(view.spent)]
    assert said[0] == [*sums, f"{view.planes[0].busy:,}", listed(view.planes[0].idle)]
    other = view.planes[-1]
    if other.idle != view.planes[0].idle:
        assert said[1] == [*sums, f"{other.busy:,}", listed(other.idle)]


def listed(cycles):
    """Kinds with their cycles, the most first, as the page has them."""
    ordered = sorted(cycles.items(), key=lambda item: -item[1])
    return ", ".join(f"{kind} {count:,}" for kind, count in ordered)
