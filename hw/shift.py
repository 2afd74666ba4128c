"""Shifts by a variable amount, one power of two after the other."""

from amaranth.hdl import Cat, Const, Mux, Signal


def leading(m, value, steps=None):
    """`value` shifted left until its highest bit is set, and by how much; 0 stays 0.

    With `steps`, powers of two from high to low, it is shifted by these only.
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


def shift_right(m, word, amount, steps=None, fill=None):
    """`word` shifted right by `amount`, and whether a 1 was lost.

    With `steps`, powers of two from high to low, it is shifted by these parts of `amount` only.
    Copies of the bit `fill` enter, or zeros.
    """
    if steps is None:
        steps = [1 << i for i in reversed(range(len(amount)))]
    fill, lost = Const(0, 1) if fill is None else fill, Const(0, 1)
    for step in steps:
        chosen = amount[step.bit_length() - 1]
        lost = lost | (chosen & word[:step].any())
        shifted = Signal(len(word), name=f"right_{step}")
        entering = fill.replicate(min(step, len(word)))
        m.d.comb += shifted.eq(Mux(chosen, Cat(word[step:], entering), word))
        word = shifted
    return word, lost
