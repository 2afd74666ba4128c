"""Verilog export: what occurs often is written once, as a module or as a loop."""

from tsp.hw.export.assembly import assembly
from tsp.hw.export.exporter import Exporter, shared, split, to_verilog
from tsp.hw.export.loops import loops, repeated

__all__ = ["Exporter", "assembly", "loops", "repeated", "shared", "split", "to_verilog"]
