"""The view of a waveform. Oracles: the VCD's header read by plain words, and the floor plan."""

import gzip
import re
from pathlib import Path

import pytest

from tsp.hw.config import PRESETS
from tsp.hw.fault import FaultKind
from tsp.hw.isa import SG1, Read, Write, timing
from tsp.sim import backends
from tsp.sim.gtkwave import savefile, write_save
from tsp.sim.gtkwave.layout import layout
from tsp.sim.gtkwave.wavefile import Wire, wires
from tsp.sim.program import Run, assemble

NANO = PRESETS["nano"]
RUNS = {
    "MEM_W0.0": [Run(0, Read(address=0, stream=SG1("E", 3)))],
    "MEM_E0.0": [Run(timing.MEM_READ + 1, Write(address=9, stream=SG1("E", 3)))],
}


@pytest.fixture(scope="module", params=["rtl vcd", "rtl fst", "pysim vcd"])
def waveform(request, tmp_path_factory):
    """The waveform of a copy on `nano`."""
    back_end, kind = request.param.split()
    if kind == "fst" and not Path("/usr/include/lz4.h").exists():
        pytest.skip("needs `make install-fst`")
    path = tmp_path_factory.mktemp("waves") / f"run.{kind}"
    backends.run(assemble(NANO, RUNS, name="copy"), back_end, waves=path)
    return path


def declared(path):
    """Width by path of every signal of a VCD file, under GTKWave's names."""
    found, scope = {}, []
    for line in path.read_text().partition("$enddefinitions")[0].splitlines():
        words = line.split()
        if words[:1] == ["$scope"]:
            scope.append(words[2])
        elif words[:1] == ["$upscope"]:
            scope.pop()
        elif words[:1] == ["$var"]:
            # With a dot in it, a name has a backslash; GTKWave adds a range that is left out.
            name, width = words[4], int(words[2])
            if "." in name and name[0] != "\\":
                name = "\\" + name
            span = f"[{width - 1}:0]" if width > 1 and words[5] == "$end" else words[5]
            found[".".join([*scope, name + span.replace("$end", "")])] = width
    return found


def named(path):
    """The signals of a save file, with the bit numbers that are taken of them."""
    for line in path.read_text().splitlines():
        if match := re.match(r"\+\{.*?\} (.*)", line):
            yield match[1], None
        elif match := re.match(r"#\{.*?\} (.*)", line):
            for part in match[1].split():
                bit, signal = re.fullmatch(r"(?:\((\d+)\))?(.*)", part).groups()
                yield signal, int(bit or 0)


def test_every_signal_of_the_view_is_in_the_waveform(waveform):
    """And has the width that its name says; a name without a range is one bit."""
    found = list(named(waveform.with_suffix(".gtkw")))
    assert len(found) > 300
    if waveform.suffix == ".vcd":
        there = declared(waveform)
        for signal, bit in found:
            size = re.search(r"\[(\d+):0\]$", signal)
            assert there.get(signal) == (int(size[1]) + 1 if size else 1), signal
            assert bit is None or bit < there[signal], signal
    else:
        there = {wire.path for wire in wires(waveform)}
        assert {signal for signal, _ in found} <= there


def test_the_view_shows_the_whole_core(waveform):
    """A group per slice and per stop, west to east; every queue, every stream, every fault."""
    groups = layout(NANO, wires(waveform))
    plan = NANO.floorplan
    titles = [group.title for group in groups]
    slices = [where.name for where in plan.slices]
    assert [title for title in titles if title in slices] == slices
    assert titles[:3] == ["program clock", "faults", "host"]
    by_title = {group.title: group for group in groups}
    for where in plan.slices:
        inside = by_title[where.name].items
        wanted = [queue.name for queue in plan.queues_of(where)]
        assert [group.title for group in inside][: len(wanted)] == wanted
        if where.kind != "C2C":
            assert inside[-1].title == "drives"
        if where.kind == "MEM":
            banks = [group for group in inside if group.title.startswith("SRAM")]
            assert [group.title for group in banks] == [f"SRAM {name}" for name in wanted]
            shown = ("read__en", "port__en", "address", "port__data", "read_data")
            for group in banks:
                assert [trace.label for trace in group.items] == [f"tile0 {s}" for s in shown]
    for stop in range(plan.stops):
        labels = [trace.label for trace in by_title[f"streams at stop {stop}"].traces()]
        names = [f"{d}{s}" for d in "EW" for s in range(NANO.streams)]
        assert labels == [label for name in names for label in (f"{name} valid", name)]
    assert {where.name for where in plan.slices} < {t.label for t in by_title["faults"].traces()}
    texts = {t.label: t.names for t in by_title["faults"].traces()}
    assert texts["record.kind"][FaultKind.UNDERRUN] == "UNDERRUN"


def test_a_stream_is_its_word_and_its_bit_of_the_row(waveform):
    """Bits are counted from the top: stream 3 is the fifth of eight."""
    lines = waveform.with_suffix(".gtkw").read_text().splitlines()
    at = lines.index("-streams at stop 2")
    valid = next(n for n in range(at, len(lines)) if lines[n].startswith("#{E3 valid}"))
    bit, signal = re.fullmatch(r"#\{E3 valid\} \((\d+)\)(\S+)", lines[valid]).groups()
    word = lines[valid + 2].removeprefix("+{E3} ")
    assert bit == "4"
    module = re.fullmatch(r"(.*\.hop2_0\.)\\?east\.valid\[7:0\]", signal)[1]
    assert word.replace("\\", "") == f"{module}east.data[3][31:0]"


def test_mnemonics_stand_where_a_queue_issues(waveform):
    """A row of nine bits, valid on top of the opcode, and a text for each of its values."""
    lines = waveform.with_suffix(".gtkw").read_text().splitlines()
    at = lines.index("-MEM_W0.0")
    row = next(n for n in range(at, len(lines)) if lines[n].startswith("#{issue}"))
    parts = lines[row].split()
    assert [p.split(".")[-1] for p in parts[1:]] == ["issue__valid"] + 8 * ["issue__word[63:0]"]
    assert [p.split(")")[0] for p in parts[2:]] == [f"({n}" for n in range(56, 64)]
    texts = (waveform.with_suffix(".names") / "issue.txt").read_text().splitlines()
    assert "110 read" in texts
    assert "111 write" in texts
    assert "010 ." in texts


def test_nets_without_a_name_are_left_out(waveform):
    """Nor is there a colon in any name, at which GTKWave gives up."""
    names = [wire.name for wire in wires(waveform)]
    assert not [name for name in names if re.fullmatch(r"\$\d+", name) or ":" in name]


def test_other_levels_of_hierarchy():
    """A hop is found by its instance's name, with its superlane there or in a level above."""
    scopes = [("tsp_chip", "core", f"superlane_{i}", "hop2") for i in range(11)]
    deep = [Wire(scope, "east.valid", 8) for scope in scopes]
    deep += [Wire(scope, "east.data[0]", 64) for scope in scopes]
    (group,) = layout(NANO, deep)
    shown = [(trace.label, trace.bits[0][0].scope[2]) for trace in group.traces()]
    places = [f"superlane_{i}" for i in range(11)]
    assert shown == [(label, place) for place in places for label in ("E0 valid", "E0")]


NO_CORE = "$scope module a $end\n$var wire 1 ! b $end\n$enddefinitions $end\n"


def test_what_is_no_waveform_of_a_core_is_refused(tmp_path):
    path = tmp_path / "x.vcd"
    path.write_text("$scope module a $end\n$var wire 1 ! b $end\n$upscope $end\n")
    with pytest.raises(ValueError, match=r"x\.vcd is not a readable waveform: its header"):
        write_save(NANO, path)
    path.write_text(NO_CORE)
    with pytest.raises(ValueError, match="holds no stream registers of a core such as nano"):
        write_save(NANO, path)


def test_what_is_no_fst_is_refused(tmp_path):
    """Text, nothing at all, and a hierarchy whose compressed bytes are damaged."""
    path = tmp_path / "x.fst"
    packed = bytearray(gzip.compress(bytes(range(256))))
    packed[12:20] = bytes(8)
    block = b"\4" + (16 + len(packed)).to_bytes(8, "big") + bytes(8) + packed
    for content in (b"this is a text, and no waveform", b"", block):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"x\.fst is not a readable waveform"):
            wires(path)


def test_a_run_is_worth_more_than_its_view(tmp_path, monkeypatch):
    """The result is there, and a warning instead of half a view."""
    program, path = assemble(NANO, RUNS, name="copy"), tmp_path / "run.vcd"
    golden = backends.run(program, "golden")
    path.write_text(NO_CORE)
    monkeypatch.setattr(backends, "_run", lambda *_: golden)
    with pytest.warns(UserWarning, match=r"no GTKWave view of .*run\.vcd was written: InputError"):
        assert backends.run(program, "pysim", waves=path) is golden
    wire = Wire(("tsp_chip", "core", "superlane_0", "hop2"), "east.valid", 8)
    data = Wire(wire.scope, "east.data[0]", 64)
    monkeypatch.setattr(savefile, "wires", lambda path: [wire, data])
    monkeypatch.setattr(savefile.GTKWSave, "trace", lambda *_, **__: 1 / 0)
    with pytest.warns(UserWarning, match="was written: ZeroDivisionError"):
        assert backends.run(program, "pysim", waves=path) is golden
    assert [file.name for file in tmp_path.iterdir()] == ["run.vcd"]
