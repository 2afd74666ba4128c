"""The configuration of a core, validated in one place, and the six presets."""

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

from tsp.hw.errors import InputError
from tsp.hw.floorplan import FloorPlan

DATAPATHS = ("int8", "fp16")
PIPELINES = ("short", "deep")

LONGEST_SUM = 65_536
"""The most products that one sum of an MXM can hold, in every configuration."""


def _whole(name, value, low, high):
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f"{name} must be an integer, not {value!r}")
    if not low <= value <= high:
        raise InputError(f"{name} must be {low} to {high}, not {value}")


@dataclass(frozen=True, kw_only=True)
class Config:
    """The parameters of a core.

    Parameters
    ----------
    name : str
        Name used in reports, and in the names of queue modules.
    lanes : int
        Lanes (bytes) of one superlane: 4, 8 or 16.
    superlanes : int
        Superlanes, which is also the number of tiles per slice: 1 to 32.
    streams : int
        Streams per direction: a multiple of 4 from 8 to 32.
    planes_west, planes_east : int
        MXM planes of each hemisphere: 0 to 2, at least one in all.
    datapath : str
        ``"fp16"`` (exact fp16 products; int8 and fp8 convert exactly) or ``"int8"``.
    mem_slices : int
        MEM slices per hemisphere: 1 to 64.
    mem_slices_per_stop : int
        MEM slices that share a stop on the stream row: 1 to ``mem_slices``.
    bank_words : int
        Words per bank, each of one byte per lane: 16 to 65,536.
    acc_rows : int
        Accumulator rows per plane: 1 to 4,096, at most ``bank_words``.
    alus : int
        VXM ALUs per lane: 1 to 16.
    special_alus : int
        How many of the ALUs, counted from 0, have exp, tanh, rsqrt and reciprocal.
    queue_depth : int
        Instructions that one queue holds: 16 to 65,536.
    pipeline : str
        ``"short"``, or ``"deep"`` for a faster clock on an FPGA: lanes of the VXM, sums of the SXM,
        products and rounding of the MXM and the check of queue words then take more, shorter
        cycles.
    """

    name: str
    lanes: int = 16
    superlanes: int = 1
    streams: int = 32
    planes_west: int = 1
    planes_east: int = 1
    datapath: str = "fp16"
    mem_slices: int = 8
    mem_slices_per_stop: int = 4
    bank_words: int = 2048
    acc_rows: int = 64
    alus: int = 8
    special_alus: int = 2
    queue_depth: int = 4096
    pipeline: str = "short"

    def __post_init__(self):
        if not isinstance(self.name, str) or not self.name.isidentifier():
            raise InputError(f"name must be an identifier, not {self.name!r}")
        if self.lanes not in (4, 8, 16):
            raise InputError(f"lanes must be 4, 8 or 16, not {self.lanes!r}")
        _whole("superlanes", self.superlanes, 1, 32)
        _whole("streams", self.streams, 8, 32)
        if self.streams % 4:
            raise InputError(f"streams must be a multiple of 4, not {self.streams}")
        _whole("planes_west", self.planes_west, 0, 2)
        _whole("planes_east", self.planes_east, 0, 2)
        if not self.planes_west + self.planes_east:
            raise InputError("planes_west + planes_east must be at least 1, not 0")
        if self.datapath not in DATAPATHS:
            raise InputError(f"datapath must be 'int8' or 'fp16', not {self.datapath!r}")
        _whole("mem_slices", self.mem_slices, 1, 64)
        _whole("mem_slices_per_stop", self.mem_slices_per_stop, 1, self.mem_slices)
        _whole("bank_words", self.bank_words, 16, 65536)
        _whole("acc_rows", self.acc_rows, 1, min(4096, self.bank_words))
        _whole("alus", self.alus, 1, 16)
        _whole("special_alus", self.special_alus, 0, self.alus)
        _whole("queue_depth", self.queue_depth, 16, 65536)
        if self.pipeline not in PIPELINES:
            raise InputError(f"pipeline must be 'short' or 'deep', not {self.pipeline!r}")

    def __hash__(self):
        return self._hash  # configs are keys of many caches

    @cached_property
    def _hash(self):
        # Of integers, which have the same hash in any process that a config may be pickled for.
        return hash(tuple(v for v in self.as_dict().values() if isinstance(v, int)))

    @property
    def deep(self) -> bool:
        """Whether the pipelines are deep."""
        return self.pipeline == "deep"

    @property
    def vector(self) -> int:
        """Number of lanes (L), which is also the number of bytes in a vector."""
        return self.lanes * self.superlanes

    @property
    def planes(self) -> int:
        """Number of MXM planes."""
        return self.planes_west + self.planes_east

    @property
    def macs_per_cycle(self) -> int:
        """Multiply-accumulates per cycle, over all planes."""
        return self.planes * self.vector**2

    @property
    def memory_bytes(self) -> int:
        """Bytes of SRAM."""
        return 2 * self.mem_slices * 2 * self.bank_words * self.vector

    @cached_property
    def floorplan(self) -> FloorPlan:
        """The :class:`~tsp.hw.floorplan.FloorPlan`: slices, stops and queues."""
        return FloorPlan.of(self)

    def as_dict(self) -> dict[str, Any]:
        """The fields as a plain dict, from which ``Config(**d)`` makes an equal one."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


PRESETS = {
    c.name: c
    for c in (
        Config(
            name="nano",
            lanes=4,
            streams=8,
            planes_east=0,
            datapath="int8",
            mem_slices=2,
            mem_slices_per_stop=2,
            bank_words=256,
            acc_rows=16,
            alus=1,
            special_alus=0,
            queue_depth=512,
            pipeline="deep",
        ),
        Config(name="small"),
        Config(name="quad16", planes_west=2, planes_east=2, alus=16, special_alus=4),
        Config(
            name="duo32",
            superlanes=2,
            planes_west=2,
            planes_east=2,
            mem_slices=32,
            mem_slices_per_stop=8,
            bank_words=1024,
            acc_rows=128,
            alus=16,
            special_alus=4,
        ),
        Config(
            name="base",
            superlanes=4,
            planes_west=2,
            planes_east=2,
            mem_slices=16,
            bank_words=4096,
            acc_rows=256,
            alus=16,
            special_alus=4,
        ),
        Config(
            name="tsp",
            superlanes=20,
            planes_west=2,
            planes_east=2,
            mem_slices=44,
            bank_words=4096,
            acc_rows=256,
            alus=16,
            special_alus=4,
        ),
    )
}


def preset(name: str) -> Config:
    """The preset of that name.

    Raises
    ------
    ValueError
        If there is no such preset; the message lists all presets.
    """
    try:
        return PRESETS[name]
    except KeyError:
        raise InputError(f"config must be one of {', '.join(PRESETS)}, not {name!r}") from None
