"""What tsp refuses: one family of exceptions, whose messages are for the person at the keyboard.

Whatever else is raised is a mistake in tsp itself. A message is one sentence that names the value,
the limit and what to do.
"""


class RefusedError(ValueError):
    """Something that cannot be done as it was asked for."""


class InputError(RefusedError, TypeError):
    """An argument, option or file of a wrong value, or of a wrong type."""


class EncodingError(RefusedError):
    """An instruction or a program that cannot be written down, or read, for a configuration."""


class CapacityError(RefusedError):
    """What does not fit: into the memory of a core, its queues or its accumulators."""


class ResourceError(RefusedError):
    """Two that need one resource in one cycle, or a resource of which none is free."""


class ToolError(RefusedError, RuntimeError):
    """Something outside of tsp that is missing or fails: a program, a simulator, the cache."""


NO_PLAN = (CapacityError, ResourceError, EncodingError)
"""What makes a planner try its next alternative, and nothing else does."""
