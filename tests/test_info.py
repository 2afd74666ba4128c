"""What ``tsp info`` shows. Oracles: floor plans written out, and the table of latencies."""

import io

import pytest
from rich.console import Console

from tsp.hw.config import PRESETS, Config, preset
from tsp.hw.isa.base import ISA
from tsp.sim.info import describe, floor_rows, latency_rows

MXM = ".0.LW .0.IW .0.ABC .0.ACC"


def test_slices_that_are_alike_share_a_row():
    assert floor_rows(preset("small").floorplan) == [
        ("0", "C2C_W", ".0"),
        ("0", "MXM_W", MXM),
        ("1", "SXM_W", ".0"),
        ("2..3", "MEM_W7..MEM_W0, 4 a stop", ".0 .1"),
        ("4", "VXM", ".0 to .7"),
        ("5..6", "MEM_E0..MEM_E7, 4 a stop", ".0 .1"),
        ("7", "SXM_E", ".0"),
        ("8", "MXM_E", MXM),
        ("8", "C2C_E", ".0"),
    ]


def test_a_stop_with_fewer_slices_has_a_row_of_its_own():
    config = Config(name="odd", planes_west=0, mem_slices=5, mem_slices_per_stop=2, alus=1,
                    special_alus=0)  # fmt: skip
    rows = floor_rows(config.floorplan)
    assert rows[2:4] == [("2", "MEM_W4", ".0 .1"), ("3..4", "MEM_W3..MEM_W0, 2 a stop", ".0 .1")]
    assert rows[4] == ("5", "VXM", ".0")
    config = Config(name="two", mem_slices=2, mem_slices_per_stop=2)
    assert ("2", "MEM_W1..MEM_W0", ".0 .1") in floor_rows(config.floorplan)


@pytest.mark.parametrize("name", PRESETS)
def test_every_latency_stands_once(name):
    """Each instruction in one row, that of its samples and drives."""
    config, seen = preset(name), []
    for (unit, samples, drives, note), mnemonics in latency_rows(config).items():
        for mnemonic in mnemonics:
            (instruction,) = [i for i in ISA.values() if i.mnemonic == mnemonic]
            timing = instruction.timing(config)
            assert instruction.unit.value == unit
            shown = ["" if v is None else str(v) for v in (timing.skew, timing.func)]
            assert (*shown, timing.note) == (samples, drives, note)
            seen.append(mnemonic)
    assert sorted(seen) == sorted(i.mnemonic for i in ISA.values() if i.executed)
    assert len(latency_rows(config)) < 20


def test_the_full_size_chip_fits_a_page():
    stream = io.StringIO()
    console = Console(file=stream, width=80)
    for part in describe(preset("tsp")):
        console.print(part)
    lines = stream.getvalue().splitlines()
    assert len(lines) < 90
    assert max(map(len, lines)) <= 80
