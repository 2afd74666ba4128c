"""Lint of the exported Verilog by three tools, and what is waived, with reasons."""

from tsp.sim.lint.runner import TOOLS, Report, lint
from tsp.sim.lint.waivers import WAIVERS, Waiver

__all__ = ["TOOLS", "WAIVERS", "Report", "Waiver", "lint"]
