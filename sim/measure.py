"""One kernel, run and measured: cycles, utilisation, error and speed."""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tsp.hw.isa import DType
from tsp.sim import backends
from tsp.sim.kernels.common import Kernel


@dataclass(frozen=True)
class Measurement:
    """The measurements of one run of a kernel; the fields are those of ``tsp run --json``.

    Members
    -------
    mxm_utilisation : float
        Useful MACs over what all planes could have done in the measured cycles.
    max_abs_error, max_ulp_error : float
        Largest difference from numpy's result in float64 (integer results: from the exact
        integers), as a value and in units of the result's last place. Correct rounding is 0.5 ulp.
    max_relative_error : float
        Largest absolute error over the largest magnitude of the result that is finite, or over
        2^-14 if that is larger and the kernel promises no bits.
    bit_exact : bool
        Every element has the bits of the reference, which is the exact result rounded once, except
        that int8 results of a product are rounded to fp32 before they are scaled.
    tolerance : float
        Largest relative error that the kernel promises; 0: every bit.
    right : bool
        The result keeps that promise, in the scheduled cycles, without a fault.
    build_seconds, sim_seconds : float
        Time to build the simulator, and to run it including loading and reading back.
    sim_cycles_per_second : float
        Clock cycles of that run per second; for a short program most of them are for loading.
    run_cycles_per_second : float
        Cycles of the program per second between its start and its end, as on the results page;
        0 on a back end that does not measure them.
    plan_seconds : float
        CPU time of planning, without that of making the operands; 0 if it was not measured.
    """

    kernel: str
    config: str
    backend: str
    shape: dict
    dtypes: dict
    cycles_scheduled: int
    cycles_measured: int
    macs: int
    mxm_utilisation: float
    max_abs_error: float
    max_ulp_error: float
    max_relative_error: float
    bit_exact: bool
    tolerance: float
    right: bool
    build_seconds: float
    sim_seconds: float
    sim_cycles_per_second: float
    run_cycles_per_second: float
    fault: str | None
    plan_seconds: float = 0.0

    @property
    def kept(self) -> bool:
        """Whether the result keeps the promise of its kernel."""
        return self.max_relative_error <= self.tolerance if self.tolerance else self.bit_exact

    @property
    def rounded_once(self) -> bool:
        """Whether the result is the exact one rounded once, not rounded again after scaling."""
        narrow = self.dtypes.get("out_dtype") == "int8"
        return self.bit_exact and (not narrow or self.max_ulp_error <= 0.5)

    def as_dict(self) -> dict[str, Any]:
        """The members as a plain dict."""
        return asdict(self)


def measure(
    name: str,
    kernel: Kernel,
    backend: str = "rtl",
    *,
    waves: str | os.PathLike | None = None,
    progress: Callable[[int, int], object] | None = None,
    plan_seconds: float = 0.0,
) -> tuple[Measurement, np.ndarray]:
    """Run `kernel` on `backend` and compare its result.

    Returns
    -------
    (Measurement, ndarray)
        The measurement, and the result itself.
    """
    program = kernel.program
    result = backends.run(program, backend, waves=waves, progress=progress)
    # As a plain tuple: after a fault, too, the report says how far the result is off.
    got, want = kernel.unpack(tuple(result.outputs)), kernel.reference()
    ideal = kernel.ideal()
    absolute, ulp = errors(got, want, ideal)
    with np.errstate(all="ignore"):
        counted = np.isfinite(want) & np.isfinite(ideal)  # as errors() counts them
        largest = np.abs(ideal[counted]).max(initial=0.0)
    largest = kernel.scale(largest) if kernel.tolerance else largest
    relative = float(absolute / largest) if largest else absolute
    exact = same_bits(got, want)
    right = relative <= kernel.tolerance if kernel.tolerance else exact
    dtypes = {k: v for k, v in kernel.shape.items() if k.endswith("dtype")}
    peak = result.cycles * program.config.macs_per_cycle
    return Measurement(
        kernel=name,
        config=program.config.name,
        backend=backend,
        shape={k: v for k, v in kernel.shape.items() if k not in dtypes},
        dtypes=dtypes,
        cycles_scheduled=program.cycles,
        cycles_measured=result.cycles,
        macs=kernel.macs,
        mxm_utilisation=kernel.macs / peak if peak else 0.0,
        max_abs_error=absolute,
        max_ulp_error=ulp,
        max_relative_error=relative,
        bit_exact=exact,
        tolerance=kernel.tolerance,
        right=right and not result.fault and result.cycles == program.cycles,
        build_seconds=result.build_seconds,
        sim_seconds=result.sim_seconds,
        sim_cycles_per_second=result.sim_cycles_per_second,
        run_cycles_per_second=result.run_cycles_per_second,
        fault=str(result.fault) if result.fault else None,
        plan_seconds=plan_seconds,
    ), got


def same_bits(got: np.ndarray, want: np.ndarray) -> bool:
    """Whether two arrays of the same dtype have the same bits, NaN included."""
    if got.dtype != want.dtype:
        return False
    got, want = (np.ascontiguousarray(x).view(np.uint8) for x in (got, want))
    return np.array_equal(got, want)


def errors(got: np.ndarray, want: np.ndarray, ideal: np.ndarray) -> tuple[float, float]:
    """Largest absolute error and largest error in ulp of `got` against `ideal` in float64.

    Elements that are not finite are compared with `want`, the reference in the dtype of `got`:
    equal ones count as no error, others as an infinite one.
    """
    with np.errstate(all="ignore"):
        mine, theirs = got.astype(np.float64), want.astype(np.float64)
        finite = np.isfinite(mine) & np.isfinite(theirs)
        same = (mine == theirs) | (np.isnan(mine) & np.isnan(theirs))
        if not np.all(finite | same):
            return float("inf"), float("inf")
        difference = np.abs(mine[finite] - ideal[finite])
        if not difference.size:
            return 0.0, 0.0
        unit = 1.0 if got.dtype.kind == "i" else _last_place(want[finite])
        return float(difference.max()), float((difference / unit).max())


def _last_place(values):
    """Units of the last place of finite floats, in float64."""
    kind = values.dtype.type
    below = np.nextafter(np.finfo(kind).max, kind(0))  # what is next above the largest is infinite
    return np.spacing(np.minimum(np.abs(values), below)).astype(np.float64)


FORMATS = {d.name.lower(): d for d in (DType.INT8, DType.FP16, DType.INT32, DType.FP32)}
"""Formats by their name on the command line."""
