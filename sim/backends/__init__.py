"""Back ends, on which programs run."""

import importlib
import os
import warnings
from collections.abc import Callable

from tsp.hw.errors import InputError
from tsp.sim.program import Program
from tsp.sim.result import Result

BACKENDS = ("rtl", "bare", "profiled", "gates", "icarus", "pysim", "golden")


def run(
    program: Program,
    backend: str = "rtl",
    *,
    waves: str | os.PathLike | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Result:
    """Run `program` and return its :class:`~tsp.sim.result.Result`.

    Parameters
    ----------
    program : Program
    backend : str
        ``rtl``: the exported Verilog in Verilator under cocotb. ``bare``: the same, driven from
        C++, for very large cores. ``profiled``: ``bare``, compiled again with the profile of its
        first run, for long runs. ``icarus``: the exported Verilog in Icarus under cocotb.
        ``gates``: the netlist of Yosys in Icarus under cocotb. ``pysim``: Amaranth's simulator.
        ``golden``: the numpy model.
    waves : path, optional
        Write a waveform there (``rtl``: .vcd or .fst; ``pysim``: .vcd), and beside it a view of
        it for GTKWave, .gtkw; if that fails, a warning says so.
    progress : callable, optional
        Called with (cycles done, cycles in all) while the program runs.

    Raises
    ------
    ValueError
        For a back end that does not exist, or that writes no waveforms.
    """
    if backend not in BACKENDS:
        raise InputError(f"backend must be one of {', '.join(BACKENDS)}, not {backend!r}")
    if waves and backend not in ("rtl", "pysim"):
        raise InputError(f"the {backend} back end writes no waveforms; use rtl or pysim")
    result = _run(program, backend, waves, progress)
    if waves:
        try:
            gtkwave = importlib.import_module("tsp.sim.gtkwave")
            gtkwave.write_save(program.config, waves)
        except Exception as error:  # the run may have taken hours; it is worth more than its view
            reason = f"{type(error).__name__}: {error}"
            warnings.warn(f"no GTKWave view of {waves} was written: {reason}", stacklevel=2)
    return result


def _run(program, backend, waves, progress):
    # Imported late: the golden model needs neither Amaranth's simulator nor cocotb.
    if backend == "golden":
        model = importlib.import_module("tsp.sim.golden.model")
        return model.run(program, progress=progress)
    if backend == "pysim":
        pysim = importlib.import_module("tsp.sim.backends.pysim")
        return pysim.run(program, waves=waves, progress=progress)
    if backend in ("bare", "profiled"):
        bare = importlib.import_module("tsp.sim.backends.bare")
        return bare.run(program, bare.TUNINGS[backend])
    verilog = importlib.import_module("tsp.sim.backends.cocotb_backend")
    simulator = "verilator" if backend == "rtl" else backend
    return verilog.run(program, simulator=simulator, waves=waves, progress=progress)
