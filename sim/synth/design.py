"""The core as units of synthesis: every module that occurs more than once stands once."""

import re
from dataclasses import dataclass

from amaranth.back import rtlil

from tsp.hw.chip import Chip
from tsp.hw.export import Exporter
from tsp.hw.reset import ResetRegister
from tsp.sim.backends.hierarchy import TOP
from tsp.sim.synth.pins import Pins

PINS = "tsp_pins"

SLICES = {
    "MEM": r"(mem_|bank)",
    "VXM": r"vxm",
    "MXM": r"mxm_",
    "SXM": r"sxm_",
    "queues": r"queue_",
    "streams": r"hop",
}
"""What each slice's modules or instances are called; what matches none is host and control."""
CONTROL = "host and control"
HARNESS = "harness"

_MODULE = re.compile(r"^module \\(\S+)\n(.*?)^end\n", re.S | re.M)
_CELL = re.compile(r"^  cell \\(\S+) \\(\S+)\n", re.M)
_PORT = re.compile(r"^  wire (?:width \d+ )?(?:signed )?(?:input|output) \d+ .*\n", re.M)
_ELEMENT = re.compile(r"(\\\S+?)\[(\d+)\]")
"""An element of an array as a name. Yosys confuses ``x[3]`` with bit 3 of ``x`` when it maps."""


@dataclass(frozen=True)
class Unit:
    """What Yosys maps in one go: a module with the modules that only it uses.

    `text` is RTLIL, in which other units are empty modules; `uses` is the set of their names.
    """

    name: str
    text: str
    uses: set


@dataclass(frozen=True)
class Design:
    """The units of a core by name, and how often each occurs in each slice.

    `instances` is a dict by (slice, unit). The unit `PINS` is not part of the core: it leads the
    host port, which has more bits than a package has pins, out bit by bit. `whole` is everything
    as one unit, which `PINS` is the top of.
    """

    units: dict
    instances: dict
    whole: Unit

    @staticmethod
    def of(config):
        """The design of the core of `config`."""
        return Design.around(ResetRegister(Chip(config)))

    @staticmethod
    def around(core):
        """The design of a component with a host port named ``host``."""
        exporter = Exporter(synthesis=True)
        exporter.convert(TOP, core)
        text = "\n".join(exporter.modules.values())
        text += rtlil.convert(Pins(TOP, len(core.host.write_data)), name=PINS, emit_src=False)
        text = _ELEMENT.sub(r"\1<\2>", text)
        bodies = {found[1]: found[0] for found in _MODULE.finditer(text)}
        units = _units(bodies)
        instances = {}
        _count(PINS, HARNESS, units, instances)
        return Design(units, instances, Unit(PINS, text, set()))


def _owner(name):
    """The unit that a module belongs to: itself, or the module before the dot."""
    return name.split(".")[0]


def _units(bodies):
    members = {}
    for name in bodies:
        members.setdefault(_owner(name), []).append(name)
    units = {}
    for unit, names in members.items():
        text = "".join(bodies[name] for name in names)
        kinds = {kind for kind, _ in _CELL.findall(text)}
        uses = {kind for kind in kinds if kind in bodies and kind not in names}
        stubs = "".join(_stub(kind, bodies[kind]) for kind in sorted(uses))
        units[unit] = Unit(unit, text + stubs, uses)
    return units


def _stub(name, body):
    """The ports of a module, without what is inside."""
    return f"attribute \\blackbox 1\nmodule \\{name}\n{''.join(_PORT.findall(body))}end\n"


def _count(name, where, units, instances):
    """Count a unit, and what it uses, for the slice `where`."""
    instances[where, name] = instances.get((where, name), 0) + 1
    for kind, instance in _CELL.findall(units[name].text):
        if kind in units[name].uses:
            inside = CONTROL if where == HARNESS else where
            if inside == CONTROL:
                inside = _slice(instance) or _slice(kind) or CONTROL
            _count(kind, inside, units, instances)


def _slice(name):
    last = name.rsplit(".", 1)[-1]
    return next((s for s, pattern in SLICES.items() if re.match(pattern, last)), None)
