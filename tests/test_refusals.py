"""What the kernel API refuses, at the call. Oracle: the sentence, with value and limit."""

import time

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from tsp.hw.config import preset
from tsp.hw.errors import CapacityError, EncodingError, InputError
from tsp.hw.fault import FaultKind
from tsp.hw.isa import SG1, DType
from tsp.sim.cli import main
from tsp.sim.cli.report import table_of
from tsp.sim.golden import model
from tsp.sim.kernels.activations import relu
from tsp.sim.kernels.ffn import ffn
from tsp.sim.kernels.linear import linear
from tsp.sim.kernels.matmul import matmul
from tsp.sim.kernels.rope import rope
from tsp.sim.kernels.rows import Rows, narrowed, softmax, widened
from tsp.sim.measure import measure
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


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        (float("nan"), "scale must be finite, not nan"),
        (0, "scale must not be 0, which makes every result 0"),
        (1e-50, "scale must be 0 or from 1.4e-45"),
        (-1e40, "scale must be 0 or from 1.4e-45"),
        ("x", "scale must be a number, not 'x'"),
    ],
)
def test_scales_that_are_no_numbers_of_fp32(scale, message):
    a = np.ones((2, 2), np.int8)
    with pytest.raises(InputError, match=message):
        matmul(SMALL, a, a, DType.INT8, scale)


def test_numbers_from_outside_pass_one_check():
    with pytest.raises(InputError, match="scale of column 1 must be finite, not nan"):
        linear(SMALL, ONES, np.ones((16, 2), np.int8), scale=np.float32([1, np.nan]))
    with pytest.raises(InputError, match="base must be 0 or from"):
        rope(SMALL, ONES, 2, base=1e300)


def test_int8_results_are_measured_against_the_exact_ones():
    """0.1 in fp32 is more than 0.1, so that 5 times it rounds to 1, but not by way of fp32."""
    a, b = np.full((1, 1), 5, np.int8), np.ones((1, 1), np.int8)
    found, result = measure("matmul", matmul(SMALL, a, b, DType.INT8, 0.1), "golden")
    assert result == 0
    assert found.right
    assert not found.rounded_once
    assert 0.5 < found.max_ulp_error < 0.6


def test_what_is_too_large_is_refused_at_once():
    began = time.process_time()
    words = "run matmul --m 10000 --k 10000 --n 10000 --backend golden"
    done = CliRunner().invoke(main, words.split())
    assert done.exit_code == 1
    assert "has 200000000 bytes, and config small has" in done.stderr
    with pytest.raises(CapacityError, match=r"needs \d+ bytes, with padding, and config small"):
        softmax(SMALL, np.ones((10000, 1000), np.float16))
    x, w = np.ones((600, 512), np.float16), np.ones((512, 512), np.float16)
    with pytest.raises(CapacityError, match="a linear layer needs 1138688 bytes for its operands"):
        linear(SMALL, x, w)
    assert time.process_time() - began < 3


def test_an_overflow_between_products_is_named():
    x, up = np.full((2, 16), 200, np.float16), np.full((16, 16), 200, np.float16)
    down = np.full((16, 16), 2**-14, np.float16)
    found, _ = measure("ffn", ffn(SMALL, x, up=up, down=down, activation="relu"), "golden")
    assert not found.right
    shown = Console(width=100)
    with shown.capture() as text:
        shown.print(table_of([found]))
    lines = " ".join(text.get().split())
    assert "a step exceeds 65,504, the fp16 limit; --saturate clamps it" in lines
