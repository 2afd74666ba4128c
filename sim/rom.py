"""Programs as a ROM of host transactions, for a plain Verilog design around the core.

A ROM is a text for ``$readmemh``: one transaction a line, :data:`ROM_BITS` bits in hexadecimal.
From the top they are an operation (8 bits), a host address (40 bits) and data (128 bits).
"""

from enum import IntEnum

from tsp.hw.host import HOST_BITS, HostAddress, Register
from tsp.sim.backends.script import START, STATUS, Script
from tsp.sim.golden import model

ROM_BITS = 8 + 40 + HOST_BITS
"""Bits of one transaction."""

_DONE = 0b010  # the bit of the status register


class RomOp(IntEnum):
    """What a transaction asks of the design that plays it."""

    END = 0
    """Nothing is left to do; whatever was compared decides."""
    WRITE = 1
    """Write the data."""
    WAIT = 2
    """Read until every bit that is set in the data is set in the answer."""
    CHECK = 3
    """Read, and compare the whole answer with the data."""


def transactions(program):
    """What loads `program`, runs it, and checks cycles, faults and results.

    The golden model says what the results are.

    Returns
    -------
    list of (RomOp, int, int)
        Operation, host address, data.

    Raises
    ------
    ValueError
        For a program that ends in a fault, which gives no results to compare.
    """
    golden = model.run(program)
    if golden.fault:
        raise ValueError(f"{program.name} has no results to check: {golden.fault}")
    script = Script.of(program)
    found = [
        (RomOp.WRITE, address, low | high << 64)
        for address, (low, high) in zip(
            script.write_addresses.tolist(), script.write_data.tolist(), strict=True
        )
    ]
    found += [(RomOp.WRITE, *START), (RomOp.WAIT, STATUS, _DONE), (RomOp.CHECK, STATUS, _DONE)]
    found.append((RomOp.CHECK, HostAddress.of_register(Register.CYCLES), golden.cycles))
    found.append((RomOp.CHECK, HostAddress.of_register(Register.FAULT), 0))
    lanes = program.config.lanes
    words = b"".join(part.tobytes() for part in golden.outputs)
    reads = script.read_addresses.tolist()[-len(words) // lanes :] if words else []
    for n, address in enumerate(reads):
        word = int.from_bytes(words[n * lanes : (n + 1) * lanes], "little")
        found.append((RomOp.CHECK, address, word))
    return [*found, (RomOp.END, 0, 0)]


def to_rom(program):
    """The text of the ROM of `program`; see :func:`transactions`."""
    digits = ROM_BITS // 4
    lines = [
        f"{op << 40 + HOST_BITS | address << HOST_BITS | data:0{digits}x}"
        for op, address, data in transactions(program)
    ]
    return "\n".join(lines) + "\n"
