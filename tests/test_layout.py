"""Rules of the source tree. Oracle: the files."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted(
    p for top in ("hw", "sim", "tests", "examples") for p in (ROOT / top).rglob("*.py")
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def imports(path):
    """The absolute names of the modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_hardware_never_imports_software():
    """`hw/` stands alone."""
    hardware = [path for path in SOURCES if path.is_relative_to(ROOT / "hw")]
    assert len(hardware) > 10
    for path in hardware:
        assert not [name for name in imports(path) if name.startswith("tsp.sim")], path


@pytest.mark.parametrize("pure", ["config", "floorplan", "fault", "isa"])
def test_the_pure_parts_need_no_hardware_language(pure):
    """What the host tools import of `hw/` imports nothing of Amaranth, directly or not."""
    seen, todo = set(), [f"tsp.hw.{pure}"]
    while todo:
        name = todo.pop()
        base = ROOT.joinpath(*name.split(".")[1:])
        path = next(
            (p for p in (base.with_suffix(".py"), base / "__init__.py") if p.exists()), None
        )
        if name in seen or path is None:
            continue
        seen.add(name)
        for other in imports(path):
            assert not other.startswith("amaranth"), f"{path} imports {other}"
            if other.startswith("tsp."):
                todo.append(other)
    assert len(seen) > (pure == "isa")


def test_the_golden_model_shares_no_code_with_the_hardware():
    """It takes sizes, encodings, timing and refusals from `hw/`; nothing that becomes gates."""
    shared = ("tsp.hw.config", "tsp.hw.errors", "tsp.hw.fault", "tsp.hw.isa")
    for path in (ROOT / "sim" / "golden").glob("*.py"):
        names = [n for n in imports(path) if n.startswith("tsp.hw")]
        assert all(name.startswith(shared) for name in names), path


def test_every_package_is_installed():
    """A folder that the project's file does not list would be missing from a wheel."""
    folders = {path.parent for path in SOURCES if path.is_relative_to(ROOT / "hw")}
    folders |= {path.parent for path in SOURCES if path.is_relative_to(ROOT / "sim")}
    expected = {"tsp." + ".".join(f.relative_to(ROOT).parts) for f in folders}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == expected
    for folder in folders:
        assert (folder / "__init__.py").exists(), folder


def unnamed(value):
    """Whether an expression makes a signal that is to be named after what it is assigned to."""
    for node in ast.walk(value):
        if isinstance(node, ast.Call) and not {"name", "path"} & {k.arg for k in node.keywords}:
            made = getattr(node.func, "attr", getattr(node.func, "id", ""))
            of = getattr(getattr(node.func, "value", None), "id", "Signal")
            if made in ("Signal", "create") or (made == "like" and of == "Signal"):
                return True
    return False


def test_every_signal_is_assigned_alone():
    """Amaranth finds the name of a signal in the byte code of its assignment.

    Of several in one assignment it finds the last, or none from Python 3.13 on, so that the export
    would depend on the version of Python.
    """
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Assign) and any(isinstance(t, ast.Tuple) for t in node.targets):
                where = f"{path}:{node.lineno}"
                assert not unnamed(node.value), f"{where}: give each signal a line or a name"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Signal(), Signal()", True),
        ("3, hdl.Signal(3)", True),
        ("x, Signal.like(x)", True),
        ("word, Request(3).create()", True),
        ("(Signal() for _ in 'ab')", True),
        ("(Signal(name=n) for n in 'ab')", False),
        ("np.zeros_like(x), Array(signals)", False),
        ("x, Request(3).create(path=('come',))", False),
    ],
)
def test_what_is_named_after_its_variable(text, expected):
    """The rule above, broken and kept."""
    assert unnamed(ast.parse(text, mode="eval").body) is expected


def test_files_are_short_and_their_modules_say_what_they_are():
    """500 lines at most, and a docstring each."""
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 500, path
        assert ast.get_docstring(ast.parse(text)), path


def test_every_dependency_has_its_reason():
    """A comment on the line of each."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = PROJECT["project"]
    for requirement in project["dependencies"] + project["optional-dependencies"]["dev"]:
        (line,) = [line for line in text.splitlines() if f'"{requirement}"' in line]
        assert "#" in line, requirement


def test_quick_tests_simulate_nothing():
    """The files of `make test-quick` are there, and import neither back ends nor a simulator."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    (names,) = [line.split(":=")[1].split() for line in text.splitlines() if "QUICK :=" in line]
    assert names == sorted(names)
    for name in names:
        found = set(imports(ROOT / "tests" / f"test_{name}.py"))
        assert not found & {"amaranth.sim", "tsp.sim.backends", "tsp.sim.backends.build"}, name
