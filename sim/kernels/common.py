"""What all kernels share: their result, the cutting of rows, and the packing into vectors."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

import numpy as np

from tsp.hw.config import Config
from tsp.hw.errors import CapacityError, InputError
from tsp.hw.isa import DType
from tsp.sim.golden.exact import STORED
from tsp.sim.layout import Located
from tsp.sim.program import Program

NUMPY = STORED
"""The numpy dtype of each format that kernels take or give."""


LEAST_NORMAL = 2.0**-14
"""The least normal number of fp16; of smaller results only what is promised of it is promised."""


LARGEST = 65_504.0
"""The largest number of fp16; what rounds to more becomes an infinity, or is saturated to it."""


def saturated(values, saturate=True):
    """What numbers become that are saturated to fp16, if they are: the reference for that."""
    return np.clip(values, -LARGEST, LARGEST) if saturate else values


@dataclass(frozen=True, eq=False)
class Kernel:
    """A program together with the meaning of its result.

    Members
    -------
    program : Program
    unpack : callable
        From the outputs of a run (a tuple of uint8 arrays) to the result. Those of a
        :class:`~tsp.sim.result.Result` with a fault are refused.
    reference : callable
        The same result from numpy, without the core.
    ideal : callable
        The result in float64 before its last rounding, from numpy.
    macs : int
        Multiply-accumulates that the problem needs.
    shape : dict
        Sizes and formats of the problem, for reports.
    tolerance : float
        Largest error that is right, relative to :meth:`scale`; 0 if every bit must be that of the
        reference.
    source, result : Located, optional
        Where the operand `x` and the result lie, both float16 matrices, if they lie in vectors of
        whole rows; see :func:`~tsp.sim.kernels.chain.chain`.
    apply : callable, optional
        What `ideal` would be with another `x`: from a float16 matrix to a float64 one.
    terms : callable, optional
        The root of the sum of the squares of what is added up to each result, from numpy. Operands
        are rounded to fp16 between products, so that where large terms cancel, errors are those of
        the terms.
    """

    program: Program
    unpack: Callable
    reference: Callable
    ideal: Callable
    macs: int
    shape: dict = field(default_factory=dict)
    tolerance: float = 0.0
    source: Located | None = None
    result: Located | None = None
    apply: Callable | None = None
    terms: Callable | None = None

    def scale(self, largest: float) -> float:
        """What errors are relative to, if `largest` is the largest magnitude of the result.

        That is `largest`, or the largest of its terms, or :data:`LEAST_NORMAL`.
        """
        terms = 0.0 if self.terms is None else float(self.terms().max())
        return max(largest, LEAST_NORMAL, terms)

    def __post_init__(self):
        object.__setattr__(self, "unpack", partial(_unpacked, self.program.name, self.unpack))


def _unpacked(name, unpack, outputs):
    """What `unpack` makes of the outputs of a run that ended without a fault."""
    if fault := getattr(outputs, "fault", None):
        raise InputError(f"{name} has no result to unpack: {fault}")
    return unpack(outputs)


def storage_format(name, array):
    """The format of an operand of a product: int8 or fp16."""
    for dtype in (DType.INT8, DType.FP16):
        if isinstance(array, np.ndarray) and array.dtype == NUMPY[dtype]:
            return dtype
    found = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
    raise InputError(f"{name} must be a numpy array of int8 or float16, not {found}")


def chunks(rows, longest, multiple=1):
    """Split a range into equal parts no longer than `longest`, their number a multiple.

    Their lengths differ by at most one; there are no more parts than rows.
    """
    return cut(rows, min(-(-len(rows) // (longest * multiple)) * multiple, len(rows)))


def cut(rows, count):
    """Split a range into `count` parts whose lengths differ by at most one."""
    edges = [rows.start + len(rows) * i // count for i in range(count + 1)]
    return [range(a, b) for a, b in pairwise(edges)]


WEIGHTS = {
    "fp16": DType.FP16,
    "int8": DType.INT8,
    "fp8": DType.FP8_E4M3,
    "fp8_e4m3": DType.FP8_E4M3,
    "fp8_e5m2": DType.FP8_E5M2,
}
"""Formats in which weights are stored, by name; fp8 without more is E4M3."""


def weight_format(name, array):
    """The format of a matrix of weights: int8, fp8 of either kind, or fp16."""
    for dtype in dict.fromkeys(WEIGHTS.values()):
        if isinstance(array, np.ndarray) and array.dtype == NUMPY[dtype]:
            return dtype
    found = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
    raise InputError(
        f"{name} must be a numpy array of float16, int8, float8_e4m3fn or float8_e5m2, not {found}"
    )


def column_scale(name, scale, weight, dtype):
    """A float32 scale per column of a matrix of weights of 8 bits, checked.

    `name` is what the scale is called in messages.
    """
    if dtype is DType.FP16:
        raise InputError(f"{name} is for int8 and fp8 weights; multiply float16 weights beforehand")
    scale = np.asarray(scale)
    if scale.dtype.kind not in "iuf":
        raise InputError(f"{name} must hold numbers, not {scale.dtype}")
    if scale.shape != weight.shape[1:]:
        raise InputError(f"{name} must have shape {weight.shape[1:]}, not {scale.shape}")
    with np.errstate(all="ignore"):
        held = scale.astype(np.float32)
    amiss = ~np.isfinite(held) | ((held == 0) != (scale == 0))
    if amiss.any():
        column = int(amiss.argmax())
        fp32_number(f"{name} of column {column}", scale[column])
    return held


def column_scales(scales, weights):
    """Checked scales by name; `weights` are ``(matrix, format)`` by name."""
    for name in scales:
        if name not in weights:
            raise InputError(f"scale must be of {', '.join(weights)}, not of {name!r}")
    return {name: column_scale(f"scale {name!r}", s, *weights[name]) for name, s in scales.items()}


def fp32_number(name, value, *, zero=True):
    """`value` as a float, if in fp32 it stays finite, and becomes 0 only if it is 0.

    `name` is what the number is called in messages; without `zero`, 0 is refused too.
    """
    try:
        value = float(value)
    except (TypeError, ValueError):
        raise InputError(f"{name} must be a number, not {value!r}") from None
    if value == 0 and not zero:
        raise InputError(f"{name} must not be 0, which makes every result 0")
    if not np.isfinite(value):
        raise InputError(f"{name} must be finite, not {value}")
    with np.errstate(all="ignore"):
        held = np.float32(value)
    if not np.isfinite(held) or (held == 0) != (value == 0):
        raise InputError(
            f"{name} must be 0 or from 1.4e-45 to 3.4e+38 in magnitude, as fp32 is, not {value}"
        )
    return value


def check_size(what, config, weights, operands=()):
    """Refuse at once what is larger than the memory of a core, before anything is planned.

    Parameters
    ----------
    what : str
        What needs the memory, for the message.
    config : Config
    weights, operands : sequence of ndarray
        Each of them lies in memory when the program begins; results may take their places.
    """
    size = sum(w.nbytes for w in weights)
    more = sum(x.nbytes for x in operands)
    if size + more > config.memory_bytes:
        needs = f"needs {size + more} bytes for its operands"
        if size > config.memory_bytes:
            needs = f"has {size} bytes of weights"
        raise CapacityError(
            f"{what} {needs}, and config {config.name} has {config.memory_bytes} bytes of memory; "
            "use a larger config or a smaller problem"
        )


def too_few_banks(what: str, config: Config, size: int) -> CapacityError:
    """The error that says that `what` does not fit in the banks of a hemisphere.

    `size` is the bytes that it needs there at least: more than there are, or, if not, more at a
    time than banks with one port can give.
    """
    count = 2 * config.mem_slices
    there = count * config.bank_words * config.vector
    needs = f"{size} bytes or more in one that has {there}"
    if size <= there:
        needs = f"{size} of the {there} bytes of one, and more banks at a time than it has"
    return CapacityError(
        f"{what} needs more banks than the {count} of {config.bank_words} words in each hemisphere "
        f"of config {config.name}: {needs}; use a larger config or a smaller problem"
    )


def to_vectors(array: np.ndarray, lanes: int) -> np.ndarray:
    """A matrix as vectors: uint8 of shape (bytes, rows, tiles, lanes), the last tile zero-padded.

    Byte 0 is the least significant.
    """
    rows, columns = array.shape
    tiles = -(-columns // lanes)
    size = array.dtype.itemsize
    dtype = array.dtype if size == 1 else array.dtype.newbyteorder("<")
    padded = np.zeros((rows, tiles * lanes), dtype)
    padded[:, :columns] = array
    return np.moveaxis(padded.view(np.uint8).reshape(rows, tiles, lanes, size), -1, 0)


def from_vectors(planes: Sequence[np.ndarray], dtype: DType) -> np.ndarray:
    """The inverse for one tile: byte planes, each (rows, lanes), to a matrix of `dtype`."""
    joined = np.ascontiguousarray(np.stack(planes, axis=-1))
    return joined.view(NUMPY[dtype].newbyteorder("<"))[..., 0]


def quantise(values, scale):
    """fp32 values times an fp32 scale, rounded to nearest even and saturated to int8; NaN is 0."""
    with np.errstate(all="ignore"):
        scaled = np.rint(values.astype(np.float32) * np.float32(scale))
        return np.nan_to_num(np.clip(scaled, -128, 127), nan=0).astype(np.int8)
