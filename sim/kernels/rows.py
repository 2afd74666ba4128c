"""What kernels that treat every row alike are made of, and `softmax`, beside its reference.

A row no longer than the vector takes one pass, one row per cycle if the ALUs suffice. A longer
one takes a pass per tile and step; what a step leaves is kept in SRAM as fp32.
"""

from contextlib import suppress
from itertools import chain

import numpy as np

from tsp.hw.config import Config
from tsp.hw.errors import NO_PLAN, InputError
from tsp.hw.floorplan import Hemisphere
from tsp.hw.isa import DType
from tsp.hw.isa.sxm import ReduceKind
from tsp.sim.kernels.common import LARGEST, Kernel
from tsp.sim.kernels.pieces import pieces
from tsp.sim.kernels.pipeline import Pipeline, narrowest
from tsp.sim.kernels.tensor import Store
from tsp.sim.layout import Located
from tsp.sim.schedule import Schedule

WEST, EAST = Hemisphere.W, Hemisphere.E
MAX, SUM = ReduceKind.MAX, ReduceKind.SUM
FP16, FP32 = DType.FP16, DType.FP32

_COMBINE = {MAX: "maxf", SUM: "addf"}


class Rows:
    """Passes over the rows of tensors, placed one after the other.

    Parameters
    ----------
    config : Config
    cut : bool
        Whether what has too few ALUs for a row in every cycle is cut into several passes, in which
        every ALU repeats one instruction, rather than passing at a longer interval.
    apart : bool
        Whether a row that fits a vector is treated like a longer one, step by step.
    """

    def __init__(self, config, cut=False, apart=False):
        self.config, self.store, self.schedule = config, Store(config), Schedule(config)
        self.cut, self.apart, self._between = cut, apart, {}
        self.ready = {}  # cycle from which a place may be read
        self._idle = {}  # cycle from which one that is read may be written again

    def run(self, name, rows, formula, reads=()):
        """Place the pass that `formula(pipeline)` describes; it reads the places `reads`."""

        def build(formula, interval=1):
            pipeline = Pipeline(self.config, name, rows, interval)
            formula(pipeline)
            return pipeline

        def between(number):
            if (number, rows) not in self._between:
                place = self.store.tensor(rows, self.config.vector, FP32).places.values()
                (self._between[number, rows],) = place
            return self._between[number, rows]

        if self.cut:
            for pipeline, more in pieces(formula, build, between):
                self._place(pipeline, [*reads, *more])
        else:
            self._place(narrowest(lambda interval: build(formula, interval)), reads)

    def _place(self, pipeline, reads):
        operation, span = pipeline.finish(), (pipeline.rows - 1) * pipeline.interval + 1
        earliest = max((self.ready.get(place, 0) for place in reads), default=0) - operation.first
        for place, cycles in pipeline.writes.items():
            earliest = max(earliest, self._idle.get(place, 0) - min(cycles))
        start = self.schedule.place(operation, earliest)
        for place, landed in pipeline.stored.items():
            self.ready[place] = start + landed
        for place, cycles in pipeline.reads.items():
            self._idle[place] = max(self._idle.get(place, 0), start + max(cycles) + span)

    def fold(self, name, source, chunk, side, kind, values, reads=(), finish=None):
        """Reduce whole rows, tile by tile; returns the place of the results, on every lane, fp32.

        Parameters
        ----------
        source : Tensor
            Of fp16.
        side : Hemisphere
            Whose SXM reduces a tile; what was found so far is kept in SRAM.
        kind : ReduceKind
        values : callable
            From a pipeline and fp32 rows of a tile to what is reduced.
        reads : list of Place
            What `values` loads beside.
        finish : callable, optional
            From a pipeline and the results to what is stored instead.
        """
        size, combine = (source.rows, self.config.vector), _COMBINE[kind]
        halves = [self.store.tensor(*size, FP32).places[chunk, 0] for _ in range(2)]
        old = None
        for tile in range(source.tiles):

            def formula(p, tile=tile, old=old):
                rows = values(p, widened(p, source.places[chunk, tile]))
                found = p.reduce(side, kind, rows, source.lanes(tile))
                if old:
                    found = p.op(combine, found, p.load(old))
                if finish and tile == source.tiles - 1:
                    found = finish(p, found)
                elif not old:
                    found = p.op("mov", found)
                p.store(found, halves[tile % 2])

            self.run(f"{name} of tile {tile}", chunk.rows, formula, [*reads, old])
            old = halves[tile % 2]
        return old

    def kernel(self, name, x, y, reference, tolerance, sources=(), **shape):
        """The kernel that makes tensor `y` from a float16 matrix `x`.

        ``reference(x)`` is its result in float64; `sources` are the tensors that hold `x`, if the
        kernel is to be chained.
        """
        y.expect()
        missing = [tile for (_, tile), place in y.places.items() if place not in self.ready]
        if missing:
            raise InputError(
                f"{name}: tile {missing[0]} of {y.tiles} of the result is never stored; run a pass "
                "for every chunk and tile"
            )
        memory = self.store.memory
        program = self.schedule.program(memory.image(), memory.outputs(), name, memory.tensors())
        shape = {"rows": x.shape[0], "cols": x.shape[1], **shape}
        return Kernel(
            program,
            y.result,
            lambda: to_fp16(reference(x)),
            lambda: reference(x),
            macs=0,
            shape=shape,
            tolerance=tolerance,
            source=Located(x.shape, (*chain(*(t.spans() for t in sources)),)) if sources else None,
            result=Located((y.rows, y.columns), tuple(y.spans())),
            apply=reference,
        )


def held(config, make):
    """The kernel that ``make(rows)`` returns, with rows cut if they are not held otherwise.

    A cut takes no more than a few instructions for a pass, however many rows there are, but a few
    dozen cycles and room for what is between.
    """
    try:
        return make(Rows(config))
    except NO_PLAN as error:
        for apart in (False, True):
            with suppress(*NO_PLAN):
                return make(Rows(config, cut=True, apart=apart))
        raise error


def matrix(name: str, array: np.ndarray) -> np.ndarray:
    """`array`, if it is a matrix of float16 with at least one element."""
    of_fp16(name, array)
    if array.ndim != 2 or not array.size:
        raise InputError(f"{name} must be a matrix with at least one element, not {array.shape}")
    return array


def row_of(name, array, columns):
    """`array` as one row, if it is a vector of float16 with `columns` elements."""
    of_fp16(name, array)
    if array.shape != (columns,):
        raise InputError(f"{name} must have shape ({columns},), not {array.shape}")
    return array[None]


def of_fp16(name: str, array: np.ndarray) -> None:
    """Refuse what is no array of float16."""
    if not isinstance(array, np.ndarray) or array.dtype != np.float16:
        found = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise InputError(f"{name} must be a numpy array of float16, not {found}")


def to_fp16(values: np.ndarray) -> np.ndarray:
    """float64 rounded to fp16; what is too large becomes an infinity."""
    with np.errstate(over="ignore"):
        return values.astype(np.float16)


def widened(p, place):
    """The rows of a place of fp16, in fp32."""
    return p.convert(p.load(place), FP16, FP32)


def narrowed(p, value, place):
    """Store fp32 rows as fp16."""
    p.store(p.convert(value, FP32, FP16), place)


def clamped(p, value, clamp=True, *, most=LARGEST, signed=True):
    """fp32 rows as they are, or clamped to `most` in magnitude so that they fit fp16.

    What is not `signed` is never below -`most`, and takes one ALU instead of two.
    """
    if not clamp:
        return value
    value = p.op("minf", value, most)
    return p.op("maxf", value, -most) if signed else value


def softmax(config: Config, x: np.ndarray) -> Kernel:
    """softmax of every row of `x`, float16 (rows, columns); the result is float16.

    Error: exp less than 1 ulp of fp32 off, the sum in fp32, and one rounding to fp16; see the docs.
    """
    matrix("x", x)

    def make(rows):
        source = rows.store.of(x)
        result = rows.store.tensor(*x.shape, FP16)
        compute = _long_softmax if source.tiles > 1 or rows.apart else _short_softmax
        for chunk in source.chunks:
            compute(rows, source, chunk, result)
        return rows.kernel("softmax", x, result, softmax_reference, 1e-3, [source])

    return held(config, make)


def _short_softmax(rows, source, chunk, result):
    count = source.lanes(0)

    def formula(p):
        wide = widened(p, source.places[chunk, 0])
        most, wide = p.reduce(WEST, MAX, wide, count, companion=wide)
        powers = p.op("exp", p.op("subf", wide, most))
        total, powers = p.reduce(EAST, SUM, powers, count, companion=powers)
        narrowed(p, p.op("mulf", powers, p.op("recip", total)), result.places[chunk, 0])

    rows.run("softmax", chunk.rows, formula)


def _long_softmax(rows, source, chunk, result):
    most = rows.fold("maximum", source, chunk, WEST, MAX, lambda p, x: x)

    def power(p, x):
        return p.op("exp", p.op("subf", x, p.load(most)))

    total = rows.fold("powers", source, chunk, EAST, SUM, power, [most])
    for tile in range(source.tiles):

        def quotients(p, tile=tile):
            inverse = p.op("recip", p.load(total))
            value = p.op("mulf", power(p, widened(p, source.places[chunk, tile])), inverse)
            narrowed(p, value, result.places[chunk, tile])

        rows.run(f"quotients of tile {tile}", chunk.rows, quotients, [most, total])


def softmax_reference(x: np.ndarray) -> np.ndarray:
    """What :func:`softmax` computes, in float64."""
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64)
        powers = np.exp(wide - wide.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)
