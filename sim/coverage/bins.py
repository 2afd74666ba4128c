"""Functional coverage: what of the instruction set a program uses.

The bins are made from the description of the instructions; a bin is a :class:`Bin`.
"""

from collections import Counter
from contextlib import suppress
from functools import lru_cache
from itertools import product
from typing import NamedTuple

from tsp.hw.errors import EncodingError
from tsp.hw.isa import IMM, ISA, Abc, Acc, Alu, Lw, Nop, Repeat, StreamGroup, Unit, refusal
from tsp.hw.isa.codecs import Choice, Flag, Group, Operand, Signed, StreamList
from tsp.hw.isa.rules import largest


class Bin(NamedTuple):
    """One thing that can be seen of an instruction: an aspect, such as a field, and a value."""

    instruction: str
    aspect: str
    value: str


def instructions(config):
    """Every instruction class that a core of `config` executes, but for the barrier."""
    found, queues = [], config.floorplan.queues
    for cls in ISA.values():
        if cls in (Nop, Repeat) or any(_executes(config, queue, cls) for queue in queues):
            found.append(cls)
    return found


def bins(config):
    """Every bin of a core of `config`, as a set."""
    found = set()
    for cls in instructions(config):
        name = cls.mnemonic
        for queue in config.floorplan.queues:
            if _executes(config, queue, cls):
                found.add(Bin(name, "queue", queue.name))
        if cls.unit is not Unit.ICU:
            found |= {Bin(name, "repeat", value) for value in ("once", "each cycle", "spaced")}
        if cls.strided:
            found |= {Bin(name, "stride", value) for value in ("0", "+", "-")}
        for info in cls.fields():
            found |= {Bin(name, info.name, v) for v in _values(config, cls, info)}
    return found


def _executes(config, queue, cls):
    """Whether a queue executes any instruction of a class."""
    return cls.unit is queue.unit and refusal(cls.least(), config, queue) is None


def hits(program):
    """How often a program is in each bin: a Counter."""
    config, found = program.config, Counter()
    for queue, runs in program.runs.items():
        for run in runs:
            cls = type(run.instruction)
            if not cls.executed:
                continue
            found[Bin(cls.mnemonic, "queue", queue)] += run.count
            spacing = "once" if run.count == 1 else "each cycle" if run.interval == 1 else "spaced"
            found[Bin(cls.mnemonic, "repeat", spacing)] += 1
            if cls.strided and run.count > 1:
                sign = "0" if not run.stride else "+" if run.stride > 0 else "-"
                found[Bin(cls.mnemonic, "stride", sign)] += 1
            ends = [run.instruction]
            if run.count > 1:
                ends.append(run.instruction.strided_by((run.count - 1) * run.stride))
            for instruction in ends:
                _fields(config, instruction, found)
        for instruction in program.queues[queue]:
            if isinstance(instruction, Nop | Repeat):
                _fields(config, instruction, found)
    return found


def _fields(config, instruction, found):
    for info in instruction.fields():
        if _is_used(instruction, info.name):
            for value in _values_of(config, type(instruction), info, instruction):
                found[Bin(instruction.mnemonic, info.name, value)] += 1


def _is_used(instruction, name):
    """Whether the field means anything in this instruction."""
    match instruction:
        case Abc(hold=True):
            return name != "source"
        case Acc(emit=False):
            return name not in ("dtype", "target", "count")
    return True


def _signs(cls):
    """Classes of a signed number: of lanes, or of what Repeat adds."""
    return ("0", "+", "-") if cls.unit is Unit.ICU else ("0", "north", "south")


def _numeric(config, cls, info):
    """Classes of a number: zero, its limits, what lies between; and the superlane it falls in."""
    if isinstance(info.codec, Signed):
        return _signs(cls)
    if cls.unit is Unit.ICU:
        return ("1", "more")
    low, limit = info.codec.low, largest(cls, config, info.name)
    if cls is Lw and info.name == "column":
        return ("0", "between", *_superlanes(config))
    values = (str(low), str(limit)) if limit < 1 << 16 else ("0", "all ones")
    if limit - low > 1:
        values += ("between",)
    return values + (_superlanes(config) if info.name in ("lane", "count") else ())


def _superlanes(config):
    many = config.superlanes
    return tuple(f"in superlane {i}" for i in range(many)) if many > 1 else ()


def _numeric_of(config, cls, info, value):
    if isinstance(info.codec, Signed):
        zero, positive, negative = _signs(cls)
        return (zero if not value else positive if value > 0 else negative,)
    if cls.unit is Unit.ICU:
        return ("1" if value == 1 else "more",)
    low, limit = info.codec.low, largest(cls, config, info.name)
    where = ()
    # A count is in the superlane that it cuts; one that cuts none is in none.
    placed = info.name in ("lane", "column") or (info.name == "count" and value % config.lanes)
    if config.superlanes > 1 and placed:
        where = (f"in superlane {value // config.lanes}",)
    if cls is Lw and info.name == "column":
        return ("between" if value else "0", *where)
    if limit >= 1 << 16:
        return ("0" if not value else "all ones" if value == limit else "between",)
    return (str(value) if value in (low, limit) else "between", *where)


def _sizes(config, cls, info):
    """Sizes of the stream groups that a field can have."""
    sizes = getattr(info.codec, "sizes", (1, 2, 4))
    return tuple(n for n in sizes if _is_there(config, cls, info, StreamGroup(n, "E", 0)))


def _values(config, cls, info):
    """Every value class that a field can have."""
    codec = info.codec
    directions = "EW"
    if cls.unit is Unit.VXM and info.name in "abc" and info.name not in cls.reads:
        return ()
    if isinstance(codec, Choice):
        members = (m for m in codec.members if _is_there(config, cls, info, m))
        return tuple(m.name.lower() for m in members)
    if isinstance(codec, Flag):
        return ("0", "1")
    if isinstance(codec, Group):
        groups = [f"sg{size}.{d}" for size in _sizes(config, cls, info) for d in directions]
        return (*groups, *_streams(config, cls, info))
    if isinstance(codec, Operand):
        found = [f"sg{size}.{d}" for size in _sizes(config, cls, info) for d in directions]
        found += ["imm", *(f"alu{i}" for i in range(config.alus))] * (not codec.group_only)
        found += ["none"] * codec.optional
        return (*found, *_streams(config, cls, info))
    if isinstance(codec, StreamList):
        lists = (n * codec.least for n in range(1, 17))
        there = (some for some in lists if _is_there(config, cls, info, some))
        return (*(f"{len(some)} streams" for some in there), "E", "W", "both")
    return _numeric(config, cls, info)


def _streams(config, cls, info):
    """The lowest streams that a group can have, of either direction.

    The VXM has many instructions with the same operands; they are counted for `mov` alone.
    """
    if cls.unit is Unit.VXM and cls.mnemonic != "mov":
        return ()
    size = min(_sizes(config, cls, info))
    step = max(size, getattr(info.codec, "step", 1))
    groups = [StreamGroup(size, d, s // size) for d in "EW" for s in range(0, 32, step)]
    there = (group for group in groups if _is_there(config, cls, info, group))
    return tuple(f"{group.direction}{group.first}" for group in there)


@lru_cache(maxsize=1 << 14)
def _is_there(config, cls, info, value):
    """Whether a core executes some instruction of a class with this value in a field."""
    others = [other for other in cls.fields() if other != info]
    for values in product(*(_examples(other.codec) for other in others)):
        fields = {other.name: x for other, x in zip(others, values, strict=True)}
        with suppress(EncodingError):  # of fields that do not go together
            if refusal(cls(**fields, **{info.name: value}), config) is None:
                return True
    return False


def _examples(codec):
    """Values of a field with which others may go together or not, the least first."""
    if isinstance(codec, Choice):
        return codec.members
    if isinstance(codec, Flag):
        return (False, True)
    if isinstance(codec, Group) or (isinstance(codec, Operand) and codec.group_only):
        sizes = getattr(codec, "sizes", (1, 2, 4))
        groups = (StreamGroup(size, "E", 0) for size in sizes)
        return (*[codec.least] * getattr(codec, "optional", False), *groups)
    if isinstance(codec, StreamList):
        return (codec.least, 2 * codec.least)
    return (codec.least,)


def _values_of(config, cls, info, instruction):
    value, codec = getattr(instruction, info.name), info.codec
    if cls.unit is Unit.VXM and info.name in "abc" and info.name not in cls.reads:
        return ()
    if isinstance(codec, Choice):
        return (value.name.lower(),)
    if isinstance(codec, Flag):
        return (str(int(value)),)
    if isinstance(codec, Group | Operand):
        if value is None:
            return ("none",)
        if value is IMM:
            return ("imm",)
        if isinstance(value, Alu):
            return (str(value),)
        kind = f"sg{value.size}.{value.direction}"
        some = _streams(config, cls, info)
        return (kind, *(s for s in (f"{value.direction}{value.first}",) if s in some))
    if isinstance(codec, StreamList):
        ways = {s.direction for s in value}
        return (f"{len(value)} streams", ways.pop() if len(ways) == 1 else "both")
    return _numeric_of(config, cls, info, value)
