"""Programs on Amaranth's own simulator: pure Python, for the smallest cores."""

import time
from pathlib import Path

import numpy as np
from amaranth.sim import Simulator

from tsp.hw.chip import Chip
from tsp.hw.errors import InputError, ToolError
from tsp.hw.host import HOST_READ
from tsp.hw.isa.timing import clocks
from tsp.sim import files
from tsp.sim.backends.script import START, STATUS, Answers, Script, is_done
from tsp.sim.result import Result

PERIOD = 1e-6


def run(program, *, waves=None, announce=None, progress=None):
    """Run `program`; the parameters are those of the cocotb back end's ``run``.

    Raises
    ------
    ValueError
        If `waves` does not end in ``.vcd``.
    ToolError
        If the program does not end when its schedule says.
    """
    if waves and Path(waves).suffix != ".vcd":
        raise InputError(f"waves of pysim must end in .vcd, not {str(waves)!r}")
    script = Script.of(program, announce)
    began = time.perf_counter()
    chip = Chip(program.config)
    simulator = Simulator(chip)
    simulator.add_clock(PERIOD)
    built = time.perf_counter()
    found = {}

    async def bench(ctx):
        host = _Host(ctx, chip.host)
        await host.write(script.write_addresses.tolist(), script.write_data.tolist())
        address, word = START
        await host.write([address], [(word, 0)])
        needed = clocks(program.config, program.cycles)
        started = time.perf_counter()
        for clock in range(needed):
            await host.tick()
            if progress:
                progress(min(clock + 1, program.cycles), program.cycles)
        seconds = time.perf_counter() - started
        found["run_seconds"] = seconds * program.cycles / needed
        status = await host.read([STATUS])
        found["done"] = is_done(int(status[0, 0]))
        found["words"] = await host.read(script.read_addresses.tolist())
        found["clocks"] = host.clocks

    simulator.add_testbench(bench)
    if waves:
        with files.beside(waves) as path, simulator.write_vcd(str(path)):
            simulator.run()
    else:
        simulator.run()
    answers = Answers.of(program, found["words"])
    if not found["done"]:
        raise ToolError(f"{program.name} did not end after {program.cycles} cycles")
    return Result(
        outputs=answers.outputs,
        cycles=answers.cycles,
        fault=answers.fault,
        counters=answers.counters,
        build_seconds=built - began,
        sim_seconds=time.perf_counter() - built,
        sim_cycles=found["clocks"],
        run_seconds=found["run_seconds"],
    )


class _Host:
    """Driver of the host port: one request a cycle. It counts the clocks."""

    def __init__(self, ctx, port):
        self.ctx, self.port, self.clocks = ctx, port, 0

    async def tick(self):
        await self.ctx.tick()
        self.clocks += 1

    async def write(self, addresses, data):
        ctx, port = self.ctx, self.port
        ctx.set(port.write, 1)
        for address, words in zip(addresses, data, strict=True):
            ctx.set(port.address, address)
            ctx.set(port.write_data, sum(word << 64 * k for k, word in enumerate(words)))
            await self.tick()
        ctx.set(port.write, 0)

    async def read(self, addresses):
        ctx, port = self.ctx, self.port
        words, size = [], len(port.read_data) // 8
        ctx.set(port.read, 1)
        for n, address in enumerate([*addresses, *[0] * (HOST_READ - 1)]):
            ctx.set(port.address, address)
            await self.tick()
            if n >= HOST_READ - 1:
                words.append(ctx.get(port.read_data).to_bytes(size, "little"))
        ctx.set(port.read, 0)
        return np.frombuffer(b"".join(words), "<u8").reshape(len(words), -1)
