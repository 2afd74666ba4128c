"""What pairs of planes share out among them: streams, ALUs, and the way of a running value."""

from dataclasses import dataclass

import numpy as np

from tsp.hw.errors import ResourceError
from tsp.hw.isa import Alu, Reduce, StreamGroup
from tsp.hw.isa.timing import VXM_SAMPLE, vxm_result
from tsp.hw.isa.vxm import Late
from tsp.sim.kernels.pipeline import LONGEST_WAIT


class PlanError(ResourceError):
    """A plan that asks for more of something than a core has."""


def bits(number):
    """The raw bits of an fp32 immediate."""
    return int(np.float32(number).view(np.uint32))


class Streams:
    """The streams that nothing uses yet, by direction and hemisphere.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config):
        self.config, self._used = config, {}

    def take(self, size, direction, *sides):
        """A group of `size` streams, aligned, that is free in all of some hemispheres."""
        used = 0
        for side in sides:
            used |= self._used.get((direction, side), 0)
        for first in range(0, self.config.streams, size):
            mask = ((1 << size) - 1) << first
            if not used & mask:
                for side in sides:
                    self._used[direction, side] = self._used.get((direction, side), 0) | mask
                return StreamGroup(size, direction, first // size)
        raise PlanError(
            f"scores and values side by side need more than the {self.config.streams} streams of "
            f"config {self.config.name}"
        )


def step_of(config):
    """Cycles from the operands of an ALU to its result."""
    return vxm_result(config) - VXM_SAMPLE


def stagger(config, rows):
    """Cycles that an ALU must wait to take rows up again, two steps after it has begun to."""
    return max(0, rows - 2 * step_of(config))


def deal_alus(config, pairs, scoring, weighing, dividing, rows):
    """An ALU for every role of every pair: a list of dicts from role to ALU.

    Roles of `scoring` and `weighing` are at work in every cycle and have an ALU each. Those of
    `dividing`, at work for a part of the time, are shared among the pairs if there are too few.
    If there are still too few, ``round`` shares the ALU of ``recip``, for which :func:`stagger`
    makes room, or else that of one in `scoring`. ``exp`` and ``recip`` take special ALUs.

    Raises
    ------
    PlanError
        If there are too few all the same.
    """
    special = list(range(config.special_alus))
    others = list(range(config.special_alus, config.alus))
    if len(special) <= pairs:
        raise PlanError(
            f"{pairs} pairs of planes need {pairs + 1} special ALUs, and config {config.name} has "
            f"{len(special)}"
        )
    dealt = [{"exp": special.pop(0)} for _ in range(pairs)]
    inverters = [special.pop(0) for _ in range(min(pairs, len(special)))]
    others += special
    needed = pairs * (len(scoring) + len(weighing))
    if len(others) < needed:
        raise PlanError(
            f"{pairs} pairs of planes need {needed} ALUs beside the special ones, and config "
            f"{config.name} has {len(others)}"
        )
    for number, roles in enumerate(dealt):
        roles["recip"] = inverters[number % len(inverters)]
        for role in (*scoring, *weighing):
            roles[role] = others.pop()
    if len(others) < len(dividing) and stagger(config, rows) <= LONGEST_WAIT:
        dividing = [role for role in dividing if role != "round"]
        for roles in dealt:
            roles["round"] = roles["recip"]
    lenders = list(scoring)
    for left, role in zip(range(len(dividing), 0, -1), dividing, strict=True):
        shared = others.pop() if others and len(others) < pairs * left else None
        if shared is None and not others and not lenders:
            raise PlanError(f"{pairs} pairs of planes need more than {config.alus} ALUs")
        lender = None if shared is not None or others else lenders.pop(0)
        for roles in dealt:
            if lender:
                roles[role] = roles[lender]
            else:
                roles[role] = others.pop() if shared is None else shared
    return dealt


@dataclass(frozen=True)
class Running:
    """A maximum or a sum, lane by lane, of rows that come again every `period` cycles.

    What an ALU makes of a row is its operand when the row comes again: it waits there or, if that
    is too short, goes out to the SXM and comes back as a companion. In the last round the SXM
    reduces it over the lanes.

    Members
    -------
    alu : int
    operation : type
        MaxF or AddF.
    kind : ReduceKind
    initial : float
        What the first round meets.
    period : int
    unit : str
        Of the SXM.
    stop : int
        Of the SXM.
    out, back : StreamGroup
        Outward and inward.
    """

    config: object
    alu: int
    operation: type
    kind: object
    initial: float
    period: int
    unit: str
    stop: int
    out: StreamGroup
    back: StreamGroup

    def __post_init__(self):
        if not 0 <= self.wait <= LONGEST_WAIT:
            raise PlanError(f"rows that come again after {self.period} cycles meet nothing")

    @property
    def _vxm(self):
        return self.config.floorplan.slice("VXM").stop

    @property
    def travels(self):
        """Whether the value goes out to the SXM between rounds."""
        return self.period - step_of(self.config) > LONGEST_WAIT

    @property
    def wait(self):
        """Cycles that the value waits in its ALU for the row that comes again."""
        kept = self.period - step_of(self.config)
        if not self.travels:
            return kept
        times = Reduce.timing(self.config)
        return kept - 2 * abs(self.stop - self._vxm) - (times.func - times.skew)

    def round(self, operation, operand, sample, rows, met, last, to, kept=None):
        """Combine rows whose operands are sampled from cycle `sample` on.

        `met` is what the rows meet: IMM in the first round, streams that bring what was kept of
        the rounds before a pause, or None for the value so far. Before a pause, what is found is
        driven from the VXM on the streams `kept` as far as stop `to`, and after the last round
        what is reduced from the SXM; returns since when, or None.
        """
        leaves = last or (self.travels and not kept)
        if met is None:
            met = self.back if self.travels else Alu(self.alu)
        instruction = self.operation(
            a=met,
            b=operand,
            wait=self.wait,
            late=Late.B,
            imm=bits(self.initial),
            target=kept or (self.out if leaves else None),
        )
        far = to if kept else self.stop
        stands = operation.compute(f"VXM.{self.alu}", instruction, sample, far, rows)
        if not leaves:
            return stands if kept else None
        there, count = stands + abs(self.stop - self._vxm), self.config.vector
        if last:
            reduce = Reduce(kind=self.kind, count=count, source=self.out, target=self.back)
            return operation.exchange(self.unit, reduce, there, to, count=rows)
        # Nobody wants this result yet: it leaves by the edge of the chip.
        reduce = Reduce(
            kind=self.kind,
            count=count,
            source=self.out,
            target=self.out,
            companion=self.out,
            companion_target=self.back,
        )
        edge = 0 if self.stop < self._vxm else self.config.floorplan.stops - 1
        operation.exchange(self.unit, reduce, there, edge, self._vxm, rows)
        return None
