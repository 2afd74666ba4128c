"""The operations of VXM instructions on uint32 arrays of raw bits."""

import numpy as np

from tsp.hw.isa import DType
from tsp.hw.isa import vxm as isa
from tsp.hw.isa.special import Function
from tsp.sim.golden import special
from tsp.sim.golden.exact import STORED

_NUMPY = STORED | {DType.INT16: np.dtype(np.int16)}
_NAN = {DType.FP8_E4M3: 0x7F, DType.FP8_E5M2: 0x7E, DType.FP16: 0x7E00, DType.FP32: 0x7FC00000}
_UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32}


def execute(instruction, a, b, c):
    """The result of a VXM instruction on operands `a`, `b` and `c`: uint32 arrays of one shape.

    An operand that the operation does not use is ignored.
    """
    if isinstance(instruction, isa.Convert):
        return convert(a, instruction.source, instruction.result)
    with np.errstate(all="ignore"):
        return _OPERATIONS[type(instruction)](a, b, c)


def read_operand(data):
    """The operands in a stream group, uint8 of shape (size, lanes), sign-extended."""
    words = np.zeros((data.shape[1], 4), np.uint8)
    words[:, : len(data)] = data.T
    words[:, len(data) :] = -(data[-1:].T >> 7)
    return words.view("<u4")[:, 0]


def to_bytes(bits, size):
    """The bytes of 32-bit results on a stream group of `size`: uint8 of shape (size, lanes)."""
    return bits.astype("<u4")[:, None].view(np.uint8)[:, :size].T


@np.errstate(all="ignore")
def convert(bits, source, result):
    """`bits` read in one :class:`~tsp.hw.isa.DType` and rounded once into another."""
    # Every format is exact in double precision, so that only the last step rounds.
    value = bits.astype(_UNSIGNED[source.bytes]).view(_NUMPY[source]).astype(np.float64)
    if result in _NAN:
        return _packed(value, result)
    limits = np.iinfo(_NUMPY[result])
    whole = np.clip(np.rint(value), limits.min, limits.max)
    return _raw(np.where(np.isnan(value), 0, whole).astype(np.int32))


def _packed(value, result=DType.FP32):
    """The bits of `value` in a float format, NaN being canonical."""
    packed = value.astype(_NUMPY[result])
    bits = packed.view(_UNSIGNED[result.bytes]).astype(np.uint32)
    return np.where(np.isnan(packed), np.uint32(_NAN[result]), bits)


def _raw(value):
    """The bits of a value of 32 bits; of a truth, all ones or 0."""
    if value.dtype == bool:
        return -value.astype(np.uint32)
    return value.view(np.uint32)


def _ordered(bits):
    """Integers in the order of fp32 `bits`, which has -0 below +0."""
    signed = bits.view(np.int32)
    return np.where(signed < 0, signed ^ 0x7FFFFFFF, signed)


def _modulo(f):
    return lambda a, b, c: f(a, b)


def _saturating(f):
    def run(a, b, c):
        exact = f(a.view(np.int32).astype(np.int64), b.view(np.int32).astype(np.int64))
        return _raw(np.clip(exact, -(2**31), 2**31 - 1).astype(np.int32))

    return run


def _integer(f):
    return lambda a, b, c: _raw(f(a.view(np.int32), b.view(np.int32)))


def _compared(f):
    return lambda a, b, c: _raw(f(a.view(np.float32), b.view(np.float32)))


def _float(f):
    return lambda a, b, c: _packed(f(a.view(np.float32), b.view(np.float32)))


def _picked(before):
    def run(a, b, c):
        nan = np.isnan(a.view(np.float32)) | np.isnan(b.view(np.float32))
        picked = np.where(before(_ordered(a), _ordered(b)), a, b)
        return np.where(nan, np.uint32(_NAN[DType.FP32]), picked)

    return run


def _shifted(f, beyond):
    """Shift by less than 32; what is shifted farther becomes ``beyond(a)``."""
    return lambda a, b, c: np.where(b < 32, f(a, np.minimum(b, 31)), beyond(a))


def _sra(a, b):
    return _raw(a.view(np.int32) >> b.view(np.int32))


def _special(function):
    return lambda a, b, c: special.evaluate(function, a)


_ZERO = np.uint32(0)
_RELU = _picked(np.greater)

_OPERATIONS = {
    isa.Mov: lambda a, b, c: a,
    isa.AddI: _modulo(np.add),
    isa.SubI: _modulo(np.subtract),
    isa.MulI: _modulo(np.multiply),
    isa.AddIS: _saturating(np.add),
    isa.SubIS: _saturating(np.subtract),
    isa.MulIS: _saturating(np.multiply),
    isa.MaxI: _integer(np.maximum),
    isa.MinI: _integer(np.minimum),
    isa.EqI: _integer(np.equal),
    isa.LtI: _integer(np.less),
    isa.LeI: _integer(np.less_equal),
    isa.Select: lambda a, b, c: np.where(c != 0, a, b),
    isa.AddF: _float(np.add),
    isa.SubF: _float(np.subtract),
    isa.MulF: _float(np.multiply),
    isa.MaxF: _picked(np.greater),
    isa.MinF: _picked(np.less),
    isa.EqF: _compared(np.equal),
    isa.LtF: _compared(np.less),
    isa.LeF: _compared(np.less_equal),
    isa.And: _modulo(np.bitwise_and),
    isa.Or: _modulo(np.bitwise_or),
    isa.Xor: _modulo(np.bitwise_xor),
    isa.Shl: _shifted(np.left_shift, lambda a: _ZERO),
    isa.Shr: _shifted(np.right_shift, lambda a: _ZERO),
    isa.Sra: _shifted(_sra, lambda a: _sra(a, np.full_like(a, 31))),
    isa.ReluI: lambda a, b, c: _raw(np.maximum(a.view(np.int32), 0)),
    isa.ReluF: lambda a, b, c: _RELU(a, np.zeros_like(a), c),
    isa.Exp: _special(Function.EXP),
    isa.TanH: _special(Function.TANH),
    isa.RSqrt: _special(Function.RSQRT),
    isa.Recip: _special(Function.RECIP),
}
