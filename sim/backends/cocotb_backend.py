"""Programs on the exported Verilog, in Verilator or Icarus under cocotb."""

import contextlib
import importlib.util
import os
import sys
import tempfile
import threading
from importlib.machinery import PathFinder
from pathlib import Path

import cocotb_tools.config
import find_libpython
import numpy as np

from tsp.hw.environment import environment, python_path
from tsp.hw.errors import InputError, ToolError
from tsp.hw.isa.timing import clocks, first_cycle
from tsp.sim import files
from tsp.sim.backends import build
from tsp.sim.backends.script import Answers, Script
from tsp.sim.result import Result, Trace
from tsp.sim.synth import gates
from tsp.sim.tools import run as run_process
from tsp.sim.tools import tail

_BENCH = "tsp.sim.backends.bench_chip"


class SimulationError(ToolError):
    """The simulator failed, or the program did not end when its schedule ends."""


def run(program, **kwargs):
    """Run one program; see :func:`run_many`."""
    return run_many([program], **kwargs)[0]


def run_many(
    programs,
    *,
    simulator="verilator",
    trace=False,
    waves=None,
    coverage=None,
    announce=None,
    progress=None,
):
    """Run programs of one configuration, one after the other, in one simulator process.

    Parameters
    ----------
    programs : list of Program
    simulator : "verilator", "icarus" or "gates"
        "gates" is Icarus with the netlist of the core.
    trace : bool
        Record every stream register in every cycle; for small cores and short programs.
    waves : path, optional
        Write a waveform there; ``.vcd`` or ``.fst`` (Verilator only).
    coverage : path, optional
        Write the counts of Verilator's line and toggle coverage there.
    announce : list of dicts, optional
        Per program, see :meth:`Script.of`.
    progress : callable, optional
        Called with (cycles done, cycles in all) of the program that runs.

    Returns
    -------
    list of Result
    """
    config = programs[0].config
    if any(p.config != config for p in programs):
        raise InputError("programs of one call must have one configuration")
    if simulator in ("icarus", "gates"):
        if waves or coverage:
            raise InputError("waveforms and coverage come from Verilator; use --backend rtl")
        if trace and simulator == "gates":
            raise InputError("the stream registers of the gates have no names; trace the rtl")
        netlist = gates.netlist(config) if simulator == "gates" else None
        built = build.icarus(config, netlist=netlist)
    else:
        kind = Path(waves).suffix[1:] if waves else None
        if kind not in (None, "vcd", "fst"):
            raise InputError(f"waves must end in .vcd or .fst, not {str(waves)!r}")
        built = build.verilator(config, waves=kind, trace=trace, coverage=bool(coverage))
    with tempfile.TemporaryDirectory(prefix="tsp-") as scratch:
        scratch = Path(scratch)
        for n, program in enumerate(programs):
            _save(scratch / f"{n:04}.in.npz", program, (announce or {n: None})[n], trace)
        with files.beside(waves) if waves else contextlib.nullcontext() as beside:
            _simulate(built, scratch, beside, coverage, progress)
        return [
            _result(scratch / f"{n:04}.out.npz", program, built.build_seconds, trace)
            for n, program in enumerate(programs)
        ]


def _save(path, program, announce, trace):
    config = program.config
    script = Script.of(program, announce)
    np.savez(
        path,
        write_addresses=script.write_addresses,
        write_data=script.write_data,
        read_addresses=script.read_addresses,
        cycles=program.cycles,
        first_cycle=first_cycle(config),
        clocks=clocks(config, program.cycles),
        trace=trace,
        stops=config.floorplan.stops,
        superlanes=config.superlanes,
        streams=config.streams,
        lanes=config.lanes,
        patience=50,
    )


def simulate(built, scratch, bench=_BENCH, arguments=()):
    """Run the cocotb tests of a module on a built simulator.

    Parameters
    ----------
    built : build.Simulator
    scratch : Path
        Folder in which it runs; ``results.xml`` and ``simulation.log`` are written there.
    bench : str
        Name of the module.
    arguments : sequence
        Additional arguments for the simulator.

    Raises
    ------
    SimulationError
        If the simulator fails; failed tests appear in the results only.
    """
    log = scratch / "simulation.log"
    if built.name == "icarus":
        interface = cocotb_tools.config.lib_entry("vpi", "icarus")
        command = ["vvp", "-m", interface, built.directory / "sim.vvp", "-none"]
    else:
        command = [built.directory / build.TOP]
    command += arguments
    code, _ = run_process(command, scratch, env=_environment(built, scratch, bench), log=log)
    if code:
        raise SimulationError(f"the simulation failed; its log ends:\n{tail(log, 30)}")


def _simulate(built, scratch, waves, coverage, progress):
    arguments = []
    if waves:
        arguments += ["--trace", "--trace-file", Path(waves).resolve()]
    if coverage:
        arguments += [f"+verilator+coverage+file+{Path(coverage).resolve()}"]
    with _reporting(scratch / "progress", progress):
        simulate(built, scratch, arguments=arguments)
    if len(list(scratch.glob("*.out.npz"))) < len(list(scratch.glob("*.in.npz"))):
        log = scratch / "simulation.log"
        raise SimulationError(f"the simulation failed; its log ends:\n{tail(log, 30)}")


def _environment(built, scratch, bench):
    """The environment of a simulator that runs the bench, with everything that cocotb reads."""
    python = find_libpython.find_libpython()
    if python is None:
        raise SimulationError(
            f"{sys.executable} has no shared library, which a simulator needs to run Python; "
            "use one that was built with --enable-shared"
        )
    libraries = [str(cocotb_tools.config.libs_dir), os.environ.get("LD_LIBRARY_PATH", "")]
    inertial = {"COCOTB_TRUST_INERTIAL_WRITES": "1"} if built.name == "verilator" else {}
    return environment(
        LD_LIBRARY_PATH=os.pathsep.join(filter(None, libraries)),
        PYTHONPATH=python_path(),
        PYGPI_PYTHON_BIN=sys.executable,
        GPI_USERS=f"{python};{_entry_point()},initialize",
        TOPLEVEL_LANG="verilog",
        COCOTB_TOPLEVEL=build.TOP,
        COCOTB_TEST_MODULES=bench,
        COCOTB_RESULTS_FILE=str(scratch / "results.xml"),
        COCOTB_RANDOM_SEED="0",
        COCOTB_LOG_LEVEL="WARNING",
        TSP_SCRIPTS=str(scratch),
        **inertial,
    )


def _entry_point():
    """The library in which cocotb begins; importing it here would read the caller's variables."""
    where = importlib.util.find_spec("cocotb").submodule_search_locations
    return PathFinder.find_spec("simulator", where).origin


@contextlib.contextmanager
def _reporting(marker, progress):
    """Pass on what the bench writes to `marker` while the simulation runs."""
    if not progress:
        yield
        return
    over = threading.Event()

    def watch():
        while not over.wait(0.2):
            with contextlib.suppress(OSError, ValueError):
                done, total = map(int, marker.read_text().split())
                progress(done, total)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _result(path, program, build_seconds, trace):
    with np.load(path) as saved:
        answers = Answers.of(program, saved["words"])
        if not saved["done"]:
            raise SimulationError(
                f"{program.name} did not end: {answers.cycles} cycles counted, "
                f"{program.cycles} scheduled; fault: {answers.fault}"
            )
        return Result(
            outputs=answers.outputs,
            cycles=answers.cycles,
            fault=answers.fault,
            counters=answers.counters,
            trace=_unskewed(program, saved) if trace else None,
            build_seconds=build_seconds,
            sim_seconds=float(saved["seconds"]),
            sim_cycles=int(saved["clocks"]),
            run_seconds=float(saved["run_seconds"]),
        )


def _unskewed(program, saved):
    """The trace in skewed time: superlane i is recorded i cycles later than superlane 0."""
    config, cycles = program.config, program.cycles
    valid, data = saved["trace_valid"], saved["trace_data"]
    valid = np.stack([valid[i : i + cycles, ..., i] for i in range(config.superlanes)], axis=-1)
    data = np.stack([data[i : i + cycles, ..., i, :] for i in range(config.superlanes)], axis=-2)
    return Trace(valid, data.reshape(*data.shape[:-2], config.vector))
