"""The exceptions by which tsp refuses a request; their messages are written for users.

Any other exception is a bug in tsp. A message is one sentence that names the value, the limit and
the remedy.
"""


class RefusedError(ValueError):
    """The request cannot be carried out."""


class InputError(RefusedError, TypeError):
    """An argument, option or file has an invalid value or type."""


class EncodingError(RefusedError):
    """An instruction or a program cannot be encoded, or decoded, for a configuration."""


class CapacityError(RefusedError):
    """A problem does not fit in the memory, queues or accumulators of a core."""


class ResourceError(RefusedError):
    """Two operations need the same resource in the same cycle, or none of its kind is free."""


class ToolError(RefusedError, RuntimeError):
    """Something outside tsp is missing or fails: a program, a simulator, the cache."""


NO_PLAN = (CapacityError, ResourceError, EncodingError)
"""The refusals, and no other exceptions, after which a planner tries its next alternative."""
