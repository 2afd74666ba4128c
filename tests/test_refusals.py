"""What the kernel API refuses, at the call. Oracle: the sentence, with value and limit."""

import numpy as np
import pytest

from tsp.hw.config import preset
from tsp.hw.errors import EncodingError, InputError
from tsp.hw.fault import FaultKind
from tsp.hw.isa import SG1, DType
from tsp.sim.golden import model
from tsp.sim.kernels.activations import relu
from tsp.sim.kernels.rows import Rows, narrowed, widened
from tsp.sim.result import Fault, Outputs
from tsp.sim.schedule import Operation

SMALL = preset("small")
ONES = np.ones((2, 16), np.float16)


@pytest.mark.parametrize("dtype", [np.float32, np.int8])
def test_rows_of_another_format_are_not_taken_for_fp16(dtype):
    rows = Rows(SMALL)
    source = rows.store.of(ONES.astype(dtype))
    place = source.places[source.chunks[0], 0]
    size = np.dtype(dtype).itemsize
    with pytest.raises(InputError, match=f"elements of 2 bytes, and what it loads has {size}; con"):
        rows.run("x", 2, lambda p: narrowed(p, widened(p, place), place))


def test_every_tile_of_a_result_is_stored():
    rows = Rows(SMALL)
    x = np.ones((2, 100), np.float16)
    source, result = rows.store.of(x), rows.store.tensor(*x.shape, DType.FP16)
    chunk = source.chunks[0]
    first = source.places[chunk, 0]
    rows.run("x", 2, lambda p: narrowed(p, widened(p, first), result.places[chunk, 0]))
    with pytest.raises(InputError, match="tile 1 of 7 of the result is never stored"):
        rows.kernel("x", x, result, lambda x: x, 1e-3)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones(4, np.float16), r"a matrix with at least one element, not of \(4,\)"),
        (np.ones((0, 4), np.float16), r"a matrix with at least one element, not of \(0, 4\)"),
        (np.ones((2, 4)), "int8, float16 or float32, not of float64"),
        ([[1.0]], "int8, float16 or float32, not of list"),
    ],
)
def test_what_no_tensor_is_made_of(array, message):
    with pytest.raises(InputError, match=message):
        Rows(SMALL).store.of(array)


def test_operations_that_do_not_exist():
    rows = Rows(SMALL)
    with pytest.raises(InputError, match=r"op must be one of .*, not 'cube'"):
        rows.run("x", 2, lambda p: p.op("cube", 1.0))
    with pytest.raises(InputError, match="a pipeline takes 1 row or more, not 0"):
        rows.run("x", 0, lambda p: p.op("mov", 1.0))


def test_reads_that_cannot_be():
    operation = Operation(SMALL, "op")
    with pytest.raises(EncodingError, match="5000"):
        operation.read("MEM_W0.0", 5000, SG1("E", 0), 5, 0)
    for count in (0, -2):
        with pytest.raises(InputError, match=f"op: count and interval must be .* not {count} and"):
            operation.read("MEM_W0.0", 0, SG1("E", 0), 5, 0, count)


def test_a_faulty_run_has_no_result_to_unpack():
    kernel = relu(SMALL, ONES)
    outputs = model.run(kernel.program).outputs
    assert (kernel.unpack(outputs) == ONES).all()
    fault = Fault(next(iter(FaultKind)), "VXM", 7)
    with pytest.raises(InputError, match=r"relu has no result to unpack: .* in VXM at cycle 7"):
        kernel.unpack(Outputs.of(outputs, fault))
