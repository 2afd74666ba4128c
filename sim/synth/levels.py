"""The longest paths of a mapped core before it is placed, as if all wires were alike.

That takes a minute, where place and route takes twenty, and shows where logic is long. What a
placed core makes of its wires it does not show.
"""

import json
import re
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from tsp.sim.synth.place import flatten

WIRE = 0.9
"""ns from one cell to the next; routed cores have 1.2 on average, with some of 5."""

_REGISTER, _MEMORY, _LUT, _SUM, _CARRY, _PRODUCT = 0.52, 5.7, 0.24, 0.45, 0.07, 3.9
"""ns of the cells, as nextpnr's reports have them for speed grade 6."""

_ENDS = {
    "TRELLIS_FF": ("DI", "CE", "LSR"),
    "DP16KD": ("ADA", "ADB", "DIA", "DIB", "CEA", "CEB", "WEA", "WEB"),
    "TRELLIS_DPR16X4": ("DI", "WAD", "WRE"),
}
"""Where paths end, by type of cell: ports, or their names without number."""


@dataclass(frozen=True)
class LongPath:
    """Paths whose registers have the same names but for numbers, of which this is the longest.

    Members
    -------
    ns : float
        By the estimate.
    cells : int
        Look-up tables, carry cells and multipliers on it.
    times : int
        Ends of such paths.
    start, end : str
        Registers, as Yosys names what they drive.
    """

    ns: float
    cells: int
    times: int
    start: str
    end: str


def longest_paths(whole, directory, many):
    """The longest paths of a core that is mapped in `directory`: a list of :class:`LongPath`.

    Parameters
    ----------
    whole, directory : Unit, Path
        As of :func:`~tsp.sim.synth.place.place_core`.
    many : int
        How many are wanted.
    """
    # It stays if Yosys fails, as the message then names the log in it.
    scratch = Path(tempfile.mkdtemp(prefix="tsp-"))
    text = (directory / "mapped.il").read_text()
    netlist = json.loads(flatten(scratch, [text], whole.name).read_text())
    shutil.rmtree(scratch)
    return _Netlist(netlist["modules"][whole.name]).longest(many)


class _Netlist:
    """Cells, what drives each bit, and when the bit is there."""

    def __init__(self, module):
        self.cells, self.names, self.drivers = module["cells"], {}, {}
        for name, wire in sorted(module["netnames"].items(), key=_readability):
            for at, bit in enumerate(wire["bits"]):
                self.names.setdefault(bit, f"{name}[{at}]")
        for name, cell in self.cells.items():
            for port, bits in cell["connections"].items():
                if cell["port_directions"][port] == "output":
                    self.drivers |= dict.fromkeys(bits, (name, port))
        self.arrival, self.before = {}, {}

    def longest(self, many):
        """See :func:`longest_paths`."""
        alike = {}
        for name, cell in self.cells.items():
            for port, bits in cell["connections"].items():
                if port.rstrip("0123456789") not in _ENDS.get(cell["type"], ()):
                    continue
                for bit in (b for b in bits if b in self.drivers):
                    path = self._trace(bit, cell["connections"].get("Q", [name])[0])
                    key = re.sub(r"\d+", "#", path.start), re.sub(r"\d+", "#", path.end)
                    alike.setdefault(key, []).append(path)
        worst = [
            replace(max(paths, key=lambda path: path.ns), times=len(paths))
            for paths in alike.values()
        ]
        return sorted(worst, key=lambda path: -path.ns)[:many]

    def _trace(self, bit, end):
        """The longest path to `bit`, which the register that drives `end` takes."""
        ns, cells = round(self._at(bit) + WIRE, 2), 0
        while bit in self.before:
            bit, cells = self.before[bit], cells + 1
        return LongPath(ns, cells, 1, self.names[bit], self.names.get(end, str(end)))

    def _at(self, wanted):
        """When a bit is there, in ns after the clock."""
        waiting = [wanted]
        while waiting:
            bit = waiting[-1]
            if bit in self.arrival:
                waiting.pop()
                continue
            start, sources = self._sources(bit)
            missing = [source for source, _ in sources if source not in self.arrival]
            if missing:
                waiting += missing
                continue
            self.arrival[bit] = start
            for source, delay in sources:
                if self.arrival[source] + delay > self.arrival[bit]:
                    self.arrival[bit] = self.arrival[source] + delay
                    self.before[bit] = source
        return self.arrival[wanted]

    def _sources(self, bit):
        """When a bit is there if no other decides, and others with the delays from them."""
        if bit not in self.drivers:
            return 0.0, []
        name, port = self.drivers[bit]
        cell = self.cells[name]
        pins = cell["connections"]
        match cell["type"]:
            case "TRELLIS_FF":
                return _REGISTER, []
            case "DP16KD":
                return _MEMORY, []
            case "LUT4":
                return 0.0, self._from(pins, "ABCD", _LUT)
            case "TRELLIS_DPR16X4":
                return _REGISTER, self._from(pins, ["RAD"], _LUT)
            case "MULT18X18D":
                factors = [pin for pin in pins if re.fullmatch(r"[AB]\d+", pin)]
                return 0.0, self._from(pins, factors, _PRODUCT)
            case "CCU2C":
                first, second = ("A0", "B0", "C0", "D0"), ("A1", "B1", "C1", "D1")
                terms = first if port == "S0" else first + second
                chained = [(b, _CARRY) for b in pins["CIN"] if b in self.drivers]
                return 0.0, self._from(pins, terms, _SUM) + chained
        return 0.0, []

    def _from(self, pins, names, delay):
        """The driven bits at some pins, and the delay from each by way of a wire."""
        bits = (bit for name in names for bit in pins[name])
        return [(bit, delay + WIRE) for bit in bits if bit in self.drivers]


def _readability(item):
    """Names that people gave come first, and of these the shortest."""
    name, wire = item
    return wire.get("hide_name", 0), len(name), name
