"""Row pipelines: what happens to every row of some tensors, written as a formula, run once a cycle.

A pipeline is built value by value. Values are timed as they are made: a load is read just in time
for what uses it first, an operand that is early waits in its ALU, and a reduction goes out to the
SXM and back with a companion that keeps step. All rows do the same, `interval` cycles apart.
"""

from dataclasses import dataclass, field

import numpy as np

from tsp.hw.errors import NO_PLAN, InputError, ResourceError
from tsp.hw.floorplan import Hemisphere
from tsp.hw.isa import IMM, SG1, Alu, Permute, Reduce, StreamGroup
from tsp.hw.isa.timing import MEM_BANK, MEM_READ, MEM_SAMPLE
from tsp.hw.isa.vxm import VXM_OPS, Late, Mov
from tsp.sim.schedule import Operation, ScheduleError

LONGEST_WAIT = 31
"""Cycles that an operand waits in its ALU at most."""

_LARGEST_INTERVAL = 64
_FLOATS = {name for name, op in VXM_OPS.items() if op.special or name.endswith("f")}
"""Mnemonics of the operations whose operands are fp32."""


class PipelineError(ResourceError):
    """A pipeline that needs more ALUs or streams than there are at one row every so many cycles."""


@dataclass(eq=False)
class Value:
    """One vector per row, that of the first row at the VXM in cycle `time`, on `operand`.

    A load has no time until something uses it. `node` is the VXM operation that makes the value.
    """

    time: int | None
    operand: object
    node: object = None
    load: object = None


@dataclass(eq=False)
class _Node:
    alu: int
    operation: type
    late: int
    fields: dict
    bytes: int = 4
    targets: list = field(default_factory=list)  # (stream group, stop) or none


@dataclass(frozen=True)
class _Load:
    place: object
    stride: int


class Pipeline:
    """A formula for rows, and the macro-operation that computes it.

    Parameters
    ----------
    config : Config
    name : str
        Claimant in a refusal of the scheduler.
    rows : int
        Rows that pass, one every `interval` cycles.
    interval : int

    Raises
    ------
    PipelineError
        As it grows, if ALUs or streams run out.
    """

    def __init__(self, config, name, rows, interval=1):
        if rows < 1:
            raise InputError(f"{name}: a pipeline takes 1 row or more, not {rows}")
        self.config, self.rows, self.interval = config, rows, interval
        self.operation = Operation(config, name)
        plan = config.floorplan
        self._vxm = plan.slice("VXM").stop
        self._sxm = {side: plan.slice(f"SXM_{side.value}").stop for side in Hemisphere}
        self._units = dict.fromkeys(Hemisphere, 0)
        times = Mov.timing(config)
        self._step = times.func - times.skew  # from an operand's cycle to the result's
        self._nodes = []
        self._slots = set()  # (ALU, "issue" or "result", cycle modulo the interval)
        self._used = {}  # streams taken, as a mask, by direction and hemisphere
        # The order in which ALUs and streams are taken; special ALUs are kept for special ones.
        self.alus = [*reversed(range(config.alus))]
        self.streams = [*range(config.streams)]
        self.stored = {}  # cycle in which the last row has landed, by place
        self.reads, self.writes = {}, {}  # cycle in which row 0 is read or written, by place

    # Memory

    def load(self, place, *, same=False):
        """The rows that stand in consecutive words of `place`; with `same`, one word for all."""
        return Value(None, None, load=_Load(place, 0 if same else 1))

    def store(self, value, place):
        """Write every row to consecutive words of `place`."""
        side = self._side(place)
        if value.node and value.node.bytes != len(place.banks):
            raise InputError(
                f"a value of {value.node.bytes} bytes cannot be stored where elements have "
                f"{len(place.banks)}; convert it to that format"
            )
        group = self._group(side.outward, side, len(place.banks))
        stops = [bank.stop for bank, _ in place]
        farthest = max(stops, key=lambda stop: abs(stop - self._vxm))
        self._drive(value, group, farthest)
        for stream, (bank, address) in zip(group.streams, place, strict=True):
            arrive = value.time + abs(bank.stop - self._vxm)
            self._note(self.writes, place, arrive + MEM_BANK - MEM_SAMPLE)
            self.operation.write(
                bank.queue, address, SG1(side.outward, stream), arrive, self.rows, self.interval
            )
            landed = arrive + (self.rows - 1) * self.interval + 1
            self.stored[place] = max(self.stored.get(place, landed), landed)

    def note_read(self, place, driven):
        """Note that the first row of a place is driven in cycle `driven`."""
        self._note(self.reads, place, driven - MEM_READ + MEM_BANK)

    # Other slices

    def reserve(self, direction, side, streams):
        """Leave some streams of a hemisphere to others."""
        for stream in streams:
            self._used[direction, side] = self._used.get((direction, side), 0) | 1 << stream

    def arriving(self, group, time):
        """What another slice drives so that it is at the VXM in cycle `time`."""
        return Value(time, group)

    def send(self, value, side, stop):
        """Drive a value outward as far as `stop`; returns the streams, and when it is there."""
        group = self._group(side.outward, side, value.node.bytes)
        self._drive(value, group, stop)
        return group, value.time + abs(stop - self._vxm)

    # Arithmetic

    def op(self, name, a, b=None, c=None, hold=0, **fields):
        """A VXM operation by its mnemonic; operands are values, or one number as an immediate.

        An operation of one value may `hold` it for some cycles, of which it costs nothing else.
        """
        if name not in VXM_OPS:
            raise InputError(f"op must be one of {', '.join(VXM_OPS)}, not {name!r}")
        operation, operands = VXM_OPS[name], {"a": a, "b": b, "c": c}
        operands = {key: x for key, x in operands.items() if x is not None}
        if set(operands) != set(operation.reads):
            raise InputError(f"{name} takes operands {operation.reads}, not {''.join(operands)}")
        numbers = {key: _bits(x) for key, x in operands.items() if not isinstance(x, Value)}
        if len(set(numbers.values())) > 1:
            raise InputError(f"{name} has one immediate, and got {len(numbers)} different numbers")
        for key, bits in numbers.items():
            operands[key], fields["imm"] = IMM, bits
        values = [x for x in operands.values() if isinstance(x, Value)]
        # Integers and bits are sign-extended; floats have the size of their format.
        size = fields["source"].bytes if "source" in fields else 4 if name in _FLOATS else None
        for value in values:
            if size and value.load and self._width(value) != size:
                raise InputError(
                    f"{name} takes elements of {size} bytes, and what it loads has "
                    f"{self._width(value)}; convert from the format that it has"
                )
        late = max((v.time for v in values if v.time is not None), default=0)
        for value in values:
            if value.time is None:
                self._pin(value, late)
        # One operand may wait in the ALU; any other that is early is brought along.
        early = [k for k, x in operands.items() if isinstance(x, Value) and x.time < late]
        if hold:
            if len(values) != 1 or not 0 < hold <= LONGEST_WAIT:
                raise InputError(f"{name} cannot hold {len(values)} values for {hold} cycles")
            return self._place(operation, operands, late + hold, fields)
        waiting = next((key for key in early if key != "c"), None)
        for key in early:
            if key != waiting:
                operands[key] = self._delayed(operands[key], late)
            elif late - operands[key].time > LONGEST_WAIT:
                soonest = operands[key].time + self._step
                operands[key] = self._delayed(operands[key], max(late - LONGEST_WAIT, soonest))
        return self._place(operation, operands, late, fields)

    def convert(self, value, source, result):
        """A conversion between formats."""
        return self.op("convert", value, source=source, result=result)

    def reduce(self, side, kind, value, count, companion=None):
        """The sum or maximum of the first `count` lanes on every lane, and a companion in step.

        The one that is early waits for the other. Returns the reduced value alone, or both if there
        is a companion.
        """
        if companion is not None:
            together = max(value.time, companion.time)
            value, companion = self.delayed(value, together), self.delayed(companion, together)
        if not 1 <= count <= self.config.vector:
            raise InputError(f"a reduction takes 1 to {self.config.vector} lanes, not {count}")
        stop, unit = self._sxm[side], self._unit(side)
        source = self._group(side.outward, side, 4)
        self._drive(value, source, stop)
        arrive = value.time + abs(stop - self._vxm)
        fields = {"source": source, "target": self._group(side.inward, side, 4)}
        if companion is value:
            fields["companion"] = source
        elif companion is not None:
            fields["companion"] = self._group(side.outward, side, 4)
            self._drive(companion, fields["companion"], stop)
        if companion is not None:
            fields["companion_target"] = self._group(side.inward, side, 4)
        instruction = Reduce(kind=kind, count=count, **fields)
        driven = self.operation.exchange(
            unit,
            instruction,
            arrive,
            self._vxm,
            count=self.rows,
            interval=self.interval,
        )
        back = driven + abs(stop - self._vxm)
        reduced = Value(back, fields["target"])
        if companion is None:
            return reduced
        return reduced, Value(back, fields["companion_target"])

    def permute(self, side, value, place):
        """Lanes of fp32 rows in another order: that of the map in `place`, one for all rows."""
        if self._side(place) is not side:
            raise InputError(f"the map of a permutation must be in hemisphere {side.value}")
        stop, unit = self._sxm[side], self._unit(side)
        source, order = (self._group(side.outward, side, size) for size in (4, 2))
        self._drive(value, source, stop)
        arrive = value.time + abs(stop - self._vxm)
        times = arrive, self.rows, self.interval, 0
        for stream, (bank, address) in zip(order.streams, place, strict=True):
            self.operation.read(bank.queue, address, SG1(side.outward, stream), stop, *times)
        target = self._group(side.inward, side, 4)
        driven = self.operation.exchange(
            unit,
            Permute(source=source, map=order, target=target),
            arrive,
            self._vxm,
            count=self.rows,
            interval=self.interval,
        )
        return Value(driven + abs(stop - self._vxm), target)

    def delayed(self, value, time):
        """The same value, standing in cycle `time`, or as it is if that is its time."""
        return value if value.time == time else self._delayed(value, time)

    # The macro-operation

    def finish(self):
        """The operation, with everything in it."""
        for node in self._nodes:
            fields = dict(node.fields)
            to = None
            if node.targets:
                ((fields["target"], to),) = node.targets
            self.operation.compute(
                f"VXM.{node.alu}", node.operation(**fields), node.late, to, self.rows, self.interval
            )
        return self.operation

    # Inside

    def _place(self, operation, operands, late, fields):
        known = [x.time for x in operands.values() if isinstance(x, Value)]
        wait = late - min(known, default=late)
        fields = dict(fields, wait=wait)
        first = operands.get("a")
        if wait:
            early = "a" if isinstance(first, Value) and first.time < late else "b"
            fields["late"] = Late.B if early == "a" else Late.A
        for key, x in operands.items():
            fields[key] = x.operand if isinstance(x, Value) else x
        times = operation.timing(self.config)
        issue, result = late - times.skew - wait, late - times.skew + times.func
        alu = self._alu(operation.special, issue, result)
        size = fields["result"].bytes if "result" in fields else 4
        node = _Node(alu, operation, late, fields, size)
        self._nodes.append(node)
        return Value(result, Alu(alu), node)

    def _alu(self, special, issue, result):
        """An ALU that is free for one operation more."""
        count = self.config.special_alus if special else self.config.alus
        for alu in (alu for alu in self.alus if alu < count):
            slots = {
                (alu, "issue", issue % self.interval),
                (alu, "result", result % self.interval),
            }
            if self._slots.isdisjoint(slots):
                self._slots |= slots
                return alu
        kind = "special ALUs" if special else "ALUs"
        raise PipelineError(
            f"{self.operation.name} needs more than the {count} {kind} of {self.config.name} "
            f"at one row every {self.interval} cycles"
        )

    def _delayed(self, value, time):
        """A value that is taken now and stands again in `time`: through ALUs that only wait."""
        times, step = Mov.timing(self.config), self._step
        while value.time < time:
            spare = time - value.time - step
            if spare < 0:
                raise PipelineError(
                    f"{self.operation.name}: a delay of {time - value.time} cycles is shorter than "
                    f"the {step} of an ALU"
                )
            wait = min(spare, LONGEST_WAIT)
            if 0 < spare - wait < step:  # leave enough for another ALU
                wait = spare - step
            issue, result = value.time - times.skew, value.time + step + wait
            alu = self._alu(False, issue, result)
            fields = {"a": value.operand, "wait": wait, "late": Late.B}
            node = _Node(alu, Mov, value.time + wait, fields)
            self._nodes.append(node)
            value = Value(result, Alu(alu), node)
        return value

    def _width(self, value):
        """Bytes of an element of what is loaded."""
        return len(value.load.place.banks)

    def _pin(self, value, time):
        """Read a load so that its first row is at the VXM in cycle `time`."""
        place, stride = value.load.place, value.load.stride
        side = self._side(place)
        group = self._group(side.inward, side, len(place.banks))
        for stream, (bank, address) in zip(group.streams, place, strict=True):
            driven = time - abs(bank.stop - self._vxm)
            self.note_read(place, driven)
            self.operation.read(
                bank.queue,
                address,
                SG1(side.inward, stream),
                self._vxm,
                time,
                self.rows,
                self.interval,
                stride,
            )
        value.time, value.operand = time, group

    def _note(self, times, place, cycle):
        times.setdefault(place, []).append(cycle)

    def _unit(self, side):
        """An SXM unit that this pipeline does not use yet."""
        name = f"SXM_{side.value}"
        units = [q.name for q in self.config.floorplan.queues if q.slice.name == name]
        if self._units[side] == len(units):
            raise PipelineError(f"{self.operation.name} needs more than the {len(units)} of {name}")
        self._units[side] += 1
        return units[self._units[side] - 1]

    def _drive(self, value, group, stop):
        """Let the operation that makes `value` drive it as far as `stop`."""
        if value.node is None or value.node.targets:
            raise InputError("only the result of a VXM operation can be driven, and only once")
        value.node.targets.append((group, stop))

    def _side(self, place):
        sides = {Hemisphere.W if bank.stop < self._vxm else Hemisphere.E for bank in place.banks}
        if len(sides) != 1:
            raise InputError("the banks of one place must be in one hemisphere")
        return sides.pop()

    def _group(self, direction, side, size):
        """An aligned group of streams that nothing else of this pipeline uses in a hemisphere."""
        used = self._used.get((direction, side), 0)
        for first in self.streams:
            if first % size or first + size > self.config.streams:
                continue
            mask = ((1 << size) - 1) << first
            if not used & mask:
                self._used[direction, side] = used | mask
                return StreamGroup(size, direction, first // size)
        raise PipelineError(
            f"{self.operation.name} needs more than the {self.config.streams} streams of "
            f"{self.config.name} going {direction}"
        )


def _bits(number):
    """The 32 bits of an immediate: an int as int32, a float as fp32."""
    if isinstance(number, int):
        return number & 0xFFFF_FFFF
    return int(np.float32(number).view(np.uint32))


def narrowest(build):
    """What ``build(interval)`` returns at the smallest interval for which it has room.

    At a longer one an ALU does more for each row, and a bank that is needed twice in a cycle at a
    shorter one may be needed in different cycles.
    """
    for interval in range(1, _LARGEST_INTERVAL + 1):
        try:
            return build(interval)
        except NO_PLAN as error:
            refused = error
    if isinstance(refused, ScheduleError):
        raise PipelineError(
            f"{refused}, even at one row every {_LARGEST_INTERVAL} cycles; use a config with more "
            "banks or a smaller problem"
        ) from refused
    raise refused
