"""The jobs of which a part of the bench consists."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """A row to be measured.

    `key` names it in the results; `config` is its preset; ``measure()`` returns the row, a dict
    that JSON can hold, or raises.
    """

    key: str
    config: str
    measure: Callable
