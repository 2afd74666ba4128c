"""How Verilator takes a core apart. Oracle: counts of lines and instances, made by hand."""

from tsp.sim.backends.hierarchy import blocks, kept


def module(name, lines, **instances):
    """Verilog of a module of so many lines, with so many instances of others."""
    text = f"module {name}(clk);\n" + "  wire x;\n" * lines
    for kind, count in instances.items():
        text += "".join(f"  {kind} {kind}_{n} (\n  );\n" for n in range(count))
    return text + "endmodule\n"


def test_what_is_large_and_occurs_often_is_kept():
    text = module("tsp_chip", 10, big=4, few=3, small=50)
    text += module("big", 1000, part=4) + module("part", 200)
    text += module("few", 5000) + module("small", 100)
    assert kept(text) == ["big"]  # its parts are inlined into it
    assert blocks(text) == []


def test_a_huge_core_is_built_in_blocks():
    text = module("tsp_chip", 10, plane=4, hop=100)
    text += module("plane", 10, tile=20) + module("tile", 50_000) + module("hop", 5_000)
    assert blocks(text) == ["tile", "hop"]  # a plane is too large to be one
