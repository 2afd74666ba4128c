"""Fixed-point numbers in digits, each no wider than a machine word, with sticky flags."""

from amaranth.hdl import Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out


class Flags(data.Struct):
    """What went into a sum and stays: a NaN, a positive or a negative infinity."""

    nan: 1
    plus: 1
    minus: 1


class Fixed(wiring.Signature):
    """A number as digits, lowest first, and its :class:`Flags` if `special`.

    All digits but the last are unsigned; the last carries the sign. Wires of a word each keep
    carry chains short, and simulators fast.

    Parameters
    ----------
    widths : tuple of int
    special : bool
    """

    def __init__(self, widths, *, special):
        self.widths, self.special = tuple(widths), special
        members = {f"digit{i}": Out(unsigned(width)) for i, width in enumerate(widths)}
        members[f"digit{len(widths) - 1}"] = Out(signed(widths[-1]))
        if special:
            members["flags"] = Out(Flags)
        super().__init__(members)

    def create(self, *, path=None, src_loc_at=0):
        return FixedNumber(self, path=path, src_loc_at=1 + src_loc_at)


class FixedRow(wiring.Signature):
    """Many numbers of signature `fixed`: each of its members as an array.

    Parameters
    ----------
    fixed : Fixed
    count : int
    """

    def __init__(self, fixed, count):
        members = fixed.members.items()
        super().__init__({n: Out(data.ArrayLayout(m.shape, count)) for n, m in members})


def assign_to_row(row, number, n):
    """Statements that make number `n` of a row equal to `number`."""
    names = number.signature.members
    return [getattr(row, name)[n].eq(getattr(number, name)) for name in names]


def assign_from_row(number, row, n):
    """Statements that make `number` equal to number `n` of a row."""
    names = number.signature.members
    return [getattr(number, name).eq(getattr(row, name)[n]) for name in names]


class FixedNumber(wiring.PureInterface):
    """An interface of signature :class:`Fixed`."""

    @property
    def digits(self):
        """The digits, lowest first."""
        return [getattr(self, f"digit{i}") for i in range(len(self.signature.widths))]

    def assign(self, other):
        """Statements that make this equal to another number in digits of the same positions."""
        statements = [a.eq(b) for a, b in zip(self.digits, other.digits, strict=True)]
        if self.signature.special:
            statements.append(self.flags.eq(other.flags))
        return statements


def registers(signature, *path):
    """An interface of registers that reset does not touch: data needs none, valid bits do."""
    interface = signature.create(path=path)
    for name, member in signature.members.items():
        label = "__".join(map(str, (*path, name)))
        setattr(interface, name, Signal(member.shape, name=label, reset_less=True))
    return interface


def add(a, b, widths):
    """Digits of the sum of two lists of digits, cut to `widths`; carries ripple upward."""
    result, carry = [], 0
    for x, y, width in zip(a, b, widths, strict=True):
        total = x + y + carry
        result.append(total[:width])
        carry = total[width:]
    return result


def absolute(digits, widths):
    """Digits of the absolute value, all unsigned."""
    negative = digits[-1][-1]
    result, carry = [], negative
    for digit, width in zip(digits, widths, strict=True):
        bits = digit.as_unsigned()
        total = Mux(negative, ~bits, bits) + carry
        result.append(total[:width])
        carry = total[width]
    return result
