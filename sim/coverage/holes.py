"""Why what is not covered is not: a reason for each class of hole."""

import re
from collections import Counter
from typing import NamedTuple

from tsp.sim.coverage.counts import family


class Reason(NamedTuple):
    """Patterns of what is not covered, and why that is so; every pattern must match whole."""

    patterns: tuple[str, ...]
    why: str


BINS = (
    Reason(
        (r"abc source (sg\d\.E|E\d+)", r"lw streams E"),
        "the only plane stands at the west end of the row, where no eastward word arrives",
    ),
    Reason(
        (r"\S+ repeat spaced",),
        "issues some cycles apart become NOPs, not a Repeat, where other work lies between them",
    ),
    Reason(
        (r"lw streams both",),
        "a plane stands at an end of the row, where words of one direction arrive",
    ),
)
"""Bins, as instruction, aspect and value."""

LINES = (
    Reason(
        (r"queue_c2c\S* line .*",),
        "links execute nothing in this core: their queues trap every word",
    ),
    Reason(
        (r"queue\S* line .*",),
        "an empty statement that the export adds to every block; ICU words with fields that are "
        "not legal, which no program can hold, and underruns: tests/test_icu.py and "
        "tests/test_rtl_faults.py have them",
    ),
    Reason(
        (r"mxm_(weights|activations)\S* line .*",),
        "taps of a plane on the direction from which no word arrives at its end of the row",
    ),
    Reason(
        (r"mxm_[we]\.decoder line .*",),
        "pairs of streams for fp16 weights, which an int8 datapath does not take",
    ),
    Reason((r"vxm_special\S* line .*",), "an entry of a table for operands that did not occur"),
)
"""Blocks of lines, as module and place."""

TOGGLES = (
    Reason(
        (r"\S+ (east|west)(_next)?([_.]\S*)?", r"\S+ nothing\S*"),
        "words on the way in from an end of the row, where nothing enters",
    ),
    Reason(
        (r"queue_c2c\S* .*",),
        "links execute nothing in this core: their queues trap every word",
    ),
    Reason(
        (
            r"\S+ (busy|cycles?|stream_words)\b\S*",
            r"\S+ busy__\S*",
            r"queue\S* (loaded|expected|fetched|pc|waited|repeated)\b\S*",
            r"queue\S* (read__addr|load__index|load__count)\S*",
            r"tsp_core load__(index|count)\S*",
        ),
        "high bits of counters and indices, which programs of this length do not reach",
    ),
    Reason(
        (r"\S+ (record|held|faults?|kinds)\b\S*", r"\S+ (held|faults)__\S*"),
        "a kind of fault that a slice cannot commit, or did not here",
    ),
    Reason(
        (
            r"queue\S* (word|head|last|strided|issue|issue__word|load__word|read__data)\b\S*",
            r"\S+ (issue|abc|acc|lw|iw|load)(__\d+)?__word\S*",
        ),
        "bits of an instruction word in no field of the unit, or of a field whose number is small",
    ),
    Reason(
        (r"mxm_accumulator_int\S* (shifted\d*|rounded|magnitude|\$signal\S*)",),
        "sums of an int8 plane, which are narrower than the rounder that all formats share",
    ),
)
"""Signals, as module and name."""


def explained(names, reasons):
    """How many of `names` each reason explains, as (reason, number), and those that none does.

    Parameters
    ----------
    names : Counter
        How many holes there are, by name.
    """
    found, left = Counter(), Counter()
    for name, many in names.items():
        for reason in reasons:
            if any(re.fullmatch(pattern, name) for pattern in reason.patterns):
                found[reason] += many
                break
        else:
            left[name] += many
    return [(r, found[r]) for r in reasons if found[r]], left


def open_bins(coverage):
    """The open bins of a :class:`~tsp.sim.coverage.run.Coverage`, by name."""
    return Counter(" ".join(found) for found in coverage.open)


def open_points(coverage, toggle):
    """The points that were not covered, by module and signal (toggles) or place (lines)."""
    found = Counter()
    for point, count in coverage.points.items():
        if not count and point.toggle == toggle:
            what = re.sub(r"(\[\d+\])?:\d->\d$", "", point.what)
            found[f"{family(point.module)} {what}"] += 1
    return found
