"""Programs on Amaranth's own simulator: pure Python, for the smallest cores."""

import time

import numpy as np
from amaranth.sim import Simulator

from tsp.hw.chip import Chip
from tsp.hw.host import HOST_READ
from tsp.sim.backends.script import START, STATUS, Answers, Script, is_done
from tsp.sim.result import Result

PERIOD = 1e-6


def run(program, *, waves=None, announce=None, progress=None):
    """Run `program`; the parameters are those of the cocotb back end's ``run``.

    Raises
    ------
    RuntimeError
        If the program does not end when its schedule says.
    """
    script = Script.of(program, announce)
    began = time.perf_counter()
    chip = Chip(program.config)
    simulator = Simulator(chip)
    simulator.add_clock(PERIOD)
    built = time.perf_counter()
    found = {}

    async def bench(ctx):
        await _write(ctx, chip.host, script.write_addresses.tolist(), script.write_data.tolist())
        address, word = START
        await _write(ctx, chip.host, [address], [(word, 0)])
        for cycle in range(program.cycles + 10):
            await ctx.tick()
            if progress:
                progress(min(cycle + 1, program.cycles), program.cycles)
        status = await _read(ctx, chip.host, [STATUS])
        found["done"] = is_done(int(status[0, 0]))
        found["words"] = await _read(ctx, chip.host, script.read_addresses.tolist())

    simulator.add_testbench(bench)
    if waves:
        with simulator.write_vcd(str(waves)):
            simulator.run()
    else:
        simulator.run()
    answers = Answers.of(program, found["words"])
    if not found["done"]:
        raise RuntimeError(f"{program.name} did not end after {program.cycles} cycles")
    return Result(
        outputs=answers.outputs,
        cycles=answers.cycles,
        fault=answers.fault,
        counters=answers.counters,
        build_seconds=built - began,
        sim_seconds=time.perf_counter() - built,
        sim_cycles=len(script.write_addresses) + program.cycles + len(script.read_addresses),
    )


async def _write(ctx, host, addresses, data):
    ctx.set(host.write, 1)
    for address, words in zip(addresses, data, strict=True):
        ctx.set(host.address, address)
        ctx.set(host.write_data, sum(word << 64 * k for k, word in enumerate(words)))
        await ctx.tick()
    ctx.set(host.write, 0)


async def _read(ctx, host, addresses):
    words, size = [], len(host.read_data) // 8
    ctx.set(host.read, 1)
    for n, address in enumerate([*addresses, *[0] * (HOST_READ - 1)]):
        ctx.set(host.address, address)
        await ctx.tick()
        if n >= HOST_READ - 1:
            words.append(ctx.get(host.read_data).to_bytes(size, "little"))
    ctx.set(host.read, 0)
    return np.frombuffer(b"".join(words), "<u8").reshape(len(words), -1)
