"""Bench of one MXM plane: driver, monitor and model.

A test writes a `Script`: instructions with their cycles, and what stands on the streams when.
`measure` runs it on the RTL, `predict` on the golden model; both give the same kind of record.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from amaranth.hdl import Cat, Module, Signal
from amaranth.sim import Simulator

from tsp.hw.fault import FAULT_KINDS
from tsp.hw.isa import Lw, Unit
from tsp.hw.isa.timing import ABC_SAMPLE, ACC_SAMPLE, LW_BUFFER, LW_SAMPLE, acc_emit, array_latency
from tsp.hw.mxm import Plane
from tsp.hw.stream import Drive
from tsp.sim.golden import plane as golden


@dataclass
class Script:
    """A program of the four queues in skewed time, with the streams' content.

    ``missing`` : (cycle, direction, stream, superlane) of words that are not valid.
    """

    config: object
    seed: int
    issues: dict = field(default_factory=dict)
    content: dict = field(default_factory=dict)
    missing: set = field(default_factory=set)

    def at(self, cycle, *instructions):
        """Issue instructions in `cycle`, each in its own queue."""
        for instruction in instructions:
            key = cycle, instruction.unit
            assert key not in self.issues, f"{key} is issued already"
            self.issues[key] = instruction

    def put(self, cycle, streams, words):
        """Let the streams carry `words` (uint8[streams, L]) when sampled in `cycle`."""
        for stream, word in zip(streams, words, strict=True):
            for number in stream.streams:
                self.content[cycle, stream.direction, number] = word

    def word(self, cycle, direction, number):
        """What a stream carries in a cycle: what was put there, else noise."""
        key = cycle, direction, number
        if key not in self.content:
            noise = np.random.default_rng([self.seed, cycle + 99, ord(direction), number])
            self.content[key] = noise.integers(0, 256, self.config.vector, np.uint8)
        return self.content[key]

    def words(self, cycle, streams):
        """What several single streams carry, uint8[streams, L]."""
        return np.stack([self.word(cycle, s.direction, n) for s in streams for n in s.streams])

    @property
    def cycles(self):
        """Cycles until everything has come out of the last superlane."""
        last = max(cycle for cycle, _ in self.issues)
        return (
            last + array_latency(self.config) + acc_emit(self.config) + self.config.superlanes + 2
        )


@dataclass
class Record:
    """What came out: drives by (cycle, superlane), faults by cycle, cycles with a vector."""

    drives: dict = field(default_factory=dict)
    faults: dict = field(default_factory=dict)
    vectors: set = field(default_factory=set)


def predict(script):
    """The record that the golden model expects; it knows nothing of faults."""
    config, record = script.config, Record()
    plane = golden.Plane(config)
    loads, dots = defaultdict(list), {}
    for (cycle, unit), lw in script.issues.items():
        if unit is Unit.LW:
            loads[cycle + LW_BUFFER].append((lw, script.words(cycle + LW_SAMPLE, lw.streams)))
    for cycle in range(script.cycles):
        for lw, words in loads[cycle]:
            plane.load(lw.column, lw.dtype, words)
        if (cycle, Unit.IW) in script.issues:
            plane.install()
        if abc := script.issues.get((cycle, Unit.ABC)):
            words = None if abc.hold else script.words(cycle + ABC_SAMPLE, [abc.source])
            dots[cycle + array_latency(config)] = plane.dot(words, abc.dtype, abc.count)
            record.vectors.add(cycle + ABC_SAMPLE)
        if acc := script.issues.get((cycle, Unit.ACC)):
            plane.accumulate(acc.row, acc.mode, dots.get(cycle + ACC_SAMPLE))
            if acc.emit:
                out = plane.emit(acc.row, acc.dtype, acc.count)
                for i in range(config.superlanes):
                    part = out[:, i * config.lanes : (i + 1) * config.lanes]
                    key = cycle + acc_emit(config) + i, i
                    record.drives[key] = acc.target, part.tobytes()
    return record


class Bench:
    """The RTL plane in a simulator, driven and watched once a cycle as a whole.

    Amaranth's simulator settles after every single assignment, so all inputs are one signal here.
    """

    def __init__(self, config):
        self.config, self.dut = config, Plane(config)
        dut, m = self.dut, Module()
        m.submodules.dut = dut
        inputs = [dut.lw.valid, dut.lw.word, dut.iw.valid, dut.iw.word]
        inputs += [dut.abc.valid, dut.abc.word, dut.acc.valid, dut.acc.word]
        # A stream's data and its valid bit next to each other, stream after stream.
        for east, west in zip(dut.east, dut.west, strict=True):
            for row in (east, west):
                for s, word in enumerate(row.data):
                    inputs += [word, row.valid[s]]
        inputs = Cat(inputs)
        self.stimulus = Signal(len(inputs))
        m.d.comb += inputs.eq(self.stimulus)
        self.output = Signal(len(Cat(dut.drive, dut.fault, dut.vectors)))
        m.d.comb += self.output.eq(Cat(dut.fault, dut.vectors, dut.drive))
        self.simulator = Simulator(m)
        self.simulator.add_clock(1e-6)
        self.simulator.add_testbench(self.drive)
        self.fresh = True

    def run(self, script):
        """The record of a script, from reset."""
        self.script, self.record = script, Record()
        if not self.fresh:
            self.simulator.reset()
        self.fresh = False
        self.simulator.run()
        return self.record

    async def drive(self, ctx):
        for cycle in range(self.script.cycles):
            ctx.set(self.stimulus, self.inputs(cycle))
            self.monitor(cycle, ctx.get(self.output))
            await ctx.tick()

    def inputs(self, cycle):
        script, lanes, bits, at = self.script, self.config.lanes, 0, 0
        for unit in (Unit.LW, Unit.IW, Unit.ABC, Unit.ACC):
            if instruction := script.issues.get((cycle, unit)):
                bits |= (instruction.encode() << 1 | 1) << at
            at += 1 + unit.word_bits
        for i in range(self.config.superlanes):
            for direction in "EW":
                for s in range(self.config.streams):
                    word = script.word(cycle - i, direction, s)[i * lanes : (i + 1) * lanes]
                    there = (cycle - i, direction, s, i) not in script.missing
                    bits |= (there << 8 * lanes | int.from_bytes(word, "little")) << at
                    at += 8 * lanes + 1
        return bits

    def monitor(self, cycle, bits):
        lanes, record = self.config.lanes, self.record
        if fault := bits & ((1 << FAULT_KINDS) - 1):
            record.faults[cycle - 1] = fault  # those of the last cycle
        bits >>= FAULT_KINDS
        if bits & 1:
            record.vectors.add(cycle)
        bits >>= 1
        layout = Drive(lanes, 4)
        for i in range(self.config.superlanes):
            drive = layout.from_bits(bits & ((1 << layout.size) - 1))
            bits >>= layout.size
            if drive.valid:
                size, data = 1 << drive.log2, drive.data.to_bytes(4 * lanes, "little")
                group = size, "W" if drive.westward else "E", drive.stream
                record.drives[cycle, i] = group, data[: size * lanes]


@cache
def bench(config):
    """The one bench of a configuration: to build it takes longer than to run it."""
    return Bench(config)


def measure(script):
    """The record that the RTL gives."""
    return bench(script.config).run(script)


def compare(script):
    """Run both and assert that they agree in every drive, its value and its cycle."""
    expected, got = predict(script), measure(script)
    where = f"{script.config.name}, seed {script.seed}"
    assert got.faults == {}, where
    assert got.vectors == expected.vectors, where
    assert sorted(got.drives) == sorted(expected.drives), where
    for key, (target, data) in expected.drives.items():
        group = target.size, target.direction, target.first
        assert got.drives[key] == (group, data), f"cycle and superlane {key}, {where}"
    return got


def load_all(script, cycle, dtype, weights, streams):
    """LW of all columns from `cycle` on, one instruction a cycle; the first cycle after them.

    `weights` is uint8[L columns, bytes, L lanes]; `streams` are as many single streams as fit.
    """
    step = min(len(streams), 16) // dtype.bytes
    for column in range(0, len(weights), step):
        part = weights[column : column + step]
        used = tuple(streams[: len(part) * dtype.bytes])
        script.at(cycle, Lw(column=column, dtype=dtype, streams=used))
        script.put(cycle + LW_SAMPLE, used, part.reshape(-1, part.shape[-1]))
        cycle += 1
    return cycle
