"""Matrix multiply on the RTL of `small` and `nano`: values, cycles, counters, every format."""

import numpy as np
import pytest

from tsp.hw.config import PRESETS
from tsp.hw.isa import DType
from tsp.sim import backends
from tsp.sim.backends import bare, cocotb_backend
from tsp.sim.golden import model
from tsp.sim.kernels.matmul import matmul
from tsp.sim.measure import same_bits

SHAPES = [(1, 1, 1), (3, 50, 17), (65, 33, 129), (16, 16, 16), (2, 200, 5)]


def operand(rng, shape, dtype):
    if dtype == "int8":
        return rng.integers(-128, 128, shape).astype(np.int8)
    values = rng.normal(size=shape) * 2.0 ** rng.integers(-20, 12, shape)
    values = values.astype(np.float16)
    special = [np.nan, np.inf, -np.inf, 65504, -65504, 6e-8, -6e-8, -0.0]
    picks = rng.random(shape) < 0.02
    values[picks] = rng.choice(special, picks.sum()).astype(np.float16)
    return values


def check(kernels, config):
    """Run kernels in one process; the exact reference, the schedule and the golden model judge."""
    results = cocotb_backend.run_many([k.program for k in kernels])
    for kernel, result in zip(kernels, results, strict=True):
        label = f"{config.name} {kernel.shape}"
        assert result.fault is None, label
        assert result.cycles == kernel.program.cycles, label
        assert same_bits(kernel.unpack(result.outputs), kernel.reference()), label
        golden = model.run(kernel.program)
        assert golden.counters == result.counters, label
        assert golden.cycles == result.cycles, label


def test_small_odd_shapes_in_all_formats():
    config = PRESETS["small"]
    rng = np.random.default_rng(11)
    kernels = []
    for n, shape in enumerate(SHAPES):
        m, k, columns = shape
        for a_dtype, b_dtype in (
            ("fp16", "fp16"),
            ("int8", "fp16"),
            ("fp16", "int8"),
            ("int8",) * 2,
        ):
            out = (DType.FP32, DType.FP16, DType.INT32, DType.INT8)[(n + len(kernels)) % 4]
            a, b = operand(rng, (m, k), a_dtype), operand(rng, (k, columns), b_dtype)
            scale = 0.03 if out is DType.INT8 else None
            kernels.append(matmul(config, a, b, out, scale))
    check(kernels, config)


def test_small_every_result_format():
    config = PRESETS["small"]
    rng = np.random.default_rng(12)
    kernels = []
    for out in (DType.FP32, DType.FP16, DType.INT32, DType.INT8):
        for a_dtype in ("fp16", "int8"):
            a, b = operand(rng, (9, 40), a_dtype), operand(rng, (40, 20), "fp16")
            kernels.append(matmul(config, a, b, out, 0.5 if out is DType.INT8 else None))
    check(kernels, config)


def test_small_cancellation():
    """Sums whose large terms cancel exactly leave what is tiny: no tiling may lose it."""
    config = PRESETS["small"]
    a = np.zeros((4, 64), np.float16)
    a[:, 0], a[:, 63], a[:, 31] = 60000, -60000, 6e-8
    b = np.ones((64, 3), np.float16)
    kernel = matmul(config, a, b, DType.FP32)
    check([kernel], config)
    assert (kernel.reference() == np.float32(np.float16(6e-8))).all()


def test_nano_all_result_formats():
    config = PRESETS["nano"]
    rng = np.random.default_rng(13)
    kernels = []
    for m, k, n in ((1, 1, 1), (3, 50, 17), (20, 9, 11)):
        a, b = operand(rng, (m, k), "int8"), operand(rng, (k, n), "int8")
        for out in (DType.INT32, DType.FP32, DType.FP16, DType.INT8):
            kernels.append(matmul(config, a, b, out, 0.01 if out is DType.INT8 else None))
    check(kernels, config)


def test_small_256_in_the_cycles_of_its_schedule():
    """The figure of the README: 256 x 256 x 256 in fp16, at most 33,000 cycles."""
    config = PRESETS["small"]
    rng = np.random.default_rng(14)
    a, b = rng.normal(size=(2, 256, 256)).astype(np.float16)
    kernel = matmul(config, a, b, DType.FP32)
    result = cocotb_backend.run(kernel.program)
    assert result.fault is None
    assert result.cycles == kernel.program.cycles == 32_790
    assert same_bits(kernel.unpack(result.outputs), kernel.reference())


@pytest.mark.parametrize("backend", ["bare", "profiled"])
def test_the_bare_model_gives_the_same_bits(backend):
    """Two ways to drive the host port, cocotb and C++: same answers, same cycles, same counters."""
    config = PRESETS["nano"]
    rng = np.random.default_rng(15)
    a, b = rng.integers(-128, 128, (2, 12, 12)).astype(np.int8)
    kernel = matmul(config, a, b, DType.INT32)
    answers = backends.run(kernel.program, backend)
    result = cocotb_backend.run(kernel.program)
    assert answers.cycles == result.cycles
    assert answers.counters == result.counters
    assert same_bits(kernel.unpack(answers.outputs), kernel.unpack(result.outputs))


def test_the_bare_model_says_if_a_program_has_not_ended(monkeypatch):
    a = np.ones((12, 12), np.int8)
    program = matmul(PRESETS["nano"], a, a, DType.INT32).program
    monkeypatch.setattr(bare, "clocks", lambda config, cycles: cycles)  # too few
    with pytest.raises(RuntimeError, match=f"did not end after {program.cycles} cycles"):
        bare.run(program)


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "shape", "formats", "cycles"),
    [
        ("quad16", (64, 64, 64), ("int8", "int8", DType.INT32), 275),
        ("duo32", (128, 576, 1536), ("fp16", "int8", DType.FP32), 27_672),
        ("base", (512, 512, 512), ("fp16", "fp16", DType.FP32), 8_227),
    ],
)
def test_big_configurations_in_the_cycles_of_their_schedules(name, shape, formats, cycles):
    """The other figures of the README, on the RTL of the big configurations."""
    config = PRESETS[name]
    rng = np.random.default_rng(16)
    m, k, n = shape
    a_dtype, b_dtype, out = formats
    values = {
        "int8": lambda s: rng.integers(-128, 128, s).astype(np.int8),
        "fp16": lambda s: rng.normal(size=s).astype(np.float16),
    }
    kernel = matmul(config, values[a_dtype]((m, k)), values[b_dtype]((k, n)), out)
    result = cocotb_backend.run(kernel.program)
    assert result.fault is None
    assert result.cycles == kernel.program.cycles == cycles
    assert same_bits(kernel.unpack(result.outputs), kernel.reference())
