"""The command ``tsp exec``. Oracles: the image of the program, cycles counted by hand, numpy."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from tsp.hw.config import preset
from tsp.sim.asm import parse_program
from tsp.sim.binary import to_binary
from tsp.sim.cli import main
from tsp.sim.cli.execute import SHOWN

COPY = """
.program copy
.config nano
.queue MEM_W1.0
    notify
    read 5 sg1.e7
    repeat count=1 stride=1
.queue MEM_E1.1
    sync
    nop 4
    write address=9 stream=sg1.e7
    repeat count=1 stride=1
.image MEM_W1.0 address=5
    00010203
    fffefdfc
.output MEM_E1.1 address=9 words=2
"""
"""A read drives in t + 3; two hops on, a write samples in t + 1, and the last word lands."""
WORDS = ["00010203", "fffefdfc"]


def tsp(*words):
    return CliRunner().invoke(main, list(map(str, words)))


@pytest.fixture
def copy(tmp_path):
    """The program as text and as ``tsp asm`` writes it."""
    text, binary = tmp_path / "copy.tsp", tmp_path / "copy.npz"
    text.write_text(COPY)
    done = tsp("asm", text, "--output", binary)
    assert done.exit_code == 0, done.output
    return {"text": text, "binary": binary}


@pytest.mark.parametrize("form", ["text", "binary"])
@pytest.mark.parametrize("backend", ["golden", "pysim", "rtl"])
def test_json(copy, form, backend):
    done = tsp("exec", copy[form], "--backend", backend, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["program"], found["config"], found["backend"]) == ("copy", "nano", backend)
    assert found["cycles_scheduled"] == found["cycles_measured"] > 0
    assert found["fault"] is None
    assert found["outputs"] == [{"bank": "MEM_E1.1", "address": 9, "words": WORDS}]
    assert found["instructions"] == {"MEM_W1.0": 2, "MEM_E1.1": 2}
    assert found["activation_vectors"] == {}
    assert found["stream_words"] == 2


def test_a_binary_may_have_any_name(copy, tmp_path):
    """What is in a file tells what it is."""
    other = copy["binary"].rename(tmp_path / "program.bin")
    assert WORDS[1] in tsp("exec", other, "--backend", "golden").stdout
    assert tsp("disasm", other).stdout == tsp("disasm", copy["text"]).stdout


def test_text(copy):
    done = tsp("exec", copy["text"], "--backend", "golden")
    assert done.exit_code == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["fault", "none"] in lines
    assert ["issued", "in", "MEM_E1.1", "2"] in lines
    assert lines[-2:] == [["9", WORDS[0]], ["10", WORDS[1]]]


def test_long_outputs_are_cut_and_files_have_them(copy, tmp_path):
    words = SHOWN + 8
    text, out = tmp_path / "long.tsp", tmp_path / "long"
    text.write_text(
        COPY.replace("count=1", f"count={words - 1}")
        .replace("words=2", f"words={words}")
        .replace("    fffefdfc\n", "    fffefdfc\n" * (words - 1))
    )
    done = tsp("exec", text, "--backend", "golden", "--out", out)
    assert done.exit_code == 0, done.output
    assert done.stdout.count(WORDS[1]) == SHOWN - 1
    assert "and 8 more words; --out FILE writes them all" in done.stdout
    with np.load(out) as saved:
        assert saved.files == ["output 0"]
        expected = np.array([[0, 1, 2, 3], *[[255, 254, 253, 252]] * (words - 1)])
        np.testing.assert_array_equal(saved["output 0"], expected)


@pytest.mark.parametrize("backend", ["golden", "pysim", "rtl"])
def test_a_fault_is_told_and_is_the_exit_status(copy, backend):
    """The write comes a cycle late, and samples what is no longer there in the second."""
    copy["text"].write_text(COPY.replace("nop 4", "nop 5"))
    done = tsp("exec", copy["text"], "--backend", backend, "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["fault"].startswith("invalid in MEM_E1 at cycle ")


@pytest.mark.parametrize("form", ["text", "binary"])
@pytest.mark.parametrize("backend", ["golden", "pysim", "rtl"])
def test_a_program_that_is_known_to_be_wrong(copy, form, backend, tmp_path):
    """Is refused, or runs into the fault that its queue traps, in the cycles that are foretold."""
    last = preset("nano").bank_words - 1
    text = COPY.replace("read 5", f"read {last}")
    copy["text"].write_text(text)
    copy["binary"].write_bytes(to_binary(parse_program(text, checked=False)))
    done = tsp("exec", copy[form], "--backend", backend)
    assert done.exit_code == 1
    assert f"read address must be 0 to {last} on nano, not {last + 1}" in done.stderr
    done = tsp("exec", copy[form], "--backend", backend, "--unchecked", "--json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert found["fault"] == "address in MEM_W1 at cycle 1"
    assert found["cycles_measured"] == found["cycles_scheduled"]


def test_waves(copy, tmp_path):
    path = tmp_path / "copy.vcd"
    done = tsp("exec", copy["binary"], "--backend", "rtl", "--waves", path)
    assert done.exit_code == 0, done.output
    assert path.read_text().count("$var") > 100
    done = tsp("exec", copy["binary"], "--backend", "golden", "--waves", path)
    assert "the golden back end writes no waveforms; use rtl or pysim" in done.output
    made = tmp_path / "made" / "copy.vcd"  # missing folders are made
    done = tsp("exec", copy["binary"], "--backend", "rtl", "--waves", made)
    assert done.exit_code == 0, done.output
    assert made.read_text().count("$var") > 100


def test_what_is_no_program(tmp_path):
    path = tmp_path / "program.tsp"
    for data, message in {
        b"PK\x03\x04 and nothing more": "the data is not a program",
        b"\xff\x00\xff": f"{path} is not a program: neither UTF-8 text nor the output of `tsp asm`",
        b".program x\n.config none": "line 2: ",
        b"": "config",
    }.items():
        path.write_bytes(data)
        done = tsp("exec", path, "--backend", "golden")
        assert done.exit_code == 1
        assert done.stderr.startswith("Error: ")
        assert message in done.stderr, done.stderr
        assert done.stderr.count("\n") == 1


def test_version():
    done = tsp("--version")
    assert done.exit_code == 0
    assert done.output.split()[0] == "tsp"
    assert done.output.split()[1][0].isdigit()
