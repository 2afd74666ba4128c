"""What all kernels share: their result, the cutting of rows, and the packing into vectors."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from tsp.hw.isa import DType
from tsp.sim.program import Program

NUMPY = {
    DType.INT8: np.dtype(np.int8),
    DType.FP16: np.dtype(np.float16),
    DType.INT32: np.dtype(np.int32),
    DType.FP32: np.dtype(np.float32),
}
"""The numpy dtype of each format that kernels take or give."""


@dataclass(frozen=True, eq=False)
class Kernel:
    """A program together with the meaning of its result.

    Members
    -------
    program : Program
    unpack : callable
        From the outputs of a run (a tuple of uint8 arrays) to the result.
    reference : callable
        The same result from numpy, without the core.
    ideal : callable
        The result in float64 before its last rounding, from numpy.
    macs : int
        Multiply-accumulates that the problem needs.
    shape : dict
        Sizes and formats of the problem, for reports.
    tolerance : float
        Largest error that is right, relative to the largest magnitude of the result; 0 if every
        bit must be that of the reference.
    """

    program: Program
    unpack: Callable
    reference: Callable
    ideal: Callable
    macs: int
    shape: dict = field(default_factory=dict)
    tolerance: float = 0.0


def storage_format(name, array):
    """The format of an operand of a product: int8 or fp16."""
    for dtype in (DType.INT8, DType.FP16):
        if isinstance(array, np.ndarray) and array.dtype == NUMPY[dtype]:
            return dtype
    found = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
    raise TypeError(f"{name} must be a numpy array of int8 or float16, not {found}")


def chunks(rows, longest, multiple=1):
    """Split a range into equal parts no longer than `longest`, their number a multiple.

    Their lengths differ by at most one; there are no more parts than rows.
    """
    count = min(-(-len(rows) // (longest * multiple)) * multiple, len(rows))
    edges = [rows.start + len(rows) * i // count for i in range(count + 1)]
    return [range(a, b) for a, b in pairwise(edges)]


def to_vectors(array, lanes):
    """A matrix as vectors: uint8 of shape (bytes, rows, tiles, lanes), the last tile zero-padded.

    Byte 0 is the least significant.
    """
    rows, columns = array.shape
    tiles = -(-columns // lanes)
    padded = np.zeros((rows, tiles * lanes), array.dtype.newbyteorder("<"))
    padded[:, :columns] = array
    size = array.dtype.itemsize
    return np.moveaxis(padded.view(np.uint8).reshape(rows, tiles, lanes, size), -1, 0)


def from_vectors(planes, dtype):
    """The inverse for one tile: byte planes, each (rows, lanes), to a matrix of `dtype`."""
    joined = np.ascontiguousarray(np.stack(planes, axis=-1))
    return joined.view(NUMPY[dtype].newbyteorder("<"))[..., 0]


def quantise(values, scale):
    """fp32 values times an fp32 scale, rounded to nearest even and saturated to int8; NaN is 0."""
    with np.errstate(all="ignore"):
        scaled = np.rint(values.astype(np.float32) * np.float32(scale))
        return np.nan_to_num(np.clip(scaled, -128, 127), nan=0).astype(np.int8)
