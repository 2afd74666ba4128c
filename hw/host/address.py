"""The address map: what the host finds where, and the words that it reads there."""

from enum import IntEnum

from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

_INSTRUCTION = 128  # bits that hold the word of any queue

HOST_READ = 6
"""Cycles from a read request to its data: two to the place that is read, three of them back."""


def host_bits(config):
    """Bits of a host word: one word of SRAM of all superlanes, in multiples of 128."""
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
"""What the host may ask of an address of each space; of a register, what `REGISTERS` says."""

REGISTERS = dict.fromkeys(Register, READ) | {Register.CONTROL: WRITE}
"""What the host may do with each register."""

BAD_REQUESTS = 16
"""Bits of the count of bad requests, which stays at the largest that they hold."""

IDENTITY = 0x5453_5002
"""What the identity register reads: "TSP" and the version of this map."""


class HostAddress(data.Struct):
    """An address of the host port, in host words.

    SRAM: `low` is the word, `bank` and `slice` say where (`slice` is the floor plan's index).
    QUEUE_WORD: `low` is the index in the queue. QUEUE_*: `unit` is the queue's index.
    SLICE_FAULTS: `unit` is the slice's index. REGISTER: `low` is the register.
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
        """The address that belongs to queue or slice number `unit`, as an integer."""
        return low | unit << 16 | space << 36

    @staticmethod
    def of_register(register):
        """The address of a register, as an integer."""
        return register | Space.REGISTER << 36


class HostPort(wiring.Signature):
    """A plain synchronous port, one request a cycle.

    Parameters
    ----------
    bits : int
        Of a host word: see :func:`host_bits`.

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
    """The status register: `running` from start to end, `done` after it, `fault` if one is held."""

    running: 1
    done: 1
    fault: 1


class FaultRecord(data.Struct):
    """The first fault: when, in which slice, and its kind; `valid` if there is one.

    Of several in one cycle it holds that of the westernmost slice, and of its lowest kind.
    """

    cycle: 32
    slice: 8
    kind: 4
    valid: 1
