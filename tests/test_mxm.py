"""The MXM plane against the golden model, in value and cycle."""

import numpy as np
import pytest
from bench_mxm import Script, compare, load_all

from tsp.hw.config import Config
from tsp.hw.isa import SG1, SG2, SG4, Abc, Acc, AccMode, DType, Iw, Lw
from tsp.hw.isa.mxm import EMITTED, STORAGE
from tsp.hw.isa.timing import ABC_SAMPLE, ACC_SAMPLE, LW_BUFFER, array_latency


def config(lanes, superlanes, datapath, streams=8, pipeline="short"):
    return Config(
        name=f"{pipeline}_{datapath}_l{lanes}t{superlanes}",
        lanes=lanes,
        superlanes=superlanes,
        streams=streams,
        datapath=datapath,
        acc_rows=5,
        pipeline=pipeline,
    )


CONFIGS = [
    config(4, 1, "int8"),
    config(8, 3, "int8"),
    config(4, 3, "fp16", 12),
    config(4, 2, "int8", pipeline="deep"),
    config(4, 3, "fp16", 12, pipeline="deep"),
]
BIG = config(16, 1, "fp16", 16)
by_name = pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)


class Random:
    """Random legal instructions and operands of a configuration."""

    def __init__(self, config, seed):
        self.config, self.rng = config, np.random.default_rng(seed)
        self.formats = STORAGE if config.datapath == "fp16" else (DType.INT8,)

    def pick(self, choices):
        return choices[self.rng.integers(len(choices))]

    def stream(self):
        return SG1(self.pick("EW"), int(self.rng.integers(self.config.streams)))

    def group(self, size):
        kind = {1: SG1, 2: SG2, 4: SG4}[size]
        return kind(self.pick("EW"), int(self.rng.integers(self.config.streams // size)))

    def count(self):
        size = self.config.vector
        return int(self.pick([size, size, 0, 1, int(self.rng.integers(size + 1))]))

    def dtype(self):
        return self.pick(self.formats)

    def elements(self, dtype, n):
        """Bytes of n vectors, uint8[n, bytes, L]: any bit pattern, with few NaN and infinities."""
        raw = self.rng.integers(0, 256, (n, dtype.bytes, self.config.vector), np.uint8)
        if dtype is not DType.INT8 and self.rng.random() < 0.9:
            raw[:, -1] &= 0xBF  # clears the top exponent bit: nothing special, small numbers
        return raw

    def lw(self, column=None):
        dtype = self.dtype()
        column = int(self.rng.integers(self.config.vector)) if column is None else column
        most = min(16 // dtype.bytes, self.config.vector - column)
        columns = int(self.rng.integers(1, most + 1))
        streams = set()
        while len(streams) < columns * dtype.bytes:
            streams.add(self.stream())
        streams = sorted(streams, key=lambda s: self.rng.random())
        return Lw(column=column, dtype=dtype, streams=tuple(streams))

    def abc(self, hold):
        dtype = self.dtype()
        return Abc(source=self.group(dtype.bytes), dtype=dtype, hold=hold, count=self.count())

    def acc(self, mode, row):
        dtype, emit = self.pick(EMITTED), mode is AccMode.KEEP or self.rng.random() < 0.6
        target = self.group(dtype.bytes)
        return Acc(row=row, mode=mode, emit=emit, dtype=dtype, target=target, count=self.count())

    def put_lw(self, script, cycle, lw):
        words = self.elements(lw.dtype, lw.columns).reshape(len(lw.streams), -1)
        script.at(cycle, lw)
        script.put(cycle + 1, lw.streams, words)

    def put_abc(self, script, cycle, abc):
        if not abc.hold:
            words = self.elements(abc.dtype, 1)[0]
            streams = [SG1(abc.source.direction, n) for n in abc.source.streams]
            script.put(cycle + ABC_SAMPLE, streams, words)
        script.at(cycle, abc)


def random_script(config, seed, cycles):
    """All queues busy: weights replaced while vectors stream, any row at any time."""
    random, script = Random(config, seed), Script(config, seed)
    dots, column, cycle = set(), 0, 0
    while column < config.vector:
        lw = random.lw(column)
        random.put_lw(script, cycle, lw)
        column, cycle = column + lw.columns, cycle + 1
    start = cycle - 1 + LW_BUFFER
    script.at(start, Iw())
    written = set()
    for now in range(start, start + cycles):
        if random.rng.random() < 0.6 and now > cycle:
            random.put_lw(script, now, random.lw())
        if random.rng.random() < 0.3 and now > start:
            script.at(now, Iw())
        if random.rng.random() < 0.8 or now == start:
            random.put_abc(script, now, random.abc(now > start and random.rng.random() < 0.3))
            dots.add(now + array_latency(config) - ACC_SAMPLE)
        row = int(random.rng.integers(config.acc_rows))
        row = min(row, 1) if random.rng.random() < 0.6 else row
        modes = [AccMode.WRITE, AccMode.ADD, AccMode.ADD] if now in dots else []
        modes = [m for m in [*modes, AccMode.KEEP] if m is AccMode.WRITE or row in written]
        if modes and random.rng.random() < 0.9:
            script.at(now, random.acc(random.pick(modes), row))
            written.add(row)
    return script


@by_name
@pytest.mark.parametrize("seed", range(3))
def test_random_programs(config, seed):
    compare(random_script(config, seed, 60))


def test_random_program_on_full_lanes():
    compare(random_script(BIG, 5, 40))


def test_a_long_sum_needs_every_accumulator_bit():
    """Repeated worst-case products reach the top digits and cancel to the smallest one."""
    big = np.float16(65504).view(np.uint16)
    config = CONFIGS[2]
    script, size = Script(config, 0), config.vector
    weights = np.full((size, size), big, np.uint16)
    start = load_all(script, 0, DType.FP16, halves(weights), [SG1("E", s) for s in range(12)])
    script.at(start + 1, Iw())
    values = [np.full(size, 65504), np.full(size, 65504), np.full(size, -65504)]
    values += [np.full(size, -65504), np.full(size, 2.0**-24)]
    for n, value in enumerate(values):
        now = start + 1 + n
        source = SG2("W", 1)
        words = halves(value.astype(np.float16).view(np.uint16)[None])[0]
        script.put(now + ABC_SAMPLE, [SG1("W", s) for s in source.streams], words)
        script.at(now, Abc(source=source, dtype=DType.FP16, count=size))
        mode = AccMode.ADD if n else AccMode.WRITE
        acc = Acc(row=4, mode=mode, emit=True, target=SG4("E", 1), count=size)
        script.at(now + array_latency(config) - ACC_SAMPLE, acc)
    record = compare(script)
    last = record.drives[max(record.drives)][1]
    expected = np.float32(size * 65504 * 2.0**-24)
    np.testing.assert_array_equal(
        np.frombuffer(last, np.uint8).reshape(4, -1).T.copy().view(np.float32)[:, 0], expected
    )


def halves(bits):
    """uint16[n, L] as bytes, uint8[n, 2, L]."""
    return np.stack([bits & 0xFF, bits >> 8], axis=1).astype(np.uint8)
