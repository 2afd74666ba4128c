"""Awkward configurations that several tests share."""

from dataclasses import replace

from tsp.hw.config import PRESETS, Config

ODD = Config(
    name="odd",
    lanes=8,
    superlanes=3,
    streams=16,
    planes_west=1,
    planes_east=0,
    mem_slices=5,
    mem_slices_per_stop=2,
    bank_words=64,
    acc_rows=8,
    alus=3,
    special_alus=1,
    queue_depth=256,
)
"""Three superlanes of eight lanes, five MEM slices, one plane: nothing about it is round."""

TINY = Config(
    name="tiny",
    lanes=4,
    superlanes=2,
    streams=8,
    planes_west=2,
    planes_east=1,
    mem_slices=1,
    mem_slices_per_stop=1,
    bank_words=16,
    acc_rows=4,
    alus=2,
    special_alus=1,
    queue_depth=128,
    pipeline="deep",
)
"""Two planes on one side and one on the other, two superlanes of four lanes, deep pipelines."""

PAIR = replace(PRESETS["nano"], name="pair", alus=2, special_alus=1)
"""`nano` with two ALUs, one of them special."""
