"""Faults: what a correct schedule never does, and what the hardware traps."""

from enum import IntEnum


class FaultKind(IntEnum):
    """Kinds of fault; the value is the bit in a unit's fault output and the code in the record.

    Each is raised in the cycle of the offence, in the time of the superlane that commits it:

    ============== ==================================================================== =========
    kind           what happened                                                        cycle
    ============== ==================================================================== =========
    INVALID        a consumer sampled a stream word, ALU output or dot product that is  sampling
                   not valid
    CONFLICT       two units drove one stream register, or two results met at the       driving
                   output of one ALU
    ADDRESS        an instruction named an address, row, column, lane or lane count     issue
                   that does not exist
    DECODE         an instruction word decodes to nothing, or to an instruction that    issue
                   this core does not execute
    UNDERRUN       a queue ran out of words before it had issued the announced number   issue
    UNWRITTEN      weights or an accumulator row were used before they were written,    sampling
                   or a vector was held before one had been sampled
    HOST           the host accessed SRAM or loaded a queue while a program ran: the    arrival
                   request did nothing, and a read answered 0
    ============== ==================================================================== =========
    """

    INVALID = 0
    CONFLICT = 1
    ADDRESS = 2
    DECODE = 3
    UNDERRUN = 4
    UNWRITTEN = 5
    HOST = 6


FAULT_KINDS = len(FaultKind)
