"""The instruction set: one description from which everything else is made."""

from tsp.hw.isa import timing
from tsp.hw.isa.base import (
    IMM,
    ISA,
    MNEMONICS,
    SG1,
    SG2,
    SG4,
    Alu,
    DType,
    EncodingError,
    Instruction,
    StreamGroup,
    Timing,
    Unit,
    decode,
)
from tsp.hw.isa.c2c import Deskew, Receive, Send
from tsp.hw.isa.icu import Config, Ifetch, Nop, Notify, Repeat, Sync
from tsp.hw.isa.mem import Gather, Read, Scatter, Write
from tsp.hw.isa.mxm import EMITTED, STORAGE, Abc, Acc, AccMode, Iw, Lw
from tsp.hw.isa.rules import Refusal, Rule, refusal, run_refusal
from tsp.hw.isa.sxm import (
    Broadcast,
    Distribute,
    Permute,
    Reduce,
    ReduceKind,
    Rotate,
    SelectLanes,
    Shift,
    Transpose,
)

# isort: split
# The order of instructions in tables and in random programs is that of these imports.
from tsp.hw.isa import vxm
from tsp.hw.isa.vxm import *

__all__ = [
    "EMITTED",
    "IMM",
    "ISA",
    "MNEMONICS",
    "SG1",
    "SG2",
    "SG4",
    "STORAGE",
    "Abc",
    "Acc",
    "AccMode",
    "Alu",
    "Broadcast",
    "Config",
    "DType",
    "Deskew",
    "Distribute",
    "EncodingError",
    "Gather",
    "Ifetch",
    "Instruction",
    "Iw",
    "Lw",
    "Nop",
    "Notify",
    "Permute",
    "Read",
    "Receive",
    "Reduce",
    "ReduceKind",
    "Refusal",
    "Repeat",
    "Rotate",
    "Rule",
    "Scatter",
    "SelectLanes",
    "Send",
    "Shift",
    "StreamGroup",
    "Sync",
    "Timing",
    "Transpose",
    "Unit",
    "Write",
    "decode",
    "refusal",
    "run_refusal",
    "timing",
]
__all__ += vxm.__all__
