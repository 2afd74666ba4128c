"""The bench of the example: programs on the core in `top`, over its host port."""

import cocotb
import numpy as np
from cocotb.clock import Clock

from tsp.hw.config import preset
from tsp.hw.host import HostAddress
from tsp.hw.isa import DType
from tsp.sim.driver import HostDriver
from tsp.sim.kernels.matmul import matmul

CONFIG = preset("nano")


def begin(dut):
    """Start the clock; the driver of the port, whose signals have other names here."""
    Clock(dut.clk, 10, "ns").start()
    return HostDriver(dut, prefix="host_", period=10)


@cocotb.test()
async def a_product_is_that_of_numpy(dut):
    """Load, start, wait and read, in one call."""
    host = begin(dut)
    rng = np.random.default_rng(1)
    for size in (4, 8, 16):
        a, b = rng.integers(-128, 128, (2, size, size)).astype(np.int8)
        kernel = matmul(CONFIG, a, b, DType.INT32)
        answers = await host.run(kernel.program)
        assert answers.fault is None
        assert answers.cycles == kernel.program.cycles
        np.testing.assert_array_equal(kernel.unpack(answers.outputs), a.astype(int) @ b)


@cocotb.test()
async def a_product_step_by_step(dut):
    """The same, with a look at the design in between."""
    host = begin(dut)
    a, b = np.eye(8, dtype=np.int8), np.arange(64, dtype=np.int8).reshape(8, 8)
    kernel = matmul(CONFIG, a, b, DType.INT32)
    await host.reset()
    assert dut.requests.value == 0
    await host.load(kernel.program)
    loaded = int(dut.requests.value)
    await host.start()
    assert dut.requests.value == loaded + 1
    await host.wait()
    assert await host.fault() is None
    assert await host.cycles() == kernel.program.cycles
    np.testing.assert_array_equal(kernel.unpack(await host.outputs()), b)


@cocotb.test()
async def words_of_memory(dut):
    """SRAM, word by word."""
    host = begin(dut)
    await host.reset()
    bank = CONFIG.floorplan.slice("MEM_E0").index
    for word in range(4):
        await host.write(HostAddress.of_sram(bank, 1, word), 3 * word)
    assert [await host.read(HostAddress.of_sram(bank, 1, word)) for word in range(4)] == [
        0,
        3,
        6,
        9,
    ]
    assert await host.read(HostAddress.of_sram(bank, 1, CONFIG.bank_words)) == 0
    assert await host.bad_requests() == 1
