"""The one table of latencies, in cycles.

RTL pipelines, golden model, scheduler, kernels, tests and manual read these numbers from here.
"Issue" is the cycle in which the queue presents the instruction to tile 0.
"""

from typing import TYPE_CHECKING

from tsp.hw.isa.base import Timing

if TYPE_CHECKING:
    from tsp.hw.config import Config

# ICU: a Notify issued in cycle n lets every parked queue issue again in cycle n + BARRIER.
BARRIER = 4


def verdict(config: "Config") -> int:
    """Cycles for which the guard checks a word before it issues: one for fields, one for all."""
    return 2 if config.deep else 0


def first_cycle(config: "Config") -> int:
    """Clocks from the host's start request to cycle 0 of a program that begins with the barrier."""
    return 8 + verdict(config)


# Clocks from the first one after a program's last cycle until STATUS reports it as done: by then a
# fault of the last cycle, or one of the host, is in the record.
SETTLE = 5


def clocks(config: "Config", cycles: int) -> int:
    """Clocks from the host's start request until a program of `cycles` cycles is done."""
    return first_cycle(config) + cycles + SETTLE


# MEM: every instruction touches its SRAM in cycle t + MEM_BANK.
MEM_SAMPLE = 1
MEM_BANK = 2
MEM_READ = 3

# MXM: weights loaded by an LW issued in cycle t are in the spare buffer for an IW issued in
# cycle t + LW_BUFFER or later.
LW_SAMPLE = 1
LW_BUFFER = 2
ABC_SAMPLE = 1
IW_INSTALL = ABC_SAMPLE  # an ABC issued in the same cycle already meets the new weights
ACC_SAMPLE = 2

# VXM: one latency for all operations, so that chains are easy to schedule.
VXM_SAMPLE = 1

# SXM: one latency for operations within a superlane; the functions below have the others.
SXM_SAMPLE = 1
SXM_LOCAL = 3


def acc_emit(config: "Config") -> int:
    """Cycles from the issue of an ACC until its rounded sums are driven."""
    return 7 if config.deep else 6


def vxm_result(config: "Config") -> int:
    """Cycles from the issue of an operation without wait until its result appears and is driven."""
    return 13 if config.deep else 8


def sxm_combine(config: "Config") -> int:
    """Cycles that an SXM takes for the sum or maximum of two numbers."""
    return 6 if config.deep else 3


def array_latency(config: "Config") -> int:
    """Cycles from the issue of an ABC until its dot products reach the accumulators.

    Operand register, products, sum over the superlane, conversion to fixed point: 5 cycles, or 6 if
    products have a cycle of their own.
    The sum climbs to the last superlane and returns to the first: 2(T-1) cycles more.
    """
    return 5 + config.deep + 2 * (config.superlanes - 1)


def crossing_latency(config: "Config") -> int:
    """Cycles from issue until an SXM drives the result of an operation that crosses superlanes.

    The last superlane is sampled T-1 cycles after the first, and its words take as many cycles to
    come down to the first: 2(T-1) cycles more than within a superlane.
    """
    return SXM_LOCAL + 2 * (config.superlanes - 1)


def tree_latency(config: "Config") -> int:
    """Cycles from issue until an SXM has reduced superlane 0: `sxm_combine` per level of a tree."""
    return SXM_SAMPLE + 1 + sxm_combine(config) * (config.lanes.bit_length() - 1)


def reduce_latency(config: "Config") -> int:
    """Cycles from issue until an SXM drives a reduction over all superlanes.

    After the tree the sum climbs, in one cycle and `sxm_combine` more per superlane, and returns.
    """
    climb = config.superlanes - 1
    return tree_latency(config) + (sxm_combine(config) * climb + 1 + climb if climb else 0)


def mem_read(config: "Config") -> Timing:
    return Timing(func=MEM_READ, acts=MEM_BANK, note=f"SRAM is read in cycle t + {MEM_BANK}.")


def mem_write(config: "Config") -> Timing:
    return Timing(skew=MEM_SAMPLE, acts=MEM_BANK, note=f"SRAM is written in cycle t + {MEM_BANK}.")


def lw(config: "Config") -> Timing:
    return Timing(
        skew=LW_SAMPLE,
        acts=LW_BUFFER,
        note=f"An IW issued in cycle t + {LW_BUFFER} or later installs the columns.",
    )


def iw(config: "Config") -> Timing:
    return Timing(
        acts=IW_INSTALL, note="An ABC issued in cycle t or later meets the installed weights."
    )


def abc(config: "Config") -> Timing:
    return Timing(
        skew=ABC_SAMPLE,
        acts=array_latency(config),
        note=f"The dot products reach the accumulators in cycle t + {array_latency(config)}; "
        f"the ACC that takes them is issued in cycle t + {array_latency(config) - ACC_SAMPLE}.",
    )


def acc(config: "Config") -> Timing:
    return Timing(
        skew=ACC_SAMPLE,
        func=acc_emit(config),
        note="It samples dot products, not a stream.",
    )


def vxm(config: "Config") -> Timing:
    return Timing(
        skew=VXM_SAMPLE,
        func=vxm_result(config),
        note="With `wait` w, late operands are sampled, and the result is driven, w cycles later.",
    )


def sxm_local(config: "Config") -> Timing:
    return Timing(skew=SXM_SAMPLE, func=SXM_LOCAL)


def sxm_crossing(config: "Config") -> Timing:
    return Timing(skew=SXM_SAMPLE, func=crossing_latency(config))


def sxm_reduce(config: "Config") -> Timing:
    return Timing(
        skew=SXM_SAMPLE,
        func=reduce_latency(config),
        note="The companion is sampled and driven in the same cycles.",
    )


def notify(config: "Config") -> Timing:
    return Timing(note=f"All parked queues issue again in cycle t + {BARRIER}.")
