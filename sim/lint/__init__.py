"""Lint of the exported Verilog by three tools."""

from tsp.sim.lint.runner import TOOLS, Report, lint, missing

__all__ = ["TOOLS", "Report", "lint", "missing"]
