"""Tensors in SRAM: matrices in tiles of a vector's width, each byte of a tile in its own bank."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from tsp.hw.errors import CapacityError, InputError
from tsp.hw.floorplan import Hemisphere
from tsp.hw.isa import DType
from tsp.sim.kernels.common import NUMPY, chunks, from_vectors, to_vectors
from tsp.sim.layout import Memory, Span, banks

_STORED = {NUMPY[dtype]: dtype for dtype in (DType.INT8, DType.FP16, DType.FP32)}


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of a tensor, short enough for a bank."""

    first: int
    last: int

    @property
    def rows(self):
        """Number of rows."""
        return self.last - self.first


class Tensor:
    """A matrix of `rows` x `columns` in SRAM.

    Members
    -------
    chunks : list of Chunk
    tiles : int
        Vectors per row; the last is padded.
    places : dict
        :class:`~tsp.sim.layout.Place` of consecutive rows, a bank per byte, by (chunk, tile).
    """

    def __init__(self, store, rows, columns, dtype, side):
        self.store, self.rows, self.columns, self.dtype = store, rows, columns, dtype
        parts = chunks(range(rows), store.config.bank_words)
        self.chunks = [Chunk(part.start, part.stop) for part in parts]
        self.tiles = -(-columns // store.config.vector)
        self.places = {}
        group = None
        for chunk, tile in product(self.chunks, range(self.tiles)):
            if group is None or any(store.memory.room(bank) < chunk.rows for bank in group):
                group = store.banks(dtype.bytes, side)
            self.places[chunk, tile] = store.memory.take(group, chunk.rows)

    def lanes(self, tile):
        """Lanes of a tile that are not padding."""
        return min(self.store.config.vector, self.columns - tile * self.store.config.vector)

    def fill(self, array, name=""):
        """Put the matrix into the memory image, under a name."""
        vectors = to_vectors(array, self.store.config.vector)
        for (chunk, tile), place in self.places.items():
            for plane, (bank, address) in zip(vectors, place, strict=True):
                rows = plane[chunk.first : chunk.last, tile]
                self.store.memory.fill(bank, address, rows, name)
        return self

    def spans(self):
        """Where the rows lie, if the matrix is float16: a list of :class:`~tsp.sim.layout.Span`."""
        return [Span(tile, c.first, c.last, place) for (c, tile), place in self.places.items()]

    def expect(self):
        """Note that the matrix is a result."""
        for (chunk, _), place in self.places.items():
            for bank, address in place:
                self.store.memory.expect(bank, address, chunk.rows)
        return self

    def result(self, outputs):
        """The matrix, from the outputs of a run."""
        out = np.empty((self.rows, self.columns), NUMPY[self.dtype])
        width = self.store.config.vector
        for (chunk, tile), place in self.places.items():
            planes = [self.store.memory.result(outputs, *at, chunk.rows) for at in place]
            part = out[chunk.first : chunk.last, tile * width : (tile + 1) * width]
            part[:] = from_vectors(planes, self.dtype)[:, : part.shape[1]]
        return out


class Store:
    """The SRAM of a core, from which tensors take banks of their own, those near the VXM first.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config):
        self.config, self.memory = config, Memory(config)
        vxm = config.floorplan.slice("VXM").stop
        self._free = {
            side: sorted(banks(config, side), key=lambda bank: abs(bank.stop - vxm))
            for side in Hemisphere
        }
        self._taken = 0

    def banks(self, count, side=None):
        """So many banks that nothing else uses, all of one hemisphere: `side`, or the emptier."""
        side = side or max(Hemisphere, key=lambda s: len(self._free[s]))
        if len(self._free[side]) < count:
            bank = self.config.bank_words * self.config.vector
            free = sum(map(len, self._free.values())) * bank
            raise CapacityError(
                f"the tensors need {count} more banks in hemisphere {side.value}, {count * bank} "
                f"bytes, than the {2 * self.config.mem_slices} of {bank} bytes that config "
                f"{self.config.name} has: {free} bytes of {self.config.memory_bytes} are free; "
                "use a larger config or a smaller problem"
            )
        taken, self._free[side] = self._free[side][:count], self._free[side][count:]
        return taken

    def tensor(self, rows, columns, dtype, side=None):
        """An empty tensor.

        Raises
        ------
        InputError
            If it has no rows or no columns.
        CapacityError
            If it is larger than what is free.
        """
        if rows < 1 or columns < 1:
            raise InputError(f"a tensor must have rows and columns, not {rows} x {columns}")
        size = rows * -(-columns // self.config.vector) * self.config.vector * dtype.bytes
        if size > self.config.memory_bytes:
            raise CapacityError(
                f"a tensor of {rows} x {columns} in {dtype.name.lower()} needs {size} bytes, with "
                f"padding, and config {self.config.name} has {self.config.memory_bytes}; use a "
                "larger config or a smaller problem"
            )
        return Tensor(self, rows, columns, dtype, side)

    def of(self, array, side=None, name="x"):
        """A tensor with the content of a matrix of int8, float16 or float32.

        Raises
        ------
        InputError
            If it is no such matrix, or has no element.
        """
        if not isinstance(array, np.ndarray) or array.dtype not in _STORED:
            found = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise InputError(
                f"a tensor is made of a numpy array of int8, float16 or float32, not of {found}"
            )
        if array.ndim != 2 or not array.size:
            raise InputError(
                f"a tensor is made of a matrix with at least one element, not of {array.shape}"
            )
        dtype = _STORED[array.dtype]
        return self.tensor(*array.shape, dtype, side).fill(array, name)
