"""The floor plan: slices from west to east, the stops at which they tap streams, and their queues.

It is computed from a :class:`~tsp.hw.config.Config`; hardware, golden model, assembler and
scheduler all take positions and indices from it.
"""

from dataclasses import dataclass
from enum import Enum
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from tsp.hw.errors import InputError
from tsp.hw.isa.base import Unit

if TYPE_CHECKING:
    from tsp.hw.config import Config


class Hemisphere(Enum):
    """The half of the chip west or east of the VXM; the VXM itself belongs to neither."""

    W = "W"
    E = "E"

    @property
    def outward(self) -> str:
        """Direction (``"E"`` or ``"W"``) of streams that flow away from the VXM."""
        return self.value

    @property
    def inward(self) -> str:
        """Direction of streams that flow toward the VXM."""
        return "E" if self is Hemisphere.W else "W"


@dataclass(frozen=True)
class Slice:
    """One functional slice.

    ``index`` counts from the west; fault records contain it.
    ``number`` follows the paper: MEM slice 0 is nearest the VXM; other slices have number 0.
    """

    index: int
    name: str
    kind: str
    hemisphere: Hemisphere | None
    number: int
    stop: int


@dataclass(frozen=True)
class Queue:
    """One instruction queue.

    ``index`` is its number on the host port.
    ``port`` is the bank of a MEM slice, the plane of an MXM, the unit of an SXM or the ALU of the
    VXM, otherwise 0.
    ``special`` is true for the queue of a special ALU.
    """

    index: int
    name: str
    unit: Unit
    slice: Slice
    port: int
    special: bool = False

    @property
    def stop(self) -> int:
        """Stop at which the queue's slice taps the streams."""
        return self.slice.stop


_MXM_UNITS = (Unit.LW, Unit.IW, Unit.ABC, Unit.ACC)


@dataclass(frozen=True)
class FloorPlan:
    """Slices, stops and queues of one configuration, west to east.

    ``stops`` is the number of stops; stop 0 is the westernmost.
    """

    stops: int
    slices: tuple[Slice, ...]
    queues: tuple[Queue, ...]

    @classmethod
    @lru_cache(maxsize=64)
    def of(cls, config: "Config") -> "FloorPlan":
        """The floor plan of `config`; equal configurations share one."""
        # Lists of (kind, hemisphere, number) that share a stop.
        columns: list[list[tuple[str, Hemisphere | None, int]]] = []

        def mem(hemisphere):
            numbers = range(config.mem_slices)
            step = config.mem_slices_per_stop
            groups = [list(numbers[i : i + step]) for i in numbers[::step]]
            if hemisphere is Hemisphere.W:
                groups = [group[::-1] for group in groups[::-1]]
            return [[("MEM", hemisphere, n) for n in group] for group in groups]

        west, east = Hemisphere.W, Hemisphere.E
        columns.append([("C2C", west, 0), *[("MXM", west, 0)] * bool(config.planes_west)])
        columns.append([("SXM", west, 0)])
        columns += mem(west)
        columns.append([("VXM", None, 0)])
        columns += mem(east)
        columns.append([("SXM", east, 0)])
        columns.append([*[("MXM", east, 0)] * bool(config.planes_east), ("C2C", east, 0)])

        slices: list[Slice] = []
        queues: list[Queue] = []
        for stop, column in enumerate(columns):
            for kind, hemisphere, number in column:
                name = kind + (f"_{hemisphere.value}" if hemisphere else "")
                name += str(number) if kind == "MEM" else ""
                where = Slice(len(slices), name, kind, hemisphere, number, stop)
                slices.append(where)
                for suffix, unit, port in _queues_of(config, where):
                    special = kind == "VXM" and port < config.special_alus
                    queues.append(Queue(len(queues), f"{name}{suffix}", unit, where, port, special))
        return cls(len(columns), tuple(slices), tuple(queues))

    def slice(self, name: str) -> Slice:
        """The slice of that name, such as ``"MEM_W3"``; ``ValueError`` if there is none."""
        try:
            return self._slices[name]
        except KeyError:
            raise InputError(
                f"slice must be one of {', '.join(s.name for s in self.slices)}, not {name!r}"
            ) from None

    def queue(self, name: str) -> Queue:
        """The queue of that name, such as ``"MEM_W3.1"``; ``ValueError`` if there is none."""
        try:
            return self._queues[name]
        except KeyError:
            raise InputError(
                f"there is no queue {name!r}; `tsp info` lists the queues of a config"
            ) from None

    def queues_of(self, where: Slice) -> list[Queue]:
        """The queues of slice `where`, in order."""
        return [q for q in self.queues if q.slice == where]

    @cached_property
    def _slices(self):
        return {found.name: found for found in self.slices}

    @cached_property
    def _queues(self):
        return {found.name: found for found in self.queues}

    def hops(self, source: int, target: int) -> tuple[str, int]:
        """``(direction, hops)`` of streams from stop `source` to another stop `target`."""
        return ("E", target - source) if target > source else ("W", source - target)


def _queues_of(config, where):
    match where.kind:
        case "MEM":
            return [(f".{bank}", Unit.MEM, bank) for bank in range(2)]
        case "VXM":
            return [(f".{alu}", Unit.VXM, alu) for alu in range(config.alus)]
        case "MXM":
            return [
                (f".{plane}.{unit.value}", unit, plane)
                for plane in range(_planes(config, where))
                for unit in _MXM_UNITS
            ]
        case "SXM":
            units = max(1, _planes(config, where))
            return [(f".{unit}", Unit.SXM, unit) for unit in range(units)]
        case "C2C":
            return [(".0", Unit.C2C, 0)]


def _planes(config, where):
    """MXM planes of the hemisphere of a slice."""
    return config.planes_west if where.hemisphere is Hemisphere.W else config.planes_east
