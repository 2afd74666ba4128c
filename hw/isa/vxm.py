"""Instructions of the VXM; every lane has each ALU, and each ALU has its own queue.

All instructions have the same fields. An operand is a stream group, the output of another ALU, or
the immediate. A stream group of 1 or 2 bytes is sign-extended to 32 bits; as a target it receives
the low bytes of the result. A result always appears at the ALU's output and, if `target` names a
stream group, is driven on it.

Operands can wait: with ``wait`` w, the operand that `late` names (and always `c`) is sampled in
cycle t + skew + w, the other in t + skew, and the result appears in t + func + w.

Only the special ALUs, which are the first ones of a lane, execute special functions; the queues of
the other ALUs trap them.
"""

from types import new_class
from typing import Any

from tsp.hw.isa import timing
from tsp.hw.isa.base import IMM, DType, FieldEnum, Instruction, StreamGroup, Unit, field
from tsp.hw.isa.codecs import Choice, Operand, Unsigned

__all__ = [
    "VXM_OPS",
    "AddF",
    "AddI",
    "AddIS",
    "And",
    "Convert",
    "EqF",
    "EqI",
    "Exp",
    "Late",
    "LeF",
    "LeI",
    "LtF",
    "LtI",
    "MaxF",
    "MaxI",
    "MinF",
    "MinI",
    "Mov",
    "MulF",
    "MulI",
    "MulIS",
    "Or",
    "RSqrt",
    "Recip",
    "ReluF",
    "ReluI",
    "Select",
    "Shl",
    "Shr",
    "Sra",
    "SubF",
    "SubI",
    "SubIS",
    "TanH",
    "Xor",
]
"""Instructions and the types of their fields, listed for tools that do not run this module."""


class Late(FieldEnum):
    """Which of the operands a and b is sampled `wait` cycles late."""

    A = 0
    B = 1


class VxmInstruction:
    """Common to all VXM instructions; ``reads`` names the operands that an instruction reads."""

    def is_late(self, name):
        """Whether the operand of that name is sampled `wait` cycles late."""
        return name in (self.late.name.lower(), "c")

    def samples(self, config):
        operands = ((name, getattr(self, name)) for name in self.reads)
        return tuple(
            (operand, timing.VXM_SAMPLE + self.wait * self.is_late(name))
            for name, operand in operands
            if isinstance(operand, StreamGroup)
        )

    def drives(self, config):
        return () if self.target is None else ((self.target, self.stands(config)),)

    def lasts(self, config):
        return super().lasts(config) + self.wait

    def stands(self, config):
        return timing.vxm_result(config) + self.wait


VXM_OPS: dict[str, type[Instruction]] = {}
"""Every VXM instruction: class by mnemonic."""


def _op(name, opcode, doc, *, reads="ab", paper=True, convert=False, special=False) -> Any:
    operands = {
        "a": (object, field(Operand(), 8, "first operand")),
        "b": (
            object,
            field(Operand(), 18, "second operand, where the operation has one", default=IMM),
        ),
        "c": (object, field(Operand(), 28, "condition of select", default=IMM)),
        "target": (
            object,
            field(
                Operand(optional=True, group_only=True),
                38,
                "stream group of the result",
                default=None,
            ),
        ),
        "wait": (int, field(Unsigned(5), 48, "cycles that the early operand waits", default=0)),
        "late": (Late, field(Choice(Late, 1), 53, "which operand is late", default=Late.B)),
        "imm": (int, field(Unsigned(32), 64, "the immediate, raw bits", default=0)),
    }
    if convert:
        operands["source"] = (DType, field(Choice(DType, 3), 54, "format of a"))
        operands["result"] = (DType, field(Choice(DType, 3), 57, "format of the result"))
    body = {key: default for key, (_, default) in operands.items()}
    body["__annotations__"] = {key: kind for key, (kind, _) in operands.items()}
    body["__doc__"] = doc
    body["__module__"] = __name__
    body["reads"] = reads
    body["special"] = special
    bases = VxmInstruction, Instruction
    options = {"unit": Unit.VXM, "opcode": opcode, "timing": timing.vxm, "paper": paper}
    cls: Any = new_class(name, bases, options, lambda space: space.update(body))
    VXM_OPS[cls.mnemonic] = cls
    return cls


def _special(name, opcode, doc, **options) -> Any:
    doc += " fp32 and monotonic, at most 1 ulp off the correctly rounded result. Special ALUs only."
    return _op(name, opcode, doc, reads="a", special=True, **options)


Mov = _op("Mov", 0x40, "a, unchanged.", reads="a")
AddI = _op("AddI", 0x41, "a + b, int32, modulo 2^32.")
SubI = _op("SubI", 0x42, "a - b, int32, modulo 2^32.")
MulI = _op("MulI", 0x43, "a x b, int32, modulo 2^32.")
AddIS = _op("AddIS", 0x44, "a + b, int32, saturating.")
SubIS = _op("SubIS", 0x45, "a - b, int32, saturating.")
MulIS = _op("MulIS", 0x46, "a x b, int32, saturating.")
MaxI = _op("MaxI", 0x47, "The larger of a and b, int32.")
MinI = _op("MinI", 0x48, "The smaller of a and b, int32.")
EqI = _op("EqI", 0x49, "All ones if a = b, else 0; int32.")
LtI = _op("LtI", 0x4A, "All ones if a < b, else 0; int32.")
LeI = _op("LeI", 0x4B, "All ones if a <= b, else 0; int32.")
Select = _op("Select", 0x4C, "a where c is not 0, else b; 32 raw bits.", reads="abc")
AddF = _op("AddF", 0x50, "a + b, fp32.")
SubF = _op("SubF", 0x51, "a - b, fp32.")
MulF = _op("MulF", 0x52, "a x b, fp32.")
MaxF = _op("MaxF", 0x53, "The larger of a and b, fp32; -0 is below +0; NaN if either is NaN.")
MinF = _op("MinF", 0x54, "The smaller of a and b, fp32; -0 is below +0; NaN if either is NaN.")
EqF = _op("EqF", 0x55, "All ones if a = b, else 0; fp32; 0 if either is NaN.")
LtF = _op("LtF", 0x56, "All ones if a < b, else 0; fp32; 0 if either is NaN.")
LeF = _op("LeF", 0x57, "All ones if a <= b, else 0; fp32; 0 if either is NaN.")
Convert = _op(
    "Convert",
    0x58,
    "a read in format `source`, rounded once to nearest even into format `result`. "
    "To integers it saturates, and NaN becomes 0; to fp16, fp32 and E5M2 it overflows to infinity, "
    "to E4M3, which has no infinity, to NaN. A result of fewer than 32 bits is sign-extended if it "
    "is an integer and zero-extended if it is a float.",
    reads="a",
    convert=True,
)
And = _op("And", 0x60, "a and b, bit by bit.")
Or = _op("Or", 0x61, "a or b, bit by bit.")
Xor = _op("Xor", 0x62, "a exclusive-or b, bit by bit.")
Shl = _op("Shl", 0x63, "a shifted left by b, which is unsigned; 0 if b is 32 or more.")
Shr = _op(
    "Shr", 0x64, "a shifted right by b, which is unsigned; zeros enter; 0 if b is 32 or more."
)
Sra = _op(
    "Sra",
    0x65,
    "a shifted right by b, which is unsigned; copies of the sign enter; all ones or 0, depending "
    "on the sign, if b is 32 or more.",
)
ReluI = _op("ReluI", 0x66, "The larger of a and 0, int32.", reads="a")
ReluF = _op(
    "ReluF", 0x67, "The larger of a and +0, fp32; +0 if a is -0; NaN if a is NaN.", reads="a"
)
Exp = _special("Exp", 0x70, "e to the a; +0 of -infinity.")
TanH = _special("TanH", 0x71, "Hyperbolic tangent of a; -0 of -0, +-1 of +-infinity.")
RSqrt = _special(
    "RSqrt",
    0x72,
    "1 / square root of a; +-infinity of +-0, +0 of +infinity, NaN of numbers below 0.",
)
Recip = _special("Recip", 0x73, "1 / a; +-infinity of +-0, +-0 of +-infinity.", paper=False)
