"""A driver of the host port, for cocotb benches around an exported core."""

from collections.abc import Callable

import numpy as np
from cocotb.triggers import ClockCycles, FallingEdge, Timer

from tsp.hw.errors import InputError
from tsp.hw.host import HOST_READ, HostAddress, Register, host_bits
from tsp.hw.isa.timing import clocks
from tsp.sim.backends.script import START, STATUS, Answers, Script, fault_of, is_done
from tsp.sim.program import Program
from tsp.sim.result import Fault


class HostDriver:
    """Acts as the host: loads programs through the port, starts them, and reads their results.

    It drives and samples at the falling edge of the clock, when every simulator has settled: at
    the rising edge Icarus still shows the old values of registers and Verilator already the new
    ones. The bench must run the clock. Calls must not overlap, because the port takes one request
    per clock.

    Parameters
    ----------
    dut : cocotb handle
        Has the signals of the port, whose names are `prefix` followed by ``address``, ``write``,
        ``read``, ``write_data`` and ``read_data``.
    clock, reset : cocotb handles, optional
        Clock and reset of the core, if they are not ``dut.clk`` and ``dut.rst``.
    prefix : str
        Prefix of the names of the port's signals.
    period : int, optional
        Period of the clock in nanoseconds. With it the driver waits for a program with one timer;
        without it, it counts clock edges, which is slower.
    """

    def __init__(self, dut, *, clock=None, reset=None, prefix="host__", period: int | None = None):
        self.clock = dut.clk if clock is None else clock
        self.rst = dut.rst if reset is None else reset
        names = ("address", "write", "read", "write_data", "read_data")
        self.port = {name: getattr(dut, prefix + name) for name in names}
        self.period = period
        self.program: Program | None = None

    async def reset(self) -> None:
        """Reset the core; SRAM keeps its contents."""
        self.rst.value = 1
        self.port["write"].value = 0
        self.port["read"].value = 0
        await self._ticks(2)
        self.rst.value = 0
        await self._ticks(1)

    async def write(self, address: int, data: int) -> None:
        """Write one host word."""
        await self._write([(address, data)])

    async def read(self, address: int) -> int:
        """Read one host word."""
        (word,) = await self.read_words(np.array([address], np.uint64))
        return int.from_bytes(word.tobytes(), "little")

    async def write_words(self, addresses: np.ndarray, data: np.ndarray) -> None:
        """Write host words, one per clock.

        Parameters
        ----------
        addresses : uint64 (n,)
        data : uint64 (n, k)
            The k parts of a host word, lowest first.
        """
        words = (int.from_bytes(word.tobytes(), "little") for word in data.astype("<u8"))
        await self._write(zip(addresses.tolist(), words, strict=True))

    async def read_words(self, addresses: np.ndarray) -> np.ndarray:
        """Read host words, one per clock: uint64 (n, k) as in :meth:`write_words`."""
        port, words = self.port, []
        size = len(port["read_data"]) // 8
        port["read"].value = 1
        # The answers come HOST_READ clocks behind.
        for n, address in enumerate([*addresses.tolist(), *[None] * (HOST_READ - 1)]):
            if address is not None:
                port["address"].value = address
            elif n == len(addresses):
                port["read"].value = 0
            await FallingEdge(self.clock)
            if n >= HOST_READ - 1:
                words.append(int(port["read_data"].value).to_bytes(size, "little"))
        return np.frombuffer(b"".join(words), "<u8").reshape(len(words), size // 8)

    async def load(self, program: Program) -> None:
        """Write the memory image and the queues of `program`; reset the core first.

        Raises
        ------
        InputError
            If the width of the port is not that of the program's configuration.
        """
        wide, needed = len(self.port["read_data"]), host_bits(program.config)
        if wide != needed:
            raise InputError(
                f"{program.name} is for {program.config.name}, whose host words have {needed} "
                f"bits, but the port has {wide}"
            )
        self.program = program
        script = Script.of(program)
        await self.write_words(script.write_addresses, script.write_data)

    async def start(self) -> None:
        """Start the loaded program."""
        await self.write(*START)

    async def wait(self, patience: int = 100) -> None:
        """Wait until the started program is done.

        Parameters
        ----------
        patience : int
            How often to read the status after the program should have ended.

        Raises
        ------
        TimeoutError
            If it is still not done.
        """
        program = self._loaded()
        await self.sleep(clocks(program.config, program.cycles))
        if not await self.is_done(patience):
            raise TimeoutError(
                f"{program.name} is not done: {await self.cycles()} cycles counted, "
                f"{program.cycles} scheduled; fault: {await self.fault()}"
            )

    async def run(self, program: Program) -> Answers:
        """Reset the core, load `program`, run it to its end, and read everything back."""
        await self.reset()
        await self.load(program)
        await self.start()
        await self.wait()
        return await self.answers()

    async def answers(self) -> Answers:
        """Read cycles, fault, counters and outputs of the program, which must be done."""
        program = self._loaded()
        words = await self.read_words(Script.of(program).read_addresses)
        return Answers.of(program, words)

    async def outputs(self) -> tuple[np.ndarray, ...]:
        """Read the output regions of the program: uint8 (words, vector) each."""
        return (await self.answers()).outputs

    async def is_done(self, patience: int = 1) -> bool:
        """Whether the program is done; reads the status up to `patience` times."""
        for _ in range(patience):
            if is_done(await self.read(STATUS)):
                return True
        return False

    async def cycles(self) -> int:
        """Read the cycle counter."""
        return await self.register(Register.CYCLES)

    async def fault(self) -> Fault | None:
        """Read the first fault since reset."""
        record, kinds = (
            await self.register(Register.FAULT),
            await self.register(Register.FAULT_KINDS),
        )
        return fault_of(record, kinds, self._loaded().config.floorplan)

    async def bad_requests(self) -> int:
        """Read the number of invalid requests since reset."""
        return await self.register(Register.BAD_REQUESTS)

    async def register(self, register: Register) -> int:
        """Read a register of the host port."""
        return await self.read(HostAddress.of_register(register))

    async def sleep(self, clocks: int, progress: Callable[[int], None] | None = None) -> None:
        """Wait for `clocks` clocks; `progress` is called now and then with the number passed."""
        step = 4096 if progress else max(clocks, 1)
        for done in range(0, clocks, step):
            many = min(step, clocks - done)
            if self.period is None:
                await ClockCycles(self.clock, many, FallingEdge)
            else:
                await Timer(self.period * many, "ns")
            if progress:
                progress(done + many)
        if clocks and self.period is not None:
            # The timer ends just before the falling edge of the same instant.
            await FallingEdge(self.clock)

    async def _write(self, requests):
        """Make write requests, pairs of address and data, one per clock."""
        port = self.port
        port["write"].value = 1
        for address, data in requests:
            port["address"].value = address
            port["write_data"].value = data
            await FallingEdge(self.clock)
        port["write"].value = 0

    async def _ticks(self, many):
        for _ in range(many):
            await FallingEdge(self.clock)

    def _loaded(self):
        if self.program is None:
            raise InputError("no program is loaded: call load or run first")
        return self.program
