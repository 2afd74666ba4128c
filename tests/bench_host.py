"""The cocotb bench of tests/test_host.py: a host that does what it should not, on `nano`."""

import cocotb
import numpy as np
import pytest
from cocotb.clock import Clock

from tsp.hw.config import preset
from tsp.hw.errors import InputError
from tsp.hw.fault import FaultKind
from tsp.hw.host import HostAddress, Register, Space
from tsp.hw.isa import SG1, Read, Write, timing
from tsp.sim.backends.script import START
from tsp.sim.driver import HostDriver
from tsp.sim.golden import model
from tsp.sim.program import Block, Region, Run, assemble
from tsp.sim.result import Fault

CONFIG = preset("nano")
WORDS = 40
ARRIVAL = 2
"""Clocks from a request until it is where it is for."""


def copy():
    """A program that copies words from MEM_W1 to MEM_E1."""
    plan, stream = CONFIG.floorplan, SG1("E", 3)
    hops = plan.slice("MEM_E1").stop - plan.slice("MEM_W1").stop
    write = timing.MEM_READ + hops - timing.MEM_SAMPLE
    data = np.random.default_rng(3).integers(0, 256, (WORDS, CONFIG.vector)).astype(np.uint8)
    return assemble(
        CONFIG,
        {
            "MEM_W1.0": [Run(0, Read(address=0, stream=stream), WORDS, stride=1)],
            "MEM_E1.1": [Run(write, Write(address=5, stream=stream), WORDS, stride=1)],
        },
        image=(Block("MEM_W1", 0, 0, data),),
        outputs=(Region("MEM_E1", 1, 5, WORDS),),
        name="copy",
    )


PROGRAM = copy()
EXPECTED = model.run(PROGRAM)


def sram(where, bank, word):
    return HostAddress.of_sram(CONFIG.floorplan.slice(where).index, bank, word)


def unit(space, name, low=0):
    return HostAddress.of_unit(space, CONFIG.floorplan.queue(name).index, low)


async def driver(dut):
    Clock(dut.clk, 2, "ns").start()
    return HostDriver(dut)


def assert_right(answers):
    assert answers.cycles == PROGRAM.cycles == EXPECTED.cycles
    assert answers.counters == EXPECTED.counters
    np.testing.assert_array_equal(answers.outputs[0], EXPECTED.outputs[0])


@cocotb.test()
async def a_program_runs_again_and_again(dut):
    """The driver's methods, step by step and at once."""
    host = await driver(dut)
    for _ in range(2):
        answers = await host.run(PROGRAM)
        assert answers.fault is None
        assert_right(answers)
    await host.reset()
    await host.load(PROGRAM)
    await host.start()
    assert not await host.is_done()
    await host.wait()
    assert await host.fault() is None
    assert await host.cycles() == PROGRAM.cycles
    assert await host.bad_requests() == 0
    np.testing.assert_array_equal((await host.outputs())[0], EXPECTED.outputs[0])


@cocotb.test()
async def requests_for_nobody_do_nothing_and_are_counted(dut):
    """Neither SRAM nor queues change, no program starts, and reads answer 0."""
    host = await driver(dut)
    await host.reset()
    await host.load(PROGRAM)
    words = [sram("MEM_W1", 0, 0), sram("MEM_W1", 1, 0), sram("MEM_E1", 1, 0)]
    for number, address in enumerate(words):
        await host.write(address, number + 1)
    first, queue = unit(Space.QUEUE_WORD, "MEM_W1.0"), unit(Space.QUEUE_COUNT, "MEM_W1.0")
    start, data = START
    nobody = [sram("MEM_W1", bank, word) for bank in (0, 1) for word in (CONFIG.bank_words, 0xFFFF)]
    nobody += [words[0] | 1 << bit for bit in (*range(25, 36), 38, 39)]
    nobody += [sram("VXM", 0, 0), HostAddress.of_sram(0, 0, 0), HostAddress.of_sram(255, 1, 0)]
    nobody += [start | n << 16 for n in (1, 5, 1 << 9, 1 << 19)]
    nobody += [
        first | CONFIG.queue_depth,
        first | 1 << 32,
        first | 1 << 30,
        queue | 1,
        queue | 1 << 35,
    ]
    nobody += [HostAddress.of_register(r) for r in Register if r != Register.CONTROL]
    nobody += [HostAddress.of_register(8), 0xFFFF, unit(Space.QUEUE_BUSY, "MEM_W1.0")]
    for address in nobody:
        await host.write(address, data | 0xABCD00)
    unread = [start, first, queue, sram("MEM_W1", 0, CONFIG.bank_words), 6 << 36, (1 << 40) - 1]
    for address in unread:
        assert await host.read(address) == 0
    assert await host.bad_requests() == len(nobody) + len(unread)
    assert await host.register(Register.STATUS) == 0
    assert [await host.read(address) for address in words] == [1, 2, 3]
    await host.write(words[0], int.from_bytes(PROGRAM.image[0].data[0].tobytes(), "little"))
    await host.start()
    await host.wait()
    assert await host.fault() is None
    assert await host.cycles() == PROGRAM.cycles
    got = [await host.read(sram("MEM_E1", 1, 5 + n)) for n in range(WORDS)]
    wanted = [int.from_bytes(word.tobytes(), "little") for word in EXPECTED.outputs[0]]
    assert got == wanted


TOUCHED = {
    "read": ("MEM_E1", sram("MEM_E1", 1, 5), None),
    "write of what is read": ("MEM_W1", sram("MEM_W1", 0, WORDS - 1), 0x55),
    "write of what is written": ("MEM_E1", sram("MEM_E1", 1, 5), 0x55),
    "write elsewhere": ("MEM_W0", sram("MEM_W0", 0, 9), 0x55),
    "word of a queue": ("MEM_E1", unit(Space.QUEUE_WORD, "MEM_E1.1", 1), 0),
    "count of a queue": ("VXM", unit(Space.QUEUE_COUNT, "VXM.0"), 3),
}
"""What the host does while the program runs: slice, address, and data if it writes."""


@cocotb.test()
@cocotb.parametrize(name=list(TOUCHED), cycle=[0, 17, PROGRAM.cycles - 1])
async def what_the_host_does_meanwhile_is_a_fault(dut, name, cycle):
    """Of its slice, in the cycle in which the request arrives; and nothing else changes."""
    where, address, data = TOUCHED[name]
    host = await driver(dut)
    await host.reset()
    await host.write(sram("MEM_W0", 0, 9), 0x77)
    await host.load(PROGRAM)
    await host.start()
    # One clock of it is that of the start.
    await host.sleep(timing.first_cycle(CONFIG) + cycle - ARRIVAL - 1)
    if data is None:
        assert await host.read(address) == 0
    else:
        await host.write(address, data)
    assert await host.is_done(patience=50)
    answers = await host.answers()
    assert_right(answers)
    assert answers.fault == model.run(PROGRAM, requests={cycle: where}).fault
    assert answers.fault == Fault(FaultKind.HOST, where, cycle)
    assert await host.read(sram("MEM_W0", 0, 9)) == 0x77
    await host.write(sram("MEM_W0", 0, 9), 0x66)
    assert await host.read(sram("MEM_W0", 0, 9)) == 0x66


@cocotb.test()
async def the_first_and_the_last_request_that_is_refused(dut):
    """The one right after the start is, in cycle 0; none is when the program is done."""
    host = await driver(dut)
    await host.reset()
    await host.load(PROGRAM)
    await host.start()
    await host.write(sram("MEM_W0", 0, 9), 1)
    await host.wait()
    assert await host.fault() == Fault(FaultKind.HOST, "MEM_W0", 0)
    for early in range(12):
        await host.reset()
        await host.load(PROGRAM)
        await host.start()
        await host.sleep(timing.clocks(CONFIG, PROGRAM.cycles) - ARRIVAL - 1 - early)
        # The fault of a request is in the status that says done, if it was before that.
        words = await host.read_words(
            np.array(
                [sram("MEM_W0", 0, 9), *[HostAddress.of_register(Register.STATUS)] * 20], np.uint64
            )
        )
        seen = [int(word) for word in words[1:, 0]]
        done = [status for status in seen if status & 2]
        assert done
        assert len(set(done)) == 1
        refused = bool(done[0] & 4)
        assert refused == (early >= timing.SETTLE - 1), early


@cocotb.test()
async def a_driver_refuses_a_program_of_another_core(dut):
    host = await driver(dut)
    await host.reset()
    with pytest.raises(InputError, match="no program is loaded"):
        await host.wait()
    message = "empty is for duo32, whose host words have 256 bits, but the port has 128"
    with pytest.raises(InputError, match=message):
        await host.load(assemble(preset("duo32"), {}, name="empty"))
