"""Faults: what a correct schedule never does, and the hardware traps."""

from enum import IntEnum


class FaultKind(IntEnum):
    """Kinds of fault; the value is the bit in a unit's fault output and the code in the record.

    Each is raised in the cycle of the offence, in the time of the superlane that commits it:

    ============== ==================================================================== =========
    kind           what happened                                                        cycle
    ============== ==================================================================== =========
    INVALID        a consumer sampled a stream word, ALU output or dot product that is  sampling
                   not valid
    CONFLICT       two units drove one stream register, or two results met at one       driving
                   ALU's output
    ADDRESS        an address, row, column, lane or lane count beyond what there is     issue
    DECODE         an instruction word that decodes to nothing, or that this core does  issue
                   not execute
    UNDERRUN       a queue had no instruction before it had issued as many as announced issue
    UNWRITTEN      weights or an accumulator row were used before they were written,    sampling
                   or a vector was held before there was one
    HOST           the host asked for SRAM, or loaded a queue, while a program ran:     arrival
                   the request did nothing, and a read answered 0
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
