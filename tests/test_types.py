"""What type checkers see of the packages. Oracle: mypy."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tsp.hw import isa
from tsp.sim import checkout

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
USER = """
from tsp.hw.config import preset
from tsp.hw.isa import SG1, AddF, Read

reveal_type(preset("small"))
preset(5)
reveal_type(Read(address=5, stream=SG1("E", 1)).strided_by(2))
Read(adress=5, stream=SG1("E", 1))
"""


def output(folder, *command):
    """What `command` prints, run in `folder`."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A virtual environment that has nothing but the links, at a path with a space."""
    folder = tmp_path_factory.mktemp("an environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    checkout.link(site)
    checkout.link(site)  # as often as one likes
    (folder / "user.py").write_text(USER)
    return folder


def test_type_checkers_resolve_the_packages(environment):
    command = [sys.executable, "-m", "mypy", "--python-executable", "bin/python"]
    found = output(environment, *command, "--cache-dir", "cache", "user.py")
    assert 'Revealed type is "tsp.hw.config.Config"' in found, found
    assert 'incompatible type "int"; expected "str"' in found
    assert 'Revealed type is "tsp.hw.isa.mem.Read"' in found
    assert 'Unexpected keyword argument "adress" for "Read"' in found
    assert "Found 2 errors" in found


def test_python_imports_the_files_of_the_checkout(environment):
    """Not those of the links, so that tracebacks name what is edited."""
    code = "import tsp.hw.config as a, tsp.sim.checkout as b; print(a.__file__, b.__file__)"
    found = output(environment, environment / "bin" / "python", "-c", code)
    assert found.split() == [str(ROOT / "hw" / "config.py"), str(ROOT / "sim" / "checkout.py")]


def test_a_wheel_says_that_it_is_typed():
    data = PROJECT["tool"]["setuptools"]["package-data"]
    for name in ("hw", "sim"):
        assert (ROOT / name / "py.typed").exists()
        assert "py.typed" in data[f"tsp.{name}"]


PUBLIC = [
    *("hw/config", "hw/fault", "hw/floorplan"),
    *(f"hw/isa/{name}" for name in ("base", "icu", "mem", "mxm", "rules", "special", "sxm")),
    *("hw/isa/timing", "sim/asm", "sim/backends/__init__", "sim/binary", "sim/cache", "sim/checks"),
    *("sim/checkout", "sim/command", "sim/info", "sim/listing", "sim/measure", "sim/program"),
    *("sim/result", "sim/rom", "sim/schedule/operation", "sim/schedule/resource"),
    *(
        "sim/schedule/columns",
        "sim/schedule/dependences",
        "sim/schedule/flows",
        "sim/schedule/idle",
    ),
    *("sim/schedule/idle", "sim/schedule/reasons", "sim/schedule/table", "sim/suspects"),
    *("sim/tools", "sim/view/__init__", "sim/view/container", "sim/view/data"),
    *("sim/view/operations", "sim/view/page", "sim/view/perfetto", "sim/view/templates"),
    "sim/view/values",
]
"""Modules of which all that has a public name is annotated."""
KERNELS = (
    *("activations", "attention", "attention_layer", "chain", "ffn", "linear", "matmul", "norms"),
    *("rope", "rows", "transpose"),
)
"""Modules of kernels, of which the kernels are, and their references."""


def functions(node, inside=False):
    """The functions of a module with public names, methods included, and whether each is one."""
    for item in node.body:
        if isinstance(item, ast.ClassDef) and not item.name.startswith("_"):
            yield from functions(item, inside=True)
        if isinstance(item, ast.FunctionDef) and not item.name.startswith("_"):
            yield item, inside


def bare(function, is_method):
    """The arguments of a function that are not annotated, and ``return`` if its result is not."""
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    named = (
        named[is_method:] if "staticmethod" not in map(_name, function.decorator_list) else named
    )
    named += [a for a in (arguments.vararg, arguments.kwarg) if a]
    found = [a.arg for a in named if a.annotation is None]
    return found + ["return"] * (function.returns is None)


def _name(node):
    return node.id if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize("name", PUBLIC)
def test_public_functions_are_annotated(name):
    tree = ast.parse((ROOT / f"{name}.py").read_text(encoding="utf-8"))
    found = {f.name: bare(f, is_method) for f, is_method in functions(tree)}
    assert not {name: what for name, what in found.items() if what}


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_are_annotated(name):
    """What takes a config first, and what its name ends in ``reference``."""
    tree = ast.parse((ROOT / "sim" / "kernels" / f"{name}.py").read_text(encoding="utf-8"))
    seen = 0
    for function, is_method in functions(tree):
        is_kernel = not is_method and [a.arg for a in function.args.args[:2]] == ["config", "x"]
        if is_kernel or function.name.endswith("reference") or function.name == name:
            seen += 1
            assert not bare(function, is_method), function.name
    assert seen


def test_all_instructions_are_among_the_public_names():
    """A type checker knows no others; each is the class of that name."""
    assert set(isa.__all__) >= {cls.__name__ for cls in isa.ISA.values()}
    assert len(set(isa.__all__)) == len(isa.__all__)
    for name in isa.__all__:
        assert hasattr(isa, name)
    for cls in isa.ISA.values():
        assert getattr(isa, cls.__name__) is cls
