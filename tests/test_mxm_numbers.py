"""The MXM's conversions: storage formats in, floats and integers out.

Oracles: numpy and ml_dtypes for the values of formats, `round_to` (itself tested against rational
arithmetic) for the rounding.
"""

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator
from test_exact import corners

from tsp.hw.isa import DType
from tsp.hw.mxm.fixed import Fixed
from tsp.hw.mxm.mac import Fp16Mac
from tsp.hw.mxm.operand import OperandRegisters
from tsp.hw.mxm.rounding import Rounder
from tsp.sim.golden.exact import STORED, round_to

_NAN = {DType.FP16: 0x7E00, DType.INT32: 0, DType.FP32: 0x7FC0_0000}
_INFINITY = {
    DType.FP16: (0x7C00, 0xFC00),
    DType.INT32: (0x7FFF_FFFF, 0x8000_0000),
    DType.FP32: (0x7F80_0000, 0xFF80_0000),
}


@pytest.mark.parametrize("dtype", [DType.INT8, DType.FP8_E4M3, DType.FP8_E5M2, DType.FP16])
def test_every_pattern_converts_exactly(dtype):
    patterns = range(256) if dtype.bytes == 1 else [*range(0, 1 << 16, 7), 0x7C00, 0xFC00, 0xFFFF]
    kind = np.uint8 if dtype.bytes == 1 else np.uint16
    values = np.array(patterns, kind).view(STORED[dtype]).astype(np.float64)
    m = Module()
    word = Signal(16)
    operands = OperandRegisters(Fp16Mac(16), 1, "operand")
    operands.convert(m, word[:8], word[8:], dtype)
    factor, special = operands.factors[0], operands.special

    async def bench(ctx):
        for pattern, value in zip(patterns, values, strict=True):
            ctx.set(word, pattern if dtype.bytes == 2 else pattern | 0xA500)
            await ctx.tick()
            assert ctx.get(special.nan) == np.isnan(value), hex(pattern)
            assert ctx.get(special.infinite) == np.isinf(value), hex(pattern)
            assert ctx.get(special.zero) == (value == 0), hex(pattern)
            significand, exponent = ctx.get(factor.significand), ctx.get(factor.exponent)
            if np.isfinite(value):
                assert significand * 2.0 ** (exponent - 24) == value, hex(pattern)
                assert -2048 < significand < 2048, hex(pattern)
            else:
                assert significand == 0, hex(pattern)
            if not np.isnan(value):
                assert ctx.get(special.negative) == np.signbit(value), hex(pattern)

    run(m, bench)


ROUNDINGS = [((48, 50), -48), ((30, 33), -48), ((32,), 0), ((40,), -20)]


by_depth = pytest.mark.parametrize("deep", [False, True], ids=["short", "deep"])


@pytest.mark.parametrize(("widths", "lsb"), ROUNDINGS)
@by_depth
def test_rounder(widths, lsb, deep):
    """Corner and random values through one lane, one a cycle, every format."""
    seed, width = 3, sum(widths)
    rng = np.random.default_rng(seed)
    values = [0, *(v for v in corners(lsb, width - 1) if v < 1 << (width - 1))]
    values = [int(values[i]) for i in rng.permutation(len(values))[:500]]
    for _ in range(200):
        bits = int.from_bytes(rng.bytes(13), "little")
        values.append(bits >> (105 - int(rng.integers(1, width))))
    values = [v if rng.integers(2) else -v for v in values] + [-(1 << (width - 1))]
    formats = [(DType.FP32, DType.FP16, DType.INT32)[i] for i in rng.integers(3, size=len(values))]
    expected = [round_to(v, lsb, d) for v, d in zip(values, formats, strict=True)]
    dut, latency = Rounder(Fixed(widths, special=False), lsb, deep), Rounder.latency(deep)

    async def bench(ctx):
        ctx.set(dut.used, 1)
        ctx.set(dut.valid, 1)
        for n in range(len(values) + latency):
            if n >= latency:
                done = n - latency
                message = f"{values[done]} {formats[done]!r}, seed {seed}"
                assert ctx.get(dut.bits) == expected[done], message
            if n < len(values):
                rest = values[n]
                for digit, bits in zip(dut.number.digits, widths, strict=True):
                    ctx.set(digit, rest & ((1 << bits) - 1))
                    rest >>= bits
                ctx.set(dut.dtype, formats[n])
            await ctx.tick()

    run(dut, bench)


@by_depth
def test_rounder_flags_and_mask(deep):
    dut = Rounder(Fixed((48, 50), special=True), -48, deep)
    cases = []
    for dtype in _NAN:
        plus, minus = _INFINITY[dtype]
        for nan, up, down, used in np.ndindex(2, 2, 2, 2):
            bits = _NAN[dtype] if nan or (up and down) else plus if up else minus if down else None
            bits = round_to(-3 << 47, -48, dtype) if bits is None else bits
            cases.append((dtype, nan | up << 1 | down << 2, used, bits if used else 0))

    async def bench(ctx):
        ctx.set(dut.valid, 1)
        ctx.set(dut.number.digits[0], 1 << 47)
        ctx.set(dut.number.digits[1], -2)
        for dtype, flags, used, bits in cases:
            ctx.set(dut.dtype, dtype)
            ctx.set(dut.number.flags.as_value(), flags)
            ctx.set(dut.used, used)
            await ctx.tick().repeat(Rounder.latency(deep))
            assert ctx.get(dut.bits) == bits, (dtype, flags, used)

    run(dut, bench)


@pytest.mark.usefixtures("refused")
@pytest.mark.parametrize(
    ("widths", "lsb", "message"),
    [
        ((32,), -127, "lsb must be -126 to 0, not -127"),
        ((64, 64), 0, "width must be at most 127, not 128"),
    ],
)
def test_rounder_refuses(widths, lsb, message):
    with pytest.raises(ValueError, match=message):
        Rounder(Fixed(widths, special=False), lsb)


def run(dut, bench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
