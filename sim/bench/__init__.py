"""The results page measured anew: cycles, speed of simulation, builds, area."""


class BenchError(RuntimeError):
    """A measurement that must not enter the results page, or results that make no sense."""
