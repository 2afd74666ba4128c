"""Leading zeros."""

from amaranth.hdl import Cat, Const, Mux, Signal


def leading(m, value):
    """`value` shifted left until its highest bit is set, and by how much; 0 stays 0."""
    zeros, steps = [], (len(value) - 1).bit_length()
    for step in (1 << i for i in reversed(range(steps))):
        empty, shifted = Signal(name=f"empty_{step}"), Signal(len(value), name=f"top_{step}")
        m.d.comb += [
            empty.eq(value[-step:] == 0),
            shifted.eq(Mux(empty, Cat(Const(0, step), value[:-step]), value)),
        ]
        value = shifted
        zeros.insert(0, empty)
    return value, Cat(zeros)
