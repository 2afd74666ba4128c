"""Matrix multiply: C[M, N] = A[M, K] B[K, N] on all planes of a core.

A plan divides the work into jobs (``matmul_plan``), a layout finds places in memory for it
(``matmul_layout``), and a crew per hemisphere schedules its jobs (``matmul_crew``).
"""

from contextlib import suppress

import numpy as np

from tsp.hw.config import LONGEST_SUM, Config
from tsp.hw.errors import NO_PLAN, CapacityError, InputError
from tsp.hw.isa import DType
from tsp.sim.golden.exact import exact_matmul
from tsp.sim.kernels.common import (
    NUMPY,
    Kernel,
    fp32_number,
    from_vectors,
    quantise,
    storage_format,
    to_vectors,
)
from tsp.sim.kernels.matmul_crew import Crew
from tsp.sim.kernels.matmul_layout import Layout
from tsp.sim.kernels.matmul_plan import Problem, plans
from tsp.sim.schedule import Schedule

RESULTS = (DType.INT32, DType.FP32, DType.FP16, DType.INT8)

_COMPARED_PASSES = 64


def matmul(
    config: Config, a: np.ndarray, b: np.ndarray, out_dtype: DType, scale: float | None = None
) -> Kernel:
    """The :class:`~tsp.sim.kernels.common.Kernel` of the product of two matrices.

    Sums are exact and rounded once. For int8 the sum is rounded to fp32, multiplied by `scale` in
    fp32, rounded to nearest even and saturated.

    Parameters
    ----------
    config : Config
    a, b : ndarray
        Matrices of int8 or float16, each its own.
    out_dtype : DType
        INT32, FP32, FP16 or INT8.
    scale : float, optional
        For INT8 only; 1 if not given.

    Raises
    ------
    TypeError, ValueError
        If an operand, the format of the result or the scale is not as above.
    CapacityError, ProgramError
        If no plan fits the memory or the queues of `config`.
    """
    problem = _problem(config, a, b, out_dtype, scale)
    factor = np.float32(1 if scale is None else fp32_number("scale", scale, zero=False))
    layout, program = _shortest(problem, factor)
    _fill(layout, a, b)
    memory = layout.memory

    def unpack(outputs):
        c = np.empty((problem.m, problem.n), NUMPY[out_dtype])
        for part, place in layout.c.items():
            planes = [memory.result(outputs, *where, part.rows) for where in place]
            columns = slice(part.tile * problem.lanes, (part.tile + 1) * problem.lanes)
            block = c[part.first : part.last, columns]
            block[:] = from_vectors(planes, out_dtype)[:, : block.shape[1]]
        return c

    def reference():
        return matmul_reference(a, b, out_dtype, factor)

    def ideal():
        if out_dtype is DType.INT32:
            return reference().astype(np.float64)
        with np.errstate(all="ignore"):
            sums = a.astype(np.float64) @ b.astype(np.float64)
            return sums if out_dtype is not DType.INT8 else np.clip(sums * factor, -128, 127)

    name = f"matmul_{problem.m}x{problem.k}x{problem.n}"
    program = program.with_data(memory.image(), memory.outputs(), name, memory.tensors())
    shape = {
        "m": problem.m,
        "k": problem.k,
        "n": problem.n,
        "a_dtype": problem.a_dtype.name.lower(),
        "b_dtype": problem.b_dtype.name.lower(),
        "out_dtype": out_dtype.name.lower(),
    }
    return Kernel(program, unpack, reference, ideal, problem.m * problem.k * problem.n, shape)


def matmul_reference(
    a: np.ndarray, b: np.ndarray, out_dtype: DType, scale: float | np.floating = 1
) -> np.ndarray:
    """What :func:`matmul` computes, by numpy and exact sums."""
    if out_dtype is DType.INT8:
        return quantise(exact_matmul(a, b, DType.FP32), scale)
    return exact_matmul(a, b, out_dtype)


def _problem(config, a, b, out_dtype, scale):
    a_dtype, b_dtype = storage_format("a", a), storage_format("b", b)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0] or not a.size or not b.size:
        raise InputError(
            f"a and b must be matrices of shapes (M, K) and (K, N), not {a.shape} and {b.shape}"
        )
    (m, k), n = a.shape, b.shape[1]
    if k > LONGEST_SUM:
        raise InputError(f"K must be at most {LONGEST_SUM}, not {k}; split the product")
    if out_dtype not in RESULTS:
        names = ", ".join(dtype.name.lower() for dtype in RESULTS)
        raise InputError(f"out_dtype must be one of {names}, not {out_dtype!r}")
    if scale is not None and out_dtype is not DType.INT8:
        raise InputError(f"scale is for int8 results only, not for {out_dtype.name.lower()}")
    for name, dtype in (("a", a_dtype), ("b", b_dtype)):
        if config.datapath == "int8" and dtype is not DType.INT8:
            raise InputError(
                f"{name} must be int8, not {dtype.name.lower()}: "
                f"config {config.name} has an int8 datapath"
            )
    return Problem(config, m, k, n, a_dtype, b_dtype, out_dtype)


def _shortest(problem, scale):
    """Layout and program, as yet without data, of the fastest plan that fits.

    Small problems are worth a closer look: of the plans that promise the same, the one is taken
    whose schedule is shortest. Plans for which there is no room are passed over.
    """
    found, refused = [], None
    for layout in _layouts(problem):
        plan = layout.plan
        if found and (plan.cost > found[0][0].plan.cost or plan.passes > _COMPARED_PASSES):
            break
        try:
            found.append((layout, _schedule(layout, scale).program()))
        except NO_PLAN as error:
            refused = refused or error
    if not found:
        raise refused
    return min(found, key=lambda pair: pair[1].cycles)


def _schedule(layout, scale):
    schedule = Schedule(layout.problem.config)
    for work in layout.plan.works:
        Crew(layout, work, schedule, scale).run()
    return schedule


def _layouts(problem):
    """The layouts of all plans that fit, the fastest first."""
    config, sizes = problem.config, problem.bytes()
    fits = False
    if sum(sizes) <= config.memory_bytes:
        for plan in plans(problem):
            with suppress(*NO_PLAN):
                layout = Layout(problem, plan)
                fits = True
                yield layout
    if not fits:
        a, b, c = sizes
        raise CapacityError(
            f"a product of {problem.m} x {problem.k} by {problem.k} x {problem.n} needs "
            f"{sum(sizes)} bytes (A {a}, B {b}, C {c}, with padding), and config {config.name} has "
            f"{config.memory_bytes}"
            + ", in banks too small for it" * (sum(sizes) <= config.memory_bytes)
            + "; split the product or use a larger config"
        )


def _fill(layout, a, b):
    """Put A and B into the memory image, and note where C will be."""
    problem, memory = layout.problem, layout.memory
    vectors = to_vectors(a, problem.lanes)
    rows = {(w.hemisphere, p.first): p.last for w in layout.plan.works for j in w.jobs for p in j}
    for (hemisphere, first, k), place in layout.a.items():
        for plane, (bank, address) in zip(vectors, place, strict=True):
            memory.fill(bank, address, plane[first : rows[hemisphere, first], k], "a")

    padded = np.zeros((problem.n_tiles * problem.lanes, problem.k), b.dtype)
    padded[: problem.n] = b.T
    # Vector column * bytes + byte of tile t and k tile k stands in columns[k, t * L * bytes + ...].
    columns = np.ascontiguousarray(to_vectors(padded, problem.lanes).transpose(2, 1, 0, 3))
    columns = columns.reshape(problem.k_tiles, -1, problem.lanes)
    per_tile = problem.lanes * problem.b_dtype.bytes
    tiles = [(key[-1], weights) for key, weights in layout.weights.items()]
    tiles += [(0, weights) for weights in layout.cold.values()]
    for k, weights in tiles:
        for fetch in weights.fetches:
            index = [tile * per_tile + vector for tile, vector in fetch.vectors]
            memory.fill(fetch.bank, fetch.address, columns[k, index], "b")

    for part, place in layout.c.items():
        for bank, address in place:
            memory.expect(bank, address, part.rows)
