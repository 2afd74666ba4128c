"""A schedule as a trace for https://ui.perfetto.dev: a cycle is a nanosecond.

Every slice of the chip is a group of tracks, one for each of its units; an issue is a slice of a
track, and arrows go from who drives a word to who samples it. Operations have tracks of their own.
"""

from itertools import count
from pathlib import Path

import numpy as np

from tsp.hw.errors import InputError
from tsp.hw.isa import Unit
from tsp.sim import files
from tsp.sim.asm import format_instruction
from tsp.sim.program import Program
from tsp.sim.schedule.columns import WORDS, Runs
from tsp.sim.schedule.flows import flows
from tsp.sim.schedule.reasons import reasons
from tsp.sim.view.operations import operations

SINGLE = 200_000
"""Of a program of more issues than that, a run is one slice, from its first issue to its last."""


def write_trace(path: str | Path, program: Program) -> None:
    """Write the Perfetto trace of a program.

    Raises
    ------
    InputError
        If the file cannot be written, or the package that writes traces is not installed.
    """
    files.check_writable(path)
    with files.writing(path) as file:
        _Trace(file, program).write()


class _Trace:
    """A trace on its way into a file."""

    def __init__(self, file, program):
        try:
            from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as protos
            from perfetto.trace_builder.proto_builder import StreamingTraceProtoBuilder
        except ImportError as error:
            raise InputError(
                "traces are written by the package perfetto, which is not there; install tsp[trace]"
            ) from error
        self.program, self.config = program, program.config
        self.placed = operations(program)
        self.runs = Runs.of(self.config, self.placed)
        self._builder, self._kinds = StreamingTraceProtoBuilder(file), protos.TrackEvent
        self._numbers = count(1)

    def write(self):
        """Write everything."""
        self._operations()
        tracks = self._tracks()
        found = flows(self.runs)
        self._issues(tracks, found)
        self._counters(found)

    def _packet(self, cycle=None):
        packet = self._builder.create_packet()
        packet.trusted_packet_sequence_id = 1
        if cycle is not None:
            packet.timestamp = int(cycle)
        return packet

    def _track(self, name, parent=None, counter=False, rank=None):
        """A new track; says its number."""
        packet, number = self._packet(), next(self._numbers)
        track = packet.track_descriptor
        track.uuid, track.name = number, name
        if parent:
            track.parent_uuid = parent
        if counter:
            track.counter.unit_name = "in this cycle"
        if rank is not None:
            track.sibling_order_rank = rank
            track.child_ordering = track.EXPLICIT
        self._builder.write_packet(packet)
        return number

    def _slice(self, track, name, begin, end, facts, arrows=()):
        """A slice of a track, with facts by name, and arrows by number to or from it."""
        packet = self._packet(begin)
        event = packet.track_event
        event.type, event.track_uuid, event.name = self._kinds.TYPE_SLICE_BEGIN, track, name
        for key, value in facts.items():
            fact = event.debug_annotations.add()
            fact.name = key
            if isinstance(value, str):
                fact.string_value = value
            else:
                fact.int_value = int(value)
        event.flow_ids.extend(arrows)
        self._builder.write_packet(packet)
        packet = self._packet(end)
        packet.track_event.type = self._kinds.TYPE_SLICE_END
        packet.track_event.track_uuid = track
        self._builder.write_packet(packet)

    def _operations(self):
        """Operations on as few tracks as keep them apart, with their reasons."""
        group = self._track("operations", rank=0)
        found = reasons(self.config, self.placed)
        tracks = []  # number, and when it is free
        for number in sorted(range(len(self.placed)), key=lambda n: self._span(n)):
            begin, end = self._span(number)
            at = next((n for n, (_, free) in enumerate(tracks) if free <= begin), None)
            if at is None:
                at = len(tracks)
                tracks.append((self._track(f"operations {at}", group, rank=at), 0))
            tracks[at] = tracks[at][0], end
            reason = found[number]
            facts = {"start": self.placed[number][1], "waits for": reason.kind}
            if reason.holder >= 0:
                facts |= {
                    "which is": reason.resource,
                    "in cycle": reason.cycle,
                    "of": self.placed[reason.holder][0].name,
                }
            if reason.slack:
                facts["could be sooner by"] = reason.slack
            self._slice(tracks[at][0], self.placed[number][0].name, begin, end, facts)

    def _span(self, number):
        operation, start = self.placed[number]
        return start + operation.first, start + operation.end

    def _tracks(self):
        """A track for every queue that issues something, by index of the queue."""
        groups, tracks = {}, {}
        used = set(self.runs.queue.tolist())
        for queue in self.config.floorplan.queues:
            if queue.index in used:
                where = queue.slice
                if where.index not in groups:
                    groups[where.index] = self._track(where.name, rank=1 + where.index)
                tracks[queue.index] = self._track(queue.name, groups[where.index], rank=queue.index)
        return tracks

    def _issues(self, tracks, found):
        """Issues as slices, or runs, if there are many; words as arrows between them."""
        run, nth, cycle = self.runs.issues()
        single = len(run) <= SINGLE
        maker, user = found.maker, found.user
        if not single:
            maker, user = run[maker], run[user]
        pairs = np.unique(np.stack([maker, user]), axis=1)
        arrows = _grouped(pairs, len(run) if single else len(self.runs))
        names = {}
        if single:
            spans = zip(run.tolist(), nth.tolist(), cycle.tolist(), strict=True)
        else:
            spans = ((n, 0, begin) for n, begin in enumerate(self.runs.start.tolist()))
        for number, (of, at, begin) in enumerate(spans):
            instruction = self.runs.instructions[of]
            stride = int(self.runs.stride[of])
            key = instruction, at * stride
            if key not in names:
                names[key] = format_instruction(instruction.strided_by(at * stride))
            end = begin + 1
            facts = {}
            operation = self.runs.operation[of]
            if operation >= 0:
                facts["operation"] = self.placed[operation][0].name
            if not single:
                issues, interval = int(self.runs.count[of]), int(self.runs.interval[of])
                end = begin + (issues - 1) * interval + 1
                facts |= {"issues": issues, "interval": interval, "stride": stride}
            self._slice(tracks[self.runs.queue[of]], names[key], begin, end, facts, arrows[number])

    def _counters(self, found):
        """Words on their way, and units at work, in every cycle."""
        cycles = self.program.cycles + self.config.floorplan.stops
        for name, direction in (("words flowing east", 0), ("words flowing west", 1)):
            self._count(name, self._flowing(found, direction, cycles))
        run, _, cycle = self.runs.issues()
        queues = self.config.floorplan.queues
        for name, unit in (("banks", Unit.MEM), ("planes", Unit.ABC), ("ALUs", Unit.VXM)):
            chosen = np.array([queue.unit is unit for queue in queues])[self.runs.queue[run]]
            self._count(f"{name} at work", np.bincount(cycle[chosen], minlength=cycles))

    def _flowing(self, found, direction, cycles):
        """By cycle the stream registers of a direction that hold a word that is yet to be used."""
        run, _, cycle = self.runs.issues()
        mine = (found.drive >= 0) & (found.stream // WORDS == direction)
        # Of the users of one word the farthest counts.
        key = found.maker[mine] * 2 * WORDS + found.stream[mine]
        order = np.lexsort((-found.hops[mine], key))
        last = order[np.flatnonzero(np.diff(key[order], prepend=-1))]
        maker, hops = found.maker[mine][last], found.hops[mine][last]
        after = self._after(run[maker], found.drive[mine][last])
        driven = cycle[maker] + after
        change = np.zeros(cycles + 1, int)
        np.add.at(change, np.minimum(driven + 1, cycles), 1)
        np.add.at(change, np.minimum(driven + hops + 1, cycles), -1)
        return np.cumsum(change)[:cycles]

    def _after(self, run, drive):
        """Cycles from an issue of a run until it drives."""
        instructions, kind = self.runs.kinds()
        drives = [i.drives(self.config) for i in instructions]
        table = np.zeros((len(drives), max(map(len, drives), default=0) + 1), int)
        for n, groups in enumerate(drives):
            table[n, : len(groups)] = [after for _, after in groups]
        return table[kind[run], drive]

    def _count(self, name, values):
        """A counter that shows values by cycle, where they change."""
        track = self._track(name, counter=True)
        for cycle in np.flatnonzero(np.diff(values, prepend=0)):
            packet = self._packet(cycle)
            event = packet.track_event
            event.type, event.track_uuid = self._kinds.TYPE_COUNTER, track
            event.counter_value = int(values[cycle])
            self._builder.write_packet(packet)


def _grouped(pairs, size):
    """By thing, the numbers of the pairs in which it is, from 1."""
    found = [[] for _ in range(size)]
    for number, (one, other) in enumerate(pairs.T.tolist(), 1):
        found[one].append(number)
        found[other].append(number)
    return found
