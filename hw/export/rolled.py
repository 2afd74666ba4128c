"""Like statements in a row of Verilog, written as a loop."""

import re
from typing import NamedTuple

_BLOCK = re.compile(r" *if +\([^\n]*\) begin *\n[^\n]* = [^\n]*;\n *end *\n")
_SELECT = re.compile(r"\[(\d+)(?::(\d+))?\]")
_PERIODS = (1, 4)
_MANY = 8  # repetitions from which a loop is shorter


class _Block(NamedTuple):
    """An `if` with one assignment: its text with selects left out, and those selects."""

    text: str
    skeleton: str
    selects: list

    @classmethod
    def of(cls, text):
        selects = [(int(high), int(low or high)) for high, low in _SELECT.findall(text)]
        return cls(text, _SELECT.sub("[]", text), selects)


def rolled(text, index):
    """Verilog `text` of blocking assignments; ``if``s that differ in places only become loops.

    Bits of constant place are selected in them, and all places grow evenly. `index` is the name of
    an integer that is free.
    """
    result, at, run = "", 0, []
    for found in _BLOCK.finditer(text):
        if found.start() != at:
            result += _loops(run, index) + text[at : found.start()]
            run = []
        run.append(_Block.of(found[0]))
        at = found.end()
    return result + _loops(run, index) + text[at:]


def _loops(run, index):
    """Blocks in a row, as loops where they are alike."""
    text = ""
    while run:
        period, count = max(((p, _alike(run, p)) for p in _PERIODS), key=lambda found: found[1])
        if count // period < _MANY:
            text += run.pop(0).text
            continue
        body = "".join(_general(run[i], run[i + period], index) for i in range(period))
        loop = f"for ({index} = 0; {index} < {count // period}; {index} = {index} + 1) begin\n"
        text += f"{loop}{body}end\n"
        run = run[count:]
    return text


def _alike(run, period):
    """How many blocks at the start of `run` are like those a `period` before, whole periods."""
    count = min(period, len(run))
    while count < len(run) and _follows(run, count, period):
        count += 1
    return count // period * period


def _follows(run, at, period):
    """Whether block `at` is as far from the one a period before as that from its predecessor."""
    here, before = run[at], run[at - period]
    if here.skeleton != before.skeleton:
        return False
    if [h - low for h, low in here.selects] != [h - low for h, low in before.selects]:
        return False
    if at < 2 * period:
        return True
    earlier = run[at - 2 * period]
    steps = [(a[1] - b[1], b[1] - c[1]) for a, b, c in
             zip(here.selects, before.selects, earlier.selects, strict=True)]  # fmt: skip
    return all(now == last for now, last in steps)


def _general(first, second, index):
    """The text of `first` with its places as they grow toward `second`."""
    selects = iter(zip(first.selects, second.selects, strict=True))

    def select(found):
        (high, low), (_, next_low) = next(selects)
        if next_low == low:
            return found[0]
        place = f"{low} + {next_low - low} * {index}"
        return f"[{place}]" if high == low else f"[{place} +: {high - low + 1}]"

    return _SELECT.sub(select, first.text)
