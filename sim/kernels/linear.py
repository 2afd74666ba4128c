"""Kernel `linear`: activation(x W scale + bias), beside its reference."""

from itertools import pairwise, product

import numpy as np

from tsp.hw.isa import DType
from tsp.sim.golden.exact import LONGEST_SUM
from tsp.sim.kernels.activations import (
    gelu_of,
    gelu_reference,
    relu_reference,
    silu_of,
    silu_reference,
)
from tsp.sim.kernels.common import Kernel, from_vectors, storage_format, to_vectors
from tsp.sim.kernels.passes import STREAMS, Passes, WeightTile
from tsp.sim.kernels.pipeline import narrowest
from tsp.sim.kernels.pool import Pool
from tsp.sim.kernels.rows import FP16, FP32, matrix, row_of, to_fp16
from tsp.sim.layout import CapacityError

ACTIVATIONS = {
    "none": (lambda p, x: x, lambda x: x),
    "relu": (lambda p, x: p.op("reluf", x), relu_reference),
    "gelu": (gelu_of, gelu_reference),
    "silu": (silu_of, silu_reference),
}
"""Steps in a pipeline, and the reference, of every activation by name."""


def linear(config, x, w, *, scale=None, bias=None, activation="none"):
    """activation(x W scale + bias): exact products, rounded once to fp32, then steps of the VXM.

    Parameters
    ----------
    config : Config
        With the fp16 datapath.
    x : ndarray
        float16 (rows, k).
    w : ndarray
        float16 or int8 (k, columns).
    scale : ndarray, optional
        float32 (columns,), what each column is multiplied by; for int8 weights.
    bias : ndarray, optional
        float16 (columns,).
    activation : str
        "none", "relu", "gelu" or "silu".

    Returns
    -------
    Kernel
        Its result is float16 (rows, columns).
    """
    matrix("x", x)
    dtype = storage_format("w", w)
    if w.ndim != 2 or w.shape[0] != x.shape[1] or not w.size:
        raise ValueError(f"w must have shape ({x.shape[1]}, columns), not {w.shape}")
    if x.shape[1] > LONGEST_SUM:
        raise ValueError(f"k must be at most {LONGEST_SUM}, not {x.shape[1]}")
    if config.datapath != "fp16":
        raise ValueError(f"linear needs the fp16 datapath; config {config.name} has int8")
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, not {activation!r}")
    if scale is not None:
        if dtype is not DType.INT8:
            raise ValueError("scale is for int8 weights; multiply float16 weights beforehand")
        scale = np.asarray(scale, np.float32)
        if scale.shape != w.shape[1:]:
            raise ValueError(f"scale must have shape {w.shape[1:]}, not {scale.shape}")
    if bias is not None:
        bias = row_of("bias", bias, w.shape[1])[0]
    work = _Linear(config, x, w, dtype, scale, bias, activation)
    work.run()
    return work.kernel()


def linear_reference(x, w, scale=None, bias=None, activation="none"):
    """What :func:`linear` computes, in float64."""
    out = x.astype(np.float64) @ w.astype(np.float64)
    out = out if scale is None else out * scale.astype(np.float64)
    out = out if bias is None else out + bias.astype(np.float64)
    return ACTIVATIONS[activation][1](out)


class _Linear(Passes):
    """A linear layer on its way into a schedule."""

    def __init__(self, config, x, w, dtype, scale, bias, activation):
        super().__init__(config)
        self.x, self.w, self.dtype = x, w, dtype
        self.scale, self.bias, self.activation = scale, bias, activation
        self.k_tiles = -(-x.shape[1] // self.lanes)
        self.n_tiles = -(-w.shape[1] // self.lanes)
        count = -(-x.shape[0] // config.acc_rows)
        edges = [x.shape[0] * i // count for i in range(count + 1)]
        self.chunks = list(pairwise(edges))
        self.pool = Pool(config, "a linear layer")
        # A plane needs banks of its own for what it emits and for what its columns are given.
        each = 2 + 4 * (scale is not None) + 2 * (bias is not None)
        room = (2 * config.mem_slices - 2 - 2 * dtype.bytes) // each
        if not room:
            raise CapacityError(
                f"a linear layer needs {4 + 2 * dtype.bytes + each} banks in each hemisphere, and "
                f"config {config.name} has {2 * config.mem_slices}; use a larger config"
            )
        self.planes = [plane for plane in self.planes if plane.number < room]
        self._fill()

    # Memory

    def _fill(self):
        pool, size = self.pool, self.lanes
        self.rows, self.weights, self.given, self.results = {}, {}, {}, {}
        groups = {side: [pool.take(side, 2)] for side in self.sides}
        results = {plane: [pool.take(plane.side, 2)] for plane in self.planes}
        self._groups = results
        vectors = to_vectors(self.x, size)
        for (first, last), tile, side in product(self.chunks, range(self.k_tiles), self.sides):
            place = pool.rows_in(groups[side], side, last - first)
            pool.fill(place, vectors[:, first:last, tile])
            self.rows[side, first, tile] = place
        for name, array in (("scale", self.scale), ("bias", self.bias)):
            if array is not None:
                self._give(name, array)
        banks = {side: [pool.take(side, self._width(side))] for side in self.sides}
        for number, tile in product(range(self.n_tiles), range(self.k_tiles)):
            side = self.plane(number).side
            rows = slice(tile * size, (tile + 1) * size)
            columns = self.w[rows, number * size : (number + 1) * size].T

            def take(dtype, side=side):
                return pool.rows_in(banks[side], side, size * dtype.bytes // len(banks[side][-1]))

            self.weights[number, tile] = WeightTile.of(pool.memory, take, columns, self.dtype)

    def _width(self, side):
        """Banks over which the columns of a tile are dealt: the more, the faster it loads.

        As few as hold all tiles at a time, so that more of them can be taken when they are full.
        """
        words = self.lanes * self.dtype.bytes * self.k_tiles * -(-self.n_tiles // len(self.planes))
        words *= sum(plane.side is side for plane in self.planes)
        width = self.dtype.bytes
        while 2 * width <= STREAMS and self.lanes * self.dtype.bytes % (2 * width) == 0:
            groups = -(-words // (2 * width * self.config.bank_words))
            if 2 * width * groups > len(self.pool.free[side]):
                break
            width *= 2
        return width

    def _give(self, name, array):
        """Store a number per column, a word for every tile of columns, near the tile's plane."""
        padded = np.zeros((1, self.n_tiles * self.lanes), array.dtype)
        padded[0, : len(array)] = array
        vectors = to_vectors(padded, self.lanes)
        groups = {p: [self.pool.take(p.side, array.dtype.itemsize)] for p in self.planes}
        for number in range(self.n_tiles):
            plane = self.plane(number)
            place = self.pool.rows_in(groups[plane], plane.side, 1)
            self.pool.fill(place, vectors[:, :, number])
            self.given[name, number] = place

    # Schedule

    def run(self):
        """Place all passes: for every piece of rows, the tiles of columns, a plane each."""
        step = len(self.planes)
        for first, last in self.chunks:
            for number in range(0, self.n_tiles, step):
                numbers = range(number, min(number + step, self.n_tiles))
                for tile in range(self.k_tiles):
                    self._pass(first, last, numbers, tile)

    def _pass(self, first, last, numbers, tile):
        name = f"rows {first} to {last - 1}, columns {list(numbers)}, k tile {tile}"
        ready = max(
            self.load(self.plane(number), self.weights[number, tile], name) for number in numbers
        )
        count = min(self.lanes, self.x.shape[1] - tile * self.lanes)

        def build(interval):
            p = self.pipeline(name, last - first, interval)
            sides = {self.plane(number).side for number in numbers}
            sources = {side: self.stream(p, side, self.rows[side, first, tile]) for side in sides}
            for number in numbers:
                plane = self.plane(number)
                columns = min(self.lanes, self.w.shape[1] - number * self.lanes)
                time = self.multiply(
                    p, plane, sources[plane.side], 0, count, tile, self.k_tiles, columns
                )
                if time is not None:
                    self._finish(p, first, number, time)
            return p, []

        self.place(*narrowest(build), ready=ready)

    def _finish(self, p, first, number, time):
        """What the VXM does to the sums of a tile of columns on their way to memory."""
        value = p.arriving(self.plane(number).results, time)
        if self.scale is not None:
            value = p.op("mulf", value, p.load(self.given["scale", number], same=True))
        if self.bias is not None:
            bias = p.convert(p.load(self.given["bias", number], same=True), FP16, FP32)
            value = p.op("addf", value, bias)
        value = ACTIVATIONS[self.activation][0](p, value)
        key = first, number
        if key not in self.results:
            plane = self.plane(number)
            place = self.pool.rows_in(self._groups[plane], plane.side, p.rows)
            for bank, address in place:
                self.pool.memory.expect(bank, address, p.rows)
            self.results[key] = place
        p.store(p.convert(value, FP32, FP16), self.results[key])

    # The kernel

    def kernel(self):
        """The kernel of everything placed."""
        x, w, memory = self.x, self.w, self.pool.memory
        program = self.schedule.program(memory.image(), memory.outputs(), "linear")

        def unpack(outputs):
            out = np.empty((x.shape[0], w.shape[1]), np.float16)
            for (first, last), number in product(self.chunks, range(self.n_tiles)):
                place = self.results[first, number]
                planes = [memory.result(outputs, *at, last - first) for at in place]
                part = out[first:last, number * self.lanes :][:, : self.lanes]
                part[:] = from_vectors(planes, FP16)[:, : part.shape[1]]
            return out

        def reference():
            return linear_reference(x, w, self.scale, self.bias, self.activation)

        shape = {
            "rows": x.shape[0],
            "k": x.shape[1],
            "cols": w.shape[1],
            "w_dtype": self.dtype.name.lower(),
        }
        macs = x.shape[0] * w.size
        return Kernel(
            program, unpack, lambda: to_fp16(reference()), reference, macs, shape, tolerance=1e-3
        )
