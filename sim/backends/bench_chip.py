"""The cocotb bench: plays host scripts on the core and keeps the answers.

Runs inside the simulator. The environment names a directory with one ``N.in.npz`` script per
program; the bench writes ``N.out.npz`` beside it.
"""

import os
import time
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from tsp.sim.driver import HostDriver

PERIOD = 2  # ns


class StreamMonitor:
    """Samples every stream register in every cycle of the program."""

    def __init__(self, dut, script):
        self.dut = dut
        stops, superlanes, streams = (int(script[k]) for k in ("stops", "superlanes", "streams"))
        self.lanes = int(script["lanes"])
        self.shape = (2, stops, streams, superlanes)
        self.registers = []
        for stop in range(stops):
            hop = getattr(dut.core, f"hop{stop}")
            if stop + 1 < stops:
                self.registers.append((0, stop + 1, hop.east_next))
            if stop:
                self.registers.append((1, stop - 1, hop.west_next))

    async def sample(self, cycles):
        """The contents of the registers in each of the next `cycles` cycles."""
        valid = np.zeros((cycles, *self.shape), bool)
        data = np.zeros((cycles, *self.shape, self.lanes), np.uint8)
        _, _, streams, superlanes = self.shape
        width = streams * (8 * self.lanes + 1)  # of one superlane: data, and valid bits above
        for cycle in range(cycles):
            for direction, stop, signal in self.registers:
                packed = int(signal.value).to_bytes(-(-width * superlanes // 8), "little")
                bits = np.unpackbits(np.frombuffer(packed, np.uint8), bitorder="little")
                rows = bits[: width * superlanes].reshape(superlanes, width)
                words = np.packbits(rows[:, :-streams], axis=1, bitorder="little")
                is_valid = rows[:, -streams:].T.astype(bool)
                words = words.reshape(superlanes, streams, self.lanes).swapaxes(0, 1)
                valid[cycle, direction, stop] = is_valid
                data[cycle, direction, stop] = np.where(is_valid[..., None], words, 0)
            await FallingEdge(self.dut.clk)
        return {"trace_valid": valid, "trace_data": data}


async def play(dut, host, script, progress):
    """Load one program, run it to its end, and read back everything."""
    await host.reset()
    await host.write_words(script["write_addresses"], script["write_data"])
    result = {}
    await host.start()
    began = time.perf_counter()
    clocks = int(script["clocks"])
    if bool(script["trace"]):
        await host.sleep(int(script["first_cycle"]) - 1)
        cycles = int(script["cycles"]) + int(script["superlanes"]) - 1
        result |= await StreamMonitor(dut, script).sample(cycles)
    else:
        await host.sleep(clocks, lambda done: progress(done, clocks))
    run_seconds = time.perf_counter() - began
    done = await host.is_done(int(script["patience"]))
    words = await host.read_words(script["read_addresses"])
    return result | {"words": words, "done": done, "run_seconds": run_seconds}


@cocotb.test()
async def run_scripts(dut):
    """Play every script in the directory named by the environment."""
    directory = Path(os.environ["TSP_SCRIPTS"])
    Clock(dut.clk, PERIOD, "ns", impl="gpi").start()
    host = HostDriver(dut, period=PERIOD)
    for path in sorted(directory.glob("*.in.npz")):
        script = dict(np.load(path))
        marker = directory / "progress"

        def progress(done, total, marker=marker):
            marker.write_text(f"{done} {total}\n")

        began = time.perf_counter()
        start_time = cocotb.simtime.get_sim_time("ns")
        answers = await play(dut, host, script, progress)
        clocks = (cocotb.simtime.get_sim_time("ns") - start_time) / PERIOD
        np.savez(
            directory / path.name.replace(".in.", ".out."),
            seconds=time.perf_counter() - began,
            clocks=clocks,
            **answers,
        )
