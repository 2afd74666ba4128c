"""Why every operation of a schedule did not start sooner, and what that adds up to.

The operations are placed anew, in their order: what stops one a cycle sooner is a claim of what was
placed before it, or something that must have happened before. If nothing stops it, that was the
planner's choice, and the reason is what stops it when it goes on.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from tsp.hw.config import Config
from tsp.sim.schedule import resource as res
from tsp.sim.schedule.columns import Runs
from tsp.sim.schedule.dependences import KINDS as DEPENDENCES
from tsp.sim.schedule.dependences import Dependence, dependences
from tsp.sim.schedule.operation import Operation

START, FLOW = "start", "flow"
CLAIMS = ("issue", "stream", "buffer", "array", "row", "result")
KINDS = (START, *CLAIMS, *(kind for kind in DEPENDENCES if kind not in CLAIMS), FLOW)
"""What can stop an operation: the first cycle, a claim of a resource, what must come before, or
that it samples a word that another one drives."""

CHOICE, RUN = "choice", "run"
"""What else the cycles of a path are spent on: the planner's choice, and the last operation."""

PHRASES = {
    START: "start of the program",
    "issue": "issue slots taken",
    "stream": "streams taken",
    "buffer": "weight buffers in use",
    "array": "planes at work",
    "row": "accumulator rows in use",
    "result": "ALU outputs taken",
    "word": "words not yet written",
    "sums": "sums not yet there",
    "weights": "weights not yet loaded",
    "reuse": "words still in use",
    FLOW: "words of another operation",
    CHOICE: "choice of the planner",
    RUN: "the last operation itself",
}
"""What cycles of a path were spent on, in words, by kind."""

Placed = Sequence[tuple[Operation, int]]


@dataclass(frozen=True)
class Reason:
    """Why an operation did not start `slack` + 1 cycles before it does; so many it could.

    Members
    -------
    kind : str
        One of :data:`KINDS`.
    holder : int
        Number of the operation that is in the way, in the order of placing; -1 if none is.
    resource : str
        Where they meet, in words.
    cycle : int
        In which the holder has it; of a word or weights, in which they are written, loaded or used.
    slack : int
        Cycles by which nothing but the planner has put it off.
    """

    kind: str
    holder: int
    resource: str
    cycle: int
    slack: int


def reasons(config: Config, placed: Placed) -> list[Reason]:
    """The reason of every operation that was placed, in the order of placing.

    Parameters
    ----------
    config : Config
    placed : sequence of (Operation, int)
        Operations and their start cycles.
    """
    waits = dependences(Runs.of(config, placed))
    replay, found = _Replay(), []
    for number, (operation, start) in enumerate(placed):
        found.append(_reason(replay, operation, start, waits.get(number)))
        replay.add(operation, start)
    return found


def _reason(replay, operation, start, wait):
    room = start + operation.first  # cycles to the first of the program
    slack = room if wait is None else min(room, wait.slack)
    if operation.unmet:
        slack = min(slack, 0)
        if wait is None or wait.slack > 0:
            resource, time = next((r, res.lowest(bits)) for r, bits in operation.unmet.items())
            time += start - res.BIAS
            holder = replay.holder(resource, time)
            cycle = res.cycle_of(resource, time)
            return Reason(FLOW, holder, res.describe(resource), cycle, 0)
    if slack > 0:
        met = replay.met(operation, start, slack)
        if met:
            resource, cycles, time = met
            holder = replay.holder(resource, time)
            cycle = res.cycle_of(resource, time)
            return Reason(resource[0], holder, res.describe(resource), cycle, cycles - 1)
    if wait is not None and wait.slack <= slack:
        return Reason(wait.kind, wait.holder, _described(wait), wait.cycle, max(slack, 0))
    return Reason(START, -1, "the first cycle", 0, max(slack, 0))


def _described(wait: Dependence):
    queue, address = wait.place
    if address is None:
        plane = queue.rpartition(".")[0]
        match wait.kind:
            case "buffer":
                return res.describe(res.weight_buffer(plane))
            case "array":
                return res.describe(res.weight_array(plane))
        return f"the weights of {plane}"
    if queue.endswith(".ACC"):
        return res.describe(res.accumulator_row(queue.removesuffix(".ACC"), address))
    return f"word {address} of {queue}"


class _Replay:
    """What has been placed so far: the busy cycles of every resource, and who has them."""

    def __init__(self):
        self._busy = defaultdict(int)
        self._takers = defaultdict(list)
        self._placed = []

    def add(self, operation, start):
        """Place an operation, whatever it meets."""
        number = len(self._placed)
        self._placed.append((operation, start))
        for resource, mask in operation.claims.items():
            self._busy[resource] |= res.later(mask, start)
            self._takers[resource].append(number)
        for hold in operation.holds:
            length = max(0, start + hold.until - hold.since)
            self._busy[hold.resource] |= res.ones(length) << (hold.since + res.BIAS)
            self._takers[hold.resource].append(number)

    def met(self, operation, start, most):
        """What an operation meets first as it starts sooner and sooner, by up to `most` cycles.

        Returns ``(resource, cycles, time)``: how many cycles sooner, and when on the axis of the
        resource; or None.
        """
        found = None
        for within in (1, most):  # most have something in the way at once
            for resource, mask in operation.claims.items():
                busy = self._busy[resource]
                low = start + res.lowest(mask) - within
                if busy.bit_length() <= low:
                    continue
                # From `low` on: what is taken, and what the operation takes `within` cycles sooner.
                taken, wanted = res.later(busy, -low), mask >> res.lowest(mask)
                if cycles := _first_met(taken, wanted, within):
                    hit = taken & wanted << (within - cycles)
                    found = resource, cycles, low + res.lowest(hit) - res.BIAS
                    within = cycles - 1  # others count if they are in the way before
                    if not within:
                        break
            if found:
                break
        return found

    def holder(self, resource, time):
        """The number of the operation that has a resource at a time, the last one to take it."""
        for number in reversed(self._takers[resource]):
            operation, start = self._placed[number]
            bit = time - start + res.BIAS
            if bit >= 0 and operation.claims.get(resource, 0) >> bit & 1:
                return number
            for hold in operation.holds:
                if hold.resource == resource and hold.since <= time < start + hold.until:
                    return number
        return -1


def _first_met(taken, wanted, most):
    """By how many cycles, 1 to `most`, `wanted` must be sooner to meet `taken`; 0 if never.

    Bit `most` of `taken` is the cycle of bit 0 of `wanted` as it is now.
    """
    low, high = 0, most  # nothing is met up to `low`
    if not _smeared(wanted, most) & taken:
        return 0
    while high - low > 1:
        middle = (low + high) // 2
        if _smeared(wanted, middle) << (most - middle) & taken:
            high = middle
        else:
            low = middle
    return high


def _smeared(bits, count):
    """`bits` at each of `count` consecutive shifts, from none to `count` - 1."""
    width = 1
    while width < count:
        by = min(width, count - width)
        bits |= bits << by
        width += by
    return bits


# What the reasons add up to


def critical_path(placed: Placed, found: Sequence[Reason]) -> tuple[list[int], dict[str, int]]:
    """The operations that the program's last cycle waited for, last first, and where cycles went.

    Each operation of the path is followed by the holder of its reason. From holder to operation the
    cycles are those from start to start, and may be negative; they count for the kind of the
    operation's reason, but for those that the planner chose to leave. With those before the first
    and those of the last they are the cycles of the program, exactly.
    """
    if not placed:
        return [], {}
    number = max(range(len(placed)), key=lambda n: (placed[n][0].end + placed[n][1], -n))
    path, spent = [], defaultdict(int)
    spent[RUN] = placed[number][0].end
    while number >= 0:
        reason, start = found[number], placed[number][1]
        path.append(number)
        step = start - (placed[reason.holder][1] if reason.holder >= 0 else 0)
        chosen = min(reason.slack, max(step, 0))
        spent[CHOICE] += chosen
        spent[reason.kind] += step - chosen
        number = reason.holder
    return path, {kind: cycles for kind, cycles in spent.items() if cycles}
