"""The reservation table: operations placed where nothing collides."""

from collections import defaultdict
from collections.abc import Iterable

from tsp.hw.config import Config
from tsp.hw.errors import InputError
from tsp.sim.checks import check_depth
from tsp.sim.program import Block, Named, Program, Region, Run, assemble, to_instructions
from tsp.sim.schedule import resource as res
from tsp.sim.schedule.operation import Operation, ScheduleError


class Schedule:
    """Operations on a core, each at its start cycle, free of collisions by construction.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config: Config):
        self.config = config
        self.placed: list[tuple[Operation, int]] = []
        self._busy: defaultdict[tuple, int] = defaultdict(int)

    def place(self, operation: Operation, earliest: int = 0) -> int:
        """Place an operation at the first start from `earliest` on at which nothing collides.

        Returns the start. Never issues before cycle 0.

        Raises
        ------
        ScheduleError
            If no later start can help, because the operation holds a resource from a fixed cycle
            on, which another operation has reserved since; or if nothing drives a word that it
            samples.
        ValueError
            If it would release a resource before it holds it.
        """
        start = self.find(operation, earliest)
        self._refuse_holds(operation, start)
        self._commit(operation, start)
        return start

    def find(
        self, operation: Operation, earliest: int = 0, claims: dict[tuple, int] | None = None
    ) -> int:
        """The first start from `earliest` on at which an operation collides with nothing placed.

        With `claims`, only these of its claims are considered.
        """
        claims = operation.claims if claims is None else claims
        start = max(earliest, -operation.first)
        while (step := self._step(claims, start)) > 0:
            start += step
        return start

    def clash(self, operation: Operation, start: int) -> bool:
        """Whether an operation that starts in `start` collides with something placed."""
        return start + operation.first < 0 or self._step(operation.claims, start) > 0

    def fix(self, operation: Operation, start: int) -> int:
        """Place an operation at `start`.

        Raises
        ------
        ScheduleError
            If it collides; the error names both claimants, the resource and the cycle. Or if
            nothing drives a word that it samples.
        ValueError
            If it would issue before cycle 0, or release a resource before it holds it.
        """
        if start + operation.first < 0:
            raise InputError(
                f"{operation.name} must start in cycle {-operation.first} or later, not {start}"
            )
        for resource, mask in operation.claims.items():
            self._refuse(operation, resource, res.later(self._busy[resource], -start) & mask, start)
        self._refuse_holds(operation, start)
        self._commit(operation, start)
        return start

    @property
    def cycles(self) -> int:
        """Cycles of the program of everything placed."""
        return max((start + operation.end for operation, start in self.placed), default=0)

    def program(
        self,
        image: Iterable[Block] = (),
        outputs: Iterable[Region] = (),
        name: str = "program",
        tensors: Iterable[Named] = (),
    ) -> Program:
        """The :class:`~tsp.sim.program.Program` of everything placed."""
        image, outputs = tuple(image), tuple(outputs)
        made = assemble(self.config, self._runs(), image=image, outputs=outputs, name=name)
        return made.made_of(self.placed, tensors)

    def check_queues(self) -> None:
        """Refuse a schedule in which a queue has more instructions than it can hold.

        Queues with so few runs that they must fit are not checked.

        Raises
        ------
        ProgramError
        """
        depth = self.config.queue_depth
        for queue, runs in self._runs().items():
            if 1 + 3 * len(runs) > depth:
                check_depth(self.config, queue, 1 + len(to_instructions(runs)))

    def _runs(self):
        found = defaultdict(list)
        for operation, start in self.placed:
            for queue, run in operation.runs:
                at = start + run.start
                found[queue].append(Run(at, run.instruction, run.count, run.interval, run.stride))
        return found

    def _step(self, claims, start):
        """0 if an operation fits at `start`, else cycles to a start that is not known not to."""
        busy = self._busy
        for resource, mask in claims.items():
            hit = res.later(busy[resource], -start) & mask
            if hit:
                # A solid run collides until its lowest bit has passed the highest bit it hits.
                return hit.bit_length() - res.lowest(mask) if res.is_solid(mask) else 1
        return 0

    def _refuse_holds(self, operation, start):
        for hold in operation.holds:
            length = start + hold.until - hold.since
            if length < 0:
                raise InputError(
                    f"{operation.name} releases {res.describe(hold.resource)} in cycle "
                    f"{start + hold.until}, before it has it in cycle {hold.since}"
                )
            at = hold.since + res.BIAS
            hit = (self._busy[hold.resource] >> at) & res.ones(length)
            self._refuse(operation, hold.resource, hit << at, 0)

    def _refuse(self, operation, resource, hit, start):
        if not hit:
            return
        time = start + res.lowest(hit) - res.BIAS
        raise ScheduleError(
            operation.name,
            self._holder(resource, time),
            res.describe(resource),
            res.cycle_of(resource, time),
        )

    def _holder(self, resource, time):
        for operation, start in self.placed:
            bit = time - start + res.BIAS
            if bit >= 0 and operation.claims.get(resource, 0) >> bit & 1:
                return operation.name
            for hold in operation.holds:
                if hold.resource == resource and hold.since <= time < start + hold.until:
                    return operation.name
        raise LookupError(f"nothing reserves {res.describe(resource)} at {time}")

    def _commit(self, operation, start):
        for resource, bits in operation.unmet.items():
            missing = bits & ~res.later(self._busy[resource], -start)
            if missing:
                time = start + res.lowest(missing) - res.BIAS
                raise ScheduleError(
                    operation.name,
                    None,
                    res.describe(resource),
                    res.cycle_of(resource, time),
                )
        for resource, mask in operation.claims.items():
            self._busy[resource] |= res.later(mask, start)
        for hold in operation.holds:
            length = start + hold.until - hold.since
            self._busy[hold.resource] |= res.ones(length) << (hold.since + res.BIAS)
        self.placed.append((operation, start))
