"""Lint: Verilator reads the exported Verilog for faults of style, Icarus and Yosys for sense."""

import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tsp.hw.errors import InputError, ToolError
from tsp.sim import files
from tsp.sim.backends.kit import workshop
from tsp.sim.lint.pieces import pieces
from tsp.sim.tools import run, tool, which, yosys
from tsp.sim.verilog import top, verilog

PREFIX = "tsp"
"""Of all modules' names in what the tools are given."""

_SCRIPT = """\
read_verilog ports.v chip.v
hierarchy -check {top}
proc
check -assert
"""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What one tool says about the Verilog of one configuration.

    Parameters
    ----------
    config : str
    tool : str
    seconds : float
    findings : list of str
        Errors, and warnings but those that the text itself waives.
    message : str, optional
        Why the tool said nothing: then nothing is known.
    skipped : bool
        The tool is not installed, and was not asked for by name.
    """

    config: str
    tool: str
    seconds: float
    findings: list
    message: str | None = None
    skipped: bool = False

    @property
    def clean(self):
        """Whether there is nothing to find fault with."""
        return not self.findings and self.message is None


def lint(config, name, source=None, whole=None):
    """Let a tool read the Verilog of a configuration.

    Simulators read the form that they are given to run, and Yosys that for synthesis. A tool reads
    a core whole, with all instances of every module, or in pieces, each module by
    itself. Only in a whole core are loops found that lead through several modules.

    Parameters
    ----------
    config : Config
    name : str
        One of ``TOOLS``.
    source : Path, optional
        Verilog to read instead of the export of `config`.
    whole : bool, optional
        By default cores of one superlane are read whole, and larger ones in pieces.

    Returns
    -------
    Report

    Raises
    ------
    ValueError
        If there is no such tool.
    ToolError
        If it is not installed.
    """
    if name not in TOOLS:
        raise InputError(f"tool must be one of {', '.join(TOOLS)}, not {name!r}")
    form = "instances" if name == "yosys" else "loops"
    text = files.read_text(source) if source else verilog(config, form, prefix=PREFIX)
    if whole is None:
        whole = config.superlanes == 1
    text, ports = (text, "") if whole else pieces(text)
    with tempfile.TemporaryDirectory(prefix="tsp-") as scratch:
        (Path(scratch) / "chip.v").write_text(text)
        (Path(scratch) / "ports.v").write_text(ports)
        began = time.perf_counter()
        findings = TOOLS[name](Path(scratch), top(PREFIX) if whole else None)
        seconds = time.perf_counter() - began
    return Report(config=config.name, tool=name, seconds=seconds, findings=findings)


def missing(name):
    """Why the tool `name` cannot be asked and what to do about it; None if it is installed."""
    if name == "icarus" and not which("iverilog"):
        return "Icarus Verilog is not installed; run `make install-icarus`"
    if name == "yosys":
        try:
            yosys("")
        except ToolError as error:
            return str(error)
    return None


def _verilator(scratch, top):
    (scratch / "ports.vlt").write_text('`verilator_config\nlint_off -file "*ports.v"\n')
    command = ["verilator", "--lint-only", "-Wall", "-Wno-fatal"]
    command += ["--top-module", top] if top else ["-Wno-MULTITOP"]
    command += ["--timescale", "1ns/1ps", "ports.vlt", "ports.v", "chip.v"]
    with workshop() as (_, env):
        code, log = run(command, scratch, env=env)
    findings = re.findall(r"^%((?:Warning|Error).*)", log, re.M)
    return findings + _failed(code, findings, log)


def _icarus(scratch, top):
    if why := missing("icarus"):
        raise ToolError(why)
    # What is elaborated is thrown away.
    arguments = ["-g2005", "-t", "null", *(["-s", top] if top else []), "ports.v", "chip.v"]
    code, log = run([tool("iverilog"), *arguments], scratch)
    findings = log.splitlines()
    return findings + _failed(code, findings, log)


def _yosys(scratch, top):
    (scratch / "lint.ys").write_text(_SCRIPT.format(top=f"-top {top}" if top else ""))
    code, log = run(yosys("lint.ys"), scratch)
    findings = re.findall(r"^(?:\S+: )?Warning: (.*)", log, re.M)
    findings += re.findall(r"^(?:\S+: )?(ERROR: .*)", log, re.M)
    return findings + _failed(code, findings, log)


def _failed(code, findings, log):
    """A finding for a tool that failed and named none."""
    return [f"failed: {log[-500:]}"] if code and not findings else []


TOOLS = {"verilator": _verilator, "icarus": _icarus, "yosys": _yosys}
"""Tools by name; each is given a directory with `chip.v` and `ports.v`, and the top module, or
None if all modules are tops."""
