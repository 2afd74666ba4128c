"""The programs whose coverage is measured: a fixed list for a configuration, from fixed seeds."""

import ml_dtypes
import numpy as np

from tsp.hw.config import PRESETS, Config
from tsp.hw.errors import EncodingError
from tsp.hw.isa import (
    ISA,
    SG1,
    SG4,
    DType,
    Exp,
    Read,
    Recip,
    Reduce,
    ReduceKind,
    RSqrt,
    TanH,
    Unit,
    timing,
)
from tsp.sim.coverage.bins import bins, hits
from tsp.sim.coverage.directed import Directed
from tsp.sim.kernels.activations import gelu, silu
from tsp.sim.kernels.attention import attention
from tsp.sim.kernels.ffn import ffn
from tsp.sim.kernels.linear import linear
from tsp.sim.kernels.matmul import matmul
from tsp.sim.kernels.norms import layernorm, rmsnorm
from tsp.sim.kernels.rows import softmax
from tsp.sim.kernels.transpose import transpose
from tsp.sim.program import Block, Run, assemble
from tsp.sim.random_programs import Generator

TALL = Config(
    name="tall",
    lanes=4,
    superlanes=3,
    streams=8,
    planes_west=1,
    planes_east=1,
    mem_slices=2,
    mem_slices_per_stop=1,
    bank_words=32,
    acc_rows=4,
    alus=2,
    special_alus=1,
    queue_depth=256,
)
"""Three superlanes: what depends on the place in the wave is counted here."""

CONFIGS = {"nano": PRESETS["nano"], "small": PRESETS["small"], "tall": TALL}
"""What coverage is measured on, by name."""


_PATIENCE = 40  # directed programs in a row that use nothing new


def random_programs(config, seeds):
    """Programs of the random generator, as the tests run them."""
    return [Generator(config, seed).grow().program(f"random {seed}") for seed in range(seeds)]


def directed_programs(config, programs, tries):
    """Programs that use what `programs` leave out; about `tries` instructions are tried.

    Returns
    -------
    list of Program
        Only those that use something new.
    """
    wanted = bins(config)
    for program in programs:
        wanted -= set(hits(program))
    found, each, idle = [], 60, 0
    for seed in range(tries // each):
        if idle == _PATIENCE or not wanted:
            break
        before, idle = len(wanted), idle + 1
        made = Directed(config, 10_000 + seed, wanted).close(each)
        if len(wanted) < before:
            found.append(made.program(f"directed {seed}"))
            idle = 0
    return found


def kernel_programs(config):
    """Kernels of every kind that the configuration can run; the first seed of the tests' data."""
    rng = np.random.default_rng(0)
    special = [special_program(config)] if config.special_alus else []
    special.append(sums_program(config))
    rows = config.acc_rows + 1  # all rows of an accumulator, and one again
    eight = [rng.integers(-128, 128, shape).astype(np.int8) for shape in ((rows, 20), (20, 11))]
    made = [matmul(config, *eight, DType.INT32)]
    if config.datapath == "int8":
        made += [matmul(config, *eight, out) for out in (DType.FP32, DType.FP16)]
        return special + [kernel.program for kernel in made]
    a = (rng.normal(size=(9, 40)) * 2.0 ** rng.integers(-20, 8, (9, 40))).astype(np.float16)
    made += [matmul(config, a, a.T.copy(), out) for out in (DType.FP32, DType.FP16)]
    # Numbers of every kind: subnormal, infinite, not a number.
    wild = rng.integers(0, 1 << 16, (9, 40), np.uint16).view(np.float16)
    made += [matmul(config, wild, wild.T.copy(), DType.FP16)]
    if config.name == "tall":  # it has too few streams and ALUs for the others
        return special + [kernel.program for kernel in made]
    codes = np.arange(256, dtype=np.uint8).view(ml_dtypes.float8_e4m3fn).reshape(16, 16)
    made += [linear(config, a[:, :16].copy(), codes)]
    # Every exponent and sign, so that tables of special functions are read all over.
    wide = np.arange(0, 1 << 16, 37, dtype=np.uint16).view(np.float16)
    wide = np.where(np.isfinite(wide), wide, 0).astype(np.float16)[:1760].reshape(-1, 16)
    made += [gelu(config, wide), silu(config, wide)]
    x = (rng.normal(size=(9, 46)) * 2).astype(np.float16)
    made += [softmax(config, x), rmsnorm(config, x), layernorm(config, x)]
    made += [transpose(config, rng.integers(-128, 128, (35, 37)).astype(np.int8))]
    up, down = (rng.normal(size=shape).astype(np.float16) for shape in ((20, 40), (40, 20)))
    made += [ffn(config, x[:, :20], up, down, gate=up, residual=True)]
    q, k, v = (
        rng.normal(size=(n, h, 24)).astype(np.float16) for n, h in ((21, 4),) + 2 * ((37, 2),)
    )
    made += [attention(config, q, k, v, causal=True)]
    return special + [kernel.program for kernel in made]


def special_program(config):
    """Special functions of numbers from all over their tables, streamed past the first ALU."""
    rng, rows = np.random.default_rng(2), min(config.bank_words, 250)
    shape = (rows, config.vector)
    wide = np.ldexp(rng.uniform(1, 2, shape), rng.integers(-126, 127, shape))
    x = np.where(rng.random(shape) < 0.5, rng.uniform(-95, 95, shape), wide)
    near = np.ldexp(rng.uniform(-1, 1, shape), rng.integers(-14, 5, shape))
    x[::3] = near[::3]
    work = [cls(a=SG4("W", 0), target=SG4("W", 1)) for cls in (Exp, TanH, RSqrt, Recip)]
    return _streamed(config, x, "VXM", "VXM.0", timing.VXM_SAMPLE, work)


def sums_program(config):
    """Sums over lanes of numbers of like size, which cancel each other or nearly so."""
    rng, rows = np.random.default_rng(3), min(config.bank_words, 250)
    shape = (rows, config.vector)
    x = np.ldexp(rng.uniform(-1, 1, shape), rng.integers(-9, 9, shape))
    x[::3, 1::2] = -x[::3, ::2] * (1 + np.ldexp(1.0, -rng.integers(1, 26, x[::3, ::2].shape)))
    work = [
        Reduce(kind=ReduceKind.SUM, count=count, source=SG4("E", 0), target=SG4("W", 0))
        for count in (config.vector, config.vector - 1)
    ]
    return _streamed(config, x, "SXM_E", "SXM_E.0", timing.SXM_SAMPLE, work)


def _streamed(config, x, place, queue, sample, work):
    """Each instruction of `work` on every row of `x` as fp32, on its way from MEM to `place`."""
    rows, data = len(x), np.ascontiguousarray(x.astype("<f4")).view(np.uint8)
    data = data.reshape(rows, config.vector, 4)
    banks = [(f"MEM_E{n}", bank) for n in range(2) for bank in range(2)]
    image, runs, plan = [], {}, config.floorplan
    first = plan.stops + timing.MEM_READ
    for byte, (name, bank) in enumerate(banks):
        image.append(Block(name, bank, 0, np.ascontiguousarray(data[..., byte])))
        direction, away = plan.hops(plan.slice(name).stop, plan.slice(place).stop)
        read = Read(address=0, stream=SG1(direction, byte))
        starts = [first - away - timing.MEM_READ + n * rows for n in range(len(work))]
        runs[f"{name}.{bank}"] = [Run(start, read, rows, 1, 1) for start in starts]
    runs[queue] = [Run(first - sample + n * rows, each, rows) for n, each in enumerate(work)]
    return assemble(config, runs, image=tuple(image), name=f"numbers streamed to {place}")


def faulty_programs(config, each):
    """Programs of one instruction that fits its word and, mostly, nothing else: they fault.

    `each` : programs per instruction of the set, whether this core executes it or not.
    """
    rng = np.random.default_rng(1)
    memories = [q for q in config.floorplan.queues if q.unit is Unit.MEM]
    found = []
    for cls in ISA.values():
        queues = [q for q in config.floorplan.queues if cls.unit in (q.unit, Unit.ICU)]
        for number in range(each):
            instruction = _sampled(cls, rng)
            queue = queues[rng.integers(len(queues))]
            if cls.unit is Unit.ICU and cls.executed:
                continue
            runs = {queue.name: [Run(int(rng.integers(8)), instruction)]}
            # The program goes on until the last operand has been waited for.
            other = next(q for q in memories if q is not queue)
            runs[other.name] = [Run(60, Read(address=0, stream=SG1("W", 0)))]
            found.append(
                assemble(config, runs, name=f"faulty {cls.mnemonic} {number}", checked=False)
            )
    return found


def _sampled(cls, rng):
    while True:
        try:
            return cls(**{info.name: info.codec.sample(rng) for info in cls.fields()})
        except EncodingError:  # fields that do not go together
            continue
