"""The page of `tsp view` as it is shipped. Oracles: its TypeScript, and its own unit tests."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
APP = ROOT / "sim" / "view" / "app"
BUNDLE = ROOT / "sim" / "view" / "bundle"


def npm_tool(*arguments):
    """Run node in the folder of the page, and give back what it says."""
    if not shutil.which("node"):
        pytest.skip("node is not installed")
    if not (APP / "node_modules" / "esbuild").exists():
        pytest.skip("the page's packages are not installed; run `make view-app`")
    done = subprocess.run(
        ["node", *arguments], cwd=APP, capture_output=True, text=True, env=os.environ | {"CI": "1"}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_bundle_is_what_the_source_makes(tmp_path):
    """`make view-app` was run after the last change."""
    npm_tool("build.mjs", "--to", str(tmp_path))
    for name in ("app.js", "app.css"):
        assert (tmp_path / name).read_bytes() == (BUNDLE / name).read_bytes(), name


def test_the_units_of_the_page():
    """Model, streams, links, values, rows, search, sums."""
    npm_tool("build.mjs", "--tests")
    said = npm_tool("--test", str(ROOT / "build" / "view-tests"))
    assert re.search(r"^# fail 0$", said, re.M), said
    assert int(re.search(r"^# pass (\d+)$", said, re.M)[1]) >= 20


def test_the_types_of_the_page():
    """The compiler of TypeScript, at its strictest."""
    npm_tool(str(APP / "node_modules" / "typescript" / "bin" / "tsc"), "--noEmit")


def test_the_bundle_asks_nothing_of_a_network():
    """No address to fetch from, and nothing that would end the script that holds it."""
    script = (BUNDLE / "app.js").read_text(encoding="ascii")
    style = (BUNDLE / "app.css").read_text(encoding="utf-8")
    assert "</script" not in script.lower()
    assert "</style" not in style.lower()
    assert not re.search(r"\bfetch\(|XMLHttpRequest|WebSocket|sendBeacon|\bimport\(", script)
    assert not re.search(r"@import|url\(", style)
    addresses = set(re.findall(r"https?://[^\s\"'`]+", script))
    assert all(address.startswith("http://www.w3.org/") for address in addresses), addresses


def test_source_files_are_short():
    """500 lines at most, and a first line that says what the file is."""
    files = [*(APP / "src").rglob("*.ts"), *(APP / "test").glob("*.ts"), *APP.glob("*.mjs")]
    assert len(files) > 20
    for path in files:
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 500, path
        assert path.name.endswith(".d.ts") or lines[0].startswith("// "), path
