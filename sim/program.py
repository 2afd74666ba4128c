"""Programs: the instructions of every queue, the memory image, and the cycle count.

A queue's work is first a list of :class:`Run`: an instruction, when it issues, and how often.
:func:`to_instructions` turns runs into the words of the queue, putting NOP and Repeat where they
belong; :func:`to_runs` reads them back.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tsp.hw.config import Config
from tsp.hw.isa import Instruction, Nop, Notify, Repeat, Sync
from tsp.sim.checks import ProgramError, check_form, check_legal
from tsp.sim.golden.queues import issues

if TYPE_CHECKING:
    from tsp.sim.schedule.operation import Operation

_LONGEST = 0xFFFF


class Run(NamedTuple):
    """`count` issues of an instruction, `interval` cycles apart, the first in cycle `start`.

    Issue i has ``i * stride`` added to the instruction's strided field.
    """

    start: int
    instruction: Instruction
    count: int = 1  # type: ignore[assignment]  # hides a tuple's own, which nobody needs here
    interval: int = 1
    stride: int = 0

    @property
    def last(self) -> int:
        """Cycle of the last issue."""
        return self.start + (self.count - 1) * self.interval

    @property
    def cycles(self) -> range:
        """Cycles of all issues, as a range."""
        return range(self.start, self.last + 1, self.interval)

    def issues(self) -> Iterator[tuple[int, Instruction]]:
        """``(cycle, instruction)`` of every issue."""
        for i, cycle in enumerate(self.cycles):
            yield cycle, self.instruction.strided_by(i * self.stride)


@dataclass(frozen=True, eq=False)
class Block:
    """Consecutive words of one bank: `data` is uint8 of shape (words, vector)."""

    slice: str
    bank: int
    address: int
    data: np.ndarray

    def __eq__(self, other):
        return (self.slice, self.bank, self.address) == (
            other.slice,
            other.bank,
            other.address,
        ) and np.array_equal(self.data, other.data)


@dataclass(frozen=True)
class Region:
    """The place of a result: `words` consecutive words of one bank."""

    slice: str
    bank: int
    address: int
    words: int


@dataclass(frozen=True)
class Named:
    """Consecutive words of one bank that belong to a tensor of that name.

    `role` is "input" for what is in the memory image, "output" for results, and "kept" for what the
    program makes for itself.
    """

    name: str
    role: str
    slice: str
    bank: int
    address: int
    words: int


@dataclass(frozen=True)
class Program:
    """Everything that is loaded before a run, and the number of cycles of the run.

    ``queues`` has the instructions of every queue that has any, by queue name, barrier included.
    ``outputs`` are the regions that a back end reads back, in order.

    A program that is known to be wrong before it runs is refused; see :mod:`tsp.sim.checks`.
    With ``checked=False`` only programs that no back end can load are refused, so that the
    behaviour of the core on wrong programs can be tested.

    ``operations`` are those that the program was made of, each with its start cycle, in the order
    in which they were placed, and ``tensors`` says which words are whose. A program that was read
    from a file has neither, nor one whose fields were replaced.

    Raises
    ------
    ProgramError
        Naming the queue, the value and the limit; its ``place`` identifies the instruction, block
        or output.
    """

    config: Config
    queues: dict[str, tuple[Instruction, ...]]
    image: tuple[Block, ...] = ()
    outputs: tuple[Region, ...] = ()
    name: str = "program"
    checked: bool = field(default=True, compare=False, repr=False)
    operations: "tuple[tuple[Operation, int], ...]" = field(
        default=(), init=False, compare=False, repr=False
    )
    tensors: tuple[Named, ...] = field(default=(), init=False, compare=False, repr=False)

    def __post_init__(self):
        check_form(self)
        if self.checked:
            check_legal(self)

    def made_of(
        self, operations: "Iterable[tuple[Operation, int]]", tensors: Iterable[Named] = ()
    ) -> "Program":
        """This program, which now knows its operations and its tensors."""
        object.__setattr__(self, "operations", tuple(operations))
        object.__setattr__(self, "tensors", tuple(tensors))
        return self

    def with_data(
        self,
        image: Iterable[Block],
        outputs: Iterable[Region],
        name: str,
        tensors: Iterable[Named] = (),
    ) -> "Program":
        """The same instructions and operations with other data, outputs and name."""
        made = replace(self, image=tuple(image), outputs=tuple(outputs), name=name)
        return made.made_of(self.operations, tensors)

    @cached_property
    def runs(self) -> dict[str, list[Run]]:
        """The runs of every queue, by queue name; cycle 0 is the first issue after the barrier."""
        return {name: to_runs(instructions) for name, instructions in self.queues.items()}

    @cached_property
    def cycles(self) -> int:
        """Cycles from the first issue until everything has issued and has ended.

        The cycle counter of the core always shows this number at the end.
        """
        if not self.checked:
            return self._cycles_with_traps()
        end = 0
        for name, instructions in self.queues.items():
            end = max(end, issue_cycles(instructions))
            for run in self.runs[name]:
                end = max(end, run.last + run.instruction.lasts(self.config))
        return end

    def _cycles_with_traps(self):
        """The same, issue by issue: a trapped instruction takes one cycle and starts nothing."""
        end = 0
        for name, instructions in self.queues.items():
            queue = self.config.floorplan.queue(name)
            for cycle, instruction, _, trapped in issues(self.config, queue, instructions):
                lasts = 1 if trapped is not None else instruction.lasts(self.config)
                end = max(end, cycle + lasts)
        return end


def assemble(config: Config, runs: Mapping[str, Iterable[Run]], **kwargs: Any) -> Program:
    """The :class:`Program` whose queues issue `runs`: a mapping of queue name to runs.

    The barrier is added: one queue notifies, and all others that are used wait for it.

    Raises
    ------
    InputError
        If `config` has no queue of a name in `runs`.
    ProgramError
        If two runs of a queue issue in the same cycle, or one before cycle 0, or if the
        :class:`Program` is refused.
    """
    for name in runs:
        config.floorplan.queue(name)  # refuses what there is not
    queues: dict[str, tuple[Instruction, ...]] = {}
    for queue in config.floorplan.queues:
        if runs.get(queue.name):
            barrier = Sync() if queues else Notify()
            queues[queue.name] = (barrier, *to_instructions(runs[queue.name]))
    return Program(config, queues, **kwargs)


def to_instructions(runs: Iterable[Run]) -> tuple[Instruction, ...]:
    """The instructions of a queue that issues `runs`, the shortest that NOP and Repeat allow.

    Raises
    ------
    ProgramError
        If two runs issue in the same cycle, or one before cycle 0.
    """
    result: list[Instruction] = []
    now, before = 0, None
    for run in _merged(runs):
        if run.start < now:
            raise ProgramError(_collision(before, run))
        before = run.instruction
        while run.start > now:
            wait = min(run.start - now, _LONGEST)
            result.append(Nop(count=wait))
            now += wait
        result.append(run.instruction)
        now = run.start + 1
        if run.count > 1:
            result.append(Repeat(count=run.count - 1, interval=run.interval, stride=run.stride))
            now = run.last + 1
    return tuple(result)


def to_runs(instructions: Iterable[Instruction]) -> list[Run]:
    """The runs of a queue's instructions, without the leading barrier and NOPs."""
    runs: list[Run] = []
    now = 0
    for instruction in instructions:
        match instruction:
            case Sync() | Notify():
                now = 0
            case Nop(count=count):
                now += count
            case Repeat(count=count, interval=interval, stride=stride):
                if not runs or runs[-1].count > 1 or runs[-1].start != now - 1:
                    raise ProgramError("repeat must follow an instruction of the queue's own unit")
                one = runs.pop()
                runs.append(Run(one.start, one.instruction, count + 1, interval, stride))
                now = runs[-1].last + 1
            case _:
                runs.append(Run(now, instruction))
                now += 1
    return runs


def issue_cycles(instructions: Iterable[Instruction]) -> int:
    """Cycles from the barrier until the last of a queue's instructions has issued."""
    now = 0
    for instruction in instructions:
        match instruction:
            case Sync() | Notify():
                now = 0
            case Nop(count=count):
                now += count
            case Repeat(count=count, interval=interval):
                now += count * interval
            case _:
                now += 1
    return now


def _collision(before, run):
    """Why `run` cannot start when it does, after the instruction `before` of its queue."""
    mnemonic, cycle = run.instruction.mnemonic, run.start
    if cycle < 0:
        return f"{mnemonic} would issue in cycle {cycle}; the first cycle of a queue is 0"
    if mnemonic == before.mnemonic:
        return f"{mnemonic} would issue in cycle {cycle} twice"
    return (
        f"{before.mnemonic} and {mnemonic} would both issue in cycle {cycle}; "
        "a queue issues one instruction per cycle"
    )


def _merged(runs):
    """Runs in order of time; adjacent ones that continue each other become one."""
    result = []
    for run in _untangled(sorted(runs, key=lambda r: r.start)):
        if result and (joined := _joined(result[-1], run)):
            result[-1] = joined
        else:
            result.append(run)
    return result


def _untangled(runs):
    """Runs whose spans do not overlap: those that interleave are taken apart into single issues."""
    result, tangle, end = [], [], -1
    for run in runs:
        if run.start > end:
            result += _single_issues(tangle)
            tangle = []
        tangle.append(run)
        end = max(end, run.last)
    return result + _single_issues(tangle)


def _single_issues(runs):
    """The issues of several runs, each a run of its own, in order; one run stays as it is."""
    if len(runs) <= 1:
        return runs
    singles = [Run(cycle, instruction) for run in runs for cycle, instruction in run.issues()]
    return sorted(singles, key=lambda r: r.start)


def _joined(a, b):
    """One run that issues what `a` and then `b` issue, or None."""
    interval = a.interval if a.count > 1 else b.start - a.start
    if b.start != a.last + interval or (b.count > 1 and b.interval != interval):
        return None
    if a.count + b.count - 1 > _LONGEST or not 1 <= interval <= _LONGEST:
        return None
    strided = a.instruction.strided
    if a.count > 1:
        stride = a.stride
    elif b.count > 1:
        stride = b.stride
    elif strided and type(a.instruction) is type(b.instruction):
        stride = getattr(b.instruction, strided) - getattr(a.instruction, strided)
    else:
        stride = 0
    if (b.count > 1 and b.stride != stride) or not -0x8000 <= stride <= 0x7FFF:
        return None
    if not b.instruction.follows(a.instruction, a.count * stride):
        return None
    return Run(a.start, a.instruction, a.count + b.count, interval, stride)
