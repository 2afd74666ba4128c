"""The operands of an attention layer: tiles with its weights, scales, cosines and tokens."""

import numpy as np

from tsp.hw.floorplan import Hemisphere
from tsp.hw.isa import DType
from tsp.sim.kernels.common import to_vectors, weight_format
from tsp.sim.kernels.stage.heads import Heads
from tsp.sim.kernels.stage.products import Rows
from tsp.sim.kernels.stage.sweep import Part, Stage, Weights

WEST, EAST = Hemisphere.W, Hemisphere.E
FP16, FP32 = DType.FP16, DType.FP32


class LayerOperands:
    """The operands of an attention layer in tiles, with what is constant in it.

    Parameters
    ----------
    config : Config
    layer : Layer
    tiles : Tiles
    banks : int
        Over which a tile of weights is dealt at most.

    Members
    -------
    x : Rows
        The tokens.
    weights : dict
        By "q", "k" and "out": from a tile of columns and a tile of k to :class:`Weights`.
    value_rows : Rows
        Transposed weights of the values.
    value_scale : list of Tile or None
        Scales of their rows, for every hemisphere.
    scales : dict
        Tiles with scales of columns, by name, tile of columns and hemisphere.
    turns : dict
        Tiles of cosines and sines, and maps of partners.
    slot : int
        Lane of the first new token in its tile of keys.
    rest : list of Rows
        Copies of x that are added at the end, by hemisphere.
    """

    def __init__(self, config, layer, tiles, banks):
        self.layer, self.tiles, self.banks = layer, tiles, banks
        self.stage, self.lanes = Stage(config, tiles), config.vector
        self.rows, self.width = layer.x.shape
        self.keys = layer.cached + self.rows
        self.q = Heads(layer.heads, layer.size, self.lanes, layer.rope)
        self.k = Heads(layer.kv_heads, layer.size, self.lanes, layer.rope)
        self.v = Heads(layer.kv_heads, layer.size, self.lanes)
        self.out = Heads(layer.heads, layer.size, self.lanes)
        self.width_tiles, self.key_tiles = self._tiles(self.width), self._tiles(self.keys)
        self.slot = layer.cached % self.lanes
        self.rest = []
        self._constants()

    def _tiles(self, columns):
        return -(-columns // self.lanes)

    def matrix(self, name, tiles, dtype=FP16):
        """Rows of so many tiles, which both hemispheres read in turn, or each its own copy."""
        alone = tiles == 1 and len(self.stage.sides) == 2
        return Rows(self.tiles, name, self.lanes, dtype, 2 if alone else 1)

    def _side(self, number):
        return (WEST, EAST)[number % 2]

    def sides_of(self, rows, number):
        """``(copy, side)`` of every copy of a tile."""
        if rows.copies == 2:
            return [(0, WEST), (1, EAST)]
        return [(0, self._side(number))]

    def filled(self, rows, array, word=0):
        """Fill a matrix of rows, in words from `word` on."""
        vectors = to_vectors(array, self.lanes)
        for n in range(vectors.shape[2]):
            for copy, side in self.sides_of(rows, n):
                tile = rows.segment(n, 0, len(array), side, copy, word)
                blank = np.zeros((rows.dtype.bytes, tile.words, self.lanes), np.uint8)
                blank[:, word : word + len(array)] = vectors[:, :, n]
                self.tiles.fill(tile, blank)
        return rows

    # Constants: weights, scales, cosines

    def _constants(self):
        layer = self.layer
        self.x = self.filled(self.matrix("x", self.width_tiles), layer.x, self.slot)
        self.wide = self.x
        if layer.norm != "none":
            self.wide = self.matrix("wide", self.width_tiles)
            if self.slot:  # the lanes of older tokens must be 0: they are added to their values
                self.filled(self.wide, np.zeros_like(layer.x), self.slot)
        w = layer.weights
        self.weights = {
            "q": self._spread("q", self.q.spread(w["q"])),
            "k": self._spread("k", self.k.spread(w["k"])),
            "out": self._spread("out", self.out.spread(w["out"].T).T),
        }
        values = np.ascontiguousarray(self.v.spread(w["v"]).T)
        dtype = weight_format("v", w["v"])
        self.value_rows = self.filled(self.matrix("v", self.width_tiles, dtype), values)
        self.scales = {}
        self._scale("k", layer.scales.get("k"), self.k)
        # The scale of the scores goes with the cosines, if there are any, or with the columns'.
        scale = layer.scales.get("q")
        if scale is not None and not layer.rope:
            scale = scale * np.float32(layer.scale)
        self._scale("q", scale, self.q)
        self._scale("out", layer.scales.get("out"), Heads(1, self.width, self.lanes))
        self.value_scale = None
        if "v" in layer.scales:
            column = self.v.spread(layer.scales["v"][None]).T
            self.value_scale = [
                self.constant(("scale of v", side), np.repeat(column, self.lanes, axis=1), side)
                for side in self.stage.sides
            ]
        if layer.rope:
            self._turns()

    def _spread(self, name, matrix):
        """Weights of a matrix (k, columns): a function of column tile and k tile."""
        dtype, size = weight_format(name, matrix), self.lanes
        width = min(self.banks, self.stage.weights)
        while width > dtype.bytes and size * dtype.bytes % width:
            width //= 2
        vectors = to_vectors(np.ascontiguousarray(matrix.T), size)  # bytes, columns, k tiles, L
        each, steps = size * dtype.bytes // width, vectors.shape[2]
        columns = vectors.shape[1]
        padded = np.zeros((dtype.bytes, self._tiles(columns) * size, steps, size), np.uint8)
        padded[:, :columns] = vectors

        def weights(n, k):
            side = self._home(n)
            tile = self.tiles.tile((name, n), each * steps, width, side)
            if not tile.filled:
                tile.filled = True
                part = padded[:, n * size : (n + 1) * size]
                # Column c is in group c modulo the columns of an LW.
                dealt = part.reshape(dtype.bytes, each, -1, steps, size).transpose(2, 0, 3, 1, 4)
                self.tiles.fill(tile, dealt.reshape(width, steps * each, size))
            return Weights((Part(tile, k * each, 0, each),), dtype)

        return weights

    def _home(self, n):
        return self._side(n // max(len(self.stage.planes) // 2, 1))

    def constant(self, key, array, side):
        """A tile with rows of fp32 (rows, L)."""
        tile = self.tiles.tile(key, len(array), 4, side)
        self.tiles.fill(tile, to_vectors(array.astype(np.float32), self.lanes)[:, :, 0])
        return tile

    def _scale(self, name, scale, heads):
        """Words that columns are multiplied by, on both sides."""
        if scale is None:
            return
        spread = heads.spread(scale[None])
        for n in range(spread.shape[1] // self.lanes):
            for side in self.stage.sides:
                row = spread[:, n * self.lanes : (n + 1) * self.lanes]
                key = f"scale of {name}", n, side
                self.scales[name, n, side] = self.constant(key, row, side)

    def _turns(self):
        """Tiles of cosines and sines for q, which carry the scale of the scores, and for k."""
        self.turns, layer = {}, self.layer
        for name, heads, scale in (("q", self.q, layer.scale), ("k", self.k, 1.0)):
            for kind, table in zip("cs", heads.turns(layer.positions, scale), strict=True):
                vectors = table.reshape(len(table), -1, self.lanes)
                for t in range(vectors.shape[1]):
                    for copy in range(len(self.stage.sides)):
                        # The two kinds on different sides, for rows of both hemispheres.
                        side = self._side(copy + (kind == "s"))
                        tile = self.constant((name, kind, t, copy), vectors[:, t], side)
                        self.turns[name, kind, t, copy] = tile
        if not self.q.paired:
            lanes = self.q.partners()[None].astype("<u2").view(np.uint8)
            lanes = lanes.reshape(1, self.lanes, 2)
            for plane in self.stage.planes:  # each has a unit of the SXM, and reads a map for it
                tile = self.tiles.tile(("partners", plane.name), 1, 2, plane.side)
                self.tiles.fill(tile, np.moveaxis(lanes, -1, 0))
                self.turns["partners", plane] = tile
