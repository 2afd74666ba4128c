"""What a view shows, as one payload: see the page on views for the format."""

from dataclasses import asdict
from typing import Any

import numpy as np

from tsp.hw.isa import Unit
from tsp.sim.program import Program
from tsp.sim.schedule.columns import Runs
from tsp.sim.schedule.idle import plane_cycles
from tsp.sim.schedule.reasons import KINDS, critical_path, reasons
from tsp.sim.view.container import Column, pack
from tsp.sim.view.operations import operations
from tsp.sim.view.templates import Templates

VERSION = 1


class Strings:
    """Texts, each once."""

    def __init__(self):
        self.found = []
        self._numbers = {}

    def number(self, text: str) -> int:
        """The index of a text."""
        if text not in self._numbers:
            self._numbers[text] = len(self.found)
            self.found.append(text)
        return self._numbers[text]


def payload(program: Program) -> bytes:
    """The payload of a program."""
    config = program.config
    placed = operations(program)
    runs = Runs.of(config, placed)
    found = reasons(config, placed)
    path, spent = critical_path(placed, found)
    strings = Strings()
    templates = Templates(config)
    numbers = np.array([templates.number(i) for i in runs.instructions], np.int64)
    header: dict[str, Any] = {
        "version": VERSION,
        "name": program.name,
        "config": _config(config),
        "cycles": program.cycles,
        "measured": None,
        "fault": None,
        "ideal": None,
        "values": None,
        "slices": _slices(config),
        "queues": _queues(config),
        "templates": templates.found,
        "tensors": _tensors(program),
        "reason_kinds": list(KINDS),
        "path": path,
        "path_cycles": spent,
        "planes": [asdict(plane) for plane in plane_cycles(runs, found, program.cycles)],
    }
    columns = {
        "run.queue": Column(runs.queue, "u16"),
        "run.template": Column(numbers, "u32"),
        "run.operation": Column(runs.operation, "i32"),
        "run.start": Column(runs.start, "i32", delta=True),
        "run.count": Column(runs.count, "u32"),
        "run.interval": Column(runs.interval, "u32"),
        "run.stride": Column(runs.stride, "i32"),
        "run.value": Column(runs.value, "i32", delta=True),
    }
    columns |= _operations(placed, found, strings)
    header["strings"] = strings.found
    return pack(header, columns)


def _operations(placed, found, strings):
    """The columns of operations and their reasons."""
    number = strings.number
    return {
        "op.name": Column([number(operation.name) for operation, _ in placed], "u32"),
        "op.start": Column([start for _, start in placed], "i32", delta=True),
        "op.end": Column([start + operation.end for operation, start in placed], "i32", delta=True),
        "op.first": Column([s + operation.first for operation, s in placed], "i32", delta=True),
        "op.reason": Column([KINDS.index(reason.kind) for reason in found], "u8"),
        "op.holder": Column([reason.holder for reason in found], "i32", delta=True),
        "op.resource": Column([number(reason.resource) for reason in found], "u32"),
        "op.cycle": Column([reason.cycle for reason in found], "i32", delta=True),
        "op.slack": Column([reason.slack for reason in found], "i32"),
    }


def _config(config):
    return config.as_dict() | {
        "vector": config.vector,
        "stops": config.floorplan.stops,
        "planes": sum(q.unit is Unit.ABC for q in config.floorplan.queues),
    }


def _slices(config):
    return [
        {
            "name": found.name,
            "kind": found.kind,
            "hemisphere": found.hemisphere and found.hemisphere.value,
            "stop": found.stop,
        }
        for found in config.floorplan.slices
    ]


def _queues(config):
    return [
        {
            "name": queue.name,
            "unit": queue.unit.value,
            "slice": queue.slice.index,
            "port": queue.port,
            "stop": queue.stop,
        }
        for queue in config.floorplan.queues
    ]


def _tensors(program):
    number = {queue.name: queue.index for queue in program.config.floorplan.queues}
    blocks = [("input", block, len(block.data)) for block in program.image]
    blocks += [("output", region, region.words) for region in program.outputs]
    return [
        {
            "name": "",
            "role": role,
            "bank": number[f"{where.slice}.{where.bank}"],
            "address": where.address,
            "words": words,
        }
        for role, where, words in blocks
    ]
