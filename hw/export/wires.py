"""The wires of a module of Verilog, and what drives them."""

from typing import NamedTuple


class Wire:
    """A wire. `parts` is what drives it, a piece from each bit on; a source has none.

    `is_kept` says that it is needed: some pieces are read off it.
    """

    def __init__(self, name, width, *, init=0, is_source=False):
        self.name, self.width, self.init = name, width, init
        self.parts, self.is_source, self.is_kept = {}, is_source, False

    @property
    def whole(self):
        """The piece that is all of it."""
        return Piece(self, 0, self.width)

    @property
    def range(self):
        """Its bits in a declaration."""
        return f"[{self.width - 1}:0] " if self.width > 1 else ""

    def drive(self, low, piece):
        """Let `piece` drive the bits from `low` on."""
        if self.is_source or low in self.parts:
            raise ValueError(f"bit {low} of {self.name} is driven twice")
        self.parts[low] = piece

    def origin(self):
        """What drives it as a whole: pieces, lowest first."""
        return resolved(self.whole.drivers())


class Piece(NamedTuple):
    """Bits of a wire, or those of a constant if `wire` is an integer."""

    wire: Wire | int
    low: int
    width: int

    def part(self, low, width):
        """`width` bits of it, from its bit `low` on."""
        return Piece(self.wire, self.low + low, width)

    def follows(self, other):
        """Whether the bits stand right above those of `other`."""
        both = isinstance(self.wire, Wire) and self.wire is other.wire
        return both and self.low == other.low + other.width

    def drivers(self):
        """What drives the bits directly, lowest first; the initial value where nothing does."""
        found, at, end = [], self.low, self.low + self.width
        for low, part in sorted(self.wire.parts.items()):
            start, stop = max(at, low), min(end, low + part.width)
            if start < stop:
                if start > at:
                    found.append(Piece(self.wire.init, at, start - at))
                found.append(part.part(start - low, stop - start))
                at = stop
        if at < end:
            found.append(Piece(self.wire.init, at, end - at))
        return found

    def origin(self):
        """The one piece that it comes from; itself if there are several."""
        if not isinstance(self.wire, Wire):
            return self
        if not self.wire.is_source and len(inside := resolved(self.drivers())) == 1:
            return inside[0]
        self.wire.is_kept = True
        return self

    def __str__(self):
        if not isinstance(self.wire, Wire):
            return f"{self.width}'h{self.wire >> self.low & (1 << self.width) - 1:x}"
        if self.width == self.wire.width:
            return self.wire.name
        high = self.low + self.width - 1
        bits = f"{high}:{self.low}" if self.width > 1 else f"{self.low}"
        return f"{self.wire.name}[{bits}]"


def cut(pieces, low, width):
    """The `width` bits from bit `low` of pieces in a row."""
    found, at = [], 0
    for piece in pieces:
        start, end = max(low, at), min(low + width, at + piece.width)
        if start < end:
            found.append(piece.part(start - at, end - start))
        at += piece.width
    return found


def resolved(pieces):
    """The pieces that these come from, adjacent ones joined."""
    found = []
    for piece in pieces:
        origin = piece.origin()
        if found and origin.follows(found[-1]):
            last = found.pop()
            origin = last._replace(width=last.width + origin.width)
        found.append(origin)
    return found


def text(pieces):
    """Verilog of pieces in a row."""
    if len(pieces) == 1:
        return str(pieces[0])
    return "{" + ", ".join(str(piece) for piece in reversed(pieces)) + "}"
