"""The parts of the documentation that are generated from the code.

``python -m tsp.sim.docs`` lists stale files and fails if there are any; with ``--write`` it updates
the ISA reference, the tables between markers and the figures.
Measured figures come from the files written by ``tsp bench``; nothing is measured here.
A table is between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``.
"""

import argparse
import re
from pathlib import Path

from tsp.hw.config import preset
from tsp.hw.errors import InputError
from tsp.sim import dataflow, doc_tables, files, isadoc
from tsp.sim.bench import page as results
from tsp.sim.bench.plots import PLOTS
from tsp.sim.bench.record import results as measured
from tsp.sim.figures import floorplan
from tsp.sim.timing_examples import EXAMPLES

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "docs" / "figures"
PLANS = ("small", "tsp")
"""The presets whose floor plan is drawn."""

BLOCKS = {
    "presets": doc_tables.presets,
    "slices-small": doc_tables.slices,
    "latencies": doc_tables.latencies,
    "faults": doc_tables.faults,
    "tests": doc_tables.tests,
    "proofs": doc_tables.proofs,
    "waivers": doc_tables.waivers,
    "widths": doc_tables.widths,
    "special": doc_tables.special,
    "host-address": doc_tables.address,
    "host-spaces": doc_tables.spaces,
    "host-registers": doc_tables.registers,
    "host-status": doc_tables.status,
    "host-fault": doc_tables.fault_record,
}
"""The contents between markers, by name; each example of the timing page has a block too."""

_MARKED = re.compile(r"(<!-- begin (\S+) -->\n).*?(<!-- end (\S+) -->)", re.S)
_LIKE_A_MARKER = re.compile(r"<!--\s*(?:begin|end)\b[^\n]*")


class DocsError(InputError):
    """A page whose markers do not match."""


def pages():
    """The pages that may hold markers."""
    found = sorted(p for p in (ROOT / "docs").glob("*.md") if p != isadoc.PATH)
    return [ROOT / "README.md", *found]


def filled(text, blocks, where="the page"):
    """`text` with the contents between its markers replaced by `blocks`."""

    def replace(match):
        begin, name, end, ending = match.groups()
        if name != ending or _LIKE_A_MARKER.search(match[0][len(begin) : -len(end)]):
            raise DocsError(f"{where}: the end of {name} is missing")
        if name not in blocks:
            raise DocsError(f"{where}: there is no block {name!r}; there are {', '.join(blocks)}")
        return f"{begin}{blocks[name]}\n{end}"

    result = _MARKED.sub(replace, text)
    if stray := _LIKE_A_MARKER.search(_MARKED.sub("", text)):
        raise DocsError(
            f"{where}: {stray[0]!r} is half a pair; write <!-- begin NAME --> on a line of its own "
            "and <!-- end NAME --> after it"
        )
    return result


def generated():
    """The text that every generated file and page should have, by path."""
    texts = {isadoc.PATH: isadoc.reference()}
    found = measured(results.RESULTS)
    blocks = {name: block() for name, block in BLOCKS.items()} | results.blocks(found)
    for name, plot in PLOTS.items():
        texts[results.RESULTS / name] = plot(found)
    for name in PLANS:
        texts[FIGURES / f"floorplan-{name}.svg"] = floorplan(preset(name))
    texts[FIGURES / "attention.svg"] = dataflow.attention()
    for example in EXAMPLES:
        name, diagram = example.__name__, example()
        texts[FIGURES / f"{name}.json5"] = diagram.source()
        texts[FIGURES / f"{name}.svg"] = diagram.svg()
        picture = f"![{diagram.title}](figures/{name}.svg)"
        blocks[f"example-{name}"] = "\n".join([picture, "", *(f"- {s}" for s in diagram.steps)])
    for page in pages():
        texts[page] = filled(page.read_text(encoding="utf-8"), blocks, page.name)
    return texts


def stale(texts):
    """The paths whose file differs from the text in :func:`generated`."""
    return [
        path
        for path, text in texts.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def write():
    """Update everything; returns the paths of the files that were stale."""
    texts = generated()
    wrong = stale(texts)
    for path in wrong:
        files.write(path, texts[path])
    return wrong


def main():
    """List stale files of the documentation, or update them."""
    parser = argparse.ArgumentParser(prog="python -m tsp.sim.docs", description=main.__doc__)
    parser.add_argument("--write", action="store_true", help="update them")
    if parser.parse_args().write:
        for path in write():
            print(f"wrote {path.relative_to(ROOT)}")
    elif wrong := stale(generated()):
        for path in wrong:
            print(f"stale: {path.relative_to(ROOT)}")
        raise SystemExit("run `make docs`")


if __name__ == "__main__":
    main()
