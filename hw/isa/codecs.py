"""Field codecs: how one value of an instruction becomes bits and text, and back.

Each has ``width`` (bits), ``check(where, value)``, ``encode``, ``decode``, ``format``, ``parse``
and ``sample(rng)``, which draws a legal value for the random program generator.

``least`` is its lowest value.

For rules it has ``parts(value)`` and ``wires(bits)``, which show a value and the bits that encode
it with the same attributes; ``malformed(bits)``, whether bits of Amaranth encode nothing; and
``rules(name)`` of a field of that name, which say what a configuration lacks.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace

from tsp.hw.errors import EncodingError
from tsp.hw.fault import FaultKind
from tsp.hw.isa.base import IMM, Alu, Imm, StreamGroup
from tsp.hw.isa.rules import Rule, any_of


def number(text):
    """The integer in a text: decimal, or with the prefix 0x, 0o or 0b.

    A decimal may have leading zeros, which Python's own literals do not allow.
    """
    try:
        return int(text, 0)
    except ValueError:
        return int(text)


class Codec:
    """A field of which rules see the number, and which every configuration has."""

    compound = False  # whether `parts` are others than the value itself

    def parts(self, value):
        return value

    def wires(self, bits):
        return bits

    def malformed(self, bits):
        return False

    def rules(self, name):
        return ()


def _there(config, value):
    """What to say of a stream group that a configuration lacks."""
    return (
        f"must be within streams 0 to {config.streams - 1} of {config.name}, not {value}; "
        "use lower streams or a config with more"
    )


def _lacks_streams(config):
    return config.streams < 32


@dataclass(frozen=True)
class Unsigned(Codec):
    """An unsigned integer, optionally with a lowest legal value other than 0."""

    width: int
    low: int = 0
    high: int | None = None

    @property
    def limit(self):
        """The largest legal value."""
        return (1 << self.width) - 1 if self.high is None else self.high

    @property
    def least(self):
        return self.low

    def check(self, where, value):
        if not isinstance(value, int) or isinstance(value, bool):
            raise EncodingError(f"{where} must be an integer, not {value!r}")
        if not self.low <= value <= self.limit:
            raise EncodingError(f"{where} must be {self.low} to {self.limit}, not {value}")

    def encode(self, value):
        return value

    def decode(self, bits):
        return bits

    def format(self, value):
        return str(value) if self.width < 32 else f"{value:#010x}"

    def parse(self, text):
        return number(text)

    def sample(self, rng):
        return int(rng.integers(self.low, self.limit + 1))

    def malformed(self, bits):
        # Comparisons that no word fails are not made.
        wrong = [bits < self.low] if self.low else []
        wrong += [bits > self.limit] if self.limit < (1 << self.width) - 1 else []
        return any_of(wrong)


@dataclass(frozen=True)
class Signed(Codec):
    """A two's complement integer."""

    width: int

    @property
    def least(self):
        return -(1 << (self.width - 1))

    def check(self, where, value):
        low, high = -(1 << (self.width - 1)), (1 << (self.width - 1)) - 1
        if not isinstance(value, int) or isinstance(value, bool):
            raise EncodingError(f"{where} must be an integer, not {value!r}")
        if not low <= value <= high:
            raise EncodingError(f"{where} must be {low} to {high}, not {value}")

    def encode(self, value):
        return value & ((1 << self.width) - 1)

    def decode(self, bits):
        return bits - ((bits >> (self.width - 1)) << self.width)

    def format(self, value):
        return str(value)

    def parse(self, text):
        return number(text)

    def sample(self, rng):
        return int(rng.integers(-(1 << (self.width - 1)), 1 << (self.width - 1)))


@dataclass(frozen=True)
class Flag(Codec):
    """One bit, as a bool. Text ``0`` or ``1``."""

    width = 1
    least = False

    def check(self, where, value):
        if not isinstance(value, bool):
            raise EncodingError(f"{where} must be True or False, not {value!r}")

    def encode(self, value):
        return int(value)

    def decode(self, bits):
        return bool(bits)

    def format(self, value):
        return str(int(value))

    def parse(self, text):
        if text not in ("0", "1"):
            raise EncodingError(f"a flag must be 0 or 1, not {text!r}")
        return text == "1"

    def sample(self, rng):
        return bool(rng.integers(2))


@dataclass(frozen=True)
class Choice(Codec):
    """A member of an IntEnum whose value is its encoding. Text is the lower-case name."""

    enum: type
    width: int
    allowed: tuple = ()

    @property
    def members(self):
        """The legal members."""
        return self.allowed or tuple(self.enum)

    @property
    def least(self):
        return self.members[0]

    def check(self, where, value):
        if value not in self.members or not isinstance(value, self.enum):
            names = ", ".join(m.name.lower() for m in self.members)
            raise EncodingError(f"{where} must be one of {names}, not {value!r}")

    def encode(self, value):
        return int(value)

    def decode(self, bits):
        try:
            return self.enum(bits)
        except ValueError:
            raise EncodingError(f"{bits} encodes no {self.enum.__name__}") from None

    def format(self, value):
        return value.name.lower()

    def parse(self, text):
        try:
            return self.enum[text.upper()]
        except KeyError:
            names = ", ".join(m.name.lower() for m in self.members)
            raise EncodingError(f"{text!r} must be one of {names}") from None

    def sample(self, rng):
        return self.members[rng.integers(len(self.members))]

    def malformed(self, bits):
        return ~any_of(bits == int(member) for member in self.members)


@dataclass(frozen=True)
class Group(Codec):
    """A stream group: bits 0-4 lowest stream, bit 5 westward, bits 6-7 log2 of the size.

    `step` : what the number of the lowest stream must be a multiple of, if not just the size.
    """

    sizes: tuple = (1, 2, 4)
    step: int = 1
    width = 8

    @property
    def least(self):
        return StreamGroup(self.sizes[0], "E", 0)

    def check(self, where, value):
        if not isinstance(value, StreamGroup) or value.size not in self.sizes:
            sizes = " or ".join(f"SG{n}" for n in self.sizes)
            raise EncodingError(f"{where} must be a stream group {sizes}, not {value!r}")
        if value.first % self.step:
            raise EncodingError(
                f"{where} must be a stream whose number is a multiple of {self.step}, not {value!r}"
            )

    def encode(self, value):
        return (value.size.bit_length() - 1) << 6 | (value.direction == "W") << 5 | value.first

    def decode(self, bits):
        log2, first = bits >> 6, bits & 31
        if log2 == 3 or first & ((1 << log2) - 1):
            raise EncodingError(f"{bits:#04x} encodes no aligned stream group")
        return StreamGroup(1 << log2, "W" if bits & 32 else "E", first >> log2)

    def format(self, value):
        return str(value)

    def parse(self, text):
        match = re.fullmatch(r"sg([124])\.([ew])(\d+)", text)
        if not match:
            raise EncodingError(f"a stream group reads like sg4.e2, not {text!r}")
        try:
            return StreamGroup(int(match[1]), match[2].upper(), int(match[3]))
        except ValueError as error:
            raise EncodingError(str(error)) from None

    def sample(self, rng):
        size = self.sizes[rng.integers(len(self.sizes))]
        step = max(1, self.step // size)
        index = step * int(rng.integers(32 // (size * step)))
        return StreamGroup(size, "EW"[rng.integers(2)], index)

    def wires(self, bits):
        return SimpleNamespace(first=bits[:5], log2=bits[6:8])

    def malformed(self, bits):
        off = (bits[:5] & (self.step - 1)).any()  # steps are powers of 2
        return ~_aligned(bits, self.sizes) | off

    def rules(self, name):
        def says(config, instruction):
            return f"{name} {_there(config, getattr(instruction, name))}"

        def breaks(config, group):
            return group.first >= config.streams

        return (Rule(FaultKind.DECODE, (name,), breaks, says, _lacks_streams),)


def _aligned(bits, sizes):
    """Whether bits encode an aligned stream group of one of `sizes`."""
    first, log2 = bits[:5], bits[6:8]
    aligned = {1: 1, 2: ~first[0], 4: ~(first[0] | first[1])}
    return any_of((log2 == n.bit_length() - 1) & aligned[n] for n in sizes)


@dataclass(frozen=True)
class Operand(Codec):
    """An operand of the VXM, or an SXM companion.

    Bits 8-9: kind (0 stream group, 1 ALU, 2 immediate, 3 none); bits 0-7: which.
    """

    optional: bool = False
    group_only: bool = False
    width = 10
    compound = True

    @property
    def least(self):
        return None if self.optional else StreamGroup(1, "E", 0)

    def check(self, where, value):
        legal = (StreamGroup,) if self.group_only else (StreamGroup, Alu, Imm)
        if not isinstance(value, legal) and not (value is None and self.optional):
            what = "a stream group" if self.group_only else "a stream group, an ALU or IMM"
            raise EncodingError(
                f"{where} must be {what}{' or None' * self.optional}, not {value!r}"
            )

    def encode(self, value):
        match value:
            case StreamGroup():
                return Group().encode(value)
            case Alu():
                return 1 << 8 | value.index
            case Imm():
                return 2 << 8
        return 3 << 8

    def decode(self, bits):
        kind, which = bits >> 8, bits & 0xFF
        if kind == 0:
            return Group().decode(which)
        if kind == 1 and which < 16:
            return Alu(which)
        if kind >= 2 and not which:
            return IMM if kind == 2 else None
        raise EncodingError(f"{bits:#05x} encodes no operand")

    def format(self, value):
        return "-" if value is None else str(value)

    def parse(self, text):
        if text == "-":
            return None
        if text == "imm":
            return IMM
        if match := re.fullmatch(r"alu(\d+)", text):
            try:
                return Alu(int(match[1]))
            except ValueError as error:
                raise EncodingError(str(error)) from None
        return Group().parse(text)

    def sample(self, rng):
        kinds = ["group"] + ["none"] * self.optional
        if not self.group_only:
            kinds += ["alu", "imm"]
        match kinds[rng.integers(len(kinds))]:
            case "group":
                return Group().sample(rng)
            case "alu":
                return Alu(int(rng.integers(16)))
            case "imm":
                return IMM
        return None

    def parts(self, value):
        return _operand(value)

    def wires(self, bits):
        return SimpleNamespace(kind=bits[8:], which=bits[:8], first=bits[:5], form=bits[6:])

    def malformed(self, bits):
        # An ALU that cannot be encoded is one that no configuration has.
        kind, which = bits[8:], bits[:8]
        legal = [(kind == 0) & _aligned(which, (1, 2, 4))]
        legal += [] if self.group_only else [kind == 1, (kind == 2) & (which == 0)]
        legal += [(kind == 3) & (which == 0)] * self.optional
        return ~any_of(legal)

    def rules(self, name):
        def group(config, operand):
            return (operand.kind == 0) & (operand.first >= config.streams)

        def alu(config, operand):
            return (operand.kind == 1) & (operand.which >= config.alus)

        def says_group(config, instruction):
            return f"{name} {_there(config, getattr(instruction, name))}"

        def says_alu(config, instruction):
            return (
                f"{name} must be an ALU below {config.alus}, which are all of {config.name}, "
                f"not {getattr(instruction, name)}; use a lower one or a config with more alus"
            )

        groups = Rule(FaultKind.DECODE, (name,), group, says_group, _lacks_streams)
        alus = Rule(FaultKind.DECODE, (name,), alu, says_alu)
        return (groups,) if self.group_only else (groups, alus)


@lru_cache
def _operand(value):
    """What rules see of an operand: there are few, and they are asked for often."""
    bits = Operand().encode(value)
    return SimpleNamespace(kind=bits >> 8, which=bits & 0xFF, first=bits & 31, form=bits >> 6)


@dataclass(frozen=True)
class StreamList(Codec):
    """Up to 16 single streams in order, 6 bits each: bits 0-4 stream, bit 5 westward.

    The number of streams stands in the low five bits; unused entries are 0.
    """

    width = 5 + 16 * 6
    compound = True
    least = (StreamGroup(1, "E", 0),)

    def check(self, where, value):
        if not isinstance(value, tuple) or not 1 <= len(value) <= 16:
            raise EncodingError(f"{where} must be a tuple of 1 to 16 streams, not {value!r}")
        for stream in value:
            if not isinstance(stream, StreamGroup) or stream.size != 1:
                raise EncodingError(f"{where} must hold single streams (SG1), not {stream!r}")

    def encode(self, value):
        bits = len(value)
        for i, stream in enumerate(value):
            bits |= (Group().encode(stream) & 0x3F) << (5 + 6 * i)
        return bits

    def decode(self, bits):
        count = bits & 31
        if not 1 <= count <= 16 or bits >> (5 + 6 * count):
            raise EncodingError(f"{bits:#x} encodes no stream list")
        entries = [(bits >> (5 + 6 * i)) & 0x3F for i in range(count)]
        return tuple(StreamGroup(1, "W" if e & 32 else "E", e & 31) for e in entries)

    def format(self, value):
        return "+".join(map(str, value))

    def parse(self, text):
        streams = tuple(Group().parse(part) for part in text.split("+"))
        self.check("stream list", streams)
        return streams

    def sample(self, rng):
        return tuple(Group((1,)).sample(rng) for _ in range(rng.integers(1, 17)))

    def parts(self, value):
        return SimpleNamespace(length=len(value), entries=value)

    def wires(self, bits):
        entries = [SimpleNamespace(first=bits[at : at + 5]) for at in range(5, self.width, 6)]
        return SimpleNamespace(length=bits[:5], entries=entries)

    def malformed(self, bits):
        count = bits[:5]
        wrong = [count < 1, count > 16]
        for i in range(16):
            wrong.append((count <= i) & (bits[5 + 6 * i : 11 + 6 * i] != 0))
        return any_of(wrong)

    def rules(self, name):
        def breaks(config, streams):
            return any_of(entry.first >= config.streams for entry in streams.entries)

        def says(config, instruction):
            streams = getattr(instruction, name)
            lacking = next(stream for stream in streams if stream.first >= config.streams)
            return f"{name} {_there(config, lacking)}"

        return (Rule(FaultKind.DECODE, (name,), breaks, says, _lacks_streams),)
