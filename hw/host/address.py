"""The address map of the host port, and the layout of its status and fault words."""

from enum import IntEnum

from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

_INSTRUCTION = 128  # bits that hold the word of any queue

HOST_READ = 6
"""Cycles from a read request to its data: two to the addressed unit, three of them back."""


def host_bits(config):
    """Bits of a host word: one SRAM word of all superlanes, rounded up to a multiple of 128."""
    return -(-8 * config.vector // _INSTRUCTION) * _INSTRUCTION


class Space(IntEnum):
    """Address spaces of the host port: bits 36 to 39 of an address."""

    REGISTER = 0
    SRAM = 1
    QUEUE_WORD = 2
    QUEUE_COUNT = 3
    QUEUE_BUSY = 4
    SLICE_FAULTS = 5


class Register(IntEnum):
    """Addresses in the register space."""

    IDENTITY = 0
    CONTROL = 1
    STATUS = 2
    CYCLES = 3
    FAULT = 4
    FAULT_KINDS = 5
    STREAM_WORDS = 6
    BAD_REQUESTS = 7


READ, WRITE = "read", "write"

SPACES = {
    Space.REGISTER: (READ, WRITE),
    Space.SRAM: (READ, WRITE),
    Space.QUEUE_WORD: (WRITE,),
    Space.QUEUE_COUNT: (WRITE,),
    Space.QUEUE_BUSY: (READ,),
    Space.SLICE_FAULTS: (READ,),
}
"""The accesses allowed in each space; for registers `REGISTERS` narrows them down."""

REGISTERS = dict.fromkeys(Register, READ) | {Register.CONTROL: WRITE}
"""The access allowed to each register."""

BAD_REQUESTS = 16
"""Bits of the count of bad requests, which saturates."""

IDENTITY = 0x5453_5002
"""The value of the identity register: "TSP" and the version of this map."""


class HostAddress(data.Struct):
    """An address of the host port, in host words.

    SRAM: `slice` is the index of the slice in the floor plan, `bank` its bank, `low` the word.
    QUEUE_*: `unit` is the index of the queue; for QUEUE_WORD `low` is the index in the queue.
    SLICE_FAULTS: `unit` is the index of the slice. REGISTER: `low` is the register.
    """

    low: 16
    bank: 1
    slice: 8
    reserved: 11
    space: 4

    @staticmethod
    def of_sram(slice_index, bank, word):
        """The address of a word of SRAM, as an integer."""
        return word | bank << 16 | slice_index << 17 | Space.SRAM << 36

    @staticmethod
    def of_unit(space, unit, low=0):
        """The address of the queue or slice with index `unit`, as an integer."""
        return low | unit << 16 | space << 36

    @staticmethod
    def of_register(register):
        """The address of a register, as an integer."""
        return register | Space.REGISTER << 36


class HostPort(wiring.Signature):
    """A plain synchronous port, one request per cycle.

    Parameters
    ----------
    bits : int
        Width of a host word; see :func:`host_bits`.

    Members
    -------
    address, write, read, write_data : the request; `write` or `read`, never both
    read_data, read_valid : the answer to a read, ``HOST_READ`` cycles after it
    """

    def __init__(self, bits):
        super().__init__(
            {
                "address": Out(40),
                "write": Out(1),
                "read": Out(1),
                "write_data": Out(bits),
                "read_data": In(bits),
                "read_valid": In(1),
            }
        )


class Status(data.Struct):
    """The status register: `running` from start to end, then `done`; `fault` if there was one."""

    running: 1
    done: 1
    fault: 1


class FaultRecord(data.Struct):
    """The first fault: its cycle, slice and kind; `valid` if there was one.

    Of several faults in one cycle it holds the one of the westernmost slice with the lowest kind.
    """

    cycle: 32
    slice: 8
    kind: 4
    valid: 1
