"""The floor plan as a drawing, made from the floor plan that the hardware is built from."""

from dataclasses import dataclass, field
from itertools import pairwise
from xml.sax.saxutils import escape

from tsp.hw.floorplan import Hemisphere

COLOURS = {
    "MXM": ("#f6c9a8", "#b5652b"),
    "SXM": ("#dcc9ef", "#7a4fa8"),
    "MEM": ("#c5e3c8", "#3f8a4a"),
    "VXM": ("#bcd9f5", "#2f6fae"),
    "C2C": ("#e3e3e3", "#777777"),
    "ICU": ("#fff3bf", "#a98a1c"),
}
"""Fill and outline of each kind of slice, and of the instruction queues."""

EAST, WEST = "#2f6fae", "#b5402b"
"""Colours of what flows east and of what flows west."""

_INK = "#333333"
_TOP, _BOTTOM = 96, 276  # of the slices
_MARGIN = 84


@dataclass
class Drawing:
    """An SVG in the making: shapes in the order in which they are painted."""

    shapes: list = field(default_factory=list)

    def box(self, x, y, width, height, fill, outline, radius=3):
        """A rectangle with rounded corners."""
        self.shapes.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius}" '
            f'fill="{fill}" stroke="{outline}"/>'
        )

    def line(self, x1, y1, x2, y2, colour=_INK, width=1.0, head="", dash=""):
        """A line; `head` names the arrow head at its end."""
        extra = f' marker-end="url(#{head})"' if head else ""
        extra += f' stroke-dasharray="{dash}"' if dash else ""
        self.shapes.append(
            f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" '
            f'stroke="{colour}" stroke-width="{width:g}"{extra}/>'
        )

    def path(self, steps, colour, width):
        """Many lines at once, as SVG writes them."""
        self.shapes.append(
            f'<path d="{steps}" fill="none" stroke="{colour}" stroke-width="{width:g}"/>'
        )

    def text(self, x, y, words, size=11.0, anchor="middle", colour=_INK, upright=False, bold=False,
             on=""):  # fmt: skip
        """A line of text; `upright` turns it so that it reads from the bottom up.

        `on` is the colour behind it where lines cross it: they stop short of its letters.
        """
        extra = f' transform="rotate(-90 {x:g} {y:g})"' if upright else ""
        extra += ' font-weight="bold"' if bold else ""
        extra += f' stroke="{on}" stroke-width="4" paint-order="stroke"' if on else ""
        self.shapes.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" text-anchor="{anchor}" '
            f'fill="{colour}"{extra}>{escape(words)}</text>'
        )

    def svg(self, width, height, title):
        """The file."""
        heads = "".join(
            f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
            f'markerHeight="7" orient="auto" markerUnits="userSpaceOnUse">'
            f'<path d="M0 0 8 4 0 8z" fill="{colour}"/></marker>'
            for name, colour in (("east", EAST), ("west", WEST), ("north", _INK))
        )
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
            f'width="{width:g}" height="{height:g}" font-family="Helvetica, Arial, sans-serif">',
            f"<title>{escape(title)}</title>",
            f"<defs>{heads}</defs>",
            '<rect width="100%" height="100%" fill="#ffffff"/>',
            *self.shapes,
            "</svg>",
        ]
        return "\n".join(lines) + "\n"


@dataclass
class Placed:
    """A slice and where it is drawn."""

    where: object
    x: float
    width: float


def floorplan(config):
    """The floor plan of `config` as the text of an SVG file."""
    drawing, plan = Drawing(), config.floorplan
    many = config.mem_slices > 16
    widths = {"MXM": 92, "SXM": 30, "MEM": 5 if many else 21, "VXM": 74, "C2C": 18}
    gap, between = (13, 0) if many else (26, 2)
    columns, x = [], _MARGIN
    for stop in range(plan.stops):
        column = []
        for where in (s for s in plan.slices if s.stop == stop):
            column.append(Placed(where, x, widths[where.kind]))
            x += widths[where.kind] + between
        x += gap - between
        columns.append(column)
    right = x - gap

    for left, other in pairwise(columns):
        _registers(drawing, left[-1].x + left[-1].width, other[0].x)
    for stop, column in enumerate(columns):
        for placed in column:
            _box(drawing, placed, many)
        _tiles(drawing, config, column)
        for placed in column:
            _slice(drawing, config, placed, many)
        _stop(drawing, plan, stop, column, many)
    _frame(drawing, config, right)
    return drawing.svg(right + 24, 360, f"Floor plan of config {config.name}")


def _registers(drawing, left, right):
    """The stream registers between two stops: eastward above, westward below."""
    middle = (left + right) / 2
    for y, colour in ((_TOP + 26, EAST), (_BOTTOM - 50, WEST)):
        drawing.box(middle - 2, y, 4, 24, colour, colour, 1)
        ends = (left + 1, right - 1) if colour is EAST else (right - 1, left + 1)
        drawing.line(ends[0], y + 12, ends[1], y + 12, colour, 1.2)


def _box(drawing, placed, many):
    fill, outline = COLOURS[placed.where.kind]
    drawing.box(placed.x, _TOP, placed.width, _BOTTOM - _TOP, fill, outline, 1 if many else 3)


def _tiles(drawing, config, column):
    """The borders between the tiles of a column of slices."""
    left, right = column[0].x, column[-1].x + column[-1].width
    step = (_BOTTOM - _TOP) / config.superlanes
    borders = "".join(
        f"M{left:g} {_TOP + i * step:g}H{right:g}" for i in range(1, config.superlanes)
    )
    if borders:
        drawing.path(borders, "#777777", 0.4)


def _slice(drawing, config, placed, many):
    where, x, width = placed.where, placed.x, placed.width
    if where.kind == "MXM":
        west = where.hemisphere is Hemisphere.W
        _planes(drawing, config, config.planes_west if west else config.planes_east, x, width)
    elif where.kind == "VXM":
        _alus(drawing, config, x, width)
    elif where.kind != "MEM" or not many:
        middle, fill = x + width / 2 + 4, COLOURS[where.kind][0]
        drawing.text(middle, (_TOP + _BOTTOM) / 2, where.name, 11, upright=True, on=fill)


def _planes(drawing, config, planes, x, width):
    """Each plane as a square of supercells with its accumulators beside it."""
    outline, side, pitch = COLOURS["MXM"][1], 46, 66
    fill = COLOURS["MXM"][0]
    drawing.text(x + width / 2, _TOP + 14, "MXM", 11, bold=True, on=fill)
    drawing.text(x + width / 2, _BOTTOM - 6, f"{config.vector} x {config.vector}", 9, on=fill)
    for plane in range(planes):
        y = (_TOP + _BOTTOM) / 2 - (planes * pitch - 20) / 2 + 6 + plane * pitch
        left = x + (width - side - 12) / 2
        drawing.text(left + side / 2, y - 4, f"plane {plane}", 10, on=fill)
        drawing.box(left, y, side, side, "#fdeadb", outline, 1)
        marks = [i * side / config.superlanes for i in range(1, config.superlanes)]
        grid = [f"M{left + at:g} {y:g}v{side}M{left:g} {y + at:g}h{side}" for at in marks]
        if grid:
            drawing.path("".join(grid), outline, 0.4)
        drawing.box(left + side + 3, y, 9, side, "#e9a877", outline, 1)


def _alus(drawing, config, x, width):
    """The ALUs of one lane, in rows of four; those with special functions are darker."""
    behind = COLOURS["VXM"][0]
    drawing.text(x + width / 2, _TOP + 13, "VXM", 11, bold=True, on=behind)
    rows = -(-config.alus // 4)
    top = (_TOP + _BOTTOM) / 2 - rows * 9
    for alu in range(config.alus):
        row, column = divmod(alu, 4)
        fill = "#7fb2e2" if alu < config.special_alus else "#eaf3fc"
        place = x + (width - 4 * 16 + 4) / 2 + column * 16, top + row * 18
        drawing.box(*place, 12, 13, fill, COLOURS["VXM"][1], 2)
    drawing.text(x + width / 2, _BOTTOM - 6, f"{config.alus} ALUs a lane", 9, on=behind)


def _stop(drawing, plan, stop, column, many):
    """Queues and the number of one stop; in a crowd, names of the slices too."""
    left, right = column[0].x, column[-1].x + column[-1].width
    middle = (left + right) / 2
    queues = sum(len(plan.queues_of(placed.where)) for placed in column)
    fill, outline = COLOURS["ICU"]
    drawing.box(left, _BOTTOM + 8, right - left, 18, fill, outline, 2)
    drawing.text(middle, _BOTTOM + 21, str(queues), 10)
    drawing.text(middle, _BOTTOM + 42, str(stop), 11, bold=True)
    if many and column[0].where.kind == "MEM":
        numbers = sorted(placed.where.number for placed in column)
        name = f"MEM {numbers[0]}-{numbers[-1]}"
        fill = COLOURS["MEM"][0]
        drawing.text(middle + 4, (_TOP + _BOTTOM) / 2, name, 9, upright=True, on=fill)


def _frame(drawing, config, right):
    """What stands around the row: streams, queues, the way of instructions."""
    streams = config.streams
    drawing.line(_MARGIN, 58, right, 58, EAST, 2, "east")
    drawing.text((_MARGIN + right) / 2, 51, f"{streams} streams eastward, a hop per cycle", 11,
                 colour=EAST)  # fmt: skip
    drawing.line(right, 80, _MARGIN, 80, WEST, 2, "west")
    drawing.text((_MARGIN + right) / 2, 73, f"{streams} streams westward, a hop per cycle", 11,
                 colour=WEST)  # fmt: skip
    drawing.text(_MARGIN, 24, f"config {config.name}", 14, "start", bold=True)
    lanes = f"{config.superlanes} x {config.lanes} lanes"
    drawing.text(
        right, 24, f"{lanes}, {config.macs_per_cycle:,} MACs, {config.memory_bytes:,} bytes SRAM",
        11, "end",
    )  # fmt: skip
    x = _MARGIN - 14
    drawing.line(x, _BOTTOM, x, _TOP + 4, _INK, 1.4, "north")
    drawing.text(x - 8, (_TOP + _BOTTOM) / 2, "one tile north per cycle", 10, upright=True)
    last = config.superlanes - 1
    drawing.text(x - 27, _BOTTOM - 2, "superlane 0", 9, upright=True, anchor="start")
    if last:
        drawing.text(x - 27, _TOP + 2, f"superlane {last}", 9, upright=True, anchor="end")
    drawing.text(_MARGIN - 10, _BOTTOM + 21, "queues", 10, "end")
    drawing.text(_MARGIN - 10, _BOTTOM + 42, "stop", 10, "end")
    drawing.text(
        (_MARGIN + right) / 2, _BOTTOM + 66,
        "Bars between stops are stream registers; a slice taps the streams of its stop.", 10,
    )  # fmt: skip
