"""The switch execution module: elements move between lanes, and are reduced over them."""

from tsp.hw.sxm.tile import drive_ports
from tsp.hw.sxm.unit import SxmUnit

__all__ = ["SxmUnit", "drive_ports"]
