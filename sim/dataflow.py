"""The dataflow of attention as a drawing: slices from west to east, time from top to bottom."""

from dataclasses import dataclass
from itertools import pairwise

from tsp.sim.figures import COLOURS, EAST, WEST, Drawing

COLUMNS = {
    "MXM_W": 62, "SXM_W": 186, "MEM_W": 310, "VXM": 500, "MEM_E": 690, "SXM_E": 814, "MXM_E": 938
}  # fmt: skip
"""Where the middle of each slice is drawn; all MEM slices of a hemisphere are one."""

_WIDTH, _ROW, _TOP = 1000, 34, 58
_HALF = {"VXM": 80}  # half the width of a slice, where it is not the usual
_USUAL = 44


@dataclass(frozen=True)
class Move:
    """Words that flow from one slice to another; `kept` names a slice that writes them too."""

    source: str
    to: str
    label: str
    kept: str = ""

    @property
    def eastward(self):
        """Whether they flow east."""
        return COLUMNS[self.to] > COLUMNS[self.source]


@dataclass(frozen=True)
class Action:
    """What a slice does with the words that it has."""

    where: str
    label: str


@dataclass(frozen=True)
class Row:
    """What happens at a time, and the step of the text that it begins, if any."""

    items: tuple
    step: str = ""


def _both(source, to, label, kept="", step=""):
    """The same in both hemispheres; names are without theirs."""
    names = [[f"{name}_{side}" if name not in ("VXM", "") else name for name in (source, to, kept)]
             for side in "WE"]  # fmt: skip
    return Row(tuple(Move(a, b, label, c) for a, b, c in names), step)


ATTENTION = {
    "Scores, for every tile of keys": (
        _both("MEM", "MXM", "rows of K, as weights", step="1"),
        _both("MEM", "MXM", "rows of Q"),
        _both("MXM", "VXM", "scores, fp32", kept="MEM", step="2"),
        Row((Action("VXM", "mask; maximum of tiles"), Move("MEM_E", "VXM", "maximum so far"))),
        _both("VXM", "MEM", "masked scores, if any"),
        Row((Move("VXM", "SXM_W", "maximum of the tiles"),)),
        Row((Action("SXM_W", "maximum"), Move("SXM_W", "VXM", "maximum of the row, every lane"))),
        Row((Move("VXM", "MEM_W", "maximum"),)),
    ),
    "Values, for every tile of keys again": (
        _both("MEM", "MXM", "columns of V, as weights"),
        Row(
            (Move("MEM_W", "VXM", "scores, maximum"), Move("MEM_E", "VXM", "scores")),
            "3",
        ),
        Row((Action("VXM", "exp((score - max) scale)"),)),
        _both("VXM", "MXM", "probabilities, fp16", step="4"),
        Row((Move("VXM", "SXM_E", "the same, fp32"),)),
        Row((Action("SXM_E", "sum"), Move("SXM_E", "VXM", "sum over the lanes, every lane"))),
        Row((Action("VXM", "add"), Move("MEM_E", "VXM", "sum so far"))),
        Row((Move("VXM", "MEM_E", "sum so far"),)),
    ),
    "After the last tile": (
        _both("MXM", "VXM", "sums of probabilities times V, fp32", step="5"),
        Row((Action("VXM", "times 1 / sum; to fp16"),)),
        _both("VXM", "MEM", "result"),
    ),
}
"""What is drawn: rows from top to bottom, by the title above them."""


def attention():
    """The dataflow of attention as the text of an SVG file."""
    drawing = Drawing()
    height = _TOP + sum(_ROW * (len(rows) + 1) for rows in ATTENTION.values()) + 46
    _slices(drawing, height)
    y = _TOP + 4
    for title, rows in ATTENTION.items():
        y += _ROW
        drawing.box(8, y - 25, _WIDTH - 16, 20, "#f2f2f2", "#f2f2f2")
        drawing.text(_WIDTH / 2, y - 11, title, 12, bold=True)
        for row in rows:
            y += _ROW
            _row(drawing, row, y)
    legend = "Blue flows east, red west. A square: written on the way. Numbers are the text's."
    drawing.text(_WIDTH / 2, height - 12, legend, 10)
    return drawing.svg(_WIDTH, height, "Dataflow of attention")


def _slices(drawing, height):
    """The names, and the column of each slice."""
    for name, x in COLUMNS.items():
        fill, outline = COLOURS[name[:3]]
        half = _HALF.get(name, _USUAL)
        drawing.box(x - half, 14, 2 * half, 26, fill, outline)
        drawing.text(x, 31, name, 12, bold=True)
        drawing.line(x, 40, x, height - 32, outline, 1, dash="2 4")
    for left, right in pairwise(COLUMNS):
        ends = COLUMNS[left] + _HALF.get(left, _USUAL), COLUMNS[right] - _HALF.get(right, _USUAL)
        drawing.line(ends[0] + 4, 27, ends[1] - 4, 27, "#999999", 1.5)


def _row(drawing, row, y):
    if row.step:
        drawing.text(14, y + 4, row.step, 13, bold=True)
    busy = {item.where: _HALF.get(item.where, _USUAL) for item in _actions(row)}
    for item in row.items:
        if isinstance(item, Move):
            _move(drawing, item, y, busy)
    for item in _actions(row):
        fill, outline = COLOURS[item.where[:3]]
        half = busy[item.where]
        drawing.box(COLUMNS[item.where] - half, y - 12, 2 * half, 21, fill, outline)
        drawing.text(COLUMNS[item.where], y + 3, item.label, 11)


def _actions(row):
    return [item for item in row.items if isinstance(item, Action)]


def _move(drawing, move, y, busy):
    """An arrow from a slice to another, with its label above; `busy` are widths of boxes there."""
    step = 1 if move.eastward else -1
    start = COLUMNS[move.source] + step * busy.get(move.source, 0)
    end = COLUMNS[move.to] - step * busy.get(move.to, 0)
    colour, head = (EAST, "east") if move.eastward else (WEST, "west")
    middle = (start + (COLUMNS[move.kept] if move.kept else end)) / 2
    width = 6.2 * len(move.label)
    drawing.box(middle - width / 2, y - 17, width, 14, "#ffffff", "#ffffff")
    drawing.text(middle, y - 6, move.label, 11, colour=colour)
    if move.source not in busy:
        drawing.box(start - 2.5, y - 2.5, 5, 5, colour, colour, 2.5)
    drawing.line(start, y, end, y, colour, 1.6, head)
    if move.kept:
        fill, outline = COLOURS["MEM"]
        drawing.box(COLUMNS[move.kept] - 5, y - 5, 10, 10, fill, outline, 1)
