"""The signals of a waveform file: what its header declares, whatever the levels of hierarchy."""

import gzip
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from tsp.hw.errors import InputError


@dataclass(frozen=True)
class Wire:
    """One signal: the path of its module, its own name, its bits.

    `escape` is what GTKWave puts before a name of such a file if there is a dot in it.
    """

    scope: tuple[str, ...]
    name: str
    width: int
    escape: str = ""

    @property
    def path(self):
        """What GTKWave calls it."""
        name = self.escape * ("." in self.name) + self.name
        text = ".".join((*self.scope, name))
        return text if self.width == 1 else f"{text}[{self.width - 1}:0]"


def wires(path):
    """Every :class:`Wire` that the header of a .vcd or .fst file declares, in its order.

    An LZ4 block is taken apart here: it is twenty lines, and a library for it would be installed
    for these files alone.

    Raises
    ------
    ValueError
        If the file is neither, or its header is damaged.
    """
    path = Path(path)
    try:
        if path.suffix == ".fst":
            found = list(_of_fst(path.read_bytes()))
            if not found:
                raise EOFError("it declares no signals")
            return found
        return list(_of_vcd(path))
    except (struct.error, zlib.error, IndexError, ValueError, OSError, EOFError) as error:
        raise InputError(f"{path} is not a readable waveform: {error}") from error


def _of_vcd(path):
    # pyvcd's own reader refuses the scope `$rootio` that Verilator puts around the ports.
    scope, words = [], []
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            words += line.split()
            if not words or words[-1] != "$end":
                continue
            match words:
                case ["$scope", _, name, "$end"]:
                    scope.append(name)
                case ["$upscope", "$end"]:
                    scope.pop()
                case ["$var", _, width, _, name, *_]:
                    yield Wire(tuple(scope), name.removeprefix("\\"), int(width), "\\")
                case ["$enddefinitions", "$end"]:
                    return
            words = []
    raise EOFError("its header has no end")


# Blocks of an FST file, and the tags in its hierarchy.
_HIERARCHY_GZIP, _HIERARCHY_LZ4 = 4, 6
_ATTRIBUTE, _ATTRIBUTE_END, _SCOPE, _UPSCOPE = 252, 253, 254, 255


def _of_fst(data):
    """The hierarchy block, which stands as it is described in GTKWave's manual."""
    at = 0
    while at < len(data):
        kind, (size,) = data[at], struct.unpack_from(">Q", data, at + 1)
        body = data[at + 17 : at + 1 + size]  # past the size, and the length once unpacked
        at += 1 + size
        if kind == _HIERARCHY_GZIP:
            yield from _hierarchy(gzip.decompress(body))
        elif kind == _HIERARCHY_LZ4:
            yield from _hierarchy(_unpacked(body))


def _hierarchy(data):
    at, scope = 0, []

    def text():
        nonlocal at
        end = data.index(0, at)
        found, at = data[at:end].decode(), end + 1
        return found

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at, value, shift = at + 1, value | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                return value

    while at < len(data):
        tag, at = data[at], at + 1
        if tag == _SCOPE:
            at += 1
            scope.append(text())
            text()
        elif tag == _UPSCOPE:
            scope.pop()
        elif tag == _ATTRIBUTE:
            at += 2
            text()
            number()
        elif tag != _ATTRIBUTE_END:
            at += 1
            name, width = text(), number()
            number()
            yield Wire(tuple(scope), name.split(" [")[0], width)


def _unpacked(data):
    """An LZ4 block: literals, then a copy of what was written before, again and again."""
    result, at = bytearray(), 0

    def length(nibble):
        nonlocal at
        total = nibble
        while nibble == 15:
            byte = data[at]
            at, total = at + 1, total + byte
            if byte < 255:
                break
        return total

    while at < len(data):
        token, at = data[at], at + 1
        literals = length(token >> 4)
        result += data[at : at + literals]
        at += literals
        if at >= len(data):
            break
        (back,) = struct.unpack_from("<H", data, at)
        at += 2
        for _ in range(length(token & 15) + 4):
            result.append(result[-back])
    return bytes(result)
