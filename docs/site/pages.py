"""The pages of the site that are no files of `docs/`, and the links between all of them.

README is the first page.
Each room of the code has a page of reference, which lists its files and shows what is public there.
A link of a page to a file of the repository leads to the file's place in the reference or, if it is
no module, to a page that shows its text.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

from tsp.sim import checkout
from tsp.sim.doc_tables import rooms

ROOT = Path(__file__).parents[2]
_LINK = re.compile(r"(\]\()([^)\s#]*)(#[^)\s]*)?(\))")
_CODE = re.compile(r"^```.*?^```$", re.S | re.M)
_HIGHLIGHT = {".v": "verilog", ".py": "python", ".core": "yaml", ".md": "markdown", ".cpp": "cpp"}
_WORKER = "iframe-worker.js"
_WRITTEN = {"README.md": "index.md"}
"""Pages whose text is a file outside `docs/`, by that file."""


def on_startup(command, dirty):
    """Lay the code out as it is imported, for the reader of docstrings."""
    checkout.link(ROOT / "build" / "site-code")


def on_config(config):
    """Put the pages of reference into the navigation."""
    entry = next(item for item in config.nav if "Reference" in item)
    entry["Reference"] = ["reference/index.md", *(_page(room) for room in rooms())]
    return config


def on_files(files, config):
    """Add the pages that are no files of `docs/`."""

    def add(uri, text):
        files.append(File.generated(config, uri, content=text))

    for source, uri in _WRITTEN.items():
        add(uri, (ROOT / source).read_text(encoding="utf-8"))
    add("reference/index.md", _index())
    for room, modules in rooms().items():
        add(_page(room), _reference(room, modules))
    files.append(File(_WORKER, config.config_file_path.rpartition("/")[0], config.site_dir, False))
    pages = [file for file in files if file.src_uri.endswith(".md")]
    for path in sorted({path for page in pages for path in _shown(page)}):
        add(_source(path), _text(path))
    return files


def on_page_markdown(markdown, page, config, files):
    """Let links to files of the repository lead to pages of the site."""
    return _with_links(markdown, page.file)


def _page(room):
    return f"reference/{room.lower().replace(' ', '-')}.md"


def _source(path):
    return f"source/{path}.md"


def _index():
    """Every file of `hw/` and `sim/`, room by room, in the order in which data flows."""
    lines = ["# Files", "", "In the order in which data flows.", ""]
    for room, modules in rooms().items():
        lines += [f"## [{room}]({posixpath.basename(_page(room))})", "", "| file | what it is |"]
        lines += ["|---|---|"]
        lines += [f"| [`{m.path}`](../../{m.path}) | {m.purpose} |" for m in modules]
        lines += [""]
    return "\n".join(lines)


def _reference(room, modules):
    parts = [f"# {room}", ""]
    parts += [f"::: {module.name}\n" for module in modules]
    return "\n".join(parts)


def _text(path):
    """A file of the repository as a page."""
    text = (ROOT / path).read_text(encoding="utf-8")
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    kind = _HIGHLIGHT.get(posixpath.splitext(path)[1], "text")
    return f"# `{path}`\n\n{fence}{kind}\n{text}\n{fence}\n"


def _shown(file):
    """The files of the repository that a page links to and that need a page of their own."""
    if file.src_uri.startswith("source/"):
        return
    for link in _LINK.finditer(_CODE.sub("", file.content_string)):
        target = _target(link[2], file)
        if target and target.startswith("source/"):
            yield target.removeprefix("source/").removesuffix(".md")


def _with_links(markdown, file):
    if file.src_uri.startswith("source/"):
        return markdown
    here = posixpath.dirname(file.src_uri)

    def replace(link):
        target = _target(link[2], file)
        if target is None:
            return link[0]
        uri, _, anchor = target.partition("#")
        anchor = link[3] or (f"#{anchor}" if anchor else "")
        return f"{link[1]}{posixpath.relpath(uri, here or '.')}{anchor}{link[4]}"

    kept = _CODE.findall(markdown)
    parts = _CODE.split(markdown)
    result = [_LINK.sub(replace, parts[0])]
    for code, part in zip(kept, parts[1:], strict=True):
        result += [code, _LINK.sub(replace, part)]
    return "".join(result)


def _target(link, file):
    """Where a link of a page leads on the site, or None if it is good as it stands."""
    if not link or "://" in link:
        return None
    base = "" if file.src_uri in _WRITTEN.values() else posixpath.dirname(f"docs/{file.src_uri}")
    path = posixpath.normpath(posixpath.join(base, link))
    if path in _WRITTEN:
        return _WRITTEN[path]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if not (ROOT / path).exists():
        return None
    for room, modules in rooms().items():
        for module in modules:
            if module.path == path:
                return f"{_page(room)}#{module.name}"
    if (ROOT / path).is_dir():
        path = f"{path}/README.md" if (ROOT / path / "README.md").exists() else path
    return _source(path) if (ROOT / path).is_file() else "reference/index.md"
