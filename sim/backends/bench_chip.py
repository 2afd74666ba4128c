"""The cocotb bench: plays host scripts on the core and keeps what it answers.

Runs inside the simulator. The environment names a directory with one ``N.in.npz`` script per
program; the bench writes ``N.out.npz`` beside it.
"""

import os
import time
from pathlib import Path

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, Timer

from tsp.hw.host import HOST_READ
from tsp.sim.backends.script import START, STATUS, is_done

PERIOD = 2  # ns


class Host:
    """Driver of the host port: one request a cycle.

    It drives and samples at the falling edge, where every simulator has settled: at the rising
    edge Icarus still shows the registers' old values and Verilator already the new ones.
    """

    def __init__(self, dut):
        self.dut = dut

    async def reset(self):
        self.dut.rst.value = 1
        self.dut.host__write.value = 0
        self.dut.host__read.value = 0
        for _ in range(2):
            await FallingEdge(self.dut.clk)
        self.dut.rst.value = 0
        await FallingEdge(self.dut.clk)

    async def write(self, addresses, data):
        """Write host words, uint64 (n, k), one a cycle."""
        dut = self.dut
        dut.host__write.value = 1
        for address, word in zip(addresses.tolist(), data.astype("<u8"), strict=True):
            dut.host__address.value = address
            dut.host__write_data.value = int.from_bytes(word.tobytes(), "little")
            await FallingEdge(dut.clk)
        dut.host__write.value = 0

    async def read(self, addresses):
        """Read host words, one a cycle; the answers come HOST_READ cycles behind."""
        dut = self.dut
        size = len(dut.host__read_data) // 8
        words = []
        dut.host__read.value = 1
        for n, address in enumerate([*addresses.tolist(), *[0] * (HOST_READ - 1)]):
            dut.host__address.value = address
            await FallingEdge(dut.clk)
            if n >= HOST_READ - 1:
                words.append(int(dut.host__read_data.value).to_bytes(size, "little"))
        dut.host__read.value = 0
        return np.frombuffer(b"".join(words), "<u8").reshape(len(words), -1)


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
        """Registers' content in each of `cycles` cycles from now on."""
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
    await host.write(script["write_addresses"], script["write_data"])
    address, word = START
    cycles, first = int(script["cycles"]), int(script["first_cycle"])
    result = {}
    await host.write(np.array([address]), np.array([[word, 0]], np.uint64))
    began = time.perf_counter()
    if bool(script["trace"]):
        monitor = StreamMonitor(dut, script)
        for _ in range(first - 1):
            await FallingEdge(dut.clk)
        result |= await monitor.sample(cycles + int(script["superlanes"]) - 1)
    else:
        left = cycles + first
        while left > 0:
            step = min(left, int(script["chunk"]))
            await Timer(PERIOD * step, "ns")
            left -= step
            progress(cycles - left, cycles)
        # The timer ends just before the falling edge of the same instant.
        await FallingEdge(dut.clk)
    run_seconds = time.perf_counter() - began
    done = False
    for _ in range(int(script["patience"])):
        status = int((await host.read(np.array([STATUS])))[0, 0])
        done = is_done(status)
        if done:
            break
    words = await host.read(script["read_addresses"])
    return result | {"words": words, "done": done, "run_seconds": run_seconds}


@cocotb.test()
async def run_scripts(dut):
    """Play every script of the directory that the environment names."""
    directory = Path(os.environ["TSP_SCRIPTS"])
    Clock(dut.clk, PERIOD, "ns", impl="gpi").start()
    host = Host(dut)
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
