"""An MXM plane in skewed time: whole vectors, no stagger, no pipeline."""

import numpy as np

from tsp.hw.isa.mxm import AccMode
from tsp.sim.golden.exact import STORED, Operands, Sums


class UnwrittenError(Exception):
    """Weights, an accumulator row or a held vector were used before they were written."""


class Plane:
    """Weight buffer, array and accumulators of one plane.

    The caller handles timing; each method is the whole effect of one step of an instruction.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config):
        self.config = config
        size = config.vector
        self._buffer = Operands(
            np.zeros((size, size), np.int64), *(np.zeros((size, size), bool) for _ in range(3))
        )
        self._loaded = np.zeros(size, bool)
        self._array = None
        self._vector = None
        self._rows = {}

    def load(self, column, dtype, words):
        """LW: write columns from `column` into the buffer; `words` is uint8[streams, L]."""
        weights = elements(words, dtype)
        span = slice(column, column + len(weights))
        for name, part in vars(Operands.of(weights)).items():
            getattr(self._buffer, name)[:, span] = part.T
        self._loaded[span] = True

    def install(self):
        """IW: copy the buffer to the array.

        Raises
        ------
        UnwrittenError
            If a column was never loaded.
        """
        if not self._loaded.all():
            raise UnwrittenError(f"weight column {self._loaded.argmin()} was never loaded")
        self._array = Operands(*(part.copy() for part in vars(self._buffer).values()))
        low, high = self._array.digits()
        self._digits = np.hstack([low, high])
        self._special = self._array.special

    def dot(self, words, dtype, count):
        """ABC: the exact dot products, :class:`Sums` of L columns.

        Parameters
        ----------
        words : ndarray or None
            uint8[streams, L], or None to hold: use the previous vector again.
        dtype : DType
        count : int
            Lanes from `count` on contribute nothing.

        Raises
        ------
        UnwrittenError
            If no weights were ever installed, or there is no vector to hold.
        """
        if words is not None:
            self._vector = Operands.of(elements(words, dtype)[0])
        if self._array is None:
            raise UnwrittenError("no weights were installed before this vector")
        if self._vector is None:
            raise UnwrittenError("there is no vector to hold")
        vector = Operands(*(part[None, :count] for part in vars(self._vector).values()))
        if self._special or vector.special:
            array = Operands(*(part[:count] for part in vars(self._array).values()))
            return Sums.of(vector, array)[0]
        size = self.config.vector
        products = np.vstack(vector.digits()) @ self._digits[:count]
        sums = Sums.zeros(size)
        sums.digits[0] = products[0, :size]
        sums.digits[1] = products[0, size:] + products[1, :size]
        sums.digits[2] = products[1, size:]
        return sums

    def accumulate(self, row, mode, sums):
        """ACC: write or add `sums` to `row`; with ``AccMode.KEEP`` only check that it is written.

        Raises
        ------
        UnwrittenError
            If the mode is ADD or KEEP and the row was never written.
        """
        if mode is AccMode.WRITE:
            self._rows[row] = sums
            return
        if row not in self._rows:
            raise UnwrittenError(f"accumulator row {row} was never written")
        if mode is AccMode.ADD:
            self._rows[row] = self._rows[row] + sums

    def emit(self, row, dtype, count):
        """The words that ACC drives: `row` rounded into `dtype`, uint8[bytes, L]."""
        values = self._rows[row].rounded(dtype)
        values[count:] = 0
        return np.ascontiguousarray(values.view(np.uint8).reshape(len(values), -1).T)


def elements(words, dtype):
    """Words uint8[streams, L], low byte first, as elements [streams / bytes, L] of `dtype`."""
    parts = words.reshape(-1, dtype.bytes, words.shape[-1])
    raw = np.ascontiguousarray(parts.transpose(0, 2, 1))
    return raw.view(STORED[dtype])[..., 0]
