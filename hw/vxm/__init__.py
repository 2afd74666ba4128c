"""The vector execution module."""

from tsp.hw.vxm.slice import Vxm

__all__ = ["Vxm"]
