"""The environment of every process that this package starts.

What a simulator is built of and what a run computes must not depend on the shell that somebody
happens to work in: its ``CXXFLAGS`` would get into a simulator that others then use, and its
``COCOTB_TESTCASE`` would leave the bench nothing to do. So a child never gets a copy of the
caller's environment, but one that is composed here of what says where things are.
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

    Of the caller's it has where programs, libraries, the home and temporary files are, the
    language, and the variables that begin with ``TSP_``.

    Parameters
    ----------
    folders : path
        Stand before the others on the PATH.
    more : str
        Further variables; they replace others of the same name.

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
    """Where tools keep what they compile of themselves; Yosys does not start if it cannot."""
    usual = os.path.abspath(os.environ.get("XDG_CACHE_HOME") or os.path.join(home, ".cache"))
    place = usual
    while not os.path.exists(place):
        place = os.path.dirname(place)
    can_be_written = os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK)
    return usual if can_be_written else _own_folder()


@functools.cache
def _own_folder():
    """A folder that lives as long as this process."""
    folder = tempfile.mkdtemp(prefix="tsp-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def python_path() -> str:
    """PYTHONPATH for a child that is this Python: it imports from where this process does."""
    return os.pathsep.join(map(os.path.abspath, sys.path))
