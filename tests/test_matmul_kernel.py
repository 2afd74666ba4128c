"""The matmul kernel on the golden model. Oracles: numpy integers, exact rational sums, cycles."""

from dataclasses import replace
from fractions import Fraction

import configs
import numpy as np
import pytest
from configs import PAIR

from tsp.hw.config import Config, preset
from tsp.hw.errors import CapacityError
from tsp.hw.isa import Abc, Acc, DType, Lw, timing
from tsp.sim.golden.model import run
from tsp.sim.kernels import matmul as module
from tsp.sim.kernels.common import chunks
from tsp.sim.kernels.matmul import matmul
from tsp.sim.kernels.matmul_layout import Layout
from tsp.sim.kernels.matmul_plan import Problem, plans
from tsp.sim.program import ProgramError

I8, F16 = np.int8, np.float16

ODD = replace(configs.ODD, bank_words=128, acc_rows=20, streams=32, queue_depth=4096)
LEAST = Config(
    name="least",
    lanes=4,
    streams=8,
    planes_west=2,
    planes_east=2,
    mem_slices=1,
    mem_slices_per_stop=1,
    bank_words=64,
    acc_rows=7,
    alus=1,
    special_alus=0,
)
NANO, SMALL, QUAD16 = preset("nano"), preset("small"), preset("quad16")


def random(rng, shape, dtype):
    if dtype is I8:
        return rng.integers(-128, 128, shape).astype(I8)
    return (rng.standard_normal(shape) * 8).astype(F16)


def oracle(a, b, out_dtype, scale):
    """int8 by numpy's integers, fp16 by numpy's float64, which is exact for what we draw here."""
    wide = np.float64 if F16 in (a.dtype, b.dtype) else np.int64
    exact = a.astype(wide) @ b.astype(wide)
    if out_dtype is DType.INT32:
        return np.clip(np.rint(exact), -(2**31), 2**31 - 1).astype(np.int32)
    if out_dtype is DType.INT8:
        scaled = exact.astype(np.float32) * np.float32(scale)
        return np.clip(np.rint(scaled), -128, 127).astype(np.int8)
    with np.errstate(over="ignore"):
        return exact.astype(np.float32 if out_dtype is DType.FP32 else np.float16)


def same_bits(x, y):
    return x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()


def check(kernel, expected, where):
    """Run on the golden model: no fault, the cycles of the program, and the bits expected."""
    result = run(kernel.program)
    assert result.fault is None, where
    assert result.cycles == kernel.program.cycles, where
    c = kernel.unpack(result.outputs)
    assert same_bits(c, expected), where
    assert same_bits(kernel.reference(), expected), where


def check_random(config, m, k, n, a_dtype, b_dtype, out_dtype, seed=1):
    rng = np.random.default_rng(seed)
    a, b = random(rng, (m, k), a_dtype), random(rng, (k, n), b_dtype)
    # Multiples of 2^-10 whose sums of products stay below 2^32 are exact in float64.
    a, b = (x if x.dtype == I8 else np.round(x * F16(64)) / F16(64) for x in (a, b))
    scale = 0.01 if out_dtype is DType.INT8 else None
    kernel = matmul(config, a, b, out_dtype, scale)
    where = f"{config.name} {m}x{k}x{n} {a_dtype.__name__} {b_dtype.__name__} {out_dtype} {seed=}"
    check(kernel, oracle(a, b, out_dtype, scale), where)
    assert kernel.macs == m * k * n
    return kernel


SHAPES = [(1, 1, 1), (3, 50, 17), (17, 16, 33), (35, 9, 7)]
RESULTS = [DType.INT32, DType.FP32, DType.FP16, DType.INT8]


@pytest.mark.parametrize("out_dtype", RESULTS)
@pytest.mark.parametrize("b_dtype", [I8, F16])
@pytest.mark.parametrize("a_dtype", [I8, F16])
def test_formats_and_odd_shapes(a_dtype, b_dtype, out_dtype):
    for config in (SMALL, ODD):
        for shape in SHAPES:
            check_random(config, *shape, a_dtype, b_dtype, out_dtype)


@pytest.mark.parametrize("out_dtype", RESULTS)
def test_nano_takes_every_result_format(out_dtype):
    for shape in [*SHAPES, (20, 24, 24)]:
        check_random(NANO, *shape, I8, I8, out_dtype)


def test_many_chunks_and_tiles():
    check_random(SMALL, 65, 33, 129, F16, F16, DType.FP32)
    check_random(QUAD16, 130, 40, 20, I8, F16, DType.INT8)
    check_random(preset("duo32"), 40, 70, 100, F16, I8, DType.FP32)


def test_one_alu_requantises_at_less_than_the_full_rate():
    """In each cycle it starts one of the two jobs; operands wait if both would meet without."""
    kernel = check_random(NANO, 16, 4, 4, I8, I8, DType.INT8)
    pair = check_random(PAIR, 16, 4, 4, I8, I8, DType.INT8)
    latency = timing.vxm_result(NANO) - timing.VXM_SAMPLE
    waits = 0 if latency % 2 else 2
    assert kernel.program.cycles == pair.program.cycles + 15 + waits


@pytest.mark.parametrize("out_dtype", RESULTS)
def test_the_smallest_memory(out_dtype):
    for a_dtype, b_dtype in ((I8, I8), (F16, F16)):
        check_random(LEAST, 5, 9, 7, a_dtype, b_dtype, out_dtype)


@pytest.mark.parametrize("config", [QUAD16, NANO, ODD], ids=lambda c: c.name)
@pytest.mark.parametrize("out_dtype", [DType.INT32, DType.INT8])
def test_every_plan_gives_the_same(config, out_dtype, monkeypatch):
    """Also those that the kernel takes only when memory is short."""
    m, k, n = config.acc_rows + 3, config.vector + 1, config.vector + 5
    problem = Problem(config, m, k, n, DType.INT8, DType.INT8, out_dtype)
    tried = set()
    for plan in plans(problem):
        monkeypatch.setattr(module, "plans", lambda problem, plan=plan: [plan])
        try:
            check_random(config, m, k, n, I8, I8, out_dtype)
        except CapacityError:
            continue
        tried.add((len(plan.works), plan.tight, plan.works[0].by_rows))
    assert {(1, False, False), (1, True, False)} <= tried
    if config is QUAD16:
        assert {(2, False, False), (2, False, True), (2, True, False)} <= tried


def test_a_full_memory_falls_back_to_shared_banks():
    """A nano whose memory is nearly full has no bank to spare for each operand."""
    config = replace(NANO, name="full", bank_words=128)
    kernel = check_random(config, 20, 16, 32, I8, I8, DType.INT32)
    words = sum(kernel_bytes(config, 20, 16, 32)) // config.vector
    assert words > 0.8 * 8 * config.bank_words
    assert kernel.program.cycles > 20 * 2 * 4


def kernel_bytes(config, m, k, n):
    return Problem(config, m, k, n, DType.INT8, DType.INT8, DType.INT32).bytes()


def test_cancellation_rounds_the_exact_sum_once():
    """Oracle: rational arithmetic. Huge products cancel, and what is left is far below them."""
    rng = np.random.default_rng(7)
    m, k, n = 5, 40, 6
    a, b = np.zeros((m, k), F16), np.zeros((k, n), F16)
    a[:, :16], b[:16] = 60000, rng.choice([-60000, 60000], (16, n))
    a[:, 16:32], b[16:32] = 60000, -b[:16]
    a[:, 32:] = rng.integers(-3, 4, (m, 8)) * F16(2.0**-24)
    b[32:] = rng.standard_normal((8, n))
    kernel = matmul(SMALL, a, b, DType.FP32)
    expected = np.zeros((m, n), np.float32)
    for i, j in np.ndindex(m, n):
        total = sum(
            Fraction(float(x)) * Fraction(float(y)) for x, y in zip(a[i], b[:, j], strict=True)
        )
        # The sums here have at most 53 bits, so float64 holds them and fp32 rounds once.
        assert Fraction(float(total)) == total
        expected[i, j] = np.float32(float(total))
    assert np.count_nonzero(expected) > m * n // 2
    check(kernel, expected, "cancellation, seed 7")


def test_infinities_and_nan_reach_their_elements_only():
    a, b = np.ones((4, 20), F16), np.ones((20, 18), F16)
    a[1, 19], a[2, 3], b[5, 17] = np.inf, np.nan, -np.inf
    expected = np.full((4, 18), 20, np.float32)
    expected[1], expected[2] = np.inf, np.nan
    expected[:, 17] = [-np.inf, np.nan, np.nan, -np.inf]
    check(matmul(SMALL, a, b, DType.FP32), expected, "infinities")
    quantised = np.full((4, 18), 20, np.int8)
    quantised[1], quantised[2], quantised[:, 17] = 127, 0, [-128, 0, 0, -128]
    check(matmul(SMALL, a, b, DType.INT8), quantised, "infinities to int8")


TARGETS = [
    # config, m, k, n, formats, ideal, at most, reached
    ("quad16", 64, 64, 64, I8, I8, DType.INT32, 256, 320, 275),
    ("small", 256, 256, 256, F16, F16, DType.FP32, 32_768, 33_000, 32_790),
    ("duo32", 128, 576, 1536, F16, I8, DType.FP32, 27_648, 27_900, 27_672),
    ("base", 512, 512, 512, F16, F16, DType.FP32, 8_192, 8_400, 8_227),
]


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t[0])
def test_cycles_of_the_benchmarks(target):
    name, m, k, n, a_dtype, b_dtype, out_dtype, ideal, limit, reached = target
    config = preset(name)
    kernel = matmul(config, np.ones((m, k), a_dtype), np.ones((k, n), b_dtype), out_dtype)
    assert kernel.macs == ideal * config.macs_per_cycle
    assert kernel.program.cycles == reached <= limit
    # Every plane streams without a bubble, and its weights change in the middle of the stream.
    for queue in config.floorplan.queues:
        runs = kernel.program.runs[queue.name] if queue.name in kernel.program.queues else []
        if queue.unit in (Abc.unit, Acc.unit):
            assert sum(r.count for r in runs) == ideal, queue.name
            assert runs[-1].last - runs[0].start == ideal - 1, queue.name


def test_quad16_benchmark_runs():
    check_random(QUAD16, 64, 64, 64, I8, I8, DType.INT32)


def test_weights_change_without_a_bubble_and_load_in_full():
    kernel = check_random(SMALL, 64, 64, 32, I8, I8, DType.INT32)
    for plane in ("MXM_W.0", "MXM_E.0"):
        (stream,) = kernel.program.runs[f"{plane}.ABC"]
        assert stream.count == 256
        installs = [cycle for run in kernel.program.runs[f"{plane}.IW"] for cycle in run.cycles]
        assert installs == [stream.start + k * 64 for k in range(4)]
        loaded = sum(
            run.count * run.instruction.columns
            for run in kernel.program.runs[f"{plane}.LW"]
            if isinstance(run.instruction, Lw)
        )
        assert loaded == 4 * 16


def test_chunks_are_even():
    assert chunks(range(130), 64) == [range(43), range(43, 86), range(86, 130)]
    assert chunks(range(10, 11), 64, 2) == [range(10, 11)]
    assert len(chunks(range(130), 64, 2)) == 4


# Refusals


def ones(m, k, n, a_dtype=I8, b_dtype=I8):
    return np.ones((m, k), a_dtype), np.ones((k, n), b_dtype)


def test_what_does_not_fit_is_refused_with_the_bytes():
    with pytest.raises(CapacityError) as caught:
        matmul(NANO, *ones(65, 33, 129), DType.FP32)
    # A: 65 rows x 9 tiles; B: 33 tiles x 4 columns x 9 tiles; C: 65 rows x 33 tiles x 4 bytes.
    a, b, c = 65 * 9 * 4, 33 * 4 * 9 * 4, 65 * 33 * 4 * 4
    text = str(caught.value)
    assert f"needs {a + b + c} bytes (A {a}, B {b}, C {c}, with padding)" in text
    assert "config nano has 8192; split the product" in text


def test_the_capacity_limit_is_close_to_the_bytes():
    """Shapes that fill four fifths of the memory, or more, still fit."""
    for config in (NANO, SMALL):
        for m, k, n in ((1, 5, 30), (16, 2, 8), (9, 30, 9)):
            size = config.vector * 2
            while sum(kernel_bytes(config, m * size, k * size, n * size)) > config.memory_bytes:
                size -= 1
            problem = Problem(
                config, m * size, k * size, n * size, DType.INT8, DType.INT8, DType.INT32
            )
            assert any(fits(problem, plan) for plan in plans(problem)), problem


def fits(problem, plan):
    try:
        Layout(problem, plan)
    except CapacityError:
        return False
    return True


def test_wrong_arguments_are_refused():
    a, b = ones(2, 3, 4)
    cases = [
        (TypeError, "a must be a numpy array of int8 or float16, not float32",
         lambda: matmul(SMALL, a.astype(np.float32), b, DType.FP32)),
        (TypeError, "b must be a numpy array of int8 or float16, not list",
         lambda: matmul(SMALL, a, [[1]], DType.FP32)),
        (ValueError, r"shapes \(M, K\) and \(K, N\), not \(2, 3\) and \(2, 3\)",
         lambda: matmul(SMALL, a, a, DType.FP32)),
        (ValueError, "K must be at most 65536, not 65537",
         lambda: matmul(SMALL, *ones(1, 65537, 1), DType.FP32)),
        (ValueError, "out_dtype must be one of int32, fp32, fp16, int8, not <?DType.INT16",
         lambda: matmul(SMALL, a, b, DType.INT16)),
        (ValueError, "scale is for int8 results only, not for fp32",
         lambda: matmul(SMALL, a, b, DType.FP32, scale=2.0)),
        (ValueError, "b must be int8, not fp16: config nano has an int8 datapath",
         lambda: matmul(NANO, a, b.astype(F16), DType.FP32)),
    ]  # fmt: skip
    for error, message, call in cases:
        with pytest.raises(error, match=message):
            call()


def test_plans_that_overflow_a_queue_are_passed_over():
    """Of two plans of equal cost, one needs more instructions than a queue holds."""
    a, b = (x.astype(F16) for x in ones(64, 64, 64))
    shallow = replace(SMALL, name="shallow", queue_depth=48)
    kernel = matmul(shallow, a, b, DType.FP16)
    check(kernel, oracle(a, b, DType.FP16, None), "shallow")
    assert kernel.program.cycles == 532


def test_a_program_that_no_queue_can_hold_is_refused():
    shallow = replace(SMALL, name="shallow", queue_depth=16)
    with pytest.raises(ProgramError, match=r"queue MXM_\S+ needs \d+ instructions and holds 16"):
        matmul(shallow, *ones(64, 128, 64), DType.INT32)
