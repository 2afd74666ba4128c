"""The results of searches for plans, kept in the cache, so that the next plan needs no search.

Only the result of the search is kept: the candidate and its banks. From it the plan is made again
with the data at hand, and has the same bits as the first one. The name of an entry covers all that
the search depends on, including the sources of the planner; an entry that cannot be read is
ignored, and one that cannot be written is not kept.
"""

import contextlib
import hashlib
import json
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from functools import cache
from pathlib import Path

from tsp.hw.errors import InputError
from tsp.sim import files
from tsp.sim.cache import CacheError, folder, key

_KEPT = ContextVar("kept", default=True)
_SOURCES = (
    ("tsp.hw", ("config.py", "floorplan.py", "isa")),
    ("tsp.sim", ("chance.py", "kernels", "layout.py", "plans.py", "program.py", "schedule")),
)


@contextlib.contextmanager
def searched(anew: bool = True) -> Iterator[None]:
    """A context in which plans are always searched for; the cache is neither read nor written."""
    token = _KEPT.set(not anew)
    try:
        yield
    finally:
        _KEPT.reset(token)


def name(*parts: object) -> str:
    """The name of a plan: 20 digits, a hash of what it depends on and of the planner's sources.

    Parameters
    ----------
    *parts
        What the plan depends on, as values of JSON.
    """
    return key([_planner(), *(json.dumps(part) for part in parts)])


def recall(plan: str) -> dict | None:
    """The entry kept under a name; None if there is none, or if it cannot be read."""
    if not _KEPT.get():
        return None
    try:
        found = json.loads(_path(plan).read_text(encoding="utf-8"))
        text = found["choice"]
        return json.loads(text) if found["digest"] == _digest(text) else None
    except (OSError, CacheError, ValueError, KeyError, TypeError):
        return None


def keep(plan: str, choice: dict) -> None:
    """Keep the result of a search, a dict of JSON values, if the cache can be written."""
    if not _KEPT.get():
        return
    text = json.dumps(choice)
    content = json.dumps({"digest": _digest(text), "choice": text})
    with contextlib.suppress(OSError, CacheError, InputError):
        path = _path(plan)
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, content)


def _path(plan):
    return folder() / "plans" / f"{plan}.json"


def _digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def _planner():
    """A hash of the sources of the planner."""
    found = hashlib.sha256()
    for package, names in _SOURCES:
        for part in names:
            path = Path(sys.modules[package].__path__[0]) / part
            for source in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
                found.update(str(source.relative_to(path.parent)).encode())
                found.update(source.read_bytes())
    return found.hexdigest()
