"""Kernel `transpose`, beside its reference: on the SXM, or where it does not reach, on the planes.

Both move bytes, so that every bit of an element survives, NaN and -0 included. The SXM transposes
inside superlanes only, but as many rows a cycle as a superlane has lanes. A plane takes rows as
columns of weights, and a product with a row of the identity is a column of the matrix; the sum goes
over all superlanes, and a plane gives a row a cycle.
"""

from itertools import product

import numpy as np

from tsp.hw.config import Config
from tsp.hw.errors import InputError
from tsp.hw.floorplan import Hemisphere
from tsp.hw.isa import SG1, Abc, Acc, AccMode, DType, Transpose, refusal
from tsp.sim.kernels.common import NUMPY, Kernel, check_size, storage_format, to_vectors
from tsp.sim.kernels.passes import Passes, WeightTile, weight_streams
from tsp.sim.kernels.pool import Pool
from tsp.sim.schedule import Operation, Schedule

_WHAT = "a transposition"


def transpose(config: Config, x: np.ndarray) -> Kernel:
    """The transposed matrix of `x`, float16 or int8 (rows, columns), bit for bit.

    With one superlane, and a bank for every lane in each hemisphere, the SXM does it; otherwise
    the planes do. See the docs for the cycles.

    Returns
    -------
    Kernel
        Its result has the dtype of `x` and shape (columns, rows).

    Raises
    ------
    CapacityError
        If the matrix and its transpose do not fit in memory together.
    """
    dtype = storage_format("x", x)
    if x.ndim != 2 or not x.size:
        raise InputError(f"x must be a matrix with at least one element, not {x.shape}")
    check_size("a transposition", config, [], [x])
    route = _Exchange if _reaches(config) else _Planes
    work = route(config, x)
    work.run()
    memory = work.pool.memory
    program = work.schedule.program(memory.image(), memory.outputs(), "transpose", memory.tensors())
    return Kernel(
        program,
        lambda outputs: _joined(work.blocks(outputs), x),
        lambda: transpose_reference(x),
        lambda: transpose_reference(x).astype(np.float64),
        macs=0,
        shape={"rows": x.shape[0], "cols": x.shape[1], "x_dtype": dtype.name.lower()},
    )


def transpose_reference(x: np.ndarray) -> np.ndarray:
    """What :func:`transpose` computes."""
    return np.ascontiguousarray(x.T)


def _reaches(config):
    """Whether the SXM can transpose whole vectors, all rows of a block read in one cycle."""
    first = SG1("W", 0)
    refused = refusal(Transpose(source=first, target=first), config)
    return not refused and config.superlanes == 1 and 2 * config.mem_slices >= config.lanes


def _split(x, size):
    """Blocks of `x`, padded: uint8 (bytes, block rows, rows, block columns, columns)."""
    padded = np.zeros((-(-x.shape[0] // size) * size, x.shape[1]), x.dtype)
    padded[: len(x)] = x
    vectors = to_vectors(padded, size)
    return vectors.reshape(len(vectors), -1, size, *vectors.shape[2:])


def _joined(blocks, x):
    """The transposed matrix of `x`, from its blocks as :func:`_split` gives them."""
    size, rows, lanes, tiles, _ = blocks.shape
    flat = np.moveaxis(blocks, 0, -1).reshape(rows * lanes, tiles * lanes, size)
    joined = np.ascontiguousarray(flat).view(x.dtype.newbyteorder("<"))[..., 0]
    return np.ascontiguousarray(joined[: x.shape[1], : x.shape[0]]).astype(x.dtype)


class _Exchange:
    """The way past the SXM in the west, from banks in the west to banks in the east.

    Row i of every block is in bank i, and row i of its transpose will be, at the same address.
    """

    def __init__(self, config, x):
        self.config, self.pool, self.schedule = config, Pool(config, _WHAT), Schedule(config)
        source = _split(x, config.lanes)
        self.shape = source.shape
        # By row of a block: all blocks, the bytes of an element one after the other.
        words = source.transpose(2, 1, 3, 0, 4).reshape(config.lanes, -1, config.lanes)
        self.parts = []  # words in a bank, and the places of what is read and what is written
        for first in range(0, words.shape[1], config.bank_words):
            part = words[:, first : first + config.bank_words]
            places = [
                self.pool.rows(self.pool.take(side, config.lanes), part.shape[1])
                for side in Hemisphere
            ]
            self.pool.fill(places[0], part, "x")
            for bank, address in places[1]:
                self.pool.memory.expect(bank, address, part.shape[1])
            self.parts.append((part.shape[1], *places))

    def run(self):
        """Place everything: a block a cycle."""
        for part in self.parts:
            self._move(*part)

    def _move(self, count, source, target):
        operation, sxm = Operation(self.config, _WHAT), self.config.floorplan.slice("SXM_W").stop
        for lane, (bank, address) in enumerate(source):
            operation.read(bank.queue, address, SG1("W", lane), sxm, 0, count)
        move = Transpose(source=SG1("W", 0), target=SG1("E", 0))
        last = max(bank.stop for bank in target.banks)
        driven = operation.exchange("SXM_W.0", move, 0, last, count=count)
        for lane, (bank, address) in enumerate(target):
            arrive = operation.arrival(sxm, bank.stop, driven)
            operation.write(bank.queue, address, SG1("E", lane), arrive, count)
        self.schedule.place(operation)

    def blocks(self, outputs):
        """The blocks of the result, from the outputs of a run."""
        memory = self.pool.memory
        parts = [
            np.stack([memory.result(outputs, *at, count) for at in target])
            for count, _, target in self.parts
        ]
        size, rows, lanes, tiles, _ = self.shape
        words = np.concatenate(parts, axis=1).reshape(lanes, rows, tiles, size, lanes)
        return words.transpose(3, 2, 0, 1, 4)


class _Planes(Passes):
    """The way through the planes: one byte of a block for each plane at a time."""

    def __init__(self, config, x):
        super().__init__(config)
        self.pool = Pool(config, _WHAT)
        self._share_banks()
        self.columns = x.shape[1]
        self.source = _split(x, self.lanes)
        size, rows, _, tiles, _ = self.source.shape
        self.jobs = list(product(range(tiles), range(rows), range(size)))
        self.identity = {side: self._identity(side) for side in self.sides}
        self.results = self._results()
        self.weights = {}
        for side in self.sides:
            self._fill(side)

    def _share_banks(self):
        """Leave out planes for which there are too few banks; one hemisphere may take all."""
        free = self.pool.free
        if len(self.sides) > 1 and len(free[self.sides[0]]) < 3:
            self.sides = self.sides[:1]
        if len(self.sides) == 1:
            (side,) = self.sides
            (other,) = set(Hemisphere) - {side}
            free[side] += free[other][::-1]  # the nearest first, here too
        self.planes = [
            plane
            for plane in self.planes
            if plane.side in self.sides and plane.number + 3 <= len(free[plane.side])
        ]

    def _identity(self, side):
        """The place of as many rows of the identity as a tile has columns."""
        place = self.pool.rows(self.pool.take(side, 1), self._width(0))
        rows = np.eye(self.lanes, dtype=np.uint8)[None, : self._width(0)]
        self.pool.fill(place, rows, "identity")
        return place

    def _results(self):
        """Places of the transposed blocks, those of each plane in banks of its own, by job."""
        places, groups = {}, {plane: [self.pool.take(plane.side, 1)] for plane in self.planes}
        for number, job in enumerate(self.jobs):
            plane, count = self.plane(number), self._width(job[0])
            places[job] = place = self.pool.rows_in(groups[plane], plane.side, count)
            self.pool.memory.expect(*next(iter(place)), count)
        return places

    def _width(self, tile):
        """Columns of a tile that are not padding."""
        return min(self.lanes, self.columns - tile * self.lanes)

    def _fill(self, side):
        """Store the rows of blocks as columns of weights, over as many banks as can be had."""
        mine = [job for n, job in enumerate(self.jobs) if self.plane(n).side is side]
        if not mine:
            return
        deal = self._deal(side, len(mine))
        groups = [self.pool.take(side, deal)]

        def take(dtype):
            return self.pool.rows_in(groups, side, self.lanes // deal)

        for tile, row, byte in mine:
            columns = self.source[byte, row, :, tile].view(NUMPY[DType.INT8])
            found = WeightTile.of(self.pool.memory, take, columns, DType.INT8, "x")
            self.weights[tile, row, byte] = found

    def _deal(self, side, blocks):
        """Banks over which a block is dealt: the more, the faster it loads."""
        free = len(self.pool.free[side])
        most = min(weight_streams(self.config), self.config.streams // 2)
        for deal in (8, 4, 2):
            if deal <= most and self.lanes % deal == 0:
                together = self.config.bank_words // (self.lanes // deal)
                if together and deal * -(-blocks // together) <= free:
                    return deal
        return 1

    def run(self):
        """Place everything: a block per plane at a time."""
        count = len(self.planes)
        for first in range(0, len(self.jobs), count):
            self._round(list(zip(self.planes, self.jobs[first : first + count], strict=False)))

    def _round(self, some):
        name = f"{_WHAT}, tiles {[job[:2] for _, job in some]}"
        ready = max(self.load(plane, self.weights[job], name) for plane, job in some)
        operation = Operation(self.config, name)
        rows = max(self._width(job[0]) for _, job in some)
        streams = {side: self._stream(operation, side, some, rows) for side in self.sides}
        for plane, job in some:
            self._pass(operation, plane, job, streams[plane.side], rows)
        self.start = self.schedule.place(operation, ready)

    def _stream(self, operation, side, some, rows):
        """Read the identity for the planes of a hemisphere; says on which stream."""
        busy = [job for plane, job in some if plane.side is side]
        if not busy:
            return None
        stream = SG1(side.outward, len(self.weights[busy[0]].place.banks))
        ((bank, address),) = self.identity[side]
        arrive = Abc.timing(self.config).skew
        operation.read(bank.queue, address, stream, self.stops[side], arrive, rows)
        return stream

    def _pass(self, operation, plane, job, source, rows):
        """Multiply the identity by the weights of a plane, and store the lowest bytes."""
        operation.install(plane.name, 0, since=self._waiting[plane], used=rows)
        abc = Abc(source=source, dtype=DType.INT8, count=self.lanes)
        stands = operation.multiply(plane.name, abc, 0, rows)
        acc = Acc(
            row=0,
            mode=AccMode.WRITE,
            emit=True,
            dtype=DType.INT32,
            target=plane.results,
            count=self.lanes,
        )
        ((bank, address),) = self.results[job]
        driven = operation.accumulate(plane.name, acc, stands, bank.stop, rows, stride=0)
        arrive = operation.arrival(self.stops[plane.side], bank.stop, driven)
        lowest = SG1(plane.side.inward, plane.results.first)
        operation.write(bank.queue, address, lowest, arrive, self._width(job[0]))

    def blocks(self, outputs):
        """The blocks of the result, from the outputs of a run."""
        size, rows, _, tiles, _ = self.source.shape
        out = np.zeros((size, tiles, self.lanes, rows, self.lanes), np.uint8)
        for (tile, row, byte), place in self.results.items():
            count, ((bank, address),) = self._width(tile), place
            found = self.pool.memory.result(outputs, bank, address, count)
            out[byte, tile, :count, row] = found
        return out
