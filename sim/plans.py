"""Choices that a search for a plan has made, kept in the cache, so that the next plan needs none.

What is kept is only what the search has found: which way to plan, and which banks. The plan itself
is made anew from it, with the data at hand, and has the same bits as the first one. An entry is
named by all that the search depends on, the sources of the planner included; one that cannot be
read counts as none, and one that cannot be written is left out.
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
    """Within this context plans are searched for, whatever is in the cache, and not kept."""
    token = _KEPT.set(not anew)
    try:
        yield
    finally:
        _KEPT.reset(token)


def name(*parts: object) -> str:
    """The name of a plan: 20 digits for what it depends on, and for the sources of the planner.

    Parameters
    ----------
    *parts
        What JSON can hold.
    """
    return key([_planner(), *(json.dumps(part) for part in parts)])


def recall(plan: str) -> dict | None:
    """What was kept under a name; None if there is nothing, or nothing that can be read."""
    if not _KEPT.get():
        return None
    try:
        found = json.loads(_path(plan).read_text(encoding="utf-8"))
        text = found["choice"]
        return json.loads(text) if found["digest"] == _digest(text) else None
    except (OSError, CacheError, ValueError, KeyError, TypeError):
        return None


def keep(plan: str, choice: dict) -> None:
    """Keep what a search has found, a dict that JSON can hold, if the cache can be written."""
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
    """Digits that stand for the sources of everything that makes plans."""
    found = hashlib.sha256()
    for package, names in _SOURCES:
        for part in names:
            path = Path(sys.modules[package].__path__[0]) / part
            for source in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
                found.update(str(source.relative_to(path.parent)).encode())
                found.update(source.read_bytes())
    return found.hexdigest()
