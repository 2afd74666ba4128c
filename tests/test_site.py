"""The site of the docs, built. Oracle: its own pages, to which all its links must lead."""

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from tsp.sim.doc_tables import rooms

pytest.importorskip("mkdocs", reason="the site needs the extra `site`")
ROOT = Path(__file__).parents[1]


class Page(HTMLParser):
    """What a page links to, loads and can be linked at."""

    def __init__(self, path):
        super().__init__()
        self.links, self.loads, self.anchors = [], [], set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.anchors |= {attrs[key] for key in ("id", "name") if attrs.get(key)}
        if tag == "a" and attrs.get("href"):
            self.links.append(attrs["href"])
        if tag in ("img", "script") and attrs.get("src"):
            self.loads.append(attrs["src"])
        if tag == "link" and attrs.get("rel") in ("stylesheet", "icon", "preconnect"):
            self.loads.append(attrs["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The pages of the site, by their path, built without a warning."""
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict"]
    command += ["--config-file", ROOT / "docs/site/mkdocs.yml", "--site-dir", target]
    built = subprocess.run(
        command, capture_output=True, text=True, env={"NO_MKDOCS_2_WARNING": "1"}, check=False
    )
    assert (built.returncode, built.stdout + built.stderr) == (0, "")
    return {path.relative_to(target): Page(path) for path in target.rglob("*.html")}, target


def test_every_link_leads_somewhere(site):
    pages, target = site
    lost = []
    for path, page in pages.items():
        for link in page.links:
            where, _, anchor = link.partition("#")
            if "://" in link or link.startswith("mailto:") or path.name == "404.html":
                continue
            to = (target / path.parent / unquote(where)).resolve() if where else target / path
            known = pages.get(to.relative_to(target.resolve() if where else target))
            if not to.exists() or (anchor and known and unquote(anchor) not in known.anchors):
                lost.append(f"{path}: {link}")
    assert not lost


def test_it_needs_no_network(site):
    pages, target = site
    assert not [load for page in pages.values() for load in page.loads if "//" in load]
    absent = [
        f"{path}: {load}"
        for path, page in pages.items()
        if path.name != "404.html"
        for load in page.loads
        if not (target / path.parent / unquote(load.partition("?")[0])).exists()
    ]
    assert not absent


def test_every_module_is_in_the_reference(site):
    pages, _ = site
    anchors = set().union(*(page.anchors for page in pages.values()))
    assert not [m.name for modules in rooms().values() for m in modules if m.name not in anchors]
