"""The container of a payload: a header in JSON, and columns of numbers behind it."""

import gzip
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from tsp.hw.errors import InputError

MAGIC = b"TSPVIEW1"
_DTYPES = {"u8": np.uint8, "u16": np.uint16, "u32": np.uint32, "i32": np.int32}


@dataclass(frozen=True)
class Column:
    """Numbers, and how they are kept: `dtype` u8, u16, u32 or i32; as differences, if `delta`."""

    data: np.ndarray
    dtype: str
    delta: bool = False


def pack(header: dict[str, Any], columns: dict[str, Column]) -> bytes:
    """A payload, gzipped; the header gets an entry "columns" that says where each lies.

    Equal contents have equal bytes.
    """
    parts, where, at = [], {}, 0
    for name, column in columns.items():
        raw = _raw(name, column)
        where[name] = {
            "dtype": column.dtype,
            "length": len(column.data),
            "offset": at,
            "delta": column.delta,
        }
        parts.append(raw + bytes(-len(raw) % 8))
        at += len(parts[-1])
    text = json.dumps(header | {"columns": where}, ensure_ascii=False, allow_nan=False).encode()
    head = MAGIC + len(text).to_bytes(4, "little") + text
    return gzip.compress(head + bytes(-len(head) % 8) + b"".join(parts), 6, mtime=0)


def unpack(payload: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and columns of a payload, running sums taken: int64, but bytes as uint8."""
    data = gzip.decompress(payload)
    if not data.startswith(MAGIC):
        raise InputError("this is no payload of a view: it does not begin with TSPVIEW1")
    begin = len(MAGIC) + 4
    length = int.from_bytes(data[len(MAGIC) : begin], "little")
    header = json.loads(data[begin : begin + length])
    base, columns = -(-(begin + length) // 8) * 8, {}
    for name, at in header["columns"].items():
        dtype = np.dtype(_DTYPES[at["dtype"]]).newbyteorder("<")
        found = np.frombuffer(data, dtype, at["length"], base + at["offset"])
        if dtype != np.uint8:
            found = found.astype(np.int64)
        columns[name] = np.cumsum(found) if at["delta"] else found
    return header, columns


def _raw(name, column):
    data = np.asarray(column.data)
    if column.delta:
        data = np.diff(data, prepend=0)
    dtype = np.dtype(_DTYPES[column.dtype])
    if data.dtype != dtype and len(data):
        limits = np.iinfo(dtype)
        low, high = int(data.min()), int(data.max())
        if low < limits.min or high > limits.max:
            raise InputError(
                f"column {name} of a view holds {limits.min} to {limits.max}, not {low} to {high}; "
                "view a shorter program"
            )
    return data.astype(dtype.newbyteorder("<")).tobytes()
