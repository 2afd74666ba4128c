"""The documentation. Oracle: the code and the files that it speaks of; its snippets are run."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from tsp.hw.config import LONGEST_SUM, preset
from tsp.hw.host import HOST_READ, host_bits
from tsp.hw.isa import Mov, Unit, timing
from tsp.hw.mxm.mac import Fp16Mac
from tsp.sim import docs
from tsp.sim.bench import page
from tsp.sim.bench.plots import PLOTS
from tsp.sim.cli import main

ROOT = Path(__file__).parents[1]
PAGES = {p.name: p.read_text(encoding="utf-8") for p in sorted((ROOT / "docs").glob("*.md"))}
README = (ROOT / "README.md").read_text(encoding="utf-8")
WRITTEN = (
    "architecture",
    "extending",
    "host",
    "kernels",
    "numerics",
    "planning",
    "programming",
    "results",
    "synthesis",
    "timing",
    "verification",
    "view",
)
"""Pages written by hand, in one sentence per line."""

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.S | re.M)
LINK = re.compile(r"\]\(([^)\s]+)\)")
NAMED = re.compile(r"`((?:hw|sim|tests|docs|examples)/[\w./-]+?)(?:::(\w+))?`")


@pytest.fixture(scope="module")
def generated():
    """What the code says that the docs should be."""
    return docs.generated()


def test_everything_generated_is_current(generated):
    """Run `make docs` when this fails."""
    assert not [path.relative_to(ROOT).as_posix() for path in docs.stale(generated)]


def test_every_block_and_figure_is_used(generated):
    """And no figure lies about that nobody makes."""
    text = "".join(PAGES.values()) + README
    names = {*docs.BLOCKS, *page.BLOCKS, *(f"example-{e.__name__}" for e in docs.EXAMPLES)}
    assert not [name for name in names if f"<!-- begin {name} -->" not in text]
    made = {path.name for path in generated if path.parent == docs.FIGURES}
    assert {path.name for path in docs.FIGURES.iterdir()} == made
    assert not [name for name in made if name.endswith(".svg") and f"figures/{name}" not in text]
    assert not [name for name in PLOTS if f"results/{name}" not in text]


def test_stale_pages_are_noticed(tmp_path):
    """A page that is not what it should be, one that is, and one that is missing."""
    page = tmp_path / "page.md"
    page.write_text("a\n")
    missing = tmp_path / "missing.md"
    assert docs.stale({page: "a\n"}) == []
    assert docs.stale({page: "b\n", missing: "a\n"}) == [page, missing]


def test_markers():
    """What stands between them is replaced, and markers that make no sense are refused."""
    page = "x\n<!-- begin one -->\nold\n<!-- end one -->\ny\n"
    new = "x\n<!-- begin one -->\nnew\n<!-- end one -->\ny\n"
    assert docs.filled(page, {"one": "new"}) == new
    assert docs.filled(new, {"one": "new"}) == new
    with pytest.raises(docs.DocsError, match="there is no block 'one'; there are two"):
        docs.filled(page, {"two": ""})
    with pytest.raises(docs.DocsError, match="the end of one is missing"):
        docs.filled(page.replace("end one", "end two"), {"one": ""})
    for right, wrong in (
        ("<!-- begin one -->", "<!-- begin one-->"),
        ("<!-- begin one -->", "<!--begin one -->"),
        ("<!-- begin one -->\n", ""),
        ("<!-- end one -->", "<!-- end one-->"),
        ("<!-- end one -->\n", ""),
    ):
        with pytest.raises(docs.DocsError, match=r"a\.md: '<!--.*' is half a pair"):
            docs.filled(page.replace(right, wrong), {"one": ""}, "a.md")
    with pytest.raises(docs.DocsError, match="the end of one is missing"):
        docs.filled(page.replace("old", "<!--begin two-->"), {"one": ""})


def anchors(text):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("name", [*PAGES, "README.md"])
def test_links_lead_somewhere(name):
    """Files and anchors exist; nothing points out of the repository."""
    text = PAGES.get(name, README)
    folder = ROOT / "docs" if name in PAGES else ROOT
    for link in LINK.findall(FENCE.sub("", text)):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (folder / path).resolve() if path else folder / name
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("name", [*PAGES, "README.md"])
def test_files_and_tests_that_are_named_exist(name):
    """``tests/test_x.py::test_y`` names a function of that file."""
    for path, function in NAMED.findall(PAGES.get(name, README)):
        assert (ROOT / path).exists(), path
        if function:
            assert f"\ndef {function}(" in (ROOT / path).read_text(encoding="utf-8"), function


@pytest.mark.parametrize("name", WRITTEN)
def test_one_sentence_per_line(name):
    """Except in tables, in code, and in what is generated."""
    text = FENCE.sub("", PAGES[f"{name}.md"])
    text = re.sub(r"<!-- begin .*?<!-- end \S+ -->", "", text, flags=re.S)
    lines = [line for line in text.splitlines() if not line.startswith("|")]
    lines = [re.sub(r"^\d+\. ", "", line) for line in lines]
    assert not [line for line in lines if re.search(r"[\w)`]\. +[A-Z`]", line)]


@pytest.mark.parametrize("name", ["programming", "host", "verification", "view"])
def test_snippets_run(name, tmp_path, monkeypatch):
    """Source files are written, commands give the output that is shown, Python runs through."""
    monkeypatch.chdir(tmp_path)
    names = {}
    found = FENCE.findall(PAGES[f"{name}.md"])
    assert found
    for language, code in found:
        match language:
            case "asm":
                title = re.search(r"^\.program (\w+)$", code, re.M)[1]
                Path(f"{title}.tsp").write_text(code)
            case "console":
                console(code)
            case "python":
                exec(compile(code, f"{name}.md", "exec"), names)
            case _:
                pytest.fail(f"{name}.md: nobody runs {language!r}")


def console(code):
    """Run each ``$ tsp ...`` and compare what it prints, if its output is shown."""
    for command, shown in re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", code, re.M):
        program, *arguments = shlex.split(command)
        assert program == "tsp"
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.output
        if shown:
            assert result.stdout.strip() == shown.strip(), command


def total(fixed):
    """Bits of a number in digits."""
    return sum(fixed.widths)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("architecture", f"a barrier of {timing.BARRIER} cycles"),
        (
            "architecture",
            f"| `shift`, `permute`, `broadcast` | the whole vector | {timing.SXM_LOCAL} + 2(T - 1)",
        ),
        ("architecture", f"touches SRAM {timing.MEM_BANK} cycles after issue"),
        ("architecture", f"up to {Mov.field('wait').codec.limit} cycles"),
        ("architecture", f"accumulators of {total(Fp16Mac(16).row)} bits"),
        (
            "architecture",
            f"words of {Unit.MEM.word_bits} bits, {Unit.VXM.word_bits} in VXM queues, "
            f"{Unit.LW.word_bits} in LW queues",
        ),
        ("numerics", f"the {total(Fp16Mac(16).row)} bits of an accumulator"),
        ("numerics", f"an integer multiple of 2^{Fp16Mac.lsb}"),
        ("numerics", f"may sum up to {LONGEST_SUM:,} products"),
        (
            "host",
            f"Cycle 0 of the program is {timing.first_cycle(preset('small'))} clocks after this "
            f"request, and {timing.first_cycle(preset('nano'))} in deep pipelines",
        ),
        ("host", f"The answer comes {HOST_READ} clocks after its request"),
        (
            "host",
            f"{timing.first_cycle(preset('small'))} + n + {timing.SETTLE} clocks after the start "
            f"request, or {timing.first_cycle(preset('nano'))} + n + {timing.SETTLE} in deep",
        ),
        (
            "host",
            "128 on `nano`, `small` and `quad16`, 256 on `duo32`, "
            f"{host_bits(preset('base'))} on `base` and {host_bits(preset('tsp')):,} on `tsp`",
        ),
        ("timing", f"{4 * timing.sxm_combine(preset('small'))} with 16 lanes"),
        ("timing", f"it drives {timing.reduce_latency(preset('small'))} cycles after issue"),
        (
            "timing",
            f"{timing.reduce_latency(preset('small'))} + "
            f"{timing.sxm_combine(preset('small')) + 1}(T - 1) + 1 cycles, "
            f"{timing.reduce_latency(preset('base'))} on `base`",
        ),
        ("timing", f"so a reduction takes {timing.reduce_latency(preset('nano'))} cycles again"),
        ("timing", f"t + {timing.MEM_BANK} + T"),
        ("timing", f"its instruction takes {timing.ACC_SAMPLE} cycles to reach them"),
    ],
)
def test_numbers_in_the_text(name, sentence):
    """Numbers that stand in sentences are those of the code."""
    assert sentence in PAGES[f"{name}.md"]
