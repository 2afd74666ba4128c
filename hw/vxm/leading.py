"""Leading zeros."""

from amaranth.hdl import Cat, Const, Mux, Signal


def leading(m, value, steps=None):
    """`value` shifted left until its highest bit is set, and by how much; 0 stays 0.

    With `steps`, powers of two from high to low, it is shifted by these only; what others have
    been or will be done, stands elsewhere.
    """
    if steps is None:
        steps = [1 << i for i in reversed(range((len(value) - 1).bit_length()))]
    zeros = []
    for step in steps:
        empty, shifted = Signal(name=f"empty_{step}"), Signal(len(value), name=f"top_{step}")
        m.d.comb += [
            empty.eq(value[-step:] == 0),
            shifted.eq(Mux(empty, Cat(Const(0, step), value[:-step]), value)),
        ]
        value = shifted
        zeros.insert(0, empty)
    return value, Cat(zeros)
