"""What attention is asked for: operands, mask and scale, checked; its reference; its kernel."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tsp.hw.config import LONGEST_SUM
from tsp.hw.errors import InputError
from tsp.sim.kernels.common import Kernel, check_size, fp32_number, from_vectors
from tsp.sim.kernels.rows import FP16, of_fp16, to_fp16

LOWEST = -3.0e38
"""What the maximum of a row is held above, so that a row that sees nothing gives no NaN."""

SMALLEST = float(np.finfo(np.float32).tiny)
"""What the sum of a row is held above, if a row may see nothing."""

_LOST = 2.0**-13


def check_mask(mask, shape):
    """Refuse a mask that is no array of bool of that shape."""
    if not isinstance(mask, np.ndarray):
        raise InputError(f"mask must be a numpy array of bool, not {type(mask).__name__}")
    if mask.shape != shape or mask.dtype != bool:
        raise InputError(f"mask must be bool {shape}, not {mask.dtype} {mask.shape}")


@dataclass(frozen=True, eq=False)
class Problem:
    """Checked operands of attention, and how they are cut into tiles of a vector.

    Members
    -------
    q, k, v : ndarray
        float16 (length, heads, size).
    mask : ndarray or None
        bool (queries, keys).
    scale : float
    """

    config: object
    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    mask: np.ndarray | None
    scale: float

    @classmethod
    def of(cls, config, q, k, v, causal=False, mask=None, scale=None):
        """The problem of these operands; ``TypeError`` and ``ValueError`` say what is wrong."""
        for name, array in (("q", q), ("k", k), ("v", v)):
            of_fp16(name, array)
            if array.ndim != 3 or not array.size:
                raise InputError(f"{name} must have shape (length, heads, size), not {array.shape}")
        if config.datapath != "fp16":
            raise InputError(f"attention needs the fp16 datapath; config {config.name} has int8")
        if k.shape != v.shape or q.shape[2] != k.shape[2]:
            raise InputError(
                f"k and v must have one shape, and q their last size, not {q.shape}, {k.shape} "
                f"and {v.shape}"
            )
        if q.shape[1] % k.shape[1]:
            raise InputError(f"{q.shape[1]} heads are no multiple of {k.shape[1]} kv heads")
        shape = q.shape[0], k.shape[0]
        if max(q.shape[2], shape[1]) > LONGEST_SUM:
            raise InputError(
                f"head size and keys must be at most {LONGEST_SUM}, not {q.shape[2]} and {shape[1]}"
            )
        if causal:
            if mask is not None:
                raise InputError("give a mask or causal, not both")
            if shape[0] > shape[1]:
                raise InputError(f"causal attention needs as many keys as queries, not {shape}")
            mask = np.tri(*shape, shape[1] - shape[0], dtype=bool)
        if mask is not None:
            check_mask(mask, shape)
        check_size("attention", config, [], [q, k, v])
        scale = 1 / np.sqrt(q.shape[2]) if scale is None else fp32_number("scale", scale)
        return cls(config, q, k, v, mask, scale)

    @property
    def lanes(self):
        """Lanes of a vector: keys, or elements of a head, in a tile."""
        return self.config.vector

    @property
    def queries(self):
        """Rows of every head."""
        return self.q.shape[0]

    @property
    def heads(self):
        """Query heads."""
        return self.q.shape[1]

    @property
    def size(self):
        """Elements of a head."""
        return self.q.shape[2]

    @property
    def key_tiles(self):
        """Tiles of the keys."""
        return -(-self.k.shape[0] // self.lanes)

    @property
    def size_tiles(self):
        """Tiles of the elements of a head."""
        return -(-self.size // self.lanes)

    def shared(self, head):
        """The key-value head that a query head attends to."""
        return head * self.k.shape[1] // self.heads

    def keys_in(self, tile):
        """Keys in a tile."""
        return min(self.lanes, self.k.shape[0] - tile * self.lanes)

    def elements_in(self, tile):
        """Elements of a head in a tile."""
        return min(self.lanes, self.size - tile * self.lanes)

    def seen(self, first, last, tile):
        """Which scores of a tile count: bool (rows, L)."""
        size, width = self.lanes, self.keys_in(tile)
        seen = np.zeros((last - first, size), bool)
        seen[:, :width] = True
        if self.mask is not None:
            seen[:, :width] = self.mask[first:last, tile * size : tile * size + width]
        return seen

    def tiles_seen(self, first, last):
        """The tiles that some row sees; one that nobody sees if there are none.

        Someone must write a row of zeros.
        """
        return [t for t in range(self.key_tiles) if self.seen(first, last, t).any()] or [0]

    def some_see_nothing(self, first, last):
        """Whether there is a row that sees no key."""
        return self.mask is not None and not self.mask[first:last].any(axis=1).all()

    @cached_property
    def folded(self):
        """The operands q and k with the scale in one of them, and what is left of the scale.

        A scale that is a power of two changes no digit, but of elements that become subnormal; it
        is folded if no score can change by more than 2^-13. The sign of a scale is always folded.
        Returns ``(q, k, rest)``, rest being 1 or the magnitude of the scale.
        """
        q, k, rest = self.q, self.k, abs(self.scale)
        if self.scale < 0:
            q = -q
        if rest == 0:
            return np.zeros_like(q), k, 1.0
        if np.frexp(rest)[0] != 0.5:
            return q, k, rest
        for number, (one, other) in enumerate(((q, k), (k, q))):
            wide = one.astype(np.float64) * rest
            with np.errstate(all="ignore"):
                narrow = wide.astype(np.float16)
                lost = np.abs(narrow - wide).sum(axis=2).max() * np.abs(other.astype(float)).max()
            if lost <= _LOST or np.array_equal(narrow, wide, equal_nan=True):
                return (q, narrow, 1.0) if number else (narrow, k, 1.0)
        return q, k, rest

    # The kernel

    def kernel(self, schedule, memory, results):
        """The kernel of a schedule.

        `results` are the places of the result by (head, first row, tile of its elements), each
        with its number of rows; all are expected in `memory`.
        """
        program = schedule.program(memory.image(), memory.outputs(), "attention", memory.tensors())
        q, k, v = self.q, self.k, self.v
        pairs = q.shape[0] * k.shape[0] if self.mask is None else int(self.mask.sum())

        def unpack(outputs):
            out = np.empty(q.shape, np.float16)
            for (head, first, number), (place, rows) in results.items():
                planes = [memory.result(outputs, *at, rows) for at in place]
                part = out[first : first + rows, head, number * self.lanes :][:, : self.lanes]
                part[:] = from_vectors(planes, FP16)[:, : part.shape[1]]
            return out

        def ideal():
            return attention_reference(q, k, v, self.mask, self.scale)

        shape = {
            "seq": q.shape[0],
            "kv_seq": k.shape[0],
            "heads": q.shape[1],
            "kv_heads": k.shape[1],
            "head_dim": q.shape[2],
        }
        macs = 2 * pairs * q.shape[1] * q.shape[2]
        return Kernel(program, unpack, lambda: to_fp16(ideal()), ideal, macs, shape, tolerance=2e-3)


def attention_reference(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    mask: np.ndarray | None = None,
    scale: float | None = None,
) -> np.ndarray:
    """Attention in float64; operands as those of :func:`~tsp.sim.kernels.attention.attention`."""
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    scale = 1 / np.sqrt(q.shape[2]) if scale is None else scale
    out = np.zeros((q.shape[0], q.shape[1], v.shape[2]))
    for head in range(q.shape[1]):
        shared = head * k.shape[1] // q.shape[1]
        scores = q[:, head] @ k[:, shared].T * scale
        if mask is not None:
            scores = np.where(mask, scores, -np.inf)
        most = np.maximum(scores.max(axis=1, keepdims=True), LOWEST)
        powers = np.exp(scores - most)
        total = np.maximum(powers.sum(axis=1, keepdims=True), SMALLEST)
        out[:, head] = powers / total @ v[:, shared]
    return out
