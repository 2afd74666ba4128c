"""Lint of the exported Verilog. Oracles: Verilator, Icarus Verilog, Yosys; each finds a fault."""

import json
import shutil
from fnmatch import fnmatchcase

import pytest
from click.testing import CliRunner

from tsp.hw.config import preset
from tsp.sim.cli import main
from tsp.sim.lint import TOOLS, WAIVERS, lint

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


def test_every_waiver_is_needed():
    """Without waivers Verilator complains of just what they cover, and of every one."""
    found = lint(NANO, "verilator", waivers=()).findings
    used = set()
    for finding in found:
        rule, _, message = finding.removeprefix("Warning-").partition(": ")
        message = message.split(": ", 1)[1]
        covered = [
            w
            for w in WAIVERS
            if w.tool == "verilator" and w.rule == rule and fnmatchcase(message, w.match)
        ]
        assert covered, finding
        used.update(covered)
    assert used == {w for w in WAIVERS if w.tool == "verilator"}


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


def test_tools_that_there_are():
    with pytest.raises(ValueError, match="tool must be one of verilator, icarus, yosys, not 'x'"):
        lint(NANO, "x")


def test_the_command(monkeypatch):
    """Clean, as JSON; and a tool that is not installed."""
    runner = CliRunner()
    result = runner.invoke(main, ["lint", "--config", "nano", "--tool", "verilator", "--json"])
    assert result.exit_code == 0, result.output
    (row,) = json.loads(result.stdout)["reports"]
    assert (row["config"], row["tool"], row["clean"]) == ("nano", "verilator", True)
    # An empty PATH has no tools.
    monkeypatch.setattr(shutil, "which", lambda name: None)
    result = runner.invoke(main, ["lint", "--config", "nano", "--tool", "icarus"])
    assert result.exit_code == 1
    assert "make install-icarus" in result.stderr
