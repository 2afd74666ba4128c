"""Repeated components exported as a loop.

Oracle: the same components in Amaranth's simulator; the loop runs in Icarus Verilog.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from bench_loop import Row, compare
from configs import TINY

from tsp.hw.export import Exporter, repeated, to_verilog
from tsp.hw.mem import BankTile
from tsp.hw.mxm.accumulator import Accumulator, AccumulatorLane
from tsp.hw.mxm.activation import ActivationLoader
from tsp.hw.mxm.column import Column
from tsp.hw.mxm.mac import mac_of
from tsp.hw.mxm.reskew import Wait
from tsp.hw.mxm.weights import WeightLoader
from tsp.hw.vxm.alu import Alu
from tsp.hw.vxm.operands import Condition, EarlyReader, Reader
from tsp.hw.vxm.special_lane import SpecialLane

SHAPES = [(3, 1), (4, 2)]
"""How many parts there are, and in how many blocks."""


class Part(wiring.Component):
    """Two stages with enables, a counter with reset, initial values, and a chosen operation."""

    enable: In(1)
    operation: In(2)
    a: In(signed(5))
    b: In(signed(5))
    total: Out(signed(9))
    count: Out(3)
    parity: Out(1)
    stored: Out(9)
    row: Out(64)
    mixed: Out(8)

    def elaborate(self, platform):
        m = Module()
        ready = Signal()
        count = Signal(3, init=5)
        first = Signal(signed(10), init=-3, reset_less=True)
        second = Signal(signed(9), init=7, reset_less=True)
        chosen = Signal(signed(10))
        with m.Switch(self.operation):
            with m.Case(0):
                m.d.comb += chosen.eq(self.a + self.b)
            with m.Case(1):
                m.d.comb += chosen.eq(self.a * self.b)
            with m.Case(2):
                m.d.comb += chosen.eq(Mux(self.a < self.b, self.a, ~self.b))
        m.d.sync += ready.eq(self.enable)
        with m.If(self.enable):
            m.d.sync += first.eq(chosen)
        with m.If(ready):
            m.d.sync += [second.eq(second ^ (first >> 1)), count.eq(count + 1)]
        # Bits of it that stand apart are assigned together.
        mixed = Signal(8)
        m.d.comb += [mixed.eq(self.row), mixed[3:5].eq(second[:2]), self.mixed.eq(mixed)]
        m.d.comb += [self.total.eq(second), self.count.eq(count), self.parity.eq(second.xor())]

        # A memory whose words come back into it: a ring of registers.
        m.submodules.memory = memory = Memory(shape=9, depth=4, init=[])
        read, write = memory.read_port(), memory.write_port()
        m.d.comb += [
            read.en.eq(self.enable),
            read.addr.eq(self.a[:2]),
            write.en.eq(ready),
            write.addr.eq(count[:2]),
            write.data.eq(read.data + first[:9]),
            self.stored.eq(read.data),
        ]
        # Conditions that differ in places only, as many as make a loop.
        row = Signal(64)
        mask = Signal(16)
        m.d.comb += self.row.eq(row)
        m.d.sync += mask.eq(Cat(self.a, self.b, self.b, self.a))
        with m.If(self.enable):
            for k in range(16):
                with m.If(mask[k]):
                    m.d.sync += row.word_select(k, 4).eq(self.b[:4])
        return m


class Parts(wiring.Component):
    """Some of them; all of a block do the same operation."""

    def __init__(self, number, blocks):
        self.number, self.blocks = number, blocks
        super().__init__(
            {
                "enable": In(number),
                "operation": In(2).array(blocks),
                "a": In(signed(5)).array(number),
                "b": In(signed(5)).array(number),
                "total": Out(signed(9)).array(number),
                "count": Out(3).array(number),
                "parity": Out(number),
                "stored": Out(9).array(number),
                "row": Out(64).array(number),
                "mixed": Out(8).array(number),
            }
        )

    def elaborate(self, platform):
        m = Module()
        parts = [Part() for _ in range(self.number)]
        m.submodules.parts = repeated(platform, "part", parts, ("operation",), blocks=self.blocks)
        size = self.number // self.blocks
        for i, part in enumerate(parts):
            m.d.comb += [
                part.enable.eq(self.enable[i]),
                part.operation.eq(self.operation[i // size]),
                part.a.eq(self.a[i]),
                part.b.eq(self.b[i]),
                self.total[i].eq(part.total),
                self.count[i].eq(part.count),
                self.parity[i].eq(part.parity),
                self.stored[i].eq(part.stored),
                self.row[i].eq(part.row),
                self.mixed[i].eq(part.mixed),
            ]
        return m


needs_icarus = pytest.mark.skipif(not shutil.which("iverilog"), reason="needs Icarus Verilog")


@needs_icarus
@pytest.mark.parametrize(("number", "blocks"), SHAPES)
def test_loop_does_what_the_components_do(tmp_path, number, blocks):
    compare(lambda: Parts(number, blocks), 60, tmp_path)


MAC = mac_of(TINY)
REAL = {
    "alu": lambda: Alu(TINY),
    "special alu": lambda: Alu(TINY, special=True),
    "reader": lambda: Reader(TINY),
    "early reader": lambda: EarlyReader(TINY),
    "condition": lambda: Condition(TINY),
    "special lane": SpecialLane,
    "weights": lambda: WeightLoader(TINY),
    "activations": lambda: ActivationLoader(TINY),
    "column": lambda: Column(MAC, TINY.lanes),
    "accumulator": lambda: Accumulator(TINY),
    "accumulator lane": lambda: AccumulatorLane(MAC, TINY.acc_rows),
    "wait": lambda: Wait(MAC, 9),
    "bank": lambda: BankTile(lanes=4, words=32),
}


@needs_icarus
@pytest.mark.parametrize("name", REAL)
def test_loops_of_the_core_do_what_its_components_do(tmp_path, name):
    """With random bits on all inputs in every cycle, which is more than a program can do."""
    compare(lambda: Row(REAL[name]), 200, tmp_path)


@pytest.mark.usefixtures("refused")
def test_for_synthesis_every_component_is_an_instance():
    text = to_verilog(Parts(4, 2), "parts", form="instances")
    assert len(re.findall(r"^  part \S+ \($", text, re.M)) == 4
    assert "for (" not in text.replace("for (clear", "")
    with pytest.raises(ValueError, match="form must be one of loops, waves, instances, not 'x'"):
        to_verilog(Parts(4, 2), "parts", form="x")


class Tangled(wiring.Component):
    """Bits of a signal that depend on others of it, set together."""

    a: In(2)
    y: Out(2)

    def elaborate(self, platform):
        m = Module()
        both = Signal(2)
        with m.If(self.a.any()):
            m.d.comb += [both[0].eq(self.a[0]), both[1].eq(~both[0])]
        m.d.sync += self.y.eq(both)
        return m


@pytest.mark.usefixtures("refused")
def test_bits_that_depend_on_others_of_their_signal_are_refused():
    """A loop evaluates every statement once; Verilog would evaluate these twice."""
    with pytest.raises(ValueError, match="both depends on itself"):
        to_verilog(Row(Tangled), "parts")


def test_what_differs_in_places_is_a_loop():
    """Of memories and registers in a ring too; without it the test above would compare less."""
    text = to_verilog(Parts(3, 1), "parts")
    assert re.search(r"for \(j = 0; j < 1\d; j = j \+ 1\) begin\n +if ", text)
    assert re.search(r"reg \[8:0\] \w+ \[0:3\] \[0:3\];", text)


def test_a_loop_declares_what_it_uses():
    """Every signal beside its ports stands in a statement too."""
    text = to_verilog(Row(lambda: Alu(TINY)), "parts")
    loop = text[text.index("module part_x") :]
    loop = loop[: loop.index("endmodule")]
    declared = re.findall(r"^ *reg .*?(n?v\d+_\w*)", loop, re.M)
    assert declared
    assert [name for name in declared if len(re.findall(rf"\b{name}\b", loop)) < 2] == []


def test_text_depends_on_the_component_only():
    assert to_verilog(Parts(4, 2), "parts") == to_verilog(Parts(4, 2), "parts")


def test_text_does_not_depend_on_the_process():
    """Sets of names have another order in every process; oracle: two that hash differently."""
    code = (
        "from bench_loop import Row; from configs import TINY; from tsp.hw.vxm.alu import Alu; "
        "from tsp.hw.export import to_verilog; print(to_verilog(Row(lambda: Alu(TINY)), 'parts'))"
    )
    texts = [
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=Path(__file__).parent,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in "123"
    ]
    assert texts[0] == texts[1] == texts[2]
    assert "module part_x2(" in texts[0]


@pytest.mark.usefixtures("refused")
def test_blocks_must_be_whole():
    with pytest.raises(ValueError, match="3 of part cannot come in 2 blocks"):
        to_verilog(Parts(3, 2), "parts")


class Through(wiring.Component):
    """An input that leads to an output."""

    a: In(1)
    y: Out(1)

    def elaborate(self, platform):
        m = Module()
        register = Signal()
        m.d.sync += register.eq(self.a)
        m.d.comb += self.y.eq(register ^ self.a)
        return m


class Throughs(wiring.Component):
    """Two of them, unconnected."""

    y: Out(2)

    def elaborate(self, platform):
        m = Module()
        parts = [Through(), Through()]
        m.submodules.parts = repeated(platform, "through", parts)
        m.d.comb += [self.y[i].eq(part.y) for i, part in enumerate(parts)]
        return m


@pytest.mark.usefixtures("refused")
def test_path_from_input_to_output_is_refused():
    with pytest.raises(ValueError, match=r"\['a'\] lead to an output"):
        to_verilog(Throughs(), "throughs")


class Reserved(wiring.Component):
    """A port whose name is a word of Verilog."""

    function: In(1)
    y: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.y.eq(self.function)
        return m


@pytest.mark.usefixtures("refused")
def test_words_of_verilog_are_refused():
    """Yosys would escape the name, and the loop would not know its own port."""
    platform, parts = Exporter(), [Reserved(), Reserved()]
    with pytest.raises(ValueError, match="port 'function' of part_x2 is a word of SystemVerilog"):
        repeated(platform, "part", parts, ("function",))
