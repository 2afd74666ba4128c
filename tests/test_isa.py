"""The encodings: objects, reprs, text and words say the same, and nothing illegal passes.

Oracle: the description itself, read back another way; limits are written out here.
"""

import numpy as np
import pytest

from tsp.hw import isa
from tsp.hw.errors import EncodingError
from tsp.hw.isa import (
    ISA,
    MNEMONICS,
    SG1,
    SG2,
    SG4,
    AccMode,
    Alu,
    DType,
    Instruction,
    StreamGroup,
    Unit,
    decode,
)
from tsp.hw.isa.base import field
from tsp.hw.isa.codecs import Choice, Flag, Group, Operand, Signed, StreamList, Unsigned
from tsp.sim import isadoc
from tsp.sim.asm import format_instruction, parse_instruction

NAMES = {**vars(isa), **{e.__name__: e for e in (isa.AccMode, isa.DType, isa.Late)}}
CLASSES = list(ISA.values())
NAMED = pytest.mark.parametrize("cls", CLASSES, ids=[cls.mnemonic for cls in CLASSES])


def corners(codec):
    """Legal values of a field at the edges of what it holds."""
    match codec:
        case Unsigned():
            return [codec.low, codec.limit, min(codec.low + 1, codec.limit)]
        case Signed(width=width):
            return [-(1 << (width - 1)), -1, 0, 1, (1 << (width - 1)) - 1]
        case Flag():
            return [False, True]
        case Choice():
            return list(codec.members)
        case Group(sizes=sizes, step=step):
            last = {n: (32 - max(step, n)) // n for n in sizes}
            return [StreamGroup(n, d, i) for n in sizes for d in "EW" for i in (0, last[n])]
        case Operand():
            groups = [SG1("E", 0), SG1("W", 31), SG2("E", 15), SG4("W", 7)]
            others = [] if codec.group_only else [Alu(0), Alu(15), isa.IMM]
            return groups + others + [None] * codec.optional
        case StreamList():
            full = tuple(SG1("EW"[i % 2], 31 - i) for i in range(16))
            return [(SG1("E", 0),), full[:2], full]
    raise TypeError(f"no corners for {codec!r}")


def legal(cls, values):
    """An instruction of these fields, or None where they contradict each other."""
    try:
        return cls(**values)
    except EncodingError:
        return None


def some(cls, rng):
    """Instructions of a class: every corner of every field, the other fields random."""
    for info in cls.fields():
        for value in corners(info.codec):
            for _ in range(200):  # three groups of one size are rare
                values = {f.name: f.codec.sample(rng) for f in cls.fields()} | {info.name: value}
                if instruction := legal(cls, values):
                    yield instruction
                    break
            else:
                pytest.fail(f"no legal {cls.mnemonic} with {info.name}={value!r}")
    if not cls.fields():
        yield cls()


@NAMED
def test_round_trips(cls):
    """Words, text and repr give the instruction back; words have no bit beyond their width."""
    rng = np.random.default_rng(1)
    for instruction in some(cls, rng):
        word = instruction.encode()
        assert 0 <= word < 1 << cls.unit.word_bits, instruction
        unit = Unit.VXM if cls.unit is Unit.ICU else cls.unit
        assert decode(word, unit) == instruction, f"seed 1, word {word:#x}"
        assert parse_instruction(format_instruction(instruction)) == instruction, "seed 1"
        assert eval(repr(instruction), NAMES) == instruction, "seed 1"


@NAMED
def test_every_field_stands_where_it_says(cls):
    """Changing a field changes the bits of its own place, and no others."""
    rng = np.random.default_rng(2)
    for instruction in some(cls, rng):
        for info in cls.fields():
            for value in corners(info.codec):
                values = {f.name: getattr(instruction, f.name) for f in cls.fields()}
                if changed := legal(cls, values | {info.name: value}):
                    difference = changed.encode() ^ instruction.encode()
                    assert not difference & ~(((1 << info.width) - 1) << info.at), (info, value)
                    assert bool(difference) == (value != values[info.name]), (info, value)


def test_a_word_worked_by_hand():
    """Oracle: the field table of the reference, added up by hand."""
    assert isa.Read(address=0x1234, stream=SG1("W", 5)).encode() == 0x10 | 0x1234 << 8 | 0x25 << 24
    assert isa.Repeat(count=3, interval=2, stride=-1).encode() == (
        0x02 | 3 << 8 | 2 << 24 | 0xFFFF << 40
    )
    acc = isa.Acc(row=7, mode=AccMode.ADD, emit=True, target=SG4("E", 2), count=16)
    assert acc.encode() == 0x23 | 7 << 8 | 1 << 24 | 1 << 26 | 6 << 27 | 0x88 << 30 | 16 << 38
    lw = isa.Lw(column=9, dtype=DType.INT8, streams=(SG1("E", 3), SG1("W", 4)))
    assert lw.encode() == 0x20 | 9 << 8 | 2 << 20 | 3 << 25 | 0x24 << 31
    mov = isa.Mov(a=Alu(3), target=SG1("W", 1), wait=5, imm=0xDEADBEEF)
    assert mov.encode() == (
        0x40 | 0x103 << 8 | 0x200 << 18 | 0x200 << 28 | 0x21 << 38 | 5 << 48 | 1 << 53
    ) | (0xDEADBEEF << 64)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: isa.Nop(count=0), "nop count must be 1 to 65535, not 0"),
        (lambda: isa.Read(address=65536, stream=SG1("E", 0)), "read address must be 0 to 65535"),
        (lambda: isa.Read(address=-1, stream=SG1("E", 0)), "not -1"),
        (lambda: isa.Read(address=1.0, stream=SG1("E", 0)), "must be an integer, not 1.0"),
        (lambda: isa.Read(address=True, stream=SG1("E", 0)), "must be an integer, not True"),
        (lambda: isa.Read(address=0, stream=SG2("E", 0)), "read stream must be a stream group SG1"),
        (lambda: isa.Repeat(count=1, stride=32768), "repeat stride must be -32768 to 32767"),
        (lambda: isa.Mov(a=None), "mov a must be a stream group, an ALU or IMM, not None"),
        (lambda: isa.Mov(a=isa.IMM, target=Alu(0)), "mov target must be a stream group or None"),
        (lambda: isa.Mov(a=isa.IMM, imm=-1), "mov imm must be 0 to 4294967295, not -1"),
        (lambda: isa.Mov(a=isa.IMM, late=1), "mov late must be one of a, b, not 1"),
        (
            lambda: isa.Lw(column=0, dtype=DType.FP32, streams=(SG1("E", 0),)),
            "lw dtype must be one of int8, fp8_e4m3, fp8_e5m2, fp16",
        ),
        (lambda: isa.Lw(column=0, dtype=DType.INT8, streams=()), "a tuple of 1 to 16 streams"),
        (
            lambda: isa.Lw(column=0, dtype=DType.INT8, streams=(SG2("E", 0),)),
            "must hold single streams",
        ),
        (
            lambda: isa.Lw(column=0, dtype=DType.FP16, streams=(SG1("E", 0),)),
            "lw streams must come in pairs for fp16, not 1",
        ),
        (
            lambda: isa.Abc(source=SG1("E", 0), dtype=DType.FP16, count=1),
            "abc source must be SG2 for fp16",
        ),
        (
            lambda: isa.Abc(source=SG1("E", 0), dtype=DType.INT8, count=513),
            "abc count must be 0 to 512, not 513",
        ),
        (
            lambda: isa.Abc(source=SG1("E", 0), dtype=DType.INT8, count=1, hold=1),
            "abc hold must be True or False, not 1",
        ),
        (
            lambda: isa.Acc(row=0, mode=AccMode.ADD, emit=True, target=SG2("E", 0), count=1),
            "acc target must be SG4 for fp32",
        ),
        (
            lambda: isa.Acc(row=0, mode=AccMode.KEEP, target=SG4("E", 0), count=1),
            "acc with mode keep must emit",
        ),
        (lambda: SG1("N", 0), "stream direction must be 'E' or 'W', not 'N'"),
        (lambda: SG2("E", 16), "stream group of 2 must have index 0 to 15, not 16"),
        (lambda: StreamGroup(3, "E", 0), "stream group size must be 1, 2 or 4, not 3"),
        (lambda: Alu(16), "ALU operand must be 0 to 15, not 16"),
    ],
)
def test_illegal_fields_are_refused(make, message):
    """The message names the field, the value and the limit."""
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        make()


@pytest.mark.parametrize(
    ("word", "unit", "message"),
    [
        (0x00, Unit.MEM, "decodes to nothing in a queue of MEM"),
        (0xFF, Unit.MEM, "decodes to nothing"),
        (isa.Iw().encode(), Unit.LW, "decodes to nothing in a queue of LW"),
        (isa.Iw().encode() | 1 << 8, Unit.IW, "sets bits outside the fields of iw"),
        (isa.Notify().encode() | 1 << 63, Unit.VXM, "outside the fields of notify"),
        (isa.Nop().encode() | 1 << 64, Unit.LW, "outside the fields of nop"),
        (isa.Nop.opcode, Unit.MEM, "nop count must be 1"),
        (0x10 | 0xC0 << 24, Unit.MEM, "no aligned stream group"),
        (0x10 | 0x41 << 24, Unit.MEM, "no aligned stream group"),
        (0x10 | 0x40 << 24, Unit.MEM, "read stream must be a stream group SG1"),
        (0x40 | 0x110 << 8, Unit.VXM, "0x110 encodes no operand"),
        (0x40 | 0x201 << 8, Unit.VXM, "0x201 encodes no operand"),
        (0x40 | 0x300 << 8 | 0x300 << 38, Unit.VXM, "mov a must be"),
        (0x20, Unit.LW, "encodes no stream list"),
        (0x20 | 17 << 20, Unit.LW, "encodes no stream list"),
        (0x20 | 1 << 20 | 1 << 31, Unit.LW, "encodes no stream list"),
        (0x23 | 1 << 26 | 7 << 27 | 0x80 << 30, Unit.ACC, "7 encodes no DType"),
        (0x23 | 3 << 24 | 6 << 27 | 0x80 << 30, Unit.ACC, "3 encodes no AccMode"),
        (0x23 | 2 << 24 | 6 << 27 | 0x80 << 30, Unit.ACC, "mode keep must emit"),
    ],
)
def test_illegal_words_are_refused(word, unit, message):
    """What the hardware traps, the decoder refuses."""
    with pytest.raises(EncodingError, match=message):
        decode(word, unit)


def test_any_word_decodes_to_itself_or_is_refused():
    """Random words near legal ones: whatever decodes encodes to the same word."""
    rng = np.random.default_rng(3)
    decoded = refused = 0
    for cls in CLASSES:
        unit = Unit.MEM if cls.unit is Unit.ICU else cls.unit
        for instruction in some(cls, rng):
            word = instruction.encode() ^ (1 << int(rng.integers(unit.word_bits)))
            try:
                assert decode(word, unit).encode() == word, f"seed 3, word {word:#x}"
                decoded += 1
            except EncodingError:
                refused += 1
    assert min(decoded, refused) > 50


def declare(*, opcode=0xF0, unit=Unit.MEM, mnemonic="bad", **places):
    """Declare an instruction with 8-bit fields at these places."""
    body = {name: field(Unsigned(8), at, "") for name, at in places.items()}
    body["__annotations__"] = dict.fromkeys(places, int)
    body["__module__"] = __name__
    return type(Instruction)(
        "Bad", (Instruction,), body, unit=unit, opcode=opcode, mnemonic=mnemonic
    )


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"x": 8, "y": 15}, "Bad: y overlaps x"),
        ({"x": 7}, "Bad: x overlaps opcode"),
        ({"x": 57}, "Bad: x exceeds 64 bits"),
        ({"opcode": 0x10}, "opcode 0x10 of Bad is Read's"),
        ({"opcode": 0x100}, "opcode of Bad"),
        ({"mnemonic": "read"}, "mnemonic read is already taken"),
    ],
)
def test_a_bad_description_fails_at_import(description, message):
    """A class whose words would be ambiguous cannot be defined, and leaves no trace."""
    opcodes, mnemonics = dict(ISA), dict(MNEMONICS)
    with pytest.raises(TypeError, match=message):
        declare(**description)
    assert opcodes == ISA
    assert mnemonics == MNEMONICS


def test_strides():
    """Repeat adds to the strided field, inside its range only."""
    read = isa.Read(address=5, stream=SG1("E", 0))
    assert read.strided_by(3) == isa.Read(address=8, stream=SG1("E", 0))
    assert read.strided_by(0) is read
    with pytest.raises(EncodingError, match="read address must be 0 to 65535, not -1"):
        read.strided_by(-6)
    with pytest.raises(EncodingError, match="iw has no field that Repeat can stride"):
        isa.Iw().strided_by(1)


def test_the_contract_is_complete():
    """Every instruction of the architecture contract has its entry. Oracle: the contract."""
    names = """nop repeat sync notify ifetch config read write gather scatter lw iw abc acc
    shift selectlanes permute distribute rotate transpose reduce broadcast send receive deskew
    exp tanh rsqrt recip relui reluf shl shr sra and or xor convert select mov"""
    assert set(names.split()) <= set(MNEMONICS)
    for cls in CLASSES:
        assert cls.__doc__, cls
        assert all(info.doc for info in cls.fields()), cls
        assert all(rule.doc for rule in cls.rules), cls
        assert cls.mnemonic == cls.mnemonic.lower()


def test_the_reference_is_current():
    """`docs/isa.md` is what the description says."""
    assert isadoc.PATH.read_text(encoding="utf-8") == isadoc.reference(), (
        "docs/isa.md is old: run python -m tsp.sim.isadoc --write"
    )
