"""The layout of Verilog that is put together line by line."""

import re
from collections.abc import Iterable

_CLOSES = re.compile(r"end(case)?\b")
_OPENS = re.compile(r".*\bbegin$|casez? ?\(")
_HEADS = re.compile(r"(if|else|for|initial|always)\b|.*:$")  # of one statement, on the next line


def indented(lines: Iterable[str], depth: int = 0) -> str:
    """The `lines`, each by itself, two spaces in for everything that it stands in.

    Verilator warns of a statement that looks as if it stood in another.
    """
    found, hanging = [], 0
    for line in "\n".join(lines).splitlines():
        line = line.strip()
        if _CLOSES.match(line):
            depth -= 1
        found.append("  " * (depth + hanging) + line if line else "")
        opens = bool(_OPENS.match(line))
        hanging = 0 if opens or not _HEADS.match(line) or line.endswith(";") else hanging + 1
        depth += opens
    return "\n".join(found) + "\n"
