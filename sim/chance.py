"""Random numbers that are the same on every machine, with every version of Python and numpy.

A plan is the outcome of a search that draws random numbers, and tests assert the cycles of plans.
"""

import numpy as np

from tsp.hw.errors import InputError

_WORD = (1 << 64) - 1
_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


class Chance:
    """The generator SplitMix64: a counter in steps of the golden ratio, and a hash of it.

    Source: Guy L. Steele Jr., Doug Lea, Christine H. Flood, "Fast Splittable Pseudorandom Number
    Generators" (OOPSLA 2014), with the constants of ``java.util.SplittableRandom``.

    Parameters
    ----------
    seed : int
        0 to 2**64 - 1.
    """

    def __init__(self, seed: int):
        if not 0 <= seed <= _WORD:
            raise InputError(f"seed must be 0 to {_WORD}, not {seed}")
        self._counter = seed

    def bits(self) -> int:
        """The next 64 random bits, as an integer."""
        self._counter = z = (self._counter + _GOLDEN) & _WORD
        z = (z ^ z >> 30) * _FIRST & _WORD
        z = (z ^ z >> 27) * _SECOND & _WORD
        return z ^ z >> 31

    def words(self, count: int) -> np.ndarray:
        """The next `count` of :meth:`bits`, as uint64."""
        steps = np.arange(1, count + 1, dtype=np.uint64)
        z = np.uint64(self._counter) + steps * np.uint64(_GOLDEN)
        self._counter = self._counter + count * _GOLDEN & _WORD
        z = (z ^ z >> np.uint64(30)) * np.uint64(_FIRST)
        z = (z ^ z >> np.uint64(27)) * np.uint64(_SECOND)
        return z ^ z >> np.uint64(31)
