"""The resources of a schedule, and time as bits of an integer.

A resource is a small tuple whose first entry is its kind. Its use over time is one big integer with
one bit per cycle, so that one AND tests a run of rows against everything placed so far.
"""

BIAS = 1024
"""The bit of cycle 0; lower bits are for cycles before it and for early diagonals."""


def issue_slot(queue: str) -> tuple:
    """The issue slot of a queue; for a MEM queue this is also the access to its bank."""
    return ("issue", queue)


def stream_register(direction: str, stream: int, stop: int) -> tuple:
    """The register in which a stream arrives at a stop.

    Its time axis is the diagonal: the cycle minus the distance along the flow. A word keeps its
    diagonal while it travels.
    """
    return ("stream", direction, stream, stop)


def weight_buffer(plane: str) -> tuple:
    """The spare weight buffer of a plane, from the first LW of a tile to the IW of that tile."""
    return ("buffer", plane)


def weight_array(plane: str) -> tuple:
    """The installed weights of a plane, from an IW to the last ABC that uses them."""
    return ("array", plane)


def accumulator_row(plane: str, row: int) -> tuple:
    """A row of a plane's accumulator, from its first write to its last use."""
    return ("row", plane, row)


def alu_result(queue: str) -> tuple:
    """The output of a VXM ALU, which is also the slot in which its late operands are sampled."""
    return ("result", queue)


def diagonal(direction: str, cycle: int, stop: int) -> int:
    """The diagonal of a word that arrives at `stop` in `cycle`."""
    return cycle - stop if direction == "E" else cycle + stop


def cycle_of(resource: tuple, time: int) -> int:
    """The cycle of `time` on the axis of `resource`."""
    if resource[0] != "stream":
        return time
    _, direction, _, stop = resource
    return time + stop if direction == "E" else time - stop


def describe(resource: tuple) -> str:
    """The resource in words."""
    match resource:
        case ("issue", queue):
            return f"the issue slot of {queue}"
        case ("stream", direction, stream, stop):
            return f"stream {direction.lower()}{stream} at stop {stop}"
        case ("buffer", plane):
            return f"the weight buffer of {plane}"
        case ("array", plane):
            return f"the installed weights of {plane}"
        case ("row", plane, row):
            return f"accumulator row {row} of {plane}"
        case ("result", queue):
            return f"the result of {queue}"
    raise ValueError(f"{resource[0]!r} is not a kind of resource")


def ones(count: int) -> int:
    """`count` consecutive bits, from bit 0."""
    return (1 << count) - 1


def comb(count: int, interval: int) -> int:
    """`count` bits, `interval` apart, from bit 0."""
    return ones(count) if interval == 1 else ones(count * interval) // ones(interval)


def lowest(bits: int) -> int:
    """Position of the lowest bit that is set."""
    return (bits & -bits).bit_length() - 1


def is_solid(bits: int) -> bool:
    """Whether the bits that are set are consecutive."""
    bits >>= lowest(bits)
    return not bits & (bits + 1)


def later(bits: int, cycles: int) -> int:
    """A pattern over time so many cycles later, or earlier if `cycles` is negative."""
    return bits << cycles if cycles >= 0 else bits >> -cycles
