"""Export of components that put others together. Oracle: the text that one would write by hand."""

import pytest
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tsp.hw.export import assembly, shared, to_verilog


class Inner(wiring.Component):
    """Registers a word."""

    a: In(8)
    b: Out(8)

    def elaborate(self, platform):
        m = Module()
        m.d.sync += self.b.eq(self.a)
        return m


class Outer(wiring.Component):
    """Two of them in a row, the halves of the word swapped in between, and some more wires."""

    a: In(8)
    b: Out(8)
    parts: Out(data.StructLayout({"low": 4, "none": 2, "high": 4}))
    wide: Out(12)

    def elaborate(self, platform):
        m = Module()
        first, second = Inner(), Inner()
        m.submodules.first = shared(platform, "inner", first)
        m.submodules.second = shared(platform, "inner", second)
        between = Signal(8)
        m.d.comb += [
            first.a.eq(self.a),
            between.eq(Cat(first.b[4:], first.b[:4])),
            second.a.eq(between),
            Cat(self.b[4:], self.b[:4]).eq(Cat(second.b[4:], second.b[:4])),
            self.parts.low.eq(between[:4]),
            self.parts.high.eq(self.a[2:]),
            self.wide.eq(second.b),
        ]
        return m


class Top(wiring.Component):
    """Two assemblies of one name."""

    a: In(8)
    b: Out(8)

    def __init__(self, inner=Outer):
        self.inner = inner
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        one, other = self.inner(), self.inner()
        m.submodules.one = assembly(platform, "outer", one)
        m.submodules.other = assembly(platform, "outer", other)
        m.d.comb += [one.a.eq(self.a), other.a.eq(one.b), self.b.eq(other.b)]
        return m


def module(text, name):
    start = text.index(f"module {name}(")
    return text[start : text.index("endmodule", start)]


def test_wires_are_written_word_by_word_and_a_module_once():
    text = to_verilog(Top(), "top", "a header")
    assert text.startswith("// a header\n")
    assert text.count("module outer(") == text.count("module inner(") == 1
    outer = module(text, "outer")
    assert ".a(between)" in outer  # two pieces, so it is a wire of its own
    assert "assign between = {first__b[3:0], first__b[7:4]};" in outer
    assert "assign b = second__b;" in outer  # pieces that fit together are one
    assert "assign parts = {a[5:2], 2'h0, first__b[7:4]};" in outer
    assert "assign wide = {4'h0, second__b};" in outer
    assert "glue" not in outer


class Flagged(wiring.Component):
    """Logic, a part of whose result is merely connected."""

    a: In(8)
    b: Out(8)

    def elaborate(self, platform):
        m = Module()
        inner = Inner()
        flags = Signal(2)  # in a line of its own: from Python 3.13 on, it would have no name
        m.submodules.inner = shared(platform, "inner", inner)
        m.d.comb += [inner.a.eq(self.a + 1), flags[0].eq(inner.b[7]), self.b.eq(flags)]
        with m.If(inner.b == 3):
            m.d.comb += flags[1].eq(1)
        return m


def test_logic_becomes_a_module_of_its_own():
    text = to_verilog(Top(Flagged), "top")
    outer = module(text, "outer")
    assert "assign b = {6'h0, flags};" in outer
    assert "outer_glue glue (" in outer
    assert ".flags(flags)" in outer
    assert "flags" in module(text, "outer_glue")


class Storing(wiring.Component):
    """A memory, which is no wire."""

    a: In(8)
    b: Out(8)

    def elaborate(self, platform):
        m = Module()
        m.submodules.store = Memory(shape=8, depth=4, init=[])
        return m


@pytest.mark.usefixtures("refused")
def test_what_is_not_just_wires_is_refused():
    with pytest.raises(ValueError, match=r"store of outer is a .*; put it in a shared module"):
        to_verilog(Top(Storing), "top")


class Twice(wiring.Component):
    """An output that two statements drive, the second of which only connects."""

    a: In(8)
    b: Out(8)

    def elaborate(self, platform):
        m = Module()
        inner = Inner()
        m.submodules.inner = shared(platform, "inner", inner)
        m.d.comb += [inner.a.eq(self.a), inner.b.eq(self.a), self.b.eq(inner.b)]
        return m


@pytest.mark.usefixtures("refused")
def test_what_is_driven_twice_is_refused():
    with pytest.raises(ValueError, match="bit 0 of b_2 is driven twice"):
        to_verilog(Top(Twice), "top")
