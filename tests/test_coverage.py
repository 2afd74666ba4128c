"""Coverage. Oracles: a coverage file written out here, and bins worked out by hand."""

import json
from collections import Counter
from dataclasses import replace

import pytest
from click.testing import CliRunner
from configs import PAIR

from tsp.hw.config import PRESETS
from tsp.hw.isa import IMM, SG1, SG4, AddF, Alu, Read, SubF
from tsp.sim.cli import main
from tsp.sim.coverage import counts, holes, programs, report, run
from tsp.sim.coverage.bins import Bin, bins, hits
from tsp.sim.coverage.directed import Directed
from tsp.sim.coverage.run import Coverage
from tsp.sim.golden import model
from tsp.sim.program import Run, assemble

NANO = PRESETS["nano"]


def point(kind, module, line, what, count):
    """A line of a coverage file."""
    keys = {"f": "x.v", "l": line, "n": 3, "t": kind, "page": f"v_{kind}/{module}", "o": what}
    keys["h"] = "tsp_chip.core"
    return "C '" + "".join(f"\x01{k}\x02{v}" for k, v in keys.items()) + f"' {count}\n"


FILE = "# SystemC::Coverage-3\n" + "".join(
    [
        point("branch", "hop_l8s8d4w1t4q0", 100, "if", 7),
        point("branch", "hop_l8s8d4w1t4q0", 101, "else", 0),
        point("line", "queue_mem_nano.guard", 9, "block", 2),
        point("line", "mxm_tile_int8_l8t1s8_glue", 9, "block", 2),
        point("line", "mem_bank_glue", 9, "block", 0),
        point("toggle", "hop_l8s8d0w4t0q0", 5, "east__02edata[3][4]:0->1", 0),
        point("toggle", "hop_l8s8d0w4t0q0", 5, "east__02edata[3][5]:0->1", 0),
        point("toggle", "hop_l8s8d0w4t0q0", 5, "valid:1->0", 3),
        point("toggle", "hop_l8s8d0w4t0q0", 5, "__02417[0]:1->0", 0),
        point("toggle", "vxm_lane_x3x2", 5, "v7_sum_1[5][31]:1->0", 0),
        point("toggle", "vxm_lane_x3x2", 5, "v7_sum_1[6][31]:1->0", 0),
        point("toggle", "vxm_lane_x3x2", 5, "nv7_sum_1[31]:1->0", 0),
        point("toggle", "vxm_lane_x3x2", 5, "v8_123[31]:1->0", 0),
    ]
)


@pytest.fixture
def points(tmp_path):
    path = tmp_path / "coverage.dat"
    path.write_text(FILE)
    return counts.read(path)


def test_counts_of_a_file(points):
    """Modules of one family are one; nets without a name are not counted.

    Of loops neither what is calculated for a register nor the elements that pad its array are.
    """
    found = counts.by_family(points)
    assert found == {
        "hop": counts.Covered((1, 2), (1, 3)),
        "mem_bank": counts.Covered((0, 1), (0, 0)),
        "mxm_tile_int": counts.Covered((1, 1), (0, 0)),
        "queue_mem.guard": counts.Covered((1, 1), (0, 0)),
        "vxm_lane": counts.Covered((0, 0), (0, 1)),
        "total": counts.Covered((3, 5), (1, 4)),
    }
    assert counts.Point("hop_l8s8d0w4t0q0", True, "east.data[3][4]:0->1") in points


@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("v7_sum_1[5][31]:1->0", "sum"),
        ("words__0__12[7]:0->1", "words"),
        ("queue_mem_w1_0__issue__word[3]:0->1", "queue_mem_w__issue__word"),
        ("value$12[3]:0->1", "value"),
        ("east.data[3]:0->1", "east.data"),
        ("sg4wide:0->1", "sg4wide"),
    ],
)
def test_signals_that_differ_in_a_number_are_one(what, name):
    assert holes.signal(what) == name


def test_a_reason_explains_what_it_is_true_for():
    """`small` has planes at both ends of the row, `nano` at one."""
    names = Counter({"abc source E3": 2, "mov a imm": 1})
    known, left = holes.explained(names, holes.BINS, NANO)
    assert [(reason.why[:14], many) for reason, many in known] == [("the only plane", 2)]
    assert left == {"mov a imm": 1}
    assert holes.explained(names, holes.BINS, PRESETS["small"]) == ([], names)


def test_bins_of_formats():
    """An int8 datapath has no pairs of streams for vectors, and no other format."""

    def values(config, aspect):
        return {b.value for b in bins(config) if (b.instruction, b.aspect) == ("abc", aspect)}

    sizes = {f"sg{n}.{way}" for n in (1, 2) for way in "EW"}
    assert values(NANO, "dtype") == {"int8"}
    assert values(NANO, "source") & sizes == {"sg1.E", "sg1.W"}
    assert values(PRESETS["small"], "dtype") == {"int8", "fp8_e4m3", "fp8_e5m2", "fp16"}
    assert values(PRESETS["small"], "source") & sizes == sizes


def test_what_a_program_has_closed_stays(monkeypatch):
    """Three issues are a Repeat until others are put between them, which must not stay."""
    spaced, full = Bin("addf", "repeat", "spaced"), Bin("subf", "imm", "all ones")
    made = Directed(NANO, 0, wanted := {spaced, full})
    add = AddF(a=IMM, b=IMM, target=SG1("W", 5), imm=1)
    sub = SubF(a=IMM, b=IMM, target=SG1("W", 5), imm=0xFFFFFFFF)
    placed = iter({"VXM.0": [Run(start, each, 3, 2)]} for start, each in ((40, add), (41, sub)))
    monkeypatch.setattr(made, "_placed", lambda _: next(placed))
    assert {"VXM.0"}.isdisjoint(made.runs)
    made.close(2)
    assert spaced in hits(made.program())
    assert wanted == {full}


def test_lengths_of_lists_of_weights():
    """Bytes or pairs for four columns; twelve columns of bytes, or up to eight of pairs."""

    def lengths(config):
        found = {b.value for b in bins(config) if (b.instruction, b.aspect) == ("lw", "streams")}
        return {int(value.split()[0]) for value in found if value.endswith("streams")}

    assert lengths(NANO) == {1, 2, 3, 4}
    assert lengths(programs.TALL) == {*range(1, 13), 14, 16}


def test_wrong_results_cover_nothing():
    """Whatever the program is called."""
    (program,) = programs.kernel_programs(NANO)[1:2]
    right = model.run(program)
    run._check(program, right)
    wrong = [data.copy() for data in right.outputs]
    wrong[0].flat[0] ^= 1
    with pytest.raises(RuntimeError, match="results of RTL and golden model differ"):
        run._check(program, replace(right, outputs=wrong))


def test_what_is_no_coverage_file_is_refused(tmp_path):
    path = tmp_path / "x.dat"
    path.write_text("nothing\n")
    with pytest.raises(ValueError, match=r"x\.dat is not a coverage file of Verilator"):
        counts.read(path)
    path.write_text("# SystemC::Coverage-3\nC 'what' 5\n")
    with pytest.raises(ValueError, match="a line that is not understood: \"C 'what' 5"):
        counts.read(path)


def test_bins_of_a_program():
    """Two reads in a row with a stride, and an operation on another ALU's output."""
    read = Read(address=254, stream=SG1("E", 3))
    add = AddF(a=Alu(1), b=IMM, target=SG4("W", 1), imm=5)
    made = assemble(PAIR, {"MEM_W0.1": [Run(0, read, 2, 1, 1)], "VXM.0": [Run(4, add)]})
    found = {found for found in hits(made) if found.instruction in ("read", "addf")}
    assert found == {
        Bin("read", "queue", "MEM_W0.1"),
        Bin("read", "repeat", "each cycle"),
        Bin("read", "stride", "+"),
        Bin("read", "address", "between"),
        Bin("read", "address", "255"),
        Bin("read", "stream", "sg1.E"),
        Bin("read", "stream", "E3"),
        Bin("addf", "queue", "VXM.0"),
        Bin("addf", "repeat", "once"),
        Bin("addf", "a", "alu1"),
        Bin("addf", "b", "imm"),
        Bin("addf", "target", "sg4.W"),
        Bin("addf", "wait", "0"),
        Bin("addf", "late", "b"),
        Bin("addf", "imm", "between"),
    }
    assert found <= bins(PAIR)


@pytest.mark.parametrize("name", programs.CONFIGS)
def test_what_can_be_used_has_a_bin(name):
    """No program is in a bin that is not counted; and there are bins for the place in the wave."""
    config = programs.CONFIGS[name]
    every = bins(config)
    for program in programs.kernel_programs(config)[:3]:
        assert set(hits(program)) <= every
    waves = {b.value for b in every if b.value.startswith("in superlane")}
    many = config.superlanes if config.superlanes > 1 else 0
    assert waves == {f"in superlane {i}" for i in range(many)}


def test_directed_programs_use_what_was_open():
    """They run without a fault, and each is in bins that the others are not in."""
    found = programs.directed_programs(NANO, [], 240)
    assert found
    used = set()
    for program in found:
        assert model.run(program).fault is None
        now = set(hits(program))
        assert now - used
        assert now <= bins(NANO)
        used |= now
    assert len(used) > 150


@pytest.mark.parametrize("name", programs.CONFIGS)
def test_programs_that_fault_run_on_to_their_fault(name):
    """The host reads the fault record when a program is done, so a later fault would be missed."""
    found = programs.faulty_programs(programs.CONFIGS[name], 4)
    faults = [(model.run(program).fault, program) for program in found]
    assert all(fault.cycle < program.cycles for fault, program in faults if fault)
    assert sum(fault is not None for fault, _ in faults) > len(found) / 2


def test_a_report_names_reasons_and_what_has_none(points):
    """Oracle: the file above, and two bins; the page and the JSON say the same."""
    every = frozenset({Bin("abc", "source", "E3"), Bin("mov", "a", "imm"), Bin("mov", "a", "alu0")})
    used = Counter({Bin("mov", "a", "imm"): 4})
    found = report.summary(Coverage(NANO, 3, 40, points, used, every))
    assert found["bins"] == {
        "covered": 1,
        "of": 3,
        "explained": {holes.BINS[0].why: 1},
        "open": 1,
        "largest": {"mov a alu0": 1},
    }
    assert (found["lines"]["covered"], found["lines"]["of"]) == (3, 5)
    assert (found["toggles"]["covered"], found["toggles"]["of"]) == (1, 4)
    page = report.markdown([found])
    assert "| nano | 3 | 40 | 33.3% / 50.0% | 60.0% / " in page
    assert f"| bins | 1 | {holes.BINS[0].why} |" in page
    assert "- 1: `mov a alu0`" in page


@pytest.mark.full
def test_the_command_leaves_few_bins_of_nano_open():
    """But for those whose reason is known; every program is compared with the golden model."""
    done = CliRunner().invoke(main, ["coverage", "--config", "nano", "--json"])
    assert not done.exit_code, done.output
    (found,) = json.loads(done.stdout)["configs"]
    assert found["bins"]["open"] == 0
    assert found["lines"]["open"] < 10
    assert found["lines"]["covered"] > 0.9 * found["lines"]["of"]
