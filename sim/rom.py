"""Programs as a ROM of host transactions, for a plain Verilog design around the core.

A ROM is a text for ``$readmemh``: one transaction per line, :func:`rom_bits` bits in hexadecimal.
From the highest bit they are an operation (8 bits), a host address (40 bits) and a host word.
"""

from enum import IntEnum

from tsp.hw.config import Config
from tsp.hw.errors import InputError
from tsp.hw.host import HostAddress, Register, host_bits
from tsp.sim.backends.script import START, STATUS, Script
from tsp.sim.golden import model
from tsp.sim.program import Program

_DONE = 0b010  # the bit of the status register


def rom_bits(config: Config) -> int:
    """Bits of one transaction."""
    return 8 + 40 + host_bits(config)


class RomOp(IntEnum):
    """The operation of a transaction, for the design that plays it."""

    END = 0
    """The end; the comparisons so far decide the result."""
    WRITE = 1
    """Write the data."""
    WAIT = 2
    """Read until every bit that is set in the data is set in the answer."""
    CHECK = 3
    """Read, and compare the whole answer with the data."""


def transactions(program: Program) -> list[tuple[RomOp, int, int]]:
    """The transactions that load `program`, run it, and check how it ran and what it computed.

    The checks compare cycles, faults, requests to addresses that do not exist, and results, which
    are those of the golden model.

    Returns
    -------
    list of (RomOp, int, int)
        Operation, host address, data.

    Raises
    ------
    ValueError
        For a program that ends in a fault and so has no results to compare.
    """
    golden = model.run(program)
    if golden.fault:
        raise InputError(f"{program.name} has no results to check: {golden.fault}")
    script = Script.of(program)
    found = [
        (RomOp.WRITE, address, int.from_bytes(word.tobytes(), "little"))
        for address, word in zip(
            script.write_addresses.tolist(), script.write_data.astype("<u8"), strict=True
        )
    ]
    found += [(RomOp.WRITE, *START), (RomOp.WAIT, STATUS, _DONE), (RomOp.CHECK, STATUS, _DONE)]
    found.append((RomOp.CHECK, HostAddress.of_register(Register.CYCLES), golden.cycles))
    found.append((RomOp.CHECK, HostAddress.of_register(Register.FAULT), 0))
    found.append((RomOp.CHECK, HostAddress.of_register(Register.BAD_REQUESTS), 0))
    words = [word for part in golden.outputs for word in part]
    reads = script.read_addresses.tolist()[len(script.read_addresses) - len(words) :]
    for address, word in zip(reads, words, strict=True):
        found.append((RomOp.CHECK, address, int.from_bytes(word.tobytes(), "little")))
    return [*found, (RomOp.END, 0, 0)]


def to_rom(program: Program) -> str:
    """The text of the ROM of `program`; see :func:`transactions`."""
    bits, digits = host_bits(program.config), rom_bits(program.config) // 4
    lines = [
        f"{op << 40 + bits | address << bits | data:0{digits}x}"
        for op, address, data in transactions(program)
    ]
    return "\n".join(lines) + "\n"
