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
        (r"lw streams both",),
        "a plane stands at an end of the row, where words of one direction arrive",
    ),
)
"""Bins, as instruction, aspect and value."""

LINES = (
    Reason(
        (r"(vxm_)?lane line .*", r"vxm_special line .*"),
        "an entry of a table: a value of the operand that no program had",
    ),
    Reason(
        (r".*\.guard line .*", r"queue\S* line .*"),
        "words that `Program` refuses, such as a Repeat after a NOP, or that are no instruction; "
        "tests/test_icu.py and tests/test_guard.py feed them to the unit",
    ),
    Reason(
        (r"mxm\S* line .*",),
        "formats, columns and faults of a plane that depend on the configuration: its code has "
        "cases for numbers that no legal word holds; tests/test_mxm.py covers those that exist",
    ),
)
"""Blocks of lines, as module and place."""

TOGGLES = (
    Reason(
        (
            r"\S+ (east|west|next_east|next_west)\S*",
            r"tsp_chip\.core (east|west|nothing)\S*",
            r"\S+ (arriving|sampled)\S*",
        ),
        "words at the ends of the row: nothing enters there, so they never change",
    ),
    Reason(
        (
            r"\S+ (cycles?|busy|stream_words|record|value|read_data|held|kinds|faults?)\b\S*",
            r"\S+ (busy|held|faults)__\S*",
            r"queue\S* (loaded|expected|fetched|pc|waited|repeated|addr\S*|load__\S*|\$sig\S*)\S*",
            r"\S+ host__\S*",
            r"\S+ (address|request|index|unit)\b\S*",
        ),
        "high bits of counters and addresses that short programs do not reach, and faults that "
        "do not occur in every slice; tests/test_rtl_faults.py provokes every kind",
    ),
    Reason(
        (
            r"queue\S* (word|head|last|strided|issue|read__data|write__data)\S*",
            r"tsp_chip\.core (issue__|load__|abc__|acc__|lw__|iw__)\S*",
            r"\S+ (issue__|abc|acc|lw|iw|instruction|stages?|north)\S*",
        ),
        "bits of an instruction word that no field of the unit uses, or whose number is small",
    ),
    Reason(
        (r"mxm_accumulator_int\S* \S+", r"mxm\S* \S+"),
        "sums of an int8 plane are narrower than the rounder that all formats share, and its "
        "operands have no exponent",
    ),
    Reason(
        (r"(hop|mem|bank_tile|vxm|sxm)\S* (drive|quad|stream|place|mask|onto|log2)\S*",),
        "ports that drive fewer streams or directions than the type of the port could say",
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
