"""Kernel `rope`, rotary position embedding, beside its reference."""

import numpy as np

from tsp.hw.config import Config
from tsp.hw.errors import InputError
from tsp.hw.floorplan import Hemisphere
from tsp.sim.kernels.common import Kernel, fp32_number
from tsp.sim.kernels.rows import FP16, held, matrix, narrowed, widened

BASE = 10000.0


def rope(
    config: Config,
    x: np.ndarray,
    heads: int = 1,
    positions: np.ndarray | None = None,
    base: float = BASE,
) -> Kernel:
    """Pairs of elements of every head turned by an angle that grows with the position.

    Elements i and i + size / 2 of a head are a pair; at position p it turns by p base^(-2 i / size)
    (Su et al., arXiv 2104.09864, in the order of halves).

    Parameters
    ----------
    config : Config
    x : ndarray
        float16 (rows, heads * size), the heads of a token side by side.
    heads : int
    positions : ndarray, optional
        int (rows,); 0, 1, 2 ... if not given.
    base : float

    Raises
    ------
    TypeError
        If positions are not integers.
    ValueError
        If the partner of an element is neither in the same vector nor in the same lane of another:
        a head must be a divisor of the vector, or half a head a multiple of it.
    """
    rows_, columns = matrix("x", x).shape
    if heads < 1 or columns % heads or columns // heads % 2:
        raise InputError(f"{columns} columns are not {heads} heads of an even size")
    size, lanes = columns // heads, config.vector
    positions = np.arange(rows_) if positions is None else np.asarray(positions)
    if positions.dtype.kind not in "iu":
        raise InputError(f"positions must be integers, not {positions.dtype}")
    if not 0 < base < np.inf:
        raise InputError(f"base must be a finite number above 0, not {base}")
    base = fp32_number("base", base)
    if positions.shape != (rows_,):
        raise InputError(f"positions must have shape ({rows_},), not {positions.shape}")
    inside = columns <= lanes or lanes % size == 0
    if not inside and size // 2 % lanes:
        raise InputError(
            f"the size of a head must divide the vector of {lanes} lanes, or half of it must be a "
            f"multiple of that, not {size}"
        )

    def reference(x):
        return rope_reference(x, heads, positions, base)

    def make(rows):
        store = rows.store
        # Two copies where the partner is another tile, so that both can be read in one cycle.
        source = store.of(x)
        partner = None if inside else store.of(x)
        turns = zip(_turns(positions, heads, size, base), ("cosine", "sine"), strict=True)
        cosine, sine = (store.of(table, name=name) for table, name in turns)
        result = store.tensor(*x.shape, FP16)
        order = _order(store, lanes, size) if inside else None
        for (chunk, tile), place in source.places.items():

            def formula(p, chunk=chunk, tile=tile, place=place):
                wide = widened(p, place)
                if inside:
                    other = p.permute(Hemisphere.W, wide, order)
                else:
                    step = size // 2 // lanes
                    away = step if tile * lanes % size < size // 2 else -step
                    other = widened(p, partner.places[chunk, tile + away])
                straight = p.op("mulf", wide, p.load(cosine.places[chunk, tile]))
                across = p.op("mulf", other, p.load(sine.places[chunk, tile]))
                narrowed(p, p.op("addf", straight, across), result.places[chunk, tile])

            rows.run(f"rope of tile {tile}", chunk.rows, formula)
        copies = [source] if inside else [source, partner]
        return rows.kernel("rope", x, result, reference, 1e-3, copies, heads=heads)

    return held(config, make)


def _turns(positions, heads, size, base):
    """Cosine and signed sine of every element's angle, float32 (rows, heads * size)."""
    angles = positions[:, None] * base ** (-2 * np.arange(size // 2) / size)
    cosine, sine = np.cos(angles), np.sin(angles)
    pairs = np.hstack([cosine, cosine]), np.hstack([-sine, sine])
    return [np.tile(pair, heads).astype(np.float32) for pair in pairs]


def _order(store, lanes, size):
    """The place of a map of lanes to their partners."""
    lane = np.arange(lanes)
    inside = lane % size
    partner = lane - inside + (inside + size // 2) % size
    raw = np.where(partner < lanes, partner, 0xFFFF).astype("<u2")[None]
    place = store.memory.take(store.banks(2, Hemisphere.W), 1)
    for byte, (bank, address) in enumerate(place):
        word = raw.view(np.uint8).reshape(1, lanes, 2)[..., byte]
        store.memory.fill(bank, address, word, "partners")
    return place


def rope_reference(
    x: np.ndarray, heads: int = 1, positions: np.ndarray | None = None, base: float = BASE
) -> np.ndarray:
    """What :func:`rope` computes, in float64."""
    size = x.shape[1] // heads
    positions = np.arange(len(x)) if positions is None else np.asarray(positions)
    angles = positions[:, None, None] * base ** (-2 * np.arange(size // 2) / size)
    first, second = np.split(x.astype(np.float64).reshape(len(x), heads, size), 2, axis=2)
    turned = (
        first * np.cos(angles) - second * np.sin(angles),
        second * np.cos(angles) + first * np.sin(angles),
    )
    return np.concatenate(turned, axis=2).reshape(x.shape)
