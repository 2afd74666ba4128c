"""Formal proofs. Oracle: the solver; and each proof must fail on a design that is broken for it."""

import importlib
import json
import sys
import types
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from amaranth.hdl import Assert, Assume, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out
from click.testing import CliRunner

from tsp.sim.cli import main
from tsp.sim.formal import PROOFS, Method, Outcome, Proof, prove, select
from tsp.sim.formal import proof as module

ROOT = Path(__file__).parents[1]
QUICK = ("queue", "queue-deep", "bank", "round-int8-int32", "round-int8-fp16")
UNITS = {
    "icu": ("hw/icu.py", "queue"),
    "hop": ("hw/hop.py", "hop"),
    "mem": ("hw/mem.py", "bank"),
    "rounding": ("hw/mxm/rounding.py", "rounding"),
}
"""The file of a unit, and the module of its proofs."""


@pytest.mark.parametrize("name", QUICK)
def test_quick_proofs(name):
    assert prove(PROOFS[name], timeout=300).proven


@pytest.mark.full
@pytest.mark.parametrize("name", [name for name in PROOFS if name not in QUICK])
def test_other_proofs(name):
    assert prove(PROOFS[name], timeout=1800).proven


def proofs_of_mutant(monkeypatch, unit, old, new):
    """The proofs of a unit, by name, with `old` replaced by `new` in its source."""
    path, name = UNITS[unit]
    text = (ROOT / path).read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path} has changed; write the mutant anew"
    mutant = types.ModuleType("tsp." + path.removesuffix(".py").replace("/", "."))
    monkeypatch.setitem(sys.modules, mutant.__name__, mutant)
    exec(compile(text.replace(old, new), path, "exec"), mutant.__dict__)
    spec = importlib.util.find_spec(f"tsp.sim.formal.{name}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {proof.name: proof for proof in module.PROOFS}


MUTANTS = [
    ("queue", "icu", "last_turn.eq(turn == period)", "last_turn.eq(turn + 1 == period)"),
    ("queue", "icu", 'repetition == repeat["count"]', "repetition == 5"),
    ("queue", "icu", "last_turn.eq(meaning.brief)", "last_turn.eq(1)"),
    ("queue", "icu", "repeatable.eq(pass_on)", "repeatable.eq(1)"),
    ("queue", "icu", '~counts & ~unused,\n            "notify', '~unused,\n            "notify'),
    ("queue", "icu", "word[at : at + width] + stride", "word[at : at + width]"),
    ("queue", "icu", "parked & self.resume", "self.resume"),
    ("queue", "icu", "remaining_here & missing_here & ~starved", "remaining_here & missing_here"),
    ("queue-deep", "icu", "ended[-1].eq(ended[-2])", "ended[-1].eq(1)"),
    ("queue-deep", "icu", "with m.If(before):", "with m.If(issuing):"),
    ("bank", "mem", "(access, driving)", "(self.north, driving)"),
    ("bank", "mem", "before.write | after.read", "before.write"),
    ("bank", "mem", "host_write, access.write", "host_write, access.write & ~access.westward"),
    ("bank", "mem", "Mux(answering, read.data, 0)", "read.data"),
    ("hop-vxm", "hop", "twice = twice | (seen & mask)", "twice = seen & mask"),
    ("hop-mem", "hop", "westward == (row is self.west)", "westward == (row is self.east)"),
    ("hop-mem", "hop", "here.valid.eq(row.valid.bit_select(stream, 1))", "here.valid.eq(1)"),
    ("hop-mem", "hop", "arriving.any() | valid.any() | driven", "arriving.any() | driven"),
    ("hop-sxm", "hop", "port.quad << 2", "port.quad << 1"),
    ("hop-mem-synthesis", "hop", "Mux(driven[n], 0, word)", "word"),
    ("hop-vxm-synthesis", "hop", "Mux(mask[n], driving", "Mux(mask[0], driving"),
    ("hop-sxm-synthesis", "hop", "driving[n % len(driving)], 0)", "driving[0], 0)"),
    ("round-int8-int32", "rounding", "Mux(negative, -rounded, rounded)", "rounded"),
    ("round-fp16-int32", "rounding", "beyond | infinite | rounded[32]", "beyond | rounded[32]"),
    ("round-int8-fp16", "rounding", "exponent > 15, _FP16", "exponent > 16, _FP16"),
    ("round-int8-fp16", "rounding", "(sticky | head[:13].any() | head[14])", "(head[14])"),
    ("round-int8-fp32", "rounding", "(exponent + 127)[:8]", "(exponent + 127 + 64)[:8]"),
    ("round-fp16-fp32", "rounding", "(exponent + 127)[:8]", "(exponent + 127 + 128)[:8]"),
    ("round-fp16-fp32", "rounding", "head[0] & (sticky | head[1])", "head[0]"),
    ("round-fp16-fp16", "rounding", "small[0] & (below | small[1])", "small[0] & below"),
    ("round-fp16-int32", "rounding", "half & (below | whole[0])", "half & below"),
    ("round-fp16-int32", "rounding", "flags.nan | (flags.plus & flags.minus)", "flags.nan"),
    *(
        (f"round-{datapath}-{form}-deep", "rounding", "(value), 2, last - 1", "(value), 2, 2")
        for datapath in ("int8", "fp16")
        for form in ("fp16", "fp32")
    ),
    *(
        (f"round-{datapath}-int32-deep", "rounding", "value, 2, len(self.work)", "value, 2, 3")
        for datapath in ("int8", "fp16")
    ),
]


@pytest.mark.parametrize(("name", "unit", "old", "new"), MUTANTS)
def test_a_broken_design_is_noticed(monkeypatch, name, unit, old, new):
    """With a waveform that shows how."""
    proof = proofs_of_mutant(monkeypatch, unit, old, new)[name]
    verdict = prove(proof, timeout=300)
    assert not verdict.proven
    assert "$enddefinitions" in verdict.trace


def test_every_proof_has_a_mutant():
    assert {name for name, *_ in MUTANTS} == set(PROOFS)


def test_the_command():
    """One proof that holds, as JSON, and in a table; a name that is none."""
    runner = CliRunner()
    result = runner.invoke(main, ["formal", "bank", "--json"])
    assert result.exit_code == 0, result.output
    (row,) = json.loads(result.stdout)["proofs"]
    assert row["proven"]
    assert (row["name"], row["method"], row["solver"]) == ("bank", "inductive", "yices")
    result = runner.invoke(main, ["formal", "banks"])
    assert result.exit_code == 1
    assert "proof must be one of queue, queue-deep, hop-mem" in result.stderr
    assert [proof.name for proof in select(())] == list(PROOFS)


def test_a_broken_claim_fails_the_command(monkeypatch, tmp_path):
    """With a line in the table and a waveform in the directory that is asked for."""
    wrong = proofs_of_mutant(monkeypatch, "mem", "(access, driving)", "(self.north, driving)")
    monkeypatch.setitem(PROOFS, "bank", wrong["bank"])
    result = CliRunner().invoke(main, ["formal", "bank", "--waves", str(tmp_path)])
    assert result.exit_code == 1
    assert "BROKEN" in result.stdout
    assert (tmp_path / "bank.vcd").exists()


def test_a_proof_without_an_answer_is_unknown(monkeypatch):
    """And the proofs after it are carried out all the same."""
    wrong = replace(PROOFS["hop-mem"], properties=lambda: Counter(10, 0))
    monkeypatch.setitem(PROOFS, "hop-mem", wrong)
    result = CliRunner().invoke(main, ["formal", "hop-mem", "bank", "--json"])
    assert result.exit_code == 1
    unknown, proven = json.loads(result.stdout)["proofs"]
    assert (unknown["outcome"], unknown["proven"]) == ("unknown", False)
    assert "its assumptions contradict each other" in unknown["message"]
    assert (proven["outcome"], proven["message"]) == ("proven", None)


class Counter(wiring.Component):
    """It counts to 9 and begins anew, and claims what it is told to."""

    top: Out(4)

    def __init__(self, below, assumed=1):
        self.below, self.assumed = below, assumed
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        count = Signal(4)
        m.d.sync += count.eq(Mux(count == 9, 0, count + 1))
        m.d.comb += [self.top.eq(count), Assert(count < self.below), Assume(self.assumed)]
        return m


def counter(method, depth, *claim):
    proof = Proof(
        name="counter",
        claim="it counts no higher",
        properties=lambda: Counter(*claim),
        method=method,
        depth=depth,
    )
    return prove(proof, timeout=60).outcome


def test_methods():
    """What is true of all states, what of reachable ones, and what is true for a while.

    What fails from a state that may be out of reach is not broken: no count goes beyond 9.
    """
    assert counter(Method.ANY_STATE, 1, 16) is Outcome.PROVEN
    assert counter(Method.ANY_STATE, 1, 10) is Outcome.NOT_PROVEN
    assert counter(Method.INDUCTION, 1, 10) is Outcome.PROVEN
    assert counter(Method.INDUCTION, 1, 11) is Outcome.NOT_PROVEN
    assert counter(Method.INDUCTION, 10, 9) is Outcome.BROKEN
    assert counter(Method.BOUNDED, 9, 9) is Outcome.PROVEN
    assert counter(Method.BOUNDED, 10, 9) is Outcome.BROKEN


def test_a_proof_is_carried_out_once(monkeypatch, tmp_path):
    """And again if it claims something else, or asks otherwise; oracle: how often the solver runs.

    What came of it is kept with its waveform.
    """
    asked = []
    ask = module._ask
    monkeypatch.setattr(module, "_ask", lambda *a: asked.append(a[1]) or ask(*a))
    monkeypatch.setenv("TSP_CACHE", str(tmp_path))
    claim = partial(Proof, name="counter", claim="it counts no higher", method=Method.BOUNDED)
    wrong = claim(depth=10, properties=partial(Counter, 9))
    first, again = prove(wrong), prove(wrong)
    assert len(asked) == 1
    assert first == again
    assert first.outcome is Outcome.BROKEN
    assert "$enddefinitions" in first.trace
    assert prove(replace(wrong, depth=9)).proven
    assert prove(replace(wrong, properties=partial(Counter, 10))).proven
    assert len(asked) == 3
    monkeypatch.setattr(module, "_versions", lambda: ["another solver"])
    assert prove(wrong).outcome is Outcome.BROKEN
    assert len(asked) == 4


def test_what_is_no_proof(monkeypatch, tmp_path):
    """Contradictions and time out are neither proof nor refutation; nonsense is refused."""
    monkeypatch.setenv("TSP_CACHE", str(tmp_path))
    with pytest.raises(RuntimeError, match="counter: its assumptions contradict each other"):
        counter(Method.INDUCTION, 1, 10, 0)
    with pytest.raises(RuntimeError, match=r"no answer within 0\.5 seconds"):
        prove(PROOFS["hop-mem"], timeout=0.5)
    with pytest.raises(ValueError, match="solver must be one of yices, not 'x'"):
        replace(PROOFS["bank"], solver="x")
    with pytest.raises(ValueError, match="depth must be at least 1, not 0"):
        replace(PROOFS["bank"], depth=0)
