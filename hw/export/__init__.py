"""Verilog export: components that occur often are written once, as a module or as a loop."""

from tsp.hw.export.assembly import assembly
from tsp.hw.export.exporter import Exporter, shared, split, to_verilog
from tsp.hw.export.initial import uninitialised
from tsp.hw.export.loops import loops, repeated
from tsp.hw.export.naming import prefixed
from tsp.hw.export.waivers import WAIVERS

__all__ = [
    "WAIVERS",
    "Exporter",
    "assembly",
    "loops",
    "prefixed",
    "repeated",
    "shared",
    "split",
    "to_verilog",
    "uninitialised",
]
