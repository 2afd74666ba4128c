"""How the elements of heads are arranged in vectors, for products and for rotary embedding."""

from dataclasses import dataclass

import numpy as np

from tsp.sim.kernels.rope import BASE


@dataclass(frozen=True)
class Heads:
    """Heads of `size` elements in tiles of `lanes`, each head in tiles of its own.

    With `turned`, elements that rotary embedding pairs, i and i + size / 2, lie in the same lane
    of two tiles, or in one tile if the head fits in it.
    """

    count: int
    size: int
    lanes: int
    turned: bool = False

    @property
    def paired(self):
        """Whether pairs lie in two tiles."""
        return self.turned and self.size > self.lanes

    @property
    def tiles(self):
        """Tiles of a head."""
        if self.paired:
            return 2 * -(-self.size // 2 // self.lanes)
        return -(-self.size // self.lanes)

    @property
    def padded(self):
        """Elements of a head with padding."""
        return self.tiles * self.lanes

    def order(self):
        """Where the elements of a head lie: int (size,)."""
        element = np.arange(self.size)
        if not self.paired:
            return element
        half = self.size // 2
        return np.where(element < half, element, element - half + self.padded // 2)

    def spread(self, columns):
        """A matrix (rows, count * size) with the columns where they lie: (rows, count * padded)."""
        rows = columns.shape[0]
        out = np.zeros((rows, self.count, self.padded), columns.dtype)
        out[:, :, self.order()] = columns.reshape(rows, self.count, self.size)
        return out.reshape(rows, self.count * self.padded)

    def groups(self):
        """Tiles of all heads that must be computed together."""
        half = self.tiles // 2
        found = []
        for first in range(0, self.count * self.tiles, self.tiles):
            if self.paired:
                found += [(first + t, first + half + t) for t in range(half)]
            else:
                found += [(first + t,) for t in range(self.tiles)]
        return found

    def turns(self, positions, scale=1.0, base=BASE):
        """Cosine and sine of every pair's angle, times `scale`, float32.

        Shapes are (rows, padded / 2) for pairs in two tiles, else (rows, padded), where the sine
        has the sign that the first or second of a pair needs.
        """
        half = self.size // 2
        angles = positions[:, None] * base ** (-2 * np.arange(half) / self.size)
        cosine, sine = scale * np.cos(angles), scale * np.sin(angles)
        if self.paired:
            out = np.zeros((2, len(positions), self.padded // 2), np.float32)
            out[:, :, :half] = cosine, sine
        else:
            out = np.zeros((2, len(positions), self.padded), np.float32)
            out[:, :, : self.size] = np.hstack([cosine, cosine]), np.hstack([-sine, sine])
        return out

    def partners(self):
        """A map of lanes to the partners inside a tile, uint16 (lanes,); 0xFFFF for none."""
        lane = np.arange(self.lanes)
        partner = (lane + self.size // 2) % self.size
        return np.where(lane < self.size, partner, 0xFFFF).astype(np.uint16)
