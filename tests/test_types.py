"""What type checkers see of the packages. Oracle: mypy."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tsp.sim import checkout

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
USER = """
from tsp.hw.config import preset

reveal_type(preset("small"))
preset(5)
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
