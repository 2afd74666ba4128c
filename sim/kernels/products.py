"""What a product of rows and weights does in which pass, known before anything is laid out."""

from dataclasses import dataclass
from itertools import product

from tsp.hw.floorplan import Hemisphere


@dataclass(frozen=True)
class Piece:
    """What a plane computes in a round: a tile of the columns of a weight, for its rows.

    `half` is None for all rows of a chunk, 0 for the first half of them and 1 for the last.
    """

    weight: str
    tile: int
    half: int | None = None

    def rows(self, first, last):
        """Its rows in the chunk from `first` to before `last`; halves of an odd number overlap."""
        count = last - first if self.half is None else -(-(last - first) // 2)
        return (last - count, last) if self.half else (first, first + count)


@dataclass(frozen=True, eq=False)
class Product:
    """The passes of a product: by round, chunk of rows, and tile of k, numbered from `start`.

    What is read for a pass is read up to `slack` passes before, what is written up to as many after
    it, since banks are near and far.
    """

    name: str
    k: int
    steps: int
    chunks: list
    rounds: list
    start: int
    sides: list
    slack: int

    @property
    def passes(self):
        """How many there are."""
        return len(self.rounds) * len(self.chunks) * self.steps

    def number(self, turn, chunk, step):
        """The number of a pass."""
        return self.start + (turn * len(self.chunks) + chunk) * self.steps + step

    def tile(self, side, step):
        """The tile of k that a hemisphere takes in a step: the east is half of them ahead."""
        ahead = self.steps // 2 if len(self.sides) > 1 and side is Hemisphere.E else 0
        return (step + ahead) % self.steps

    def reading(self, chunk, tile, sides=None):
        """Passes in which a tile of the rows is read."""
        numbers = (
            self.number(turn, chunk, step)
            for turn, step, side in product(
                range(len(self.rounds)), range(self.steps), sides or self.sides
            )
            if self.tile(side, step) == tile
        )
        return {number - early for number in numbers for early in range(self.slack + 1)}

    def finishing(self, weight, tile, chunk=None):
        """Passes in which the sums of a tile of columns come home."""
        return {
            self.number(turn, number, self.steps - 1) + late
            for turn, pieces in enumerate(self.rounds)
            if any((p.weight, p.tile) == (weight, tile) for p in pieces.values())
            for number in (range(len(self.chunks)) if chunk is None else [chunk])
            for late in range(self.slack + 1)
        }
