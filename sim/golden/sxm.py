"""The operations of SXM instructions: whole vectors in, whole vectors out.

A vector of a stream group is uint8 (streams, lanes of the vector).
"""

import numpy as np

from tsp.hw.isa import (
    Broadcast,
    Distribute,
    Permute,
    Reduce,
    ReduceKind,
    Rotate,
    SelectLanes,
    Shift,
    Transpose,
)

NAN = 0x7FC00000


def execute(op, config, words):
    """The vectors that `op` drives, one per group in ``op.drives(config)``.

    Parameters
    ----------
    op : SxmInstruction
    config : Config
    words : list of ndarray
        The sampled vectors, one per group in ``op.samples(config)``.
    """
    lanes = config.lanes
    match op:
        case Shift():
            return [pick(words[0], np.arange(config.vector) - op.amount)]
        case Broadcast():
            return [pick(words[0], np.full(config.vector, op.lane))]
        case Permute():
            low, high = words[1].astype(np.int64)
            return [pick(words[0], low | high << 8)]
        case Distribute():
            return [distribute(words[0], words[1][0].astype(np.int64), op.count, lanes)]
        case SelectLanes():
            return [np.where(words[2][0] != 0, words[0], words[1])]
        case Rotate():
            return list(rotate(words[0][0], op.size**2, lanes))
        case Transpose():
            return list(transpose(np.concatenate(words), lanes))
        case Reduce():
            result = reduce(words[0], op.kind, op.count, lanes)
            return [result, *words[1:]]
    raise TypeError(f"the SXM does not execute {op!r}")


def pick(words, source):
    """Lane l of the result is lane source[l], +0 if there is no such lane."""
    there = (source >= 0) & (source < words.shape[-1])
    return np.where(there, words[:, np.where(there, source, 0)], 0).astype(np.uint8)


def distribute(words, source, count, lanes):
    """:func:`pick` inside each superlane; lanes of the vector from `count` on are +0."""
    number = np.arange(words.shape[-1])
    there = (source < lanes) & (number < count)
    return pick(words, np.where(there, number // lanes * lanes + source, -1))


def rotate(word, many, lanes):
    """Row j: the first `many` lanes of each superlane, rotated by j; the other lanes +0."""
    rows = word.reshape(-1, lanes)
    result = np.zeros((many, *rows.shape), np.uint8)
    for j in range(many):
        result[j, :, :many] = np.roll(rows[:, :many], -j, axis=1)
    return result.reshape(many, 1, -1)


def transpose(words, lanes):
    """Row i, lane j of each superlane is its row j, lane i."""
    cube = words.reshape(lanes, -1, lanes)
    return np.ascontiguousarray(cube.transpose(2, 1, 0)).reshape(lanes, 1, -1)


def reduce(words, kind, count, lanes):
    """Maximum or sum of the first `count` lanes, fp32, on every lane, in the order of the RTL."""
    values = np.ascontiguousarray(words.T).view(np.float32)[:, 0].copy()
    values[count:] = -np.inf if kind is ReduceKind.MAX else 0
    combine = greater if kind is ReduceKind.MAX else add
    rows = values.reshape(-1, lanes)
    while rows.shape[1] > 1:
        rows = combine(rows[:, 0::2], rows[:, 1::2])
    total = rows[0]
    for row in rows[1:]:
        total = combine(total, row)
    return np.repeat(total.view(np.uint8)[:, None], len(values), axis=1)


def add(a, b):
    """fp32 sums, rounded to nearest even; NaN is canonical."""
    with np.errstate(all="ignore"):
        return canonical(a + b)


def greater(a, b):
    """The larger of fp32 values; -0 is below +0; NaN if either is."""
    nan = np.isnan(a) | np.isnan(b)
    return canonical(np.where(nan, np.float32(np.nan), np.where(_key(a) >= _key(b), a, b)))


def canonical(values):
    """`values`, every NaN as the core makes it."""
    bits = np.where(np.isnan(values), np.uint32(NAN), values.view(np.uint32))
    return bits.astype(np.uint32).view(np.float32)


def _key(values):
    """int64 that have the order of fp32 values, -0 below +0."""
    bits = values.view(np.uint32).astype(np.int64)
    return np.where(bits >> 31, -1 - (bits & 0x7FFFFFFF), bits)
