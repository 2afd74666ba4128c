"""Tables and plots of the bench. Oracle: cells written by hand, of made-up results."""

import xml.etree.ElementTree as ET
from pathlib import Path

from results import FOUND, RUN, filled, line

from tsp.hw.config import PRESETS
from tsp.sim.bench import cycles, page, plots
from tsp.sim.bench import record as records
from tsp.sim.bench.record import Record
from tsp.sim.bench.works import CHIP, README

ROOT = Path(__file__).parents[1]


def test_tables(tmp_path):
    """Each number of made-up results stands in its cell; what was not measured says so."""
    found = page.blocks(filled(tmp_path))
    command = "`matmul --config small --m 256 --k 256 --n 256`"
    row = ["small", "256 x 256 x 256, fp16 -> fp32", "32,768", "40,000", "81.9%", "RTL", command]
    assert line(found["results-main"], "256 x 256 x 256") == row
    assert line(found["results-main"], "softmax")[3] == page.UNKNOWN
    assert line(found["results-works"], "256 x 256 x 256")[6] == "every bit right"
    assert line(found["results-chip"], "640")[3] == page.UNKNOWN
    assert line(found["results-size"], "| 256 |")[2] == "40,000: 81.9%"
    assert line(found["results-speed"], "small") == [
        "`small`", "256^3, fp16", "32,768", "50,000", "100,000", "80,000", "200,000",
        "20,000", "12,500", "39.06", "24.41",
    ]  # fmt: skip
    assert line(found["results-speed"], "tsp") == [
        "`tsp`", "640^3, fp16", "750", "-", "-", "800", "1,000", "-", "1,250,000", "-", "3.58",
    ]  # fmt: skip
    assert line(found["results-plans"], "--width 16 ")[:4] == [
        "small", "attention layer, one token of 16, one head of 16", "1,234", "1.0",
    ]  # fmt: skip
    assert line(found["results-plans"], "12 heads")[2:4] == ["-", "-"]
    shown = ["1,000,000", "4,000", "up to cycle 3,000", "2.5", "7", "1.2", "12", "17"]
    assert line(found["results-view"], "a product")[2:] == shown
    said = "50.0 k for `small` (80.0 k); `tsp`, only from C++, 0.8 k; on 2 cores (Abacus)."
    assert said in found["results-speed-line"]
    tuned = ["`small`", "two threads", "44", "60,000", "-25%", "32.55"]
    assert line(found["results-tuning"], "two threads") == tuned
    sizes = ["3", "2.5", "512", "61", "2,048", "7.0"]
    assert line(found["results-builds"], "small") == ["`small`", *sizes]
    slices = ["2,000", "2,000", "2,000", "2,000", "2.000", "2", "2.0"]
    assert line(found["results-area-nano"], "VXM") == ["VXM", *slices]
    assert line(found["results-area-nano"], "total")[1] == "28,000"
    assert line(found["results-area"], "nano")[2:4] == ["47", "46,875"]
    assert line(found["results-area"], "nano")[6] == "fits none: 28,000 look-up tables"
    assert line(found["results-clock-nano"], "MEM") == ["MEM", "`bank`", "99.5", "-"]
    made = ["2", "`0123456789ab`", "2026-11-24 20:48:35 UTC", "Abacus, 2 cores, 4 GiB", "3.0"]
    assert line(found["results-runs"], "`cycles`") == ["`cycles`", *made]
    named = "`cycles`, `plans`, `view`, `speed`, `tuning`, `builds`, `area`"
    assert found["results-tools"] == f"- {named}: numpy 2.4."


def test_tables_without_results(tmp_path):
    """Every table can be written before anything is measured."""
    found = page.blocks(records.results(tmp_path))
    assert all(found.values())
    for name in ("speed", "builds", "area", "area-nano", "clock-nano"):
        assert found[f"results-{name}"] == "Not measured yet."
    assert page.write(tmp_path)


def test_rows_of_the_golden_model_say_so(tmp_path):
    """In the column and in the command."""
    work, record = README[0], Record.of(tmp_path, "cycles")
    row = cycles.row(work, FOUND | {"backend": "golden"})
    record.add(work.command, {**row, "quick": True, "seconds": 1.0}, record.start(RUN))
    found = page.blocks(records.results(tmp_path))
    cells = line(found["results-works"], "256 x 256 x 256")
    assert cells[5] == "golden model"
    assert cells[8].endswith("--n 256 --backend golden`")
    assert line(found["results-size"], "| 256 |")[2] == "40,000: 81.9% (golden)"


def test_rows_of_the_full_size_chip(tmp_path):
    """They come from the model that C++ drives, which the command says."""
    work, record = CHIP[0], Record.of(tmp_path, "chip")
    row = cycles.row(work, FOUND | {"backend": "bare"})
    record.add(work.command, {**row, "quick": False, "seconds": 1.0}, record.start(RUN))
    cells = line(page.blocks(records.results(tmp_path))["results-chip"], "320 x 320 x 320")
    assert cells[3] == "40,000"
    assert cells[5] == "RTL"
    assert cells[7].endswith("--n 320 --backend bare`")


def test_plots(tmp_path):
    """They are SVG, the same every time, and show what there is and nothing else."""
    found, empty = filled(tmp_path), records.results(tmp_path / "empty")
    for name, plot in plots.PLOTS.items():
        text = plot(found)
        assert text == plot(found), name
        assert text != plot(empty), name
        assert ET.fromstring(text).tag.endswith("svg")
        assert "<dc:date>" not in text
    drawn = plots.PLOTS["speed.svg"](found)
    for preset, row in found["speed"].rows.items():
        assert f">{preset}<" in drawn
        row["cycles_per_second"]["bare"]["busy"] *= 1.1
        drawn, before = plots.PLOTS["speed.svg"](found), drawn
        assert drawn != before, preset
    assert "28,000 look-up tables" in plots.PLOTS["area.svg"](found)


def test_readme_shows_the_committed_results():
    """Read from the page as a person would, not by the code that writes it."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = Record.of(page.RESULTS, "cycles").rows
    for work in README:
        row = rows[work.command]
        cells = line(text, f"`{work.command.removeprefix('run ')}")
        ran = {"rtl": "RTL", "golden": "golden model"}[row["backend"]]
        assert cells[3] == f"{row['cycles_measured']:,}"
        assert cells[5] == ran


def test_presets_have_a_colour_each_in_every_plot():
    """The lines of a plot, and the bars of another, are of that colour."""
    assert len({plots.PRESET_COLOURS[name] for name in PRESETS}) == len(PRESETS)
    found = records.results(page.RESULTS)
    for name, presets in (("size.svg", "nano small base"), ("speed.svg", "small base tsp")):
        drawn = plots.PLOTS[name](found)
        assert not [p for p in presets.split() if plots.PRESET_COLOURS[p] not in drawn], name
