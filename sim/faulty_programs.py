"""Random programs with a fault: a legal program that is broken in one place.

Which fault comes first is up to the golden model; one that is not of the wanted kind is made anew.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from tsp.hw.config import Config
from tsp.hw.fault import FaultKind
from tsp.hw.isa import (
    IMM,
    ISA,
    SG1,
    Abc,
    Acc,
    AccMode,
    Alu,
    DType,
    EncodingError,
    Lw,
    Mov,
    Read,
    Reduce,
    StreamGroup,
    Unit,
    timing,
)
from tsp.sim.golden import model
from tsp.sim.program import Program, Run, assemble
from tsp.sim.random_programs import Generator
from tsp.sim.result import Fault

TRIES = 40
"""Ways to break a program that are tried before another kind of fault is."""


@dataclass(frozen=True)
class Faulty:
    """A program with a fault.

    Members
    -------
    program : Program
    fault : Fault
        Its first, as the golden model has it.
    announced : dict
        By queue name, how many instructions the host announces, where those are not all.
    """

    program: Program
    fault: Fault
    announced: dict = field(default_factory=dict)


class Breaker:
    """Breaks a legal program in one random place, again and again.

    Parameters
    ----------
    config : Config
    seed : int
        Of the legal program, and of how it is broken.
    """

    KINDS = (
        FaultKind.INVALID,
        FaultKind.CONFLICT,
        FaultKind.ADDRESS,
        FaultKind.DECODE,
        FaultKind.UNDERRUN,
        FaultKind.UNWRITTEN,
    )
    """The kinds of fault that a program can have by itself."""

    def __init__(self, config: Config, seed: int):
        grown = Generator(config, seed).grow()
        self.legal = grown.program(f"seed {seed}")
        self.config, self.plan, self.seed = config, config.floorplan, seed
        self.runs, self.image, self.outputs = grown.runs, grown.image, grown.outputs
        self.rng = np.random.default_rng([seed, 1])
        self.ways = {
            FaultKind.INVALID: (self._move, self._other_stream),
            FaultKind.CONFLICT: (self._second_driver, self._twin, self._second_result),
            FaultKind.ADDRESS: (self._beyond, self._stride_beyond),
            FaultKind.DECODE: (self._not_executed, self._not_there),
            FaultKind.UNDERRUN: (self._announce_more,),
            FaultKind.UNWRITTEN: (self._unwritten,),
        }

    def programs(self, count: int) -> Iterator[Faulty]:
        """`count` programs, or fewer where a kind of fault cannot be provoked; kinds in turn."""
        for n in range(count):
            kind = self.KINDS[n % len(self.KINDS)]
            if found := self.broken(kind, f"seed {self.seed}, broken {n}"):
                yield found

    def broken(self, kind: FaultKind, name: str = "broken") -> Faulty | None:
        """A program whose first fault is of `kind`; None if it is not found in `TRIES` tries."""
        for _ in range(TRIES):
            runs = {queue: list(of) for queue, of in self.runs.items()}
            announced = self._pick(self.ways[kind])(runs) or {}
            try:
                program = assemble(
                    self.config, runs, image=self.image, outputs=self.outputs, name=name,
                    checked=False,
                )  # fmt: skip
            except EncodingError:  # two issues in a cycle, say, or one before 0
                continue
            fault = model.run(program, announced=announced).fault
            if fault and fault.kind is kind:
                return Faulty(program, fault, announced)
        return None

    # What can be broken. Each changes `runs` in place, or leaves them as they are.

    def _move(self, runs):
        """An instruction that samples streams issues some cycles earlier or later."""
        if place := self._place(runs, lambda i: i.samples(self.config)):
            queue, n = place
            run = runs[queue][n]
            by = int(self.rng.choice([-3, -2, -1, 1, 2, 3]))
            runs[queue][n] = run._replace(start=run.start + by)

    def _other_stream(self, runs):
        """An instruction samples another stream."""
        if place := self._place(runs, lambda i: i.samples(self.config)):
            queue, n = place
            run = runs[queue][n]
            sampled = {group for group, _ in run.instruction.samples(self.config)}
            names = [
                info.name
                for info in run.instruction.fields()
                if getattr(run.instruction, info.name) in sampled
            ]
            if names:
                name = self._pick(names)
                size = getattr(run.instruction, name).size
                self._change(runs, place, **{name: self._group(size)})

    def _second_driver(self, runs):
        """A bank or an ALU at the stop drives what an instruction drives there."""
        if place := self._place(runs, lambda i: i.drives(self.config)):
            queue, cycle, group = self._driven(runs, place)
            others = [
                q
                for q in self.plan.queues
                if q.stop == queue.stop and q.unit in (Unit.MEM, Unit.VXM) and q is not queue
            ]
            if not others:
                return
            other = self._pick(others)
            if other.unit is Unit.MEM:
                stream = SG1(group.direction, int(self.rng.choice(group.streams)))
                runs.setdefault(other.name, []).append(
                    Run(cycle - timing.MEM_READ, Read(address=0, stream=stream))
                )
            else:
                start = cycle - timing.vxm_result(self.config)
                runs.setdefault(other.name, []).append(Run(start, Mov(a=IMM, target=group)))

    def _twin(self, runs):
        """Another queue like it issues the same in the same cycle, or a Reduce drives twice."""
        if place := self._place(runs, lambda i: i.drives(self.config)):
            queue, n = place
            run, mine = runs[queue][n], self.plan.queue(queue)
            if isinstance(run.instruction, Reduce):
                source, target = run.instruction.source, run.instruction.target
                self._change(runs, place, companion=source, companion_target=target)
                return
            twins = [
                q
                for q in self.plan.queues
                if q is not mine and (q.stop, q.unit) == (mine.stop, mine.unit)
            ]
            if twins:
                runs.setdefault(self._pick(twins).name, []).append(run)

    def _second_result(self, runs):
        """A result meets another one at the output of its ALU."""
        if place := self._place(runs, lambda i: i.unit is Unit.VXM):
            queue, n = place
            run = runs[queue][n]
            wait = int(self.rng.integers(8))
            if wait != run.instruction.wait:
                start = run.start + run.instruction.wait - wait
                runs[queue].append(Run(start, Mov(a=IMM, wait=wait)))

    def _beyond(self, runs):
        """An address, row, column, lane or count is beyond what there is."""
        limits = {
            "address": (self.config.bank_words, 1 << 16),
            "row": (self.config.acc_rows, 1 << 16),
            "column": (self.config.vector, 1 << 9),
            "lane": (self.config.vector, 1 << 9),
            "count": (self.config.vector + 1, 513),
        }

        def names(instruction):
            fields = [info.name for info in instruction.fields() if info.name in limits]
            return [name for name in fields if limits[name][0] < limits[name][1]]

        if place := self._place(runs, names):
            queue, n = place
            name = self._pick(names(runs[queue][n].instruction))
            self._change(runs, place, **{name: int(self.rng.integers(*limits[name]))})

    def _stride_beyond(self, runs):
        """The strides of a Repeat lead beyond what there is."""
        if place := self._place(runs, lambda i: i.strided):
            queue, n = place
            stride = int(self.rng.choice([-3, 1, 7, self.config.bank_words, 0x7FFF]))
            run = runs[queue][n]._replace(count=int(self.rng.integers(2, 6)), stride=stride)
            runs[queue][n] = run

    def _not_executed(self, runs):
        """An instruction that no core executes, or this queue does not."""
        name = self._pick(list(runs))
        queue = self.plan.queue(name)
        trapped = [
            cls
            for cls in ISA.values()
            if cls.unit in (queue.unit, Unit.ICU)
            and (not cls.executed or (cls.special and not queue.special))
        ]
        if trapped:
            start = int(self.rng.integers(self.config.floorplan.stops + 30))
            runs[name].append(Run(start, self._sample(self._pick(trapped))))

    def _not_there(self, runs):
        """A stream, an ALU or a format that this core lacks."""
        lacking = self.config.streams < 32 or self.config.alus < 16
        if not lacking or not (place := self._place(runs, lambda i: True)):
            return
        queue, n = place
        instruction = runs[queue][n].instruction
        for info in instruction.fields():
            value = getattr(instruction, info.name)
            if isinstance(value, StreamGroup) and self.config.streams < 32:
                first = -(-self.config.streams // value.size)
                index = int(self.rng.integers(first, 32 // value.size))
                self._change(runs, place, **{info.name: replace(value, index=index)})
                return
        if instruction.unit is Unit.VXM and self.config.alus < 16:
            self._change(runs, place, a=Alu(int(self.rng.integers(self.config.alus, 16))))
        elif isinstance(instruction, Lw) and self.config.datapath == "int8":
            self._change(runs, place, dtype=DType.FP8_E4M3)

    def _announce_more(self, runs):
        """The host announces more instructions for a queue than it holds."""
        name = self._pick([name for name, of in runs.items() if of])
        queues = assemble(self.config, runs, checked=False).queues
        return {name: len(queues[name]) + int(self.rng.integers(1, 9))}

    def _unwritten(self, runs):
        """Sums are added to a row that was never written, weights are never loaded, or no vector
        was there to be held.
        """
        written = {
            run.instruction.row
            for of in runs.values()
            for run in of
            if isinstance(run.instruction, Acc)
        }
        free = [row for row in range(self.config.acc_rows) if row not in written]
        if place := self._place(runs, lambda i: isinstance(i, Acc | Abc | Lw)):
            queue, n = place
            match runs[queue][n].instruction:
                case Acc() if free:
                    self._change(runs, place, row=self._pick(free), mode=AccMode.ADD)
                case Abc():
                    first = min(range(len(runs[queue])), key=lambda at: runs[queue][at].start)
                    self._change(runs, (queue, first), hold=True)
                case Lw():
                    del runs[queue][n]

    # What these are made of.

    def _pick(self, items):
        return items[self.rng.integers(len(items))]

    def _place(self, runs, allowed):
        """A random ``(queue name, index)`` of a run whose instruction is `allowed`, or None."""
        places = defaultdict(list)  # by unit, so that rare ones are broken as often
        for queue, of in runs.items():
            for n, run in enumerate(of):
                if allowed(run.instruction):
                    places[run.instruction.unit].append((queue, n))
        return self._pick(self._pick(list(places.values()))) if places else None

    def _change(self, runs, place, **fields):
        """Give the instruction of a run other fields; leave it if it cannot have them."""
        queue, n = place
        run = runs[queue][n]
        try:
            runs[queue][n] = run._replace(instruction=replace(run.instruction, **fields))
        except ValueError:
            return

    def _driven(self, runs, place):
        """The queue of a run, and a cycle and a group that one of its issues drives."""
        queue, n = place
        run = runs[queue][n]
        cycle, instruction = self._pick(list(run.issues()))
        group, delay = self._pick(list(instruction.drives(self.config)))
        return self.plan.queue(queue), cycle + delay, group

    def _group(self, size):
        index = int(self.rng.integers(self.config.streams // size))
        return StreamGroup(size, self._pick("EW"), index)

    def _sample(self, cls):
        """An instruction of a class, with random fields."""
        while True:
            try:
                return cls(**{info.name: info.codec.sample(self.rng) for info in cls.fields()})
            except ValueError:
                continue


def faulty_programs(config: Config, seeds, each: int) -> list[Faulty]:
    """Programs with faults: `each` of every seed, less those of kinds that are out of reach."""
    return [found for seed in seeds for found in Breaker(config, seed).programs(each)]
