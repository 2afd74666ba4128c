"""Why what is not covered is not: a reason for each class of hole."""

import re
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from tsp.hw.config import Config
from tsp.sim.coverage.counts import family


class Reason(NamedTuple):
    """Patterns of what is not covered, and why that is so; every pattern must match whole.

    `when` : whether the reason holds on a configuration.
    """

    patterns: tuple[str, ...]
    why: str
    when: Callable[[Config], bool] = lambda config: True


def _int8(config):
    return config.datapath == "int8"


BINS = (
    Reason(
        (r"abc source (sg\d\.E|E\d+)", r"lw streams E"),
        "the only plane stands at the west end of the row, where no eastward word arrives",
        lambda config: not config.planes_east,
    ),
    Reason(
        (r"lw streams both",),
        "a plane stands at an end of the row, where words of one direction arrive",
    ),
)
"""Bins, as instruction, aspect and value."""

LINES = (
    Reason(
        (r"queue_c2c line .*",),
        "links execute nothing in this core: their queues trap every word",
    ),
    Reason(
        (r"queue\S* line .*",),
        "ICU words with fields that are not legal, which no program can hold, and underruns: "
        "tests/test_icu.py and tests/test_rtl_faults.py have them",
    ),
    Reason(
        (r"mxm_(weights|activations)_\w+ line .*",),
        "taps of a plane on the direction from which no word arrives at its end of the row",
    ),
    Reason(
        (r"mxm_plane line \S+ cond_then",),
        "streams of fp16 weights, of which an int8 datapath has none",
        _int8,
    ),
    Reason(
        (r"\S+ line \d+\.[26] else",),
        "a loop that is run in every cycle, under a condition that is always true",
    ),
    Reason(
        (r"\S+ line \d+\.5 if",),
        "an empty statement that the export adds to every block, or the reset of a register that "
        "has no other way to change",
    ),
    Reason(
        (r"hop line .*",),
        "a stream that no program drives from this kind of stop",
    ),
    Reason(
        (r"(mxm_accumulator_\w+|sxm_(leaf|combine)|vxm_\w+) line \S+ cond_then",),
        "numbers that did not occur: infinite, not a number, or zeros before the first digit",
    ),
    Reason(
        (r"vxm_\w+ line \S+ (case|if)", r"mxm_column_\w+ line \S+ case"),
        "an entry of a table for operands or operations that did not occur",
    ),
    Reason((r"mxm_plane line \S+ case",), "a row of the accumulator that no program used"),
    Reason((r"tsp_core line .*",), "a kind of fault that a slice cannot commit, or did not here"),
)
"""Blocks of lines, as module and place."""

_WORDS = r"(word|head|last|strided|issue|beyond|verdict|read__data|load__data)"

TOGGLES = (
    Reason(
        (
            r"\S+ (\S+__)?(east|west)(_next|_valid|_data)?\S*",
            r"\S+ nothing\S*",
            r"mxm_(weights|activations)_\w+ (valid|missing)",
        ),
        "words on the way in from an end of the row, where nothing enters",
    ),
    Reason(
        (r"queue_c2c\S* .*", r"tsp_core queue_c2c\S*"),
        "links execute nothing in this core: their queues trap every word",
    ),
    Reason(
        (
            r"\S+ (\S+__)?(busy|cycles?|stream_words|value|register)",
            r"queue\S* (loaded|expected|fetched|pc|waited|repeated|read__addr|\$?signal)",
            r"queue\S* load__(index|count)",
            r"tsp_core load__(index|count)",
        ),
        "high bits of counters and indices, which programs of this length do not reach",
    ),
    Reason(
        (r"\S+ (\S+__)?(record|held|faults?|kinds|clash|conflict|invalid|notify|opened)\S*",),
        "a kind of fault that a slice cannot commit, or did not here",
    ),
    Reason(
        (r"\S+ (\S+__)?(refused|bad|bad_requests|to_slice_faults)",),
        "what only a host does that does as it should not: tests/test_host.py has one",
    ),
    Reason(
        (
            rf"queue\S* {_WORDS}(\.\w+)?",
            r"\S+ \S*issue__word",
            r"sxm_tile (north__)?word",
            r"mxm_plane (abc|acc|lw|iw|load)\S*",
        ),
        "bits of an instruction word in no field of the unit, or of a field whose number is small",
    ),
    Reason(
        (
            r"\S+ (host_|\S+__)?(address|addresses|banks?|slices|select)(\.\w+)?",
            r"\S+ (\S+__)?(tap|drives?|drive|driving|driven|stream|quad|onto|mask)(\.\w+|_quad)?",
            r"\S+ (\S+__)?(acting|emitting|reading|north|op|acc|written|number|first)(\.\w+)?",
            r"\S+ (\S+__)?(step|turn|control|target|lanes|next_lanes|condition)(\.\w+)*",
            r"vxm_\w*alu (now|fetched|(put|taken)__data)(\.\w+)?",
        ),
        "fields as wide as those of the largest core, of which this one has fewer rows, words, "
        "streams, lanes or operations",
    ),
    Reason(
        (r"mxm_(plane|supercells_int|weights_int) (\S+__)?words",),
        "streams of fp16 weights, of which an int8 datapath has none",
        _int8,
    ),
    Reason(
        (r"mxm_accumulator_int \S*round\S*",),
        "sums of an int8 plane, which are narrower than the rounder that all formats share",
    ),
    Reason(
        (r"mxm_column_\w+ south\S*",),
        "a plane of one supercell's height has nothing to add from below",
        lambda config: config.superlanes == 1,
    ),
    Reason(
        (r"(sxm_(leaf|combine|delay)|vxm_\w*lane|mxm_(column|accumulator)_\w+) \S+",),
        "numbers that did not occur: infinite, not a number, or zeros before the first digit",
    ),
)
"""Signals, as module and name, without the numbers that tell like ones apart."""


def explained(names, reasons, config):
    """How many of `names` each reason explains, as (reason, number), and those that none does.

    Parameters
    ----------
    names : Counter
        How many holes there are, by name.
    reasons : sequence of Reason
    config : Config
        Only reasons that hold on it explain anything.
    """
    found, left = Counter(), Counter()
    reasons = [reason for reason in reasons if reason.when(config)]
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


def signal(what):
    """The name of a signal, without bits and the numbers that tell like ones apart.

    A loop calls the signals of what it goes over v1_NAME, v2_NAME and so on.
    """
    name = re.sub(r"(\[\d+\])*:\d->\d$", "", what).removeprefix("\\")
    name = re.sub(r"^v\d+_(?=\D)", "", name)
    return re.sub(r"_*\d+(?=\W|_|$)|\$\d*$", "", name)


def open_points(coverage, toggle):
    """The points that were not covered, by module and signal (toggles) or place (lines)."""
    found = Counter()
    for point, count in coverage.points.items():
        if not count and point.toggle == toggle:
            found[f"{family(point.module)} {signal(point.what) if toggle else point.what}"] += 1
    return found
