"""The cache: what takes long to make is kept by the content of all that it is made of."""

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
    """Something must be kept, and the cache cannot be written."""


def folder() -> Path:
    """Where the cache lies: ``$TSP_CACHE``, or the user's cache directory.

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
    """The directory that `make` fills, made once per content of `parts`.

    What is there is only read, so that a cache which is full may lie where nothing can be written.

    Parameters
    ----------
    parts : iterable of str
        Everything that what is made depends on.
    name : str
        What the directory's name begins with, for people.
    make : callable
        Called with the empty directory.
    keep : bool
        Refuse a cache that cannot be written. Otherwise the directory is then a temporary one,
        which lasts as long as this process.

    Returns
    -------
    (Path, float)
        The directory, and the seconds that making it took (0.0 if it was there).

    Raises
    ------
    CacheError
        If it is not there and the cache cannot be written.
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
    """20 hexadecimal digits that stand for the content of `parts`."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def _is_complete(directory):
    return (directory / "complete").exists()


@contextlib.contextmanager
def _locked(path):
    """Hold an exclusive lock, so that parallel processes make an entry once."""
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
