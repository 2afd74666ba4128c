"""The matrix execution module."""

from tsp.hw.mxm.plane import Plane

__all__ = ["Plane"]
