"""A bench for the lanes of the VXM: new operands in every cycle, and a result for each."""

import numpy as np
from amaranth.hdl import Cat, Fragment
from amaranth.sim import Simulator

OPERANDS = ("early", "late")


def run_lane(dut, vectors, platform=None):
    """The results, uint32, of a lane that takes one of `vectors` in every cycle.

    Parameters
    ----------
    dut : Component
        With ports `valid` and `result`; ``latency(deep)`` tells its cycles.
    vectors : list of dict
        The values of its other ports, by name; operands are 32 bits.
    platform : object
        What it is elaborated for, if for anything.
    """
    results = []

    async def drive(ctx):
        ctx.set(dut.valid, 1)
        for vector in vectors:
            for name, value in vector.items():
                port = getattr(dut, name)
                ctx.set(Cat(port) if name in (*OPERANDS, "a") else port, value)
            await ctx.tick()
        ctx.set(dut.valid, 0)

    async def watch(ctx):
        await ctx.tick().repeat(dut.latency(dut.deep))
        for _ in vectors:
            results.append(ctx.get(Cat(dut.result)))
            await ctx.tick()

    simulator = Simulator(Fragment.get(dut, platform))
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.add_testbench(watch)
    simulator.run()
    return np.array(results, np.uint32)
