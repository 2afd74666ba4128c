"""The environment of every process that this package starts.

The build of a simulator and the result of a run must not depend on the shell in which they are
started: its ``CXXFLAGS`` would end up in a simulator that others use, and its ``COCOTB_TESTCASE``
would deselect the bench. A child therefore never inherits the caller's environment; it gets one
that is composed here of the variables that locate things.
"""

import atexit
import functools
import os
import shutil
import sys
import tempfile

_PLACES = ("TMPDIR", "XDG_CONFIG_HOME", "LD_LIBRARY_PATH")
_LANGUAGE = ("LANG", "LC_")
_OWN = "TSP_"


def environment(*folders: str | os.PathLike, **more: str) -> dict[str, str]:
    """The environment of a child process.

    It takes from the caller's environment the locations of programs, libraries, home and temporary
    files, the language, and the variables that begin with ``TSP_``.

    Parameters
    ----------
    folders : path
        Folders to put at the front of PATH.
    more : str
        Additional variables; they replace others of the same name.

    Returns
    -------
    dict of str
    """
    passed = {
        name: value
        for name, value in os.environ.items()
        if name in _PLACES or name.startswith((*_LANGUAGE, _OWN))
    }
    path = os.environ.get("PATH") or os.defpath
    home = os.path.expanduser("~")
    home = home if os.path.isabs(home) else tempfile.gettempdir()
    return {
        **passed,
        "HOME": home,
        "XDG_CACHE_HOME": _cache_home(home),
        "PATH": os.pathsep.join([*map(str, folders), path]),
        **more,
    }


def _cache_home(home):
    """The cache directory of tools; Yosys does not start if it cannot write there."""
    usual = os.path.abspath(os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache"))
    place = usual
    while not os.path.exists(place):
        place = os.path.dirname(place)
    can_be_written = os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK)
    return usual if can_be_written else _own_folder()


@functools.cache
def _own_folder():
    """A folder that is removed when this process ends."""
    folder = tempfile.mkdtemp(prefix="tsp-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def python_path() -> str:
    """PYTHONPATH for a child of the same Python, which then imports from the same places."""
    return os.pathsep.join(map(os.path.abspath, sys.path))
