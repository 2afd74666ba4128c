"""The cache: results that take long to make, kept by the content of all their inputs."""

import atexit
import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import platformdirs

from tsp.hw.errors import ToolError


class CacheError(ToolError):
    """The cache cannot be written, although an entry must be kept."""


def folder() -> Path:
    """The folder of the cache: ``$TSP_CACHE``, or the user's cache directory.

    Raises
    ------
    CacheError
        If the user has no home directory and ``TSP_CACHE`` does not name another.
    """
    path = Path(os.environ.get("TSP_CACHE") or platformdirs.user_cache_dir("tsp"))
    if str(path).startswith("~"):
        raise CacheError("there is no home directory to keep simulators in; set TSP_CACHE")
    return path.absolute()


def entry(
    parts: Iterable[str], name: str, make: Callable[[Path], None], *, keep: bool = True
) -> tuple[Path, float]:
    """A directory filled by `make`, once per content of `parts`.

    An existing entry is only read, so a complete cache may be on a read-only file system.

    Parameters
    ----------
    parts : iterable of str
        Everything that the entry depends on.
    name : str
        Prefix of the directory's name, for people.
    make : callable
        Called with the empty directory.
    keep : bool
        Refuse if the cache cannot be written. Otherwise use a temporary directory in that case,
        which is removed when this process ends.

    Returns
    -------
    (Path, float)
        The directory, and the seconds that it took to make (0.0 if it existed).

    Raises
    ------
    CacheError
        If there is no entry and the cache cannot be written.
    """
    directory = folder() / f"{name}-{key(parts)}"
    if _is_complete(directory):
        return directory, 0.0
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_locked(directory.with_name(f"{directory.name}.lock")))
        except CacheError:
            if keep:
                raise
            directory = Path(tempfile.mkdtemp(prefix="tsp-"))
            atexit.register(shutil.rmtree, directory, ignore_errors=True)
        if _is_complete(directory):  # by another process, meanwhile
            return directory, 0.0
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        began = time.perf_counter()
        make(directory)
        seconds = time.perf_counter() - began
        (directory / "complete").write_text(f"{seconds:.1f}\n")
        return directory, seconds


def key(parts: Iterable[str]) -> str:
    """A hash of `parts`, 20 hexadecimal digits."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def _is_complete(directory):
    return (directory / "complete").exists()


@contextlib.contextmanager
def _locked(path):
    """Hold an exclusive lock, so that parallel processes make an entry only once."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("w")
    except OSError as error:
        raise CacheError(
            f"{path.parent} cannot be written ({error.strerror}); "
            "set TSP_CACHE to a folder in which built simulators can be kept"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
