"""Programs as bytes.

The container is a numpy ``.npz`` file. It holds ``header``, a JSON text; ``queue NAME``, the words
of a queue as rows of 64-bit columns, the least significant first; and ``image N``, block N of the
memory image.
"""

import dataclasses
import io
import json
import zipfile
import zlib
from typing import Any

import numpy as np

from tsp.hw.config import Config
from tsp.hw.errors import EncodingError
from tsp.hw.isa import decode
from tsp.sim.program import Block, Program, ProgramError, Region

MAGIC = b"PK\x03\x04"
"""The first bytes of a binary program, with which no text begins."""

_COLUMN = (1 << 64) - 1
_FORMAT = "tsp program 1"
_DAMAGE = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    OSError,
    EOFError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)
"""Exceptions of numpy and of this module for bytes that are not a whole program."""


class BinaryError(EncodingError):
    """Bytes that are not a program; the message names the queue and the word, if known."""


def to_binary(program: Program) -> bytes:
    """The bytes of a program; ``from_binary(to_binary(p)) == p``, and equal programs give equal
    bytes.
    """
    header = {
        "format": _FORMAT,
        "name": program.name,
        "config": program.config.as_dict(),
        "queues": list(program.queues),
        "image": [[block.slice, block.bank, block.address] for block in program.image],
        "outputs": [dataclasses.astuple(region) for region in program.outputs],
    }
    arrays: dict[str, Any] = {"header": np.array(json.dumps(header))}
    for name, instructions in program.queues.items():
        bits = program.config.floorplan.queue(name).unit.word_bits
        words = [_columns(i.encode(), bits) for i in instructions]
        arrays[f"queue {name}"] = np.array(words, np.uint64).reshape(len(words), -1)
    for number, block in enumerate(program.image):
        arrays[f"image {number}"] = block.data
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def from_binary(data: bytes, checked: bool = True) -> Program:
    """The program encoded in `data` by :func:`to_binary`.

    With `checked` False, only programs that no back end can load are refused; see
    :class:`~tsp.sim.program.Program`.

    Raises
    ------
    BinaryError
        If the data is not a program or is damaged; the message names a word that does not decode.
    ProgramError
        If the core could not hold the program.
    """
    try:
        arrays = np.load(io.BytesIO(data), allow_pickle=False)
        header = json.loads(str(arrays["header"]))
        found = header.get("format")
    except _DAMAGE:
        raise BinaryError("the data is not a program") from None
    if found != _FORMAT:
        raise BinaryError(f"the program's format must be {_FORMAT!r}, not {found!r}")
    try:
        return _program(header, arrays, checked)
    except (BinaryError, ProgramError):
        raise
    except _DAMAGE as error:
        raise BinaryError(f"the program is damaged: {error!r}") from None


def _program(header, arrays, checked):
    config = Config(**header["config"])
    queues = {}
    for name in header["queues"]:
        unit = config.floorplan.queue(name).unit
        queues[name] = tuple(_decoded(name, unit, arrays[f"queue {name}"]))
    return Program(
        config,
        queues,
        image=tuple(
            Block(*where, arrays[f"image {number}"]) for number, where in enumerate(header["image"])
        ),
        outputs=tuple(Region(*region) for region in header["outputs"]),
        name=header["name"],
        checked=checked,
    )


def _columns(word, bits):
    return [word >> at & _COLUMN for at in range(0, bits, 64)]


def _decoded(name, unit, rows):
    for index, row in enumerate(rows.tolist()):
        word = sum(column << 64 * i for i, column in enumerate(row))
        try:
            yield decode(word, unit)
        except EncodingError as error:
            raise BinaryError(f"queue {name} word {index}: {error}") from None
