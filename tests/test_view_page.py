"""Views as files. Oracles: what is in the file, read back by the formats' own parsers."""

import base64
import json
import re
import tomllib
from collections import Counter, defaultdict
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackEvent

from tsp.hw.config import preset
from tsp.hw.errors import InputError
from tsp.hw.isa import SG1, DType, Read, Unit, Write, timing
from tsp.sim import asm, backends, binary
from tsp.sim.cli import main
from tsp.sim.kernels.matmul import matmul
from tsp.sim.kernels.rows import softmax
from tsp.sim.program import Run, assemble
from tsp.sim.schedule.reasons import CHOICE, KINDS, PHRASES, RUN, reasons
from tsp.sim.view import page, perfetto, write_view
from tsp.sim.view.container import unpack
from tsp.sim.view.perfetto import write_trace

NANO, SMALL = preset("nano"), preset("small")
FAULTY = """
.program faulty
.config nano
.queue MEM_W1.0
    notify
    write address=9 stream=sg1.e7
.output MEM_W1.0 address=9 words=1
"""


def product():
    rng = np.random.default_rng(1)
    a, b = (rng.integers(-128, 128, (8, 8)).astype(np.int8) for _ in range(2))
    return matmul(NANO, a, b, DType.INT32).program


def rows():
    return softmax(SMALL, np.random.default_rng(2).normal(size=(5, 16)).astype(np.float16)).program


@pytest.fixture(autouse=True)
def bundle(tmp_path, monkeypatch):
    """A bundle that is easy to find again, and says what would end its element."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "app.js").write_text('const end = "</script>"; // {braces}', encoding="utf-8")
    (folder / "app.css").write_text("body { color: red }", encoding="utf-8")
    monkeypatch.setattr(page, "BUNDLE", folder)
    page._bundle.cache_clear()
    yield folder
    page._bundle.cache_clear()


class _Elements(HTMLParser):
    """Tags, their attributes and texts, as a browser reads them."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append([tag, dict(attrs), ""])

    def handle_data(self, data):
        if self.found:
            self.found[-1][2] += data


def opened(path):
    """The headers and columns of a page, and its elements by tag."""
    elements = defaultdict(list)
    for tag, attributes, text in _Elements(path.read_text(encoding="utf-8")).found:
        elements[tag].append((attributes, text.strip()))
    payloads = {
        attributes["id"]: unpack(base64.b64decode(text))
        for attributes, text in elements["script"]
        if "id" in attributes
    }
    return payloads, elements


def tsp(*words):
    return CliRunner().invoke(main, list(map(str, words)))


def test_a_page_holds_payload_and_bundle_and_asks_for_nothing(tmp_path):
    path = tmp_path / "deep" / "view.html"
    program = product()
    (view,) = write_view(program, path)
    payloads, elements = opened(path)
    assert list(payloads) == ["tsp-view"]
    header, columns = payloads["tsp-view"]
    assert header["name"] == program.name
    assert header["values"]["until"] is view.until is None
    assert len(columns["run.queue"])
    (_, script) = elements["script"]
    assert script[1] == r'const end = "<\/script>"; // {braces}'
    assert elements["style"] == [({}, "body { color: red }")]
    assert [attributes["id"] for attributes, _ in elements["div"]] == ["app"]
    assert elements["title"][0][1] == f"{program.name} on nano"
    assert "noscript" in elements
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=|https?://", text)


def test_a_wheel_brings_the_bundle():
    """And a checkout has it, so that neither needs node."""
    root = Path(__file__).parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["setuptools"]["package-data"]["tsp.sim.view"] == ["bundle/*"]
    for name in ("app.js", "app.css"):
        assert (root / "sim" / "view" / "bundle" / name).stat().st_size


def test_two_programs_are_side_by_side(tmp_path):
    path = tmp_path / "view.html"
    write_view(product(), path, rows(), with_values=False)
    payloads, elements = opened(path)
    assert [header["name"] for header, _ in payloads.values()] == ["matmul_8x8x8", "softmax"]
    assert list(payloads) == ["tsp-view", "tsp-view-2"]
    assert elements["title"][0][1] == "matmul_8x8x8 on nano and softmax on small"


def test_a_bundle_that_is_missing_is_told(tmp_path, bundle):
    (bundle / "app.css").unlink()
    with pytest.raises(InputError, match=r"app\.css is not there"):
        write_view(product(), tmp_path / "view.html", with_values=False)
    assert not (tmp_path / "view.html").exists()


@pytest.fixture
def saved(tmp_path):
    """Programs in files: as text, in binary, and one that faults."""
    paths = [tmp_path / name for name in ("one.tsp", "two.npz", "faulty.tsp")]
    paths[0].write_text(asm.format_program(product()))
    paths[1].write_bytes(binary.to_binary(rows()))
    paths[2].write_text(FAULTY)
    return paths


def test_the_command_views_files(saved, tmp_path):
    one, two, faulty = saved
    out = tmp_path / "out.html"
    done = tsp("view", one, two, "--out", out)
    assert done.exit_code == 0, done.output
    assert f"wrote {out}" in done.stderr
    payloads, _ = opened(out)
    assert [header["name"] for header, _ in payloads.values()] == ["matmul_8x8x8", "softmax"]
    assert tsp("view", faulty, "-o", out, "--no-values").exit_code == 0
    header, _ = opened(out)[0]["tsp-view"]
    assert (header["fault"], header["values"]) == (None, None)
    assert tsp("view", faulty, "-o", out).exit_code == 0
    header, _ = opened(out)[0]["tsp-view"]
    assert header["fault"] == "invalid in MEM_W1 at cycle 1"


def test_a_program_that_is_known_to_be_wrong_is_shown_if_asked(tmp_path):
    source, out = tmp_path / "wrong.tsp", tmp_path / "out.html"
    source.write_text(FAULTY.replace("address=9 stream", "address=65535 stream"))
    done = tsp("view", source, "--out", out)
    assert done.exit_code == 1
    assert "address must be 0 to" in done.output
    assert not out.exists()
    assert tsp("view", source, "--out", out, "--unchecked").exit_code == 0
    header, _ = opened(out)[0]["tsp-view"]
    assert header["fault"] == "address in MEM_W1 at cycle 0"


def test_the_command_says_where_the_cycles_went(saved, tmp_path):
    one, two, _ = saved
    found = json.loads(tsp("view", one, "--json").stdout)
    assert sum(found["path_cycles"].values()) == found["cycles"] == product().cycles
    for plane in found["planes"]:
        assert plane["busy"] + sum(plane["idle"].values()) == found["cycles"]
    done = tsp("view", one, two, "--json", "--out", tmp_path / "x.html")
    both = json.loads(done.stdout)["programs"]
    assert both[0] == found
    assert both[1]["program"] == "softmax"
    assert f"matmul_8x8x8, critical path of {found['cycles']} cycles: " in done.stderr
    assert f"  MXM_W.0: busy {found['planes'][0]['busy']}; " in done.stderr
    assert set(PHRASES) == {*KINDS, CHOICE, RUN}


def test_the_command_says_when_values_are_left_out(saved, tmp_path):
    done = tsp("view", saved[1], "--out", tmp_path / "out.html", "--budget", "0.0001")
    assert done.exit_code == 0
    header, _ = opened(tmp_path / "out.html")[0]["tsp-view"]
    until = header["values"]["until"]
    assert f"no values from cycle {until} on" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["one.tsp"], "give --out for a page, --trace for a Perfetto trace, or --json"),
        (["one.tsp", "two.npz", "--trace", "x"], "--trace takes one program"),
        (["bundle/app.css", "--out", "x"], "line 1"),
        (["none.tsp", "--out", "x"], "does not exist"),
        (["one.tsp", "--out", "bundle"], "is a directory"),
    ],
)
@pytest.mark.usefixtures("saved")
def test_what_the_command_refuses(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = tsp("view", *words)
    assert done.exit_code != 0
    assert message in done.output
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("backend", ["golden", "pysim"])
def test_a_run_leaves_a_view_with_its_cycles(backend, tmp_path):
    """The values are those of the golden model, and the cycles those of the back end."""
    out, trace = tmp_path / "run.html", tmp_path / "run.perfetto"
    sizes = ["--m", 8, "--k", 8, "--n", 8, "--config", "nano"]
    views = ["--view", out, "--trace", trace]
    done = tsp("run", "matmul", *sizes, "--backend", backend, "--json", *views)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    header, columns = opened(out)[0]["tsp-view"]
    assert header["measured"] == found["cycles_measured"] == header["cycles"]
    assert header["ideal"] == 8 * 8 * 8 // 16
    assert header["fault"] is None
    assert (columns["drive.word"] >= 0).all()
    assert trace.stat().st_size


def test_every_kernel_can_leave_a_view():
    for name in main.commands["run"].commands:
        options = {option.name for option in main.commands["run"].commands[name].params}
        assert {"view", "trace"} <= options, name
    assert {"view", "trace"} <= {option.name for option in main.commands["exec"].params}


def test_exec_leaves_a_view_of_a_faulty_program(saved, tmp_path):
    out = tmp_path / "run.html"
    done = tsp("exec", saved[2], "--backend", "golden", "--view", out)
    assert done.exit_code == 1
    header, _ = opened(out)[0]["tsp-view"]
    assert header["fault"] == "invalid in MEM_W1 at cycle 1"


# Traces


class Parsed:
    """A trace, read back."""

    def __init__(self, path):
        trace = Trace.FromString(path.read_bytes())
        self.tracks = {
            p.track_descriptor.uuid: p.track_descriptor
            for p in trace.packet
            if p.HasField("track_descriptor")
        }
        self.slices, self.counters, opened = [], defaultdict(dict), defaultdict(list)
        for packet in trace.packet:
            if not packet.HasField("track_event"):
                continue
            event = packet.track_event
            track = self.tracks[event.track_uuid].name
            if event.type == TrackEvent.TYPE_COUNTER:
                self.counters[track][packet.timestamp] = event.counter_value
            elif event.type == TrackEvent.TYPE_SLICE_BEGIN:
                opened[track].append((packet.timestamp, event))
            else:
                begin, event = opened[track].pop()
                facts = {f.name: f.string_value or f.int_value for f in event.debug_annotations}
                arrows = tuple(event.flow_ids)
                self.slices.append((track, event.name, begin, packet.timestamp, facts, arrows))
        assert not any(opened.values())


@pytest.mark.parametrize("make", [product, rows])
def test_a_trace_has_every_issue_on_the_track_of_its_queue(make, tmp_path):
    program, path = make(), tmp_path / "x.perfetto"
    write_trace(path, program)
    parsed = Parsed(path)
    found = Counter((s[0], s[2], s[1]) for s in parsed.slices if not s[0].startswith("operations"))
    assert found == Counter(
        (queue, cycle, asm.format_instruction(instruction))
        for queue, runs in program.runs.items()
        for run in runs
        for cycle, instruction in run.issues()
    )
    for uuid, track in parsed.tracks.items():
        if track.name in program.queues:
            parent = parsed.tracks[track.parent_uuid].name
            assert parent == program.config.floorplan.queue(track.name).slice.name
            assert uuid != track.parent_uuid
    names = Counter(o.name for o, _ in program.operations)
    assert names == Counter(s[1] for s in parsed.slices if s[0].startswith("operations"))


def test_operations_of_a_trace_say_what_they_waited_for(tmp_path):
    program, path = product(), tmp_path / "x.perfetto"
    write_trace(path, program)
    placed = program.operations
    said = sorted((s[2], s[1], s[4]) for s in Parsed(path).slices if "operations" in s[0])
    found = reasons(program.config, placed)
    for (operation, start), reason in zip(placed, found, strict=True):
        mine = [f for b, name, f in said if (b, name) == (start + operation.first, operation.name)]
        assert any(
            facts["waits for"] == reason.kind and facts["start"] == start
            and facts.get("of") == (placed[reason.holder][0].name if reason.holder >= 0 else None)
            for facts in mine
        )  # fmt: skip


def copying():
    """Two words that flow east, past a bank that writes them to another one that does."""
    read = Read(address=0, stream=SG1("E", 3))
    write = Write(address=9, stream=SG1("E", 3))
    first = {q.stop: q for q in reversed(SMALL.floorplan.queues) if q.unit is Unit.MEM}
    source, near, far = (first[stop] for stop in sorted(first)[1:4])
    hops = [queue.stop - source.stop for queue in (near, far)]
    runs = {source.name: [Run(0, read, 2, 1, 1)]}
    for queue, apart in zip((near, far), hops, strict=True):
        runs[queue.name] = [Run(apart + timing.MEM_READ - timing.MEM_SAMPLE, write, 2, 1, 1)]
    return assemble(SMALL, runs, name="copy"), source.name, near.name, far.name, hops


def test_arrows_of_a_trace_go_from_who_drives_to_who_samples(tmp_path):
    program, source, near, far, hops = copying()
    path = tmp_path / "x.perfetto"
    write_trace(path, program)
    parsed = Parsed(path)
    ends = defaultdict(list)
    for track, _, begin, _, _, arrows in parsed.slices:
        for arrow in arrows:
            ends[arrow].append((track, begin))
    first = timing.MEM_READ - timing.MEM_SAMPLE
    assert sorted(sorted(end, key=lambda e: e[1]) for end in ends.values()) == sorted(
        [(source, n), (track, n + first + apart)]
        for n in range(2)
        for track, apart in zip((near, far), hops, strict=True)
    )
    # Both words stand at one stop after the other, up to the farther bank.
    flowing = Counter()
    for n in range(2):
        flowing.update(range(n + timing.MEM_READ + 1, n + timing.MEM_READ + max(hops) + 1))
    values, now = {}, 0
    for cycle in range(program.cycles):
        now = parsed.counters["words flowing east"].get(cycle, now)
        values[cycle] = now
    assert values == {cycle: flowing[cycle] for cycle in range(program.cycles)}


def test_runs_of_a_long_program_are_slices(tmp_path, monkeypatch):
    monkeypatch.setattr(perfetto, "SINGLE", 3)
    program, source, near, far, _ = copying()
    path = tmp_path / "x.perfetto"
    write_trace(path, program)
    slices = [s for s in Parsed(path).slices if not s[0].startswith("operations")]
    assert sorted((track, end - begin) for track, _, begin, end, _, _ in slices) == sorted(
        [(near, 2), (far, 2), (source, 2)]
    )
    assert all(facts["issues"] == 2 for *_, facts, _ in slices)
    assert backends.run(program, "golden").cycles == program.cycles
