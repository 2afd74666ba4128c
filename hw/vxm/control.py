"""The control of an ALU's lanes: every operation as a few control bits."""

from amaranth.hdl import Signal, unsigned
from amaranth.lib import data, enum

from tsp.hw.isa import vxm as isa
from tsp.hw.isa.base import DType
from tsp.hw.isa.special import Function


class Path(enum.Enum, shape=2):
    """Which part of a lane makes the result."""

    SIMPLE = 0
    PRODUCT = 1
    ROUNDED = 2


class Simple(enum.Enum, shape=4):
    """What ``Path.SIMPLE`` makes of its operands."""

    MOV = 0
    SELECT = 1
    SUM = 2
    MAX = 3
    MIN = 4
    EQ = 5
    LT = 6
    LE = 7
    AND = 8
    OR = 9
    XOR = 10
    SHL = 11
    SHR = 12
    SRA = 13


class Control(data.Struct):
    """One operation, decoded.

    Members
    -------
    path, simple : which part makes the result, and how
    real : operands are fp32, else int32
    subtract : b is subtracted
    saturate : the result keeps to int32, else it is modulo 2^32
    multiply : the product is rounded, else the sum
    alone : a is rounded as it is
    relu : b is 0
    source : format of a (:class:`~tsp.hw.isa.DType`), where it is rounded
    result : format of the rounded result
    function : which special function it is, if it is one
    """

    path: Path
    simple: Simple
    real: unsigned(1)
    subtract: unsigned(1)
    saturate: unsigned(1)
    multiply: unsigned(1)
    alone: unsigned(1)
    relu: unsigned(1)
    source: unsigned(3)
    result: unsigned(3)
    function: Function


_REAL = {"real": 1, "source": DType.FP32, "result": DType.FP32}
_PRODUCT = {"path": Path.PRODUCT}
_ROUNDED = {"path": Path.ROUNDED, **_REAL}

CONTROLS = {
    isa.Mov: {"simple": Simple.MOV},
    isa.AddI: {"simple": Simple.SUM},
    isa.SubI: {"simple": Simple.SUM, "subtract": 1},
    isa.MulI: _PRODUCT,
    isa.AddIS: {"simple": Simple.SUM, "saturate": 1},
    isa.SubIS: {"simple": Simple.SUM, "saturate": 1, "subtract": 1},
    isa.MulIS: {**_PRODUCT, "saturate": 1},
    isa.MaxI: {"simple": Simple.MAX},
    isa.MinI: {"simple": Simple.MIN},
    isa.EqI: {"simple": Simple.EQ},
    isa.LtI: {"simple": Simple.LT},
    isa.LeI: {"simple": Simple.LE},
    isa.Select: {"simple": Simple.SELECT},
    isa.AddF: _ROUNDED,
    isa.SubF: {**_ROUNDED, "subtract": 1},
    isa.MulF: {**_ROUNDED, "multiply": 1},
    isa.MaxF: {**_REAL, "simple": Simple.MAX},
    isa.MinF: {**_REAL, "simple": Simple.MIN},
    isa.EqF: {**_REAL, "simple": Simple.EQ},
    isa.LtF: {**_REAL, "simple": Simple.LT},
    isa.LeF: {**_REAL, "simple": Simple.LE},
    isa.Convert: {"path": Path.ROUNDED, "alone": 1},  # its formats stand in the word
    isa.And: {"simple": Simple.AND},
    isa.Or: {"simple": Simple.OR},
    isa.Xor: {"simple": Simple.XOR},
    isa.Shl: {"simple": Simple.SHL},
    isa.Shr: {"simple": Simple.SHR},
    isa.Sra: {"simple": Simple.SRA},
    isa.ReluI: {"simple": Simple.MAX, "relu": 1},
    isa.ReluF: {**_REAL, "simple": Simple.MAX, "relu": 1},
}
"""The control bits of what every ALU executes; a member not given is 0."""

SPECIAL = {
    isa.Exp: Function.EXP,
    isa.TanH: Function.TANH,
    isa.RSqrt: Function.RSQRT,
    isa.Recip: Function.RECIP,
}
"""What special ALUs execute too."""


def decode(m, word):
    """The :class:`Control` of an instruction, whose `word` is seen as one of ``Convert``."""
    control = Signal(Control)
    with m.Switch(word.opcode):
        for op, members in CONTROLS.items():
            with m.Case(op.opcode):
                m.d.comb += control.eq(Control.const(members))
                if op is isa.Convert:
                    m.d.comb += [control.source.eq(word.source), control.result.eq(word.result)]
        for op, function in SPECIAL.items():
            with m.Case(op.opcode):
                m.d.comb += control.function.eq(function)
    return control


def is_special(word):
    """Whether an instruction is one of ``SPECIAL``."""
    return word.opcode.matches(*(op.opcode for op in SPECIAL))
