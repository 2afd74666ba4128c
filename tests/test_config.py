"""Configurations. Oracle: the table of presets in the architecture contract, copied here."""

import dataclasses

import pytest

from tsp.hw.config import PRESETS, Config, preset

# lanes, planes, MEM slices per hemisphere, words per bank, accumulator rows, ALUs, special ALUs
TABLE = {
    "nano": (4, 1, 2, 256, 16, 1, 0),
    "small": (16, 2, 8, 2048, 64, 8, 2),
    "quad16": (16, 4, 8, 2048, 64, 16, 4),
    "duo32": (32, 4, 32, 1024, 128, 16, 4),
    "base": (64, 4, 16, 4096, 256, 16, 4),
    "tsp": (320, 4, 44, 4096, 256, 16, 4),
}
MACS = {"small": 512, "quad16": 1024, "duo32": 4096, "base": 16384, "tsp": 409_600}


def test_presets_are_those_of_the_contract():
    """Every number of the table."""
    assert {
        name: (
            c.vector,
            c.planes,
            c.mem_slices,
            c.bank_words,
            c.acc_rows,
            c.alus,
            c.special_alus,
        )
        for name, c in PRESETS.items()
    } == TABLE
    assert {name: preset(name).macs_per_cycle for name in MACS} == MACS
    assert preset("nano").datapath == "int8"
    assert preset("nano").planes_east == 0
    assert {name for name, c in PRESETS.items() if c.deep} == {"nano"}
    # 2.5 MiB a slice, 220 MiB in all: the published chip.
    assert preset("tsp").memory_bytes == 220 << 20


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"lanes": 5}, ValueError, "lanes must be 4, 8 or 16, not 5"),
        ({"superlanes": 0}, ValueError, "superlanes must be 1 to 32, not 0"),
        ({"superlanes": 33}, ValueError, "superlanes must be 1 to 32, not 33"),
        ({"superlanes": 2.0}, TypeError, "superlanes must be an integer, not 2.0"),
        ({"superlanes": True}, TypeError, "superlanes must be an integer, not True"),
        ({"streams": 10}, ValueError, "streams must be a multiple of 4, not 10"),
        ({"streams": 4}, ValueError, "streams must be 8 to 32, not 4"),
        ({"streams": 36}, ValueError, "streams must be 8 to 32, not 36"),
        ({"planes_west": 3}, ValueError, "planes_west must be 0 to 2, not 3"),
        (
            {"planes_west": 0, "planes_east": 0},
            ValueError,
            "planes_west [+] planes_east must be at least 1, not 0",
        ),
        ({"datapath": "fp32"}, ValueError, "datapath must be 'int8' or 'fp16', not 'fp32'"),
        ({"pipeline": "long"}, ValueError, "pipeline must be 'short' or 'deep', not 'long'"),
        ({"mem_slices": 65}, ValueError, "mem_slices must be 1 to 64, not 65"),
        ({"mem_slices_per_stop": 9}, ValueError, "mem_slices_per_stop must be 1 to 8, not 9"),
        ({"bank_words": 15}, ValueError, "bank_words must be 16 to 65536, not 15"),
        ({"acc_rows": 2049}, ValueError, "acc_rows must be 1 to 2048, not 2049"),
        ({"bank_words": 16, "acc_rows": 17}, ValueError, "acc_rows must be 1 to 16, not 17"),
        ({"alus": 17}, ValueError, "alus must be 1 to 16, not 17"),
        ({"special_alus": 9}, ValueError, "special_alus must be 0 to 8, not 9"),
        ({"queue_depth": 8}, ValueError, "queue_depth must be 16 to 65536, not 8"),
        ({"name": "two words"}, ValueError, "name must be an identifier, not 'two words'"),
        ({"name": 3}, ValueError, "name must be an identifier, not 3"),
    ],
)
def test_illegal_sizes_are_refused(change, error, message):
    """The message names the field, the limit and the value."""
    with pytest.raises(error, match=message):
        dataclasses.replace(preset("small"), **change)


def test_an_unknown_preset_is_refused():
    """The message lists those there are."""
    with pytest.raises(ValueError, match=r"config must be one of nano, small, .*, not 'large'"):
        preset("large")


def test_a_config_is_its_fields():
    """Equal fields make equal configs, whose hashes are equal; nothing can be assigned."""
    for config in PRESETS.values():
        again = Config(**config.as_dict())
        assert again == config
        assert hash(again) == hash(config)
        with pytest.raises(dataclasses.FrozenInstanceError):
            config.lanes = 4
    with pytest.raises(TypeError):
        Config("small")
