"""The tables of the documentation that are generated from the code."""

import ast
import inspect
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from amaranth.lib import data

from tsp.hw import host
from tsp.hw.config import PRESETS, preset
from tsp.hw.export import WAIVERS
from tsp.hw.fault import FaultKind
from tsp.hw.host import Register, Space
from tsp.hw.isa import ISA, Unit
from tsp.hw.isa.special import Function, intervals
from tsp.hw.isa.special import table as segment_table
from tsp.hw.mxm.mac import mac_of
from tsp.sim.formal import PROOFS

ROOT = Path(__file__).parents[1]

ROOMS = {
    "Kernels": ["sim/kernels"],
    "Programs": ["sim/layout.py", "sim/schedule", "sim/program.py", "sim/asm.py", "sim/listing.py"],
    "Instructions": ["sim/binary.py", "hw/isa", "hw/config.py", "hw/floorplan.py"],
    "Queues": ["hw/stream.py", "hw/guard.py", "hw/icu.py"],
    "Memory and streams": ["hw/mem.py", "hw/hop.py"],
    "Vector unit": ["hw/vxm"],
    "Lane switch": ["hw/sxm"],
    "Matrix unit": ["hw/mxm"],
    "Core and host": ["hw/fault.py", "hw/host", "hw/chip.py", "hw/reset.py"],
    "Export": ["hw/export", "hw/environment.py"],
    "Golden model": ["sim/golden"],
    "Proofs": ["sim/formal"],
    "Lint": ["sim/lint", "sim/tools.py"],
    "Simulators": ["sim/backends", "sim/cache.py", "sim/result.py"],
    "Measurements": ["sim/measure.py", "sim/bench"],
    "Reports": ["sim", "hw"],
}
"""Files in the order in which data flows; a folder covers its files not named elsewhere."""

SPACES = {
    Space.REGISTER: ("`low`: a register of the table below", "64"),
    Space.SRAM: ("`slice`, `bank`; `low`: word", "8 x lanes x superlanes"),
    Space.QUEUE_WORD: ("`unit`: queue; `low`: index in the queue", "the queue's word"),
    Space.QUEUE_COUNT: ("`unit`: queue", "17: words that the queue will issue"),
    Space.QUEUE_BUSY: ("`unit`: queue", "32: instructions issued"),
    Space.SLICE_FAULTS: ("`unit`: slice", "one bit per fault kind seen since reset"),
}
REGISTERS = {
    Register.IDENTITY: f"{host.IDENTITY:#010x}: the version of this map",
    Register.CONTROL: "bit 0: start the program",
    Register.STATUS: "the status word",
    Register.CYCLES: "program cycle; after the end, the number of cycles that the program took",
    Register.FAULT: "the fault record",
    Register.FAULT_KINDS: "one bit per fault kind seen since reset",
    Register.STREAM_WORDS: "stream registers driven, counted on superlane 0; 48 bits",
    Register.BAD_REQUESTS: f"invalid requests since reset, up to {2**host.BAD_REQUESTS - 1:,}",
}


def table(headings, rows):
    """A Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def presets():
    """The presets and the numbers that follow from their sizes."""
    headings = ["", *(f"`{name}`" for name in PRESETS)]
    facts = {
        "superlanes x lanes": lambda c: f"{c.superlanes} x {c.lanes}",
        "vector (bytes)": lambda c: c.vector,
        "streams each way": lambda c: c.streams,
        "MXM planes west, east": lambda c: f"{c.planes_west}, {c.planes_east}",
        "MXM datapath": lambda c: c.datapath,
        "MACs per cycle": lambda c: f"{c.macs_per_cycle:,}",
        "accumulator rows": lambda c: c.acc_rows,
        "MEM slices per hemisphere": lambda c: c.mem_slices,
        "MEM slices per stop": lambda c: c.mem_slices_per_stop,
        "words per bank": lambda c: f"{c.bank_words:,}",
        "SRAM (KiB)": lambda c: f"{c.memory_bytes // 1024:,}",
        "VXM ALUs per lane": lambda c: c.alus,
        "of them special": lambda c: c.special_alus,
        "queues": lambda c: len(c.floorplan.queues),
        "instructions per queue": lambda c: f"{c.queue_depth:,}",
        "stops": lambda c: c.floorplan.stops,
        "pipelines": lambda c: c.pipeline,
    }
    rows = [[name, *(fact(c) for c in PRESETS.values())] for name, fact in facts.items()]
    return table(headings, rows)


def widths():
    """Widths of exact sums, in the array and in the accumulators."""
    rows = []
    for config in PRESETS.values():
        mac = mac_of(config)
        sizes = (sum(digits.widths) for digits in (mac.dot, mac.row))
        rows.append([f"`{config.name}`", config.datapath, f"2^{mac.lsb}", *sizes])
    headings = ["preset", "datapath", "lowest bit", "bits of a dot product", "of an accumulator"]
    return table(headings, rows)


def special():
    """The table of the special functions: intervals, segments, and the bits of their integers."""
    rows, members = [], ("base", "slope", "curve")

    def sizes(segments):
        return [max(getattr(s, name) for s in segments).bit_length() for name in members]

    for function in Function:
        mine = [i for i in intervals() if i.function is function]
        segments = [s for i in mine for s in segment_table()[i.first : i.first + (1 << i.bits)]]
        rows.append([f"`{function.name.lower()}`", len(mine), len(segments), *sizes(segments)])
    everything = segment_table()
    rows.append(["all", len(intervals()), len(everything), *sizes(everything)])
    return table(["function", "intervals", "segments", *(f"bits of {n}" for n in members)], rows)


def slices():
    """Slices and queues of `small`, stop by stop."""
    plan = preset("small").floorplan
    rows = []
    for stop in range(plan.stops):
        here = [s for s in plan.slices if s.stop == stop]
        names = ", ".join(f"`{s.name}` ({s.index})" for s in here)
        queues = ", ".join(f"`{q.name}` ({q.index})" for s in here for q in plan.queues_of(s))
        rows.append([stop, names, queues])
    return table(["stop", "slices (index)", "queues (index)"], rows)


LATENCIES = ("small", "base", "nano")
"""The presets whose latencies are shown: one superlane, several superlanes, deep pipelines."""


def latencies():
    """The latencies of some presets; VXM operations share a row, as they share their timing.

    Values that differ between the presets are separated by slashes: ``t + 5 / 11 / 6``.
    """
    configs, rows, seen = [preset(name) for name in LATENCIES], [], set()
    for instruction in ISA.values():
        if not instruction.executed or instruction.unit in seen:
            continue
        label = f"`{instruction.mnemonic}`"
        if instruction.unit is Unit.VXM:
            seen.add(Unit.VXM)
            label = "all"
        times = [instruction.timing(config) for config in configs]
        cells = [
            _alike(["" if value is None else f"t + {value}" for value in values])
            for values in zip(*((t.skew, t.func, t.last or None) for t in times), strict=True)
        ]
        rows.append([instruction.unit.value, label, *cells, _alike([t.note for t in times])])
    return table(["unit", "instruction", "samples", "drives", "ends", "note"], rows)


def _alike(texts):
    """Texts merged into one: where their words differ, all are given, separated by slashes."""
    words = zip(*(re.findall(r"\w+|\W+", text) for text in texts), strict=True)
    return "".join(same[0] if len(set(same)) == 1 else " / ".join(same) for same in words)


def faults():
    """The kinds of fault, from the table in the docstring of the enumeration."""
    lines = inspect.getdoc(FaultKind).splitlines()
    rules = [n for n, line in enumerate(lines) if line.startswith("===")]
    spans = [match.span() for match in re.finditer("=+", lines[rules[0]])]
    rows = []
    for line in lines[rules[1] + 1 : rules[2]]:
        cells = [line[start:end].strip() for start, end in spans[:-1]] + [line[spans[-1][0] :]]
        if cells[0]:
            rows.append(cells)
        else:
            rows[-1] = [f"{a} {b}".strip() for a, b in zip(rows[-1], cells, strict=True)]
    rows = [[int(FaultKind[kind]), f"`{kind}`", what, when] for kind, what, when in rows]
    return table(["code", "kind", "what happened", "cycle"], rows)


def spaces():
    """The address spaces of the host port."""
    rows = [[int(s), f"`{s.name}`", *SPACES[s], ", ".join(host.SPACES[s])] for s in Space]
    return table(["`space`", "name", "address fields", "bits", "access"], rows)


def registers():
    """The registers of the host port."""
    rows = [[int(r), f"`{r.name}`", host.REGISTERS[r], REGISTERS[r]] for r in Register]
    return table(["`low`", "name", "access", "meaning"], rows)


def bits(layout, meanings):
    """The fields of a struct, with their meanings."""
    rows = []
    for name, field in data.Layout.cast(layout):
        high = field.offset + field.width - 1
        place = f"{high}:{field.offset}" if field.width > 1 else str(high)
        rows.append([place, f"`{name}`", meanings[name]])
    return table(["bits", "field", "meaning"], rows)


def address():
    """The fields of a host address."""
    meanings = {
        "low": "word of a bank, index in a queue, or register",
        "bank": "bank, 0 or 1",
        "slice": "index of the slice in the floor plan",
        "reserved": "0",
        "space": "address space",
    }
    unit = "\n| 31:16 | `unit` | instead of `bank` and `slice`: index of a queue or of a slice |"
    return bits(host.HostAddress, meanings) + unit


def status():
    """The status word."""
    meanings = {
        "running": "from the start of a program until it is done",
        "done": "the program has ended, and its faults and counters are final",
        "fault": "the fault record is valid",
    }
    return bits(host.Status, meanings)


def fault_record():
    """The fault record."""
    meanings = {
        "cycle": "program cycle of the first fault",
        "slice": "index of the slice in the floor plan",
        "kind": "code of the fault kind",
        "valid": "a fault has occurred",
    }
    return bits(host.FaultRecord, meanings)


@dataclass(frozen=True)
class Module:
    """A source file: its path in the repository, its import name, and its purpose."""

    path: str
    name: str
    purpose: str


@lru_cache
def rooms():
    """The modules of every room, in the order in which data flows."""
    tops = [top for room in ROOMS.values() for top in room]
    found = {top: [] for top in tops}
    for path in sorted(p for top in ("hw", "sim") for p in (ROOT / top).rglob("*.py")):
        where = path.relative_to(ROOT).as_posix()
        owner = max((top for top in tops if f"{where}/".startswith(f"{top}/")), key=len)
        name = "tsp." + where.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        found[owner].append(Module(where, name, _purpose(path)))
    return {room: [m for top in tops for m in found[top]] for room, tops in ROOMS.items()}


def tests():
    """Every test file with what it checks and its oracle."""
    rows = []
    for path in sorted((ROOT / "tests").glob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        rows.append([f"[{path.name}](../{name})", _plain(_docstring(path))])
    return table(["file", "what it checks, and against what"], rows)


def proofs():
    """The formal proofs."""
    rows = [[f"`{p.name}`", p.claim, p.kind, p.solver] for p in PROOFS.values()]
    return table(["proof", "what is proven", "method", "solver"], rows)


def waivers():
    """The warnings that the exported Verilog waives, where, and why."""
    places = {False: "all", True: "those that compute"}
    rows = [[f"`{w.rule}`", places[w.computes], w.reason] for w in WAIVERS]
    return table(["rule", "modules", "why it is no fault"], rows)


def _docstring(path):
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def _purpose(path):
    """The first paragraph of a module's docstring."""
    return _plain(_docstring(path).split("\n\n")[0])


def _plain(text):
    """Docstring markup as one line of Markdown."""
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", " ".join(text.split()))
    return text.replace("``", "`").replace("|", "\\|").removesuffix("::")
