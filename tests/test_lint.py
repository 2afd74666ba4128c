"""Lint of the exported Verilog. Oracles: Verilator, Icarus Verilog, Yosys; each finds a fault."""

import json
import re
import shutil
from fnmatch import fnmatchcase

import pytest
from click.testing import CliRunner

from tsp.hw.config import preset
from tsp.hw.export import WAIVERS
from tsp.sim.cli import main
from tsp.sim.lint import TOOLS, lint
from tsp.sim.verilog import verilog

NANO = preset("nano")
HERE = [name for name in TOOLS if name != "icarus" or shutil.which("iverilog")]
"""Tools that this machine has; Icarus Verilog is optional."""


@pytest.mark.parametrize("name", [name for name in HERE if name != "verilator"])
def test_nano_is_clean(name):
    """Of Verilator, `test_the_command` says so."""
    assert lint(NANO, name).findings == []


@pytest.mark.full
@pytest.mark.parametrize("name", HERE)
def test_small_is_clean(name):
    """`make lint-rtl` has all presets."""
    assert lint(preset("small"), name).findings == []


COVERED = {
    "DECLFILENAME": [("DECLFILENAME", "*")],
    "PINCONNECTEMPTY": [("PINCONNECTEMPTY", "*")],
    "UNUSEDSIGNAL": [("UNUSEDSIGNAL", "*")],
    "WIDTH": [
        ("WIDTHEXPAND", "*"),
        ("WIDTHTRUNC", "Logical operator LOGNOT expects 1 bit*"),
        (
            "WIDTHTRUNC",
            "Operator ASSIGN* bits on the Assign RHS, but Assign RHS's SHIFTR generates*",
        ),
    ],
    "CASEINCOMPLETE": [("CASEINCOMPLETE", "*")],
    "BLKSEQ": [("BLKSEQ", "*")],
}
"""What each waiver is for, as Verilator puts it; a waiver itself can only name a rule."""


@pytest.mark.parametrize("name", ["nano", pytest.param("small", marks=pytest.mark.full)])
def test_every_waiver_is_needed(tmp_path, name):
    """Without waivers Verilator complains of just what they are for, and of every one."""
    text = verilog(preset(name), prefix="tsp")
    bare = re.sub(r"^// verilator lint_off .*\n", "", text, flags=re.M)
    assert text.count("\n") - bare.count("\n") == len(WAIVERS)
    source = tmp_path / "bare.v"
    source.write_text(bare)
    used = set()
    for finding in lint(preset(name), "verilator", source).findings:
        rule, _, message = finding.removeprefix("Warning-").partition(": ")
        message = message.split(": ", 1)[1]
        covered = {
            (waiver, pattern)
            for waiver, patterns in COVERED.items()
            for of, pattern in patterns
            if of == rule and fnmatchcase(message, pattern)
        }
        assert covered, finding
        used |= covered
    assert used == {(waiver, p) for waiver, patterns in COVERED.items() for _, p in patterns}
    assert list(COVERED) == [waiver.rule for waiver in WAIVERS]


TOP = "module tsp_chip(input clk, input a, input b, output reg y);\n{}\nendmodule\n"
FAULTS = [
    ("verilator", "always @* if (a) y = b;", "LATCH"),
    ("verilator", "wire [1:0] w; assign w = {a, b}; always @* y = w;", "WIDTHTRUNC"),
    ("verilator", "wire w; always @* y = a & b & w;", "UNDRIVEN"),
    ("verilator", "missing m(.a(a)); always @* y = b;", "missing"),
    ("icarus", "always @* y = nobody;", "nobody"),
    ("icarus", "missing m(.a(a)); always @* y = b;", "missing"),
    ("yosys", "missing m(.a(a)); always @* y = b;", "missing"),
    ("yosys", "wire w; assign w = a; assign w = b; always @* y = w;", "multiple conflicting"),
    ("yosys", "wire w; assign w = w ^ a; always @* y = w;", "logic loop"),
    ("yosys", "wire w; always @* y = a & b & w;", "no driver"),
]


@pytest.mark.parametrize(("name", "body", "word"), [f for f in FAULTS if f[0] in HERE])
def test_faults_are_found(tmp_path, name, body, word):
    source = tmp_path / "fault.v"
    source.write_text(TOP.format(body))
    report = lint(NANO, name, source)
    assert not report.clean
    assert any(word in finding for finding in report.findings), report.findings


CHILD = "module child(\n  a, y);\n  input [1:0] a;\n  output [1:0] y;\n{}\nendmodule\n"
PARENT = "module tsp_chip(input [1:0] b, output [1:0] z);\n  wire [1:0] c;\n{}\nendmodule\n"
GOOD = "  assign y = ~a;", "  child one (\n.a(b), .y(c));\n  child two (\n.a(c), .y(z));"
IN_PIECES = [
    ("verilator", *GOOD, None),
    ("icarus", *GOOD, None),
    ("yosys", *GOOD, None),
    ("verilator", "  assign y[0] = a[0];", GOOD[1], "UNDRIVEN"),
    ("verilator", GOOD[0], "  child one (\n.a(b[0]), .y(c));\n  assign z = c;", "WIDTHEXPAND"),
    ("verilator", GOOD[0], "  child one (\n.y(c));\n  assign z = b ^ c;", "PINMISSING"),
    ("icarus", GOOD[0], "  child one (\n.b(b), .y(c));\n  assign z = c;", "not a port"),
    ("yosys", "  assign y = a ^ y;", GOOD[1], "logic loop"),
    ("yosys", GOOD[0], GOOD[1] + "  assign c = b;", "multiple conflicting"),
]


@pytest.mark.parametrize(
    ("name", "child", "parent", "word"), [f for f in IN_PIECES if f[0] in HERE]
)
def test_faults_are_found_in_pieces(tmp_path, name, child, parent, word):
    """In the inner module, and where it is bound; and none is found that is none."""
    source = tmp_path / "pieces.v"
    source.write_text(CHILD.format(child) + PARENT.format(parent))
    findings = lint(NANO, name, source, whole=False).findings
    findings = [f for f in findings if not f.startswith("Warning-DECLFILENAME")]
    if word is None:
        assert findings == []
    else:
        assert any(word in finding for finding in findings), findings


def test_a_loop_through_modules_is_found_in_a_whole_core(tmp_path):
    source = tmp_path / "loop.v"
    loop = "  child one (\n.a(c ^ b), .y(c));\n  assign z = c;"
    source.write_text(CHILD.format(GOOD[0]) + PARENT.format(loop))
    findings = lint(NANO, "verilator", source, whole=True).findings
    assert any("UNOPTFLAT" in finding for finding in findings), findings


@pytest.mark.parametrize("name", [name for name in HERE if name != "yosys"])
def test_nano_is_clean_in_pieces(name):
    """As larger cores are read; `make lint-rtl` has Yosys read them so too."""
    assert lint(NANO, name, whole=False).findings == []


def test_tools_that_there_are():
    with pytest.raises(ValueError, match="tool must be one of verilator, icarus, yosys, not 'x'"):
        lint(NANO, "x")


def test_the_command(monkeypatch):
    """Clean, as JSON; and a tool that is not installed leaves its report unknown, and no other."""
    runner = CliRunner()
    result = runner.invoke(main, ["lint", "--config", "nano", "--tool", "verilator", "--json"])
    assert result.exit_code == 0, result.output
    (row,) = json.loads(result.stdout)["reports"]
    assert (row["config"], row["tool"], row["clean"]) == ("nano", "verilator", True)
    # An empty PATH has no tools.
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    tools = ["--tool", "icarus", "--tool", "verilator"]
    result = runner.invoke(main, ["lint", "--config", "nano", *tools, "--json"])
    assert result.exit_code == 1
    assert "make install-icarus" in result.stderr
    unknown, clean = json.loads(result.stdout)["reports"]
    assert not unknown["clean"]
    assert "make install-icarus" in unknown["message"]
    assert (clean["clean"], clean["message"]) == (True, None)


def test_the_command_skips_what_is_not_installed(monkeypatch):
    """And says how to install it; what else there is decides. Unless it is asked for by name."""
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    result = CliRunner().invoke(main, ["lint", "--config", "nano"])
    assert result.exit_code == 0, result.output
    results = dict(re.findall(r"^ *nano +(\w+) .* (\w+) *$", result.stdout, re.M))
    assert results == {"verilator": "clean", "icarus": "skipped", "yosys": "skipped"}
    assert "run `make install-icarus`" in result.stderr
    assert "pyosys is not installed" in result.stderr
