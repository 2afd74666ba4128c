"""Macro-operations: rigid patterns of instructions and reservations, relative to a start cycle."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from operator import attrgetter
from typing import Any

from tsp.hw.config import Config
from tsp.hw.errors import EncodingError, InputError, ResourceError
from tsp.hw.isa import (
    Abc,
    Instruction,
    Iw,
    Lw,
    Read,
    StreamGroup,
    Write,
    refusal,
    run_refusal,
    timing,
)
from tsp.sim.program import Run
from tsp.sim.schedule import resource as res


class ScheduleError(ResourceError):
    """Two claims of one resource in one cycle, or a sample of a stream that nothing drives.

    Attributes
    ----------
    claimant : str
        The operation to be placed.
    holder : str or None
        The operation that holds the resource; None if a sampled word is missing.
    resource : str
    cycle : int
    """

    def __init__(self, claimant: str, holder: str | None, resource: str, cycle: int):
        self.claimant, self.holder, self.resource, self.cycle = claimant, holder, resource, cycle
        super().__init__(
            f"{claimant} samples {resource} in cycle {cycle}, but nothing drives it that far"
            if holder is None
            else f"{claimant} cannot have {resource} in cycle {cycle}, because {holder} has it"
        )


@dataclass(frozen=True)
class Hold:
    """A resource held from the absolute cycle `since` until before the relative cycle `until`."""

    resource: tuple
    since: int
    until: int


@lru_cache(maxsize=16)
def _queues(config):
    return {queue.name: queue for queue in config.floorplan.queues}


class Operation:
    """A macro-operation: what its queues issue, and the resources that it reserves.

    All cycles are relative to the start, which the schedule chooses; they may be negative.
    The methods take and return the cycles in which operands are sampled and results appear, and
    derive issue cycles from the table of latencies. `count` issues are `interval` cycles apart.

    Parameters
    ----------
    config : Config
    name : str
        Name of the claimant in a refusal.
    """

    def __init__(self, config: Config, name: str):
        self.config, self.name = config, name
        self._queues = _queues(config)
        self.runs: list[tuple[str, Run]] = []
        self.claims: dict[tuple, int] = {}
        self.samples: dict[tuple, int] = {}
        self.holds: list[Hold] = []

    def issue(
        self,
        queue: str,
        instruction: Instruction,
        cycle: int,
        count: int = 1,
        interval: int = 1,
        stride: int = 0,
    ) -> None:
        """Issue an instruction, and claim the issue slots, first in `cycle`.

        Raises
        ------
        EncodingError
            If the queue does not execute it, at its first or its last issue.
        """
        where = self._queue(queue)
        if count < 1 or interval < 1:
            raise InputError(
                f"{self.name}: count and interval must be at least 1, not {count} and {interval}"
            )
        if refused := run_refusal(instruction, self.config, where, count, stride):
            raise EncodingError(f"{self.name}: {refused.reason}")
        self.claim(res.issue_slot(queue), cycle, res.comb(count, interval))
        self.runs.append((queue, Run(cycle, instruction, count, interval, stride)))

    def perform(
        self,
        queue: str,
        instruction: Instruction,
        cycle: int,
        to: int | None = None,
        count: int = 1,
        interval: int = 1,
        stride: int = 0,
        apart: Mapping[StreamGroup, int] | tuple[()] = (),
    ) -> None:
        """Issue an instruction as above, and claim everything that its description says it uses.

        Driven words go as far as stop `to`, except for groups that `apart` maps to another stop.
        """
        self.issue(queue, instruction, cycle, count, interval, stride)
        self._act(queue, instruction, cycle, res.comb(count, interval), to, dict(apart))

    def perform_at(
        self, queue: str, instruction: Instruction, cycles: list[int], to: int | None = None
    ) -> None:
        """The same for one instruction that issues in each of some cycles."""
        self._check(queue, instruction)
        slot = res.issue_slot(queue)
        first, pattern = self._pattern(slot, cycles)
        self.claim(slot, first, pattern)
        self.runs += [(queue, Run(cycle, instruction)) for cycle in cycles]
        self._act(queue, instruction, first, pattern, to, {})

    def _act(self, queue, instruction, cycle, pattern, to, apart):
        """Claim what an instruction does that issues when `pattern` says, bit 0 meaning `cycle`."""
        stop = self._queues[queue].stop
        for group, after in instruction.samples(self.config):
            self._sample(group, stop, cycle + after, pattern)
        stands = instruction.stands(self.config)
        if stands is not None:
            self.claim(res.alu_result(queue), cycle + stands, pattern)
        for group, after in instruction.drives(self.config):
            end = apart.get(group, to)
            if end is None:
                raise InputError(f"{self.name}: {instruction.mnemonic} drives {group}; say how far")
            self._drive(group, stop, end, cycle + after, pattern)

    def _pattern(self, resource, times):
        """Times on the axis of a resource as a pattern: its bit 0, and the bits."""
        first, pattern = min(times), 0
        for time in times:
            pattern |= 1 << time - first
        if pattern.bit_count() < len(times):
            twice = next(time for n, time in enumerate(times) if time in times[:n])
            self._refuse_itself(resource, twice)
        return first, pattern

    def _check(self, queue, instruction):
        if refused := refusal(instruction, self.config, self._queue(queue)):
            raise EncodingError(f"{self.name}: {refused.reason}")

    def _refuse_itself(self, resource, time):
        cycle = res.cycle_of(resource, time)
        raise ScheduleError(self.name, f"{self.name} itself", res.describe(resource), cycle)

    def claim(self, resource: tuple, time: int, pattern: int = 1) -> None:
        """Claim a resource in the cycles of the bits set in `pattern`, where bit 0 is `time`."""
        self._take(resource, pattern << self._bit(time))

    def _take(self, resource, mask):
        held = self.claims.get(resource, 0)
        if held & mask:
            self._refuse_itself(resource, res.lowest(held & mask) - res.BIAS)
        self.claims[resource] = held | mask

    def hold(self, resource: tuple, since: int, until: int) -> None:
        """Claim a resource from the absolute cycle `since` until before relative cycle `until`."""
        self.holds.append(Hold(resource, since, until))

    def elsewhere(self, cycles: int, move: Callable[[str, Run], Run] | None = None) -> "Operation":
        """The same operation in a schedule that is so many cycles later.

        What it holds since an absolute cycle is held since a later one; `move` gives the run of a
        queue other operands.
        """
        made = Operation(self.config, self.name)
        made.runs = [(queue, move(queue, run) if move else run) for queue, run in self.runs]
        made.claims, made.samples = self.claims, self.samples
        made.holds = [Hold(h.resource, h.since + cycles, h.until) for h in self.holds]
        return made

    # Streams

    def arrival(self, source: int, target: int, cycle: int) -> int:
        """The cycle in which a word driven at stop `source` in `cycle` arrives at stop `target`."""
        return cycle + abs(target - source)

    def drive(
        self,
        group: StreamGroup,
        source: int,
        target: int,
        cycle: int,
        count: int = 1,
        interval: int = 1,
    ) -> None:
        """Claim streams driven at stop `source`, first in `cycle`, as far as stop `target`."""
        self._drive(group, source, target, cycle, res.comb(count, interval))

    def _drive(self, group, source, target, cycle, pattern):
        step = 1 if group.direction == "E" else -1
        if (target - source) * step < 1:
            raise InputError(
                f"{self.name}: stream group {group} does not flow from stop {source} to {target}"
            )
        time = res.diagonal(group.direction, cycle, source)
        mask = pattern << self._bit(time)
        for stream in group.streams:
            for stop in range(source + step, target + step, step):
                self._take(res.stream_register(group.direction, stream, stop), mask)

    def sample(
        self, group: StreamGroup, stop: int, cycle: int, count: int = 1, interval: int = 1
    ) -> None:
        """Note that a stop samples streams; the schedule checks that they carry words."""
        self._sample(group, stop, cycle, res.comb(count, interval))

    def _sample(self, group, stop, cycle, pattern):
        bits = pattern << self._bit(res.diagonal(group.direction, cycle, stop))
        for stream in group.streams:
            register = res.stream_register(group.direction, stream, stop)
            self.samples[register] = self.samples.get(register, 0) | bits

    # MEM

    def read(
        self,
        bank: str,
        address: int,
        stream: StreamGroup,
        to: int,
        arrive: int,
        count: int = 1,
        interval: int = 1,
        stride: int = 1,
    ) -> None:
        """Read consecutive words so that the first arrives at stop `to` in cycle `arrive`."""
        instruction = Read(address=address, stream=stream)
        source = self._queue(bank).stop
        driven = arrive - abs(to - source)
        ((_, after),) = instruction.drives(self.config)
        cycle = driven - after
        self.perform(bank, instruction, cycle, to, count, interval, stride if count > 1 else 0)

    def read_words(self, to: int, words: Iterable[tuple[str, int, StreamGroup, int]]) -> None:
        """Read single words, each so that it arrives at stop `to` in a cycle of its own.

        Parameters
        ----------
        to : int
        words : iterable of tuple
            ``(bank, address, stream, arrive)`` of each.

        Raises
        ------
        EncodingError
            If a bank has no such word or the core no such stream.
        """
        reads: dict[StreamGroup, Instruction] = {}
        issued: defaultdict[str, list] = defaultdict(list)
        driven: defaultdict[tuple[StreamGroup, int], list] = defaultdict(list)
        for bank, address, stream, arrive in words:
            if stream not in reads:
                reads[stream] = Read(address=0, stream=stream)
                self._check(bank, reads[stream])
            source = self._queue(bank).stop
            cycle = arrive - abs(to - source)
            driven[stream, source].append(cycle)
            issued[bank].append((cycle - timing.MEM_READ, reads[stream].strided_by(address)))
        for bank, found in issued.items():
            for last in (min, max):  # legal addresses are an interval
                self._check(bank, last((read for _, read in found), key=attrgetter("address")))
            slot = res.issue_slot(bank)
            self.claim(slot, *self._pattern(slot, [cycle for cycle, _ in found]))
            self.runs += [(bank, Run(cycle, read)) for cycle, read in found]
        for (stream, source), cycles in driven.items():
            register = res.stream_register(stream.direction, stream.first, source)
            shift = res.diagonal(stream.direction, 0, source)
            first, pattern = self._pattern(register, [cycle + shift for cycle in cycles])
            self._drive(stream, source, to, first - shift, pattern)

    def write(
        self,
        bank: str,
        address: int,
        stream: StreamGroup,
        arrive: int,
        count: int = 1,
        interval: int = 1,
        stride: int = 1,
    ) -> None:
        """Write consecutive words, the first of which arrives at the bank in cycle `arrive`."""
        instruction = Write(address=address, stream=stream)
        ((_, after),) = instruction.samples(self.config)
        cycle = arrive - after
        self.perform(bank, instruction, cycle, None, count, interval, stride if count > 1 else 0)

    # MXM; a plane is named like MXM_W.0

    def load(self, plane: str, instruction: Lw, cycle: int) -> int:
        """Load weight columns by an LW issued in `cycle`; an IW may follow in the cycle returned.

        Claims the weight buffer from the first LW to this one; :meth:`install` holds it from then.
        """
        self.perform(f"{plane}.LW", instruction, cycle)
        buffer = res.weight_buffer(plane)
        claimed = self.claims.get(buffer, 0) | 1 << self._bit(cycle)
        first = res.lowest(claimed)
        self.claims[buffer] = res.ones(claimed.bit_length() - first) << first
        return cycle + timing.LW_BUFFER

    def install(self, plane: str, cycle: int, since: int | None = None, used: int = 1) -> None:
        """Install the weights by an IW issued in `cycle`, for ABCs of the next `used` cycles.

        With `since`, the absolute cycle after the last LW, the weight buffer is held from there on.
        """
        self.perform(f"{plane}.IW", Iw(), cycle)
        self.claim(res.weight_array(plane), cycle, res.ones(used))
        if since is not None:
            self.hold(res.weight_buffer(plane), since, cycle)

    def multiply(
        self, plane: str, instruction: Abc, cycle: int, count: int = 1, interval: int = 1
    ) -> int:
        """Issue ABCs from `cycle` on; returns the cycle in which dot products are first ready."""
        self.perform(f"{plane}.ABC", instruction, cycle, None, count, interval)
        return cycle + timing.array_latency(self.config)

    def accumulate(
        self,
        plane: str,
        instruction: Any,
        stands: int,
        to: int | None = None,
        count: int = 1,
        interval: int = 1,
        stride: int = 1,
    ) -> int:
        """Accumulate dot products that are ready from cycle `stands` on, in rows `stride` apart.

        An emitting ACC drives its target as far as stop `to`; returns the cycle of the first drive.
        """
        times = instruction.timing(self.config)
        cycle = stands - times.skew
        stride = stride if count > 1 else 0
        self.perform(f"{plane}.ACC", instruction, cycle, to, count, interval, stride)
        return cycle + times.func

    def keep_rows(
        self, plane: str, stands: int, rows: int, interval: int = 1, since: int | None = None
    ) -> None:
        """Claim accumulator rows whose sums are ready from cycle `stands` on.

        Claims each row for that cycle only or, with `since`, from its first write until then; row
        0 was written in the absolute cycle `since`, and each other one a cycle later.
        """
        for row in range(rows):
            resource, last = res.accumulator_row(plane, row), stands + row * interval
            if since is None:
                self.claim(resource, last)
            else:
                self.hold(resource, since + row, last + 1)

    # VXM

    def compute(
        self,
        alu: str,
        instruction: Any,
        sample: int,
        to: int | None = None,
        count: int = 1,
        interval: int = 1,
    ) -> int:
        """Issue a VXM instruction whose late operands are sampled in cycle `sample`.

        A result with a target is driven as far as stop `to`; returns the cycle of the result.
        """
        cycle = sample - instruction.timing(self.config).skew - instruction.wait
        self.perform(alu, instruction, cycle, to, count, interval)
        return cycle + instruction.stands(self.config)

    # SXM

    def exchange(
        self,
        unit: str,
        instruction: Any,
        sample: int,
        to: int,
        companion_to: int | None = None,
        count: int = 1,
        interval: int = 1,
    ) -> int:
        """Issue an SXM instruction whose operands are all sampled in cycle `sample`.

        Driven words go as far as stop `to`, except for the companion of a Reduce, which goes as far
        as `companion_to` if that is given; returns the cycle of the first drive.
        """
        times = instruction.timing(self.config)
        cycle = sample - times.skew
        companion = getattr(instruction, "companion_target", None)
        apart: dict[Any, int] = {} if companion_to is None else {companion: companion_to}
        self.perform(unit, instruction, cycle, to, count, interval, apart=apart)
        return cycle + times.func

    # What the schedule asks

    @cached_property
    def first(self) -> int:
        """Relative cycle of the first issue."""
        return min((run.start for _, run in self.runs), default=0)

    @cached_property
    def end(self) -> int:
        """The relative cycle by which everything has been issued and written."""
        ends = (run.last + run.instruction.lasts(self.config) for _, run in self.runs)
        return max(ends, default=0)

    @cached_property
    def unmet(self) -> dict[tuple, int]:
        """The samples of words that this operation does not drive itself."""
        missing = {r: bits & ~self.claims.get(r, 0) for r, bits in self.samples.items()}
        return {r: bits for r, bits in missing.items() if bits}

    def _queue(self, name):
        try:
            return self._queues[name]
        except KeyError:
            raise InputError(
                f"{self.name}: there is no queue {name!r} in {self.config.name}"
            ) from None

    def _bit(self, time):
        if time < -res.BIAS:
            raise InputError(f"{self.name} reaches back {-time} cycles; at most {res.BIAS}")
        return time + res.BIAS
