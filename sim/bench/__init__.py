"""Measurements for the results page: cycles, plans, views, speed of simulation, builds, area."""

from tsp.hw.errors import ToolError


class BenchError(ToolError):
    """A measurement that must not enter the results page, or inconsistent results."""
