"""What a viewer shows of a run: groups from west to east, with the floor plan's names.

Modules are found by the names of their instances, wherever they stand in the hierarchy.
"""

import re
from collections import defaultdict
from dataclasses import dataclass, field

from tsp.hw.errors import InputError
from tsp.hw.fault import FaultKind
from tsp.hw.isa.base import ISA

IDLE = "."
"""What a queue shows while it issues nothing."""


@dataclass(frozen=True)
class Trace:
    """A row: its label, the bits that it shows from the top, and how.

    `bits` holds pairs of a wire and None, or a wire and the bit numbers that are taken of it.
    `names` gives a text for each value, if it has any.
    """

    label: str
    bits: tuple
    base: str = "hex"
    names: dict = field(default_factory=dict, compare=False)

    @property
    def width(self):
        """Bits of the row."""
        return sum(wire.width if taken is None else len(taken) for wire, taken in self.bits)


@dataclass(frozen=True)
class Group:
    """Rows and groups under a title; `closed`: the viewer shows the title only."""

    title: str
    items: list
    closed: bool = False

    def traces(self):
        """Every trace in it, from the top."""
        for item in self.items:
            if isinstance(item, Group):
                yield from item.traces()
            else:
                yield item


class _Modules:
    """The wires of a file by the module that they belong to."""

    def __init__(self, wires):
        self.wires = defaultdict(dict)
        for wire in wires:
            self.wires[wire.scope].setdefault(wire.name, wire)

    def called(self, pattern, having):
        """``(match, wires)`` of the modules whose instance name matches and that have a wire."""
        found = []
        for scope, names in self.wires.items():
            match = scope and re.fullmatch(pattern, scope[-1])
            if match and having in names:
                found.append((match, scope, names))
        return found

    def inside(self, pattern, having):
        """The same for modules that are, or are inside of, an instance of that name."""
        return [
            (scope, names)
            for scope, names in self.wires.items()
            if having in names and any(re.fullmatch(pattern, part) for part in scope)
        ]


def layout(config, wires):
    """The :class:`Group` list that shows a run of the core of `config`.

    Parameters
    ----------
    config : Config
    wires : list of Wire
        What the waveform holds.

    Raises
    ------
    ValueError
        If they are not the wires of such a core.
    """
    modules, plan = _Modules(wires), config.floorplan
    hops = _hops(modules)
    if not hops:
        raise InputError(f"the waveform holds no stream registers of a core such as {config.name}")
    groups = [*_control(modules, plan), *_host(modules)]
    for stop in range(plan.stops):
        here = [s for s in plan.slices if s.stop == stop]
        sockets = [q for s in here for q in plan.queues_of(s) if q.unit.value in _DRIVING]
        for where in here:
            items = [_queue(modules, queue) for queue in plan.queues_of(where)]
            if where.kind == "MEM":
                items += [_sram(modules, where, bank) for bank in range(2)]
            items += _drives(hops.get(stop, []), where, sockets)
            groups.append(Group(where.name, [item for item in items if item]))
        groups.append(_streams(config, stop, hops.get(stop, [])))
    return [group for group in groups if group.items]


_DRIVING = ("MEM", "ACC", "VXM")  # units with a driver of their own at a hop, in its order


def _natural(scope):
    """A key by which tile10 comes after tile9."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", ".".join(scope))]


def _plain(names, *rows, base="hex", label="{}"):
    """A trace for each of the wires that exist."""
    found = []
    for row in rows:
        if row in names:
            found.append(Trace(label.format(row), ((names[row], None),), base))
    return found


def _control(modules, plan):
    # In exported Verilog both are part of the core's module `glue`.
    groups = []
    for _, _, names in modules.called("clock|glue", "counting"):
        rows = _plain(names, "start", "resume", "counting", "running", "done")
        groups.append(Group("program clock", _plain(names, "cycles", base="dec") + rows))
    for _, _, names in modules.called("recorder|glue", "record.valid"):
        rows = _plain(names, "record.valid") + _plain(names, "record.cycle", base="dec")
        for row, texts in (
            ("record.kind", {kind.value: kind.name for kind in FaultKind}),
            ("record.slice", {s.index: s.name for s in plan.slices}),
        ):
            if row in names:
                rows.append(Trace(row, ((names[row], None),), "dec", texts))
        for where in plan.slices:
            rows += _plain(names, f"faults__{where.index}", base="bin", label=where.name)
        groups.append(Group("faults", rows))
    return groups


def _host(modules):
    rows = ("host__write", "host__read", "host__address", "host__write_data")
    rows += ("host__read_valid", "host__read_data")
    scopes = [scope for scope, names in modules.wires.items() if rows[0] in names]
    if not scopes:
        return []
    # Verilator repeats the ports in a scope of its own, `$rootio`.
    scope = min(scopes, key=lambda scope: (scope[0].startswith("$"), len(scope)))
    return [Group("host", _plain(modules.wires[scope], *rows), closed=True)]


def _queue(modules, queue):
    """What a queue issues: the mnemonic in the cycles in which it issues."""
    name = "queue_" + queue.name.lower().replace(".", "_")
    for _, _, names in modules.called(re.escape(name), "issue__valid"):
        word = names["issue__word"]
        texts = dict.fromkeys(range(256), IDLE)
        texts |= {256 + opcode: cls.mnemonic for opcode, cls in ISA.items()}
        bits = ((names["issue__valid"], None), (word, tuple(range(7, -1, -1))))
        more = _plain(names, "issue__word", "head", "pc", "busy", "fault")
        return Group(queue.name, [Trace("issue", bits, "hex", texts), Group("more", more, True)])
    return None


def _sram(modules, where, bank):
    """The port of a bank's memory, tile by tile."""
    # The memory inside of a tile, a module of its own in pysim, has no `address`.
    inside = modules.inside(f"{where.name.lower()}_{bank}", "port__en")
    tiles = [(scope, names) for scope, names in inside if "address" in names]
    rows = []
    for tile, (_, names) in enumerate(sorted(tiles, key=lambda found: _natural(found[0]))):
        row = f"tile{tile} {{}}"
        rows += _plain(names, "read__en", "port__en", "address", label=row)
        rows += _plain(names, "port__data", "read_data", label=row)
    return Group(f"SRAM {where.name}.{bank}", rows, True) if rows else None


def _hops(modules):
    """The modules of the stream registers by stop, from superlane 0 up."""
    found = defaultdict(list)
    for match, scope, names in modules.called(r"hop_?(\d+)(?:_\d+)?", "east.valid"):
        found[int(match[1])].append((scope, names))
    return {
        stop: [names for _, names in sorted(rows, key=lambda row: _natural(row[0]))]
        for stop, rows in found.items()
    }


def _drives(hops, where, sockets):
    """What a slice drives onto its stop: who, where to, and what."""
    rows = []
    for superlane, names in enumerate(hops):
        for socket, queue in enumerate(sockets):
            if queue.slice == where:
                label = f"{queue.name.removesuffix('.ACC')} superlane {superlane} {{}}"
                parts = (f"drive__{socket}.{p}" for p in ("valid", "westward", "stream", "data"))
                rows += [
                    Trace(label.format(row.label.split(".")[-1]), row.bits)
                    for row in _plain(names, *parts)
                ]
        quads = [name for name in names if re.fullmatch(r"quad__\d+\.valid", name)]
        if where.kind == "SXM":
            for quad in sorted(quads, key=lambda name: _natural((name,))):
                for part in ("valid", "westward", "quad", "mask", "data"):
                    name = quad.removesuffix("valid") + part
                    label = f"superlane {superlane} {{}}"
                    rows += _plain(names, name, label=label)
    return [Group("drives", rows, True)] if rows else []


def _streams(config, stop, hops):
    """The words that arrive at a stop, a byte per lane, each under its valid bit."""
    groups = []
    for superlane, names in enumerate(hops):
        for direction in ("east", "west"):
            rows = []
            for s in range(config.streams):
                label, word = f"{direction[0].upper()}{s}", f"{direction}.data[{s}]"
                if word in names:
                    valid = ((names[f"{direction}.valid"], (s,)),)
                    rows.append(Trace(f"{label} valid", valid, "bin"))
                    rows += _plain(names, word, label=label)
            title = f"{direction}ward, superlane {superlane}"
            groups.append(Group(title, rows, closed=superlane > 0))
    return Group(f"streams at stop {stop}", [g for g in groups if g.items], closed=True)
