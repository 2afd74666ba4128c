"""Checks of a program before it runs: a refusal names the place, the value and the limit.

:func:`check_form` refuses programs that no back end can load. :func:`check_legal` refuses programs
that the core would trap, or that make no sense, as far as this is known without a run.
"""

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from tsp.hw.errors import EncodingError
from tsp.hw.isa import Nop, Notify, Repeat, Sync, Unit, refusal, run_refusal

if TYPE_CHECKING:
    from tsp.hw.config import Config
    from tsp.sim.program import Program


class ProgramError(EncodingError):
    """A program that the core cannot load or run as written.

    Attributes
    ----------
    place : tuple or None
        The place of the error: ``(queue name, index of the instruction)``, ``("image", index)`` or
        ``("output", index)``; None if it is none of these.
    """

    def __init__(self, message: str, place: tuple | None = None):
        self.place = place
        super().__init__(message)


def check_form(program: "Program") -> None:
    """Refuse a program that no back end can load.

    Raises
    ------
    ProgramError
        If a queue has too many instructions or one of another unit, a barrier is missing or
        misplaced, or the image or an output is outside memory.
    """
    for name, instructions in program.queues.items():
        _check_queue(program.config, name, instructions)
    heads = [instructions[0] for instructions in program.queues.values()]
    if heads and not any(isinstance(head, Notify) for head in heads):
        raise ProgramError("one queue must begin with notify, or the others wait forever")
    for number, block in enumerate(program.image):
        place = "image", number
        _check_bank(program.config, block, place)
        _check_data(program.config, block, place)
        _check_extent(program.config, block, len(block.data), place)
    for number, region in enumerate(program.outputs):
        place = "output", number
        _check_bank(program.config, region, place)
        if region.words < 1:
            raise ProgramError(
                f"an output of {region.slice} bank {region.bank} must have 1 word or more, "
                f"not {region.words}",
                place,
            )
        _check_extent(program.config, region, region.words, place)


def check_legal(program: "Program") -> None:
    """Refuse a program that is known to be wrong before it runs.

    Raises
    ------
    ProgramError
        If a queue does not execute an instruction, strides included; a Repeat has nothing to
        repeat; two results meet at one ALU; two queues notify; or blocks of the image overlap.
    """
    heads = [name for name, (first, *_) in program.queues.items() if isinstance(first, Notify)]
    if len(heads) > 1:
        raise ProgramError(
            f"queues {heads[0]} and {heads[1]} both begin with notify; one opens the barrier for "
            "all, so begin the others with sync",
            (heads[1], 0),
        )
    for name, instructions in program.queues.items():
        queue = program.config.floorplan.queue(name)
        _check_results(queue, _checked(program.config, queue, instructions))
    _check_overlap(program.image)


def check_depth(config: "Config", name: str, length: int) -> None:
    """Refuse `length` instructions, barrier included, if they exceed the depth of the queue.

    Raises
    ------
    ProgramError
    """
    if length > config.queue_depth:
        raise ProgramError(
            f"queue {name} needs {length} instructions and holds "
            f"{config.queue_depth}; use a larger queue_depth or a smaller problem",
            (name, config.queue_depth),
        )


def _check_queue(config, name, instructions):
    queue = config.floorplan.queue(name)
    check_depth(config, name, len(instructions))
    for index, i in enumerate(instructions):
        if i.unit not in (queue.unit, Unit.ICU):
            raise ProgramError(f"queue {name} does not execute {i.mnemonic}", (name, index))
    if not instructions or not isinstance(instructions[0], Sync | Notify):
        raise ProgramError(
            f"queue {name} must begin with sync or notify, or its cycles are undefined", (name, 0)
        )
    for index, i in enumerate(instructions[1:], 1):
        if isinstance(i, Sync | Notify):
            raise ProgramError(
                f"queue {name} has {i.mnemonic} as instruction {index}; the barrier must "
                "come first in a queue and occurs nowhere else",
                (name, index),
            )


def _checked(config, queue, instructions):
    """``(index, instruction, result)`` of those whose results take the output of the queue's unit.

    `result` is the range of cycles in which they stand there. All instructions are checked.
    """
    results, known = [], set()
    now, last, offset = 0, None, None
    for index, i in enumerate(instructions[1:], 1):
        match i:
            case Nop(count=count):
                now, last = now + count, None
            case Repeat(count=count, interval=interval, stride=stride):
                if last is None:
                    raise ProgramError(
                        f"queue {queue.name} has repeat as instruction {index}; repeat must follow "
                        "an instruction of the queue's own unit",
                        (queue.name, index),
                    )
                refused = stride and run_refusal(last, config, queue, count + 1, stride)
                if refused:
                    raise ProgramError(refused.reason, (queue.name, index))
                if offset is not None:
                    start = now - 1 + offset
                    cycles = range(start, start + count * interval + 1, interval)
                    results[-1] = *results[-1][:2], cycles
                now, last = now + count * interval, None
            case _:
                if id(i) not in known:  # programs repeat themselves
                    known.add(id(i))
                    if refused := refusal(i, config, queue):
                        raise ProgramError(refused.reason, (queue.name, index))
                offset = i.stands(config)
                if offset is not None:
                    results.append((index, i, range(now + offset, now + offset + 1)))
                now, last = now + 1, i
    return results


def _check_results(queue, results):
    """Refuse results that take the one output of a queue's unit in one cycle."""
    ordered = sorted(results, key=lambda result: result[2].start)
    if all(a[2][-1] < b[2].start for a, b in pairwise(ordered)):
        return
    cycles = np.concatenate([np.asarray(cycles) for *_, cycles in results])
    owners = np.repeat(np.arange(len(results)), [len(cycles) for *_, cycles in results])
    order = np.argsort(cycles, kind="stable")
    met = np.flatnonzero(np.diff(cycles[order]) == 0)
    if len(met):
        (index, first, _), (other, second, _) = (results[owners[order[met[0] + n]]] for n in (0, 1))
        raise ProgramError(
            f"queue {queue.name}: the results of instructions {index} ({first.mnemonic}) and "
            f"{other} ({second.mnemonic}) meet in cycle {cycles[order[met[0]]]}; let one wait "
            "longer or issue later",
            (queue.name, other),
        )


def _check_overlap(image):
    banks = defaultdict(list)
    for number, block in enumerate(image):
        if len(block.data):
            banks[block.slice, block.bank].append((block.address, number, len(block.data)))
    for (where, bank), blocks in banks.items():
        for (first, one, words), (address, other, _) in pairwise(sorted(blocks)):
            if address < first + words:
                raise ProgramError(
                    f"the image gives word {address} of {where} bank {bank} twice; let its blocks "
                    "not overlap",
                    ("image", max(one, other)),
                )


def _check_bank(config, where, place):
    if config.floorplan.slice(where.slice).kind != "MEM" or where.bank not in (0, 1):
        raise ProgramError(f"{where.slice} bank {where.bank} is not a bank of a MEM slice", place)
    if not 0 <= where.address < config.bank_words:
        raise ProgramError(
            f"an address of {where.slice} bank {where.bank} must be 0 to "
            f"{config.bank_words - 1}, not {where.address}",
            place,
        )


def _check_data(config, block, place):
    data, vector = block.data, config.vector
    array = isinstance(data, np.ndarray)
    if array and data.dtype == np.uint8 and data.shape[1:] == (vector,):
        return
    found = f"{data.dtype} of shape {data.shape}" if array else f"a {type(data).__name__}"
    raise ProgramError(
        f"the data of {block.slice} bank {block.bank} from address {block.address} on must "
        f"be uint8 of shape (words, {vector}), not {found}",
        place,
    )


def _check_extent(config, where, words, place):
    end = where.address + words
    if end > config.bank_words:
        raise ProgramError(
            f"words {where.address} to {end - 1} of {where.slice} bank {where.bank} exceed "
            f"its {config.bank_words} words",
            place,
        )
