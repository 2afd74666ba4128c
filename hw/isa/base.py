"""The description of instructions: units, fields, timing, and the registry of all instructions.

An instruction is a frozen dataclass whose annotations are field descriptions.
Encoder, decoder, text, hardware decode, random generator and the reference manual all read them.
"""

import dataclasses
from dataclasses import dataclass
from enum import Enum, IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Self, dataclass_transform

from tsp.hw.errors import EncodingError, InputError
from tsp.hw.isa.rules import Rule

if TYPE_CHECKING:
    from tsp.hw.config import Config


class Unit(Enum):
    """The unit that executes an instruction. ICU instructions are legal in every queue."""

    ICU = "ICU"
    MEM = "MEM"
    LW = "LW"
    IW = "IW"
    ABC = "ABC"
    ACC = "ACC"
    VXM = "VXM"
    SXM = "SXM"
    C2C = "C2C"

    @property
    def word_bits(self) -> int:
        """Bits of one instruction word in this unit's queues."""
        return {Unit.LW: 128, Unit.VXM: 96}.get(self, 64)


class FieldEnum(IntEnum):
    """An enum whose values are field encodings; its ``repr`` can be evaluated."""

    def __repr__(self):
        return f"{type(self).__name__}.{self.name}"


class DType(FieldEnum):
    """Storage formats. The value is the encoding in every dtype field."""

    INT8 = 0
    FP8_E4M3 = 1
    FP8_E5M2 = 2
    FP16 = 3
    INT16 = 4
    INT32 = 5
    FP32 = 6

    @property
    def bytes(self) -> int:
        """Bytes of one element, which is also the number of streams that it takes."""
        return (1, 1, 1, 2, 2, 4, 4)[self]


OPCODE_BITS = 8


@dataclass(frozen=True)
class StreamGroup:
    """An aligned group of `size` streams (1, 2 or 4) of one direction; group `index`.

    Text ``sg4.e2`` is eastward streams 8 to 11; the least significant byte is on the lowest.
    """

    size: int
    direction: str
    index: int

    def __post_init__(self):
        if self.size not in (1, 2, 4):
            raise InputError(f"stream group size must be 1, 2 or 4, not {self.size!r}")
        if self.direction not in ("E", "W"):
            raise InputError(f"stream direction must be 'E' or 'W', not {self.direction!r}")
        if not isinstance(self.index, int) or not 0 <= self.index < 32 // self.size:
            raise InputError(
                f"stream group of {self.size} must have index 0 to {32 // self.size - 1}, "
                f"not {self.index!r}"
            )

    @property
    def first(self) -> int:
        """Number of its lowest stream."""
        return self.size * self.index

    @property
    def log2(self) -> int:
        """log2 of its size."""
        return self.size.bit_length() - 1

    @property
    def streams(self) -> range:
        """Numbers of its streams, least significant byte first."""
        return range(self.first, self.first + self.size)

    def __repr__(self):
        return f"SG{self.size}({self.direction!r}, {self.index})"

    def __str__(self):
        return f"sg{self.size}.{self.direction.lower()}{self.index}"


@lru_cache(typed=True)
def SG1(direction: str, index: int) -> StreamGroup:
    """The stream `index` of that direction."""
    return StreamGroup(1, direction, index)


@lru_cache(typed=True)
def SG2(direction: str, index: int) -> StreamGroup:
    """The aligned pair of streams ``2*index`` and the next, for 16-bit elements."""
    return StreamGroup(2, direction, index)


@lru_cache(typed=True)
def SG4(direction: str, index: int) -> StreamGroup:
    """The aligned quad of streams from ``4*index``, for 32-bit elements."""
    return StreamGroup(4, direction, index)


@dataclass(frozen=True)
class Alu:
    """The output of another VXM ALU, as an operand. Text ``alu3``."""

    index: int

    def __post_init__(self):
        if not isinstance(self.index, int) or not 0 <= self.index < 16:
            raise InputError(f"ALU operand must be 0 to 15, not {self.index!r}")

    def __repr__(self):
        return f"Alu({self.index})"

    def __str__(self):
        return f"alu{self.index}"


class Imm(Enum):
    """The instruction's 32-bit immediate, as an operand. Text ``imm``."""

    IMM = "imm"

    def __repr__(self):
        return "IMM"

    def __str__(self):
        return "imm"


IMM = Imm.IMM


@dataclass(frozen=True)
class Timing:
    """When an instruction issued in cycle t acts, for superlane 0; superlane i is i cycles later.

    `skew` : its stream operands are sampled in cycle ``t + skew`` (None: it has no operands).
    `func` : its results are driven in cycle ``t + func`` (None: it drives no results).
    `acts` : its other effects have happened by cycle ``t + acts`` (None: it has no others).
    `note` : a sentence for the manual on any other timing.
    """

    skew: int | None = None
    func: int | None = None
    acts: int | None = None
    note: str = ""

    @property
    def last(self) -> int:
        """Cycles from issue to the last effect of the instruction."""
        return max(self.skew or 0, self.func or 0, self.acts or 0)


def field(codec: Any, at: int, doc: str, *, default: Any = dataclasses.MISSING) -> Any:
    """Declare an instruction field: its codec, its lowest bit in the word, and its meaning."""
    return dataclasses.field(default=default, metadata={"codec": codec, "at": at, "doc": doc})


@dataclass(frozen=True)
class FieldInfo:
    """One field of one instruction: ``word[at : at + codec.width]``."""

    name: str
    codec: Any
    at: int
    doc: str

    @property
    def width(self) -> int:
        """Bits of the field."""
        return self.codec.width


ISA: dict[int, type["Instruction"]] = {}
"""Every instruction: class by opcode."""

MNEMONICS: dict[str, type["Instruction"]] = {}
"""Every instruction: class by mnemonic."""


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(field,))
class Instruction:
    """Base of all instructions.

    Subclasses give ``unit``, ``opcode``, ``mnemonic``, ``timing`` (a function of the config),
    ``paper`` (False if it goes beyond the published table), ``executed`` (False: the word decodes
    but this core traps it), ``special`` (True: only a special ALU executes it, the queues of
    others trap it), ``strided`` (the field to which Repeat adds its stride) and ``rules`` (what is
    illegal, beyond the rules of the codecs of its fields).
    :meth:`samples`, :meth:`drives`, :meth:`stands` and :meth:`lasts` give its timing.
    """

    unit: ClassVar[Unit]
    opcode: ClassVar[int]
    mnemonic: ClassVar[str]
    paper: ClassVar[bool]
    executed: ClassVar[bool]
    special: ClassVar[bool] = False
    strided: ClassVar[str | None]
    rules: ClassVar[tuple[Rule, ...]] = ()

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field]]
    _fields: ClassVar[list["FieldInfo"]]
    _by_name: ClassVar[dict[str, "FieldInfo"]]
    _stride: ClassVar[tuple[str, str, Any] | None]

    def __init_subclass__(
        cls, *, unit, opcode, timing=None, paper=True, executed=True, strided=None, mnemonic=None
    ):
        cls.unit, cls.opcode, cls.paper, cls.executed = unit, opcode, paper, executed
        cls.mnemonic = mnemonic or cls.__name__.lower()
        cls.strided = strided
        if timing is not None:
            cls._timing = staticmethod(timing)
        dataclass(frozen=True, kw_only=True)(cls)
        if not 0 <= opcode < 1 << OPCODE_BITS:
            raise TypeError(
                f"opcode of {cls.__name__} must fit {OPCODE_BITS} bits, not {opcode:#x}"
            )
        if opcode in ISA:
            raise TypeError(f"opcode {opcode:#04x} of {cls.__name__} is {ISA[opcode].__name__}'s")
        if cls.mnemonic in MNEMONICS:
            raise TypeError(f"mnemonic {cls.mnemonic} is already taken")
        cls._checks = [(f"{cls.mnemonic} {i.name}", i.name, i.codec.check) for i in cls.fields()]
        cls._stride = next((c for c in cls._checks if c[1] == strided), None)
        cls._everywhere = [(r, r.test(cls, None)) for r in cls.rules if r.everywhere]
        taken = dict.fromkeys(range(OPCODE_BITS), "opcode")
        for info in cls.fields():
            for bit in range(info.at, info.at + info.width):
                if bit in taken:
                    raise TypeError(f"{cls.__name__}: {info.name} overlaps {taken[bit]}")
                if bit >= unit.word_bits:
                    raise TypeError(f"{cls.__name__}: {info.name} exceeds {unit.word_bits} bits")
                taken[bit] = info.name
        ISA[opcode] = MNEMONICS[cls.mnemonic] = cls

    @staticmethod
    def _timing(config):
        return Timing()

    @classmethod
    def timing(cls, config: "Config") -> Timing:
        """The :class:`Timing` of this instruction on `config`."""
        described: Any = cls  # type checkers take a class for its instances here
        return _timing(described, config)

    @classmethod
    def fields(cls) -> list[FieldInfo]:
        """The fields, in declaration order, as :class:`FieldInfo`."""
        if "_fields" not in cls.__dict__:
            cls._fields = [
                FieldInfo(f.name, f.metadata["codec"], f.metadata["at"], f.metadata["doc"])
                for f in dataclasses.fields(cls)
            ]
            cls._by_name = {info.name: info for info in cls._fields}
        return cls._fields

    @classmethod
    def field(cls, name: str) -> FieldInfo:
        """The :class:`FieldInfo` of that name."""
        return cls._by_name[name]

    @classmethod
    def least(cls) -> Self:
        """The instruction of this class with the lowest value in every field."""
        return cls(**{info.name: info.codec.least for info in cls.fields()})

    def __post_init__(self):
        for where, name, check in self._checks:
            check(where, getattr(self, name))
        self._refuse_everywhere()

    def _refuse_everywhere(self):
        for rule, test in self._everywhere:
            if test(self):
                raise EncodingError(f"{self.mnemonic} {rule.says(None, self)}")

    def samples(self, config: "Config") -> tuple[tuple[StreamGroup, int], ...]:
        """The stream groups that it samples, each with the cycles from issue to then."""
        return ()

    def drives(self, config: "Config") -> tuple[tuple[StreamGroup, int], ...]:
        """The stream groups that it drives, each with the cycles from issue to then."""
        return ()

    def stands(self, config: "Config") -> int | None:
        """Cycles from issue until its result occupies the single output of its queue's unit.

        None if there is no such output, so that two results may leave in one cycle.
        """

    def lasts(self, config: "Config") -> int:
        """The least number of cycles from its issue to the end of a program.

        Until then it has an effect in some superlane. Words that it drove may travel on, and run
        off the end of the row.
        """
        last = self.timing(config).last
        return last + config.superlanes if last else 1

    def encode(self) -> int:
        """The instruction word, an integer of ``unit.word_bits`` bits (ICU: 64)."""
        word = self.opcode
        for info in self.fields():
            word |= info.codec.encode(getattr(self, info.name)) << info.at
        return word

    def strided_by(self, offset: int) -> Self:
        """This instruction with `offset` added to its strided field, as Repeat does."""
        if not offset:
            return self
        if self._stride is None:
            raise EncodingError(f"{self.mnemonic} has no field that Repeat can stride")
        where, name, check = self._stride
        value = getattr(self, name) + offset
        check(where, value)
        moved = object.__new__(type(self))  # its other fields have been checked
        vars(moved).update(vars(self))
        vars(moved)[name] = value
        moved._refuse_everywhere()
        return moved

    def follows(self, other: "Instruction", offset: int) -> bool:
        """Whether this is `other` with `offset` added to its strided field."""
        if type(self) is not type(other):
            return False
        mine, theirs = vars(self), vars(other)
        if not offset:
            return mine == theirs
        name = self.strided
        return name is not None and mine == theirs | {name: theirs[name] + offset}


@lru_cache(maxsize=4096)
def _timing(cls, config):
    return cls._timing(config)


def decode(word: int, unit: Unit) -> Instruction:
    """The instruction encoded by `word` in a queue of `unit`.

    Raises
    ------
    EncodingError
        If the word decodes to nothing: unknown opcode, another unit's, an illegal field value,
        or a bit set outside every field.
    """
    cls = ISA.get(word & ((1 << OPCODE_BITS) - 1))
    if cls is None or cls.unit not in (unit, Unit.ICU):
        raise EncodingError(f"word {word:#x} decodes to nothing in a queue of {unit.value}")
    used = (1 << OPCODE_BITS) - 1
    values = {}
    for info in cls.fields():
        mask = (1 << info.width) - 1
        used |= mask << info.at
        values[info.name] = info.codec.decode((word >> info.at) & mask)
    if word & ~used:
        raise EncodingError(f"word {word:#x} sets bits outside the fields of {cls.mnemonic}")
    return cls(**values)
