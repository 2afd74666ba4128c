"""The Verilog that users get. Oracles: Verilator of this project and another, Icarus, Yosys."""

import re
import shutil
import subprocess
import sys
from itertools import combinations, permutations
from pathlib import Path

import pytest
from click.testing import CliRunner
from configs import PAIR

from tsp.hw.config import PRESETS, preset
from tsp.hw.errors import InputError
from tsp.hw.export import prefixed, split, uninitialised
from tsp.hw.export.words import RESERVED
from tsp.sim import asm, rom
from tsp.sim.backends.kit import workshop
from tsp.sim.cli import main
from tsp.sim.lint.pieces import pieces
from tsp.sim.tools import run, which, yosys
from tsp.sim.verilog import default_prefix, top, verilog

EXAMPLE = Path(__file__).parents[1] / "examples" / "verilog"
READ = [name for name in PRESETS if name != "tsp"]
"""Presets that tools read whole; `tsp` is for machines with more memory than they have."""

full = pytest.mark.full
needs_icarus = pytest.mark.skipif(
    not which("iverilog"), reason="needs Icarus; `make install-icarus`"
)


def lint(command, *sources):
    """What Verilator says of `sources`, read with no flag but what they are for."""
    with workshop() as (work, env):
        code, log = run([command, "--lint-only", *sources], work, env=env)
    assert bool(code) == ("%Error" in log)
    return re.findall(r"^%.*", log, re.M)


def written(folder, config, form="loops", **options):
    """The path of the Verilog of a configuration."""
    path = folder / f"{config.name}-{form}.v"
    path.write_text(verilog(config, form, **options))
    return path


VERILATORS = ["verilator"]
"""The one of this project, and one that the machine has beside it."""
if other := shutil.which("verilator"):
    VERILATORS.append(other)


@pytest.mark.parametrize("form", ["loops", "instances"])
@pytest.mark.parametrize(
    "name", [name if name == "nano" else pytest.param(name, marks=full) for name in READ]
)
@pytest.mark.parametrize("verilator", VERILATORS)
def test_verilator_has_nothing_to_say_without_a_flag(tmp_path, verilator, name, form):
    """A large core with instances is read in pieces, which fit in memory."""
    core = written(tmp_path, preset(name), form)
    if form == "loops" or name in ("nano", "small"):
        assert lint(verilator, core) == []
        return
    bodies, ports = pieces(core.read_text())
    core.write_text(bodies)
    (tmp_path / "ports.v").write_text(ports)
    (tmp_path / "ports.vlt").write_text('`verilator_config\nlint_off -file "*ports.v"\n')
    # Every module is a top of its own, and what the ports of a top are called matters to C++.
    flags = ["-Wno-MULTITOP", "-Wno-SYMRSVDWORD"]
    assert lint(verilator, *flags, tmp_path / "ports.vlt", tmp_path / "ports.v", core) == []


def test_it_says_what_is_wrong_after_the_text_and_in_it(tmp_path):
    """The waivers end with it in a design that includes it, and widths of ports are checked."""
    core = written(tmp_path, preset("nano"), prefix="one")
    after = tmp_path / "after.v"
    after.write_text(
        f'`include "{core}"\nmodule after(input clk, output reg [1:0] y);\n'
        "  always @(posedge clk) y <= 3'd4;\nendmodule\n"
    )
    (found,) = [f for f in lint("verilator", "-Wno-MULTITOP", after) if "Warning" in f]
    assert "WIDTHTRUNC" in found
    text = core.read_text()
    wrong = tmp_path / "wrong.v"
    wrong.write_text(re.sub(r"\.host__address\(.*\)", ".host__address(1'h0)", text, count=1))
    assert wrong.read_text() != text
    assert any("WIDTHEXPAND" in finding for finding in lint("verilator", wrong))


def names(text):
    """Names of modules as they are declared, those of parts with a dot in them."""
    return {name.strip() for name in re.findall(r"^module \\?([^\s(]+)", text, re.M)}


@pytest.mark.parametrize("form", ["loops", "instances"])
def test_every_name_of_a_module_begins_with_its_prefix(form):
    text = verilog(preset("nano"), form)
    assert f"// Top module {top(default_prefix(preset('nano')))}," in text
    assert all(name.startswith("tsp_nano_") for name in names(text))
    assert {"tsp_nano_chip", "tsp_nano_core", "tsp_nano_mxm_plane"} < names(text)
    other = verilog(preset("nano"), form, prefix="q9")
    assert {name.removeprefix("tsp_nano") for name in names(text)} == {
        name.removeprefix("q9") for name in names(other)
    }
    assert other.replace("q9_", "tsp_nano_") == text


def test_no_prefix_of_a_preset_begins_another():
    """So that no two presets have a name in common, whatever their modules."""
    prefixes = [f"{default_prefix(config)}_" for config in PRESETS.values()]
    assert not any(one.startswith(two) for one, two in permutations(prefixes, 2))


@pytest.mark.parametrize("prefix", ["", "1a", "a-b", "a b", "é", "a\n"])
def test_a_prefix_that_is_no_name_is_refused(prefix, monkeypatch):
    """Before the export, which takes long."""
    monkeypatch.setattr("tsp.sim.backends.build.export", None)
    with pytest.raises(InputError, match="prefix must be letters, digits and underscores"):
        verilog(preset("nano"), prefix=prefix)
    done = CliRunner().invoke(main, ["verilog", "-o", "x.v", "--prefix", prefix])
    assert done.exit_code == 1
    assert "Error: prefix must be letters, digits and underscores" in done.stderr


def test_a_keyword_is_a_prefix_like_any_other():
    """What begins with it is no keyword: none is a prefix, an underscore and a name of ours."""
    modules = {name.removeprefix("wait_") for name in names(verilog(preset("nano"), prefix="wait"))}
    ends = {word[n.end() :] for word in RESERVED for n in re.finditer("_", word)}
    assert {"order", "comb", "match"} < ends
    assert modules.isdisjoint(ends)


def test_only_modules_are_renamed():
    text = "module vxm(a);\n  input a;\n  wire vxm;\n"
    text += "  \\vxm.x  vxm (\n    .vxm(vxm)\n  );\nendmodule\n"
    text += "module \\vxm.x (vxm);\n  input vxm;\nendmodule\n"
    renamed = prefixed(text, "p")
    assert "module p_vxm(a);" in renamed
    assert "  \\p_vxm.x  vxm (\n    .vxm(vxm)" in renamed
    assert "module \\p_vxm.x (vxm);\n  input vxm;" in renamed
    assert set(split(renamed)) == {"p_vxm"}


PORTS = "input clk, input rst, input [39:0] address, input [{0}:0] data"
BINDINGS = """\
.clk(clk), .rst(rst), .host__address(address), .host__write(1'b0), .host__read(1'b1),
    .host__write_data(data), .host__read_data(answer), .host__read_valid()"""


def around(config):
    """A module `with_NAME` around the core of a configuration."""
    high = max(128, 8 * config.lanes * config.superlanes) - 1
    return (
        f"module with_{config.name}({PORTS.format(high)}, output [{high}:0] answer);\n"
        f"  {top(default_prefix(config))} core ({BINDINGS});\nendmodule\n"
    )


def design(folder, pair, form):
    """A design with two cores, as the paths of its files."""
    cores = [written(folder, config, form) for config in pair]
    path = folder / "both.v"
    inside = "".join(
        f"  with_{name} a_{name} (.clk(clk), .rst(rst), .address(0), .data(0), .answer());\n"
        for name in (config.name for config in pair)
    )
    both = f"module both(input clk, input rst);\n{inside}endmodule\n"
    path.write_text("".join(map(around, pair)) + both)
    return [path, *cores]


def elaborated(tool, sources, folder):
    """What a tool says of a design of several files, and the modules that it found in it."""
    if tool == "verilator":
        command = ["verilator", "--lint-only", "--top-module", "both"]
        with workshop() as (work, env):
            return run([*command, *sources], work, env=env)
    if tool == "icarus":
        return run(["iverilog", "-g2005", "-t", "null", "-s", "both", *sources], folder)
    script = "".join(f"read_verilog {source}\n" for source in sources)
    (folder / "both.ys").write_text(f"{script}hierarchy -check -top both\n")
    return run(yosys("both.ys"), folder)


USUAL = [
    ("verilator", ("nano", "small")),
    ("icarus", ("nano", "small")),
    ("yosys", ("nano", "pair")),  # it takes minutes for larger ones
]
PAIRS = [
    pytest.param(
        tool,
        [PAIR if name == "pair" else preset(name) for name in pair],
        marks=[full] * ((tool, pair) not in USUAL) + [needs_icarus] * (tool == "icarus"),
        id=f"{tool}-{'-'.join(pair)}",
    )
    for tool in ("verilator", "icarus", "yosys")
    for pair in (*combinations(READ, 2), ("nano", "pair"))
]


@pytest.mark.parametrize(("tool", "pair"), PAIRS)
def test_cores_of_two_configurations_stand_in_one_design(tmp_path, tool, pair):
    """No module is there twice, which tools refuse or, worse, pass over."""
    if tool == "yosys":
        pytest.importorskip("pyosys")
    sources = design(tmp_path, pair, "instances" if tool == "yosys" else "loops")
    code, log = elaborated(tool, sources, tmp_path)
    assert not code, log[-2000:]
    assert not re.search("%Warning|[Rr]e-?defin|[Dd]uplicate|already", log), log[-2000:]


def test_without_initial_values_there_is_none():
    text = verilog(preset("nano"), initial_values=False)
    bare = re.sub(r"//.*", "", text)
    assert not re.search(r"\binitial\b|\breg\b[^;\n]*=|dump_module", bare)
    assert re.search(r"\binitial\b", verilog(preset("nano")))
    assert names(text) == names(verilog(preset("nano")))


def test_initial_values_that_no_reset_gives_are_not_lost():
    """As those of a table in memory."""
    text = (
        "module a(x);\n  reg [7:0] t [1:0];\n  initial begin\n    t[0] = 8'h7;\n  end\nendmodule\n"
    )
    with pytest.raises(ValueError, match="initial values that no reset gives"):
        uninitialised(text)


@pytest.fixture(scope="module")
def uninitialised_example(tmp_path_factory):
    """A folder with the example in plain Verilog around a core without initial values."""
    folder = tmp_path_factory.mktemp("uninitialised")
    (folder / "core.v").write_text(verilog(preset("nano"), initial_values=False))
    program = asm.parse_program((EXAMPLE / "matmul.tsp").read_text())
    (folder / "rom.hex").write_text(rom.to_rom(program))
    return folder


EXAMPLE_SOURCES = [EXAMPLE / "top.v", EXAMPLE / "testbench.v", "core.v"]


@needs_icarus
def test_without_initial_values_the_core_computes_in_icarus(uninitialised_example):
    """There all that has no value yet is unknown, and what depends on it."""
    folder = uninitialised_example
    code, log = run(["iverilog", "-g2005", "-o", "example", *EXAMPLE_SOURCES], folder)
    assert not code, log
    assert "PASS: 25 cycles" in run(["vvp", "example"], folder)[1]


@full
def test_without_initial_values_the_core_computes_in_verilator(uninitialised_example):
    """There all that has no value yet is random."""
    command = [
        "verilator",
        "--binary",
        "--timing",
        "--unroll-count",
        "1",
        "-Mdir",
        ".",
        "-o",
        "sim",
    ]
    command += ["--x-initial", "unique", "--top-module", "testbench"]
    with workshop("-O0") as (work, env):
        shutil.copytree(uninitialised_example, work, dirs_exist_ok=True)
        code, log = run([*command, *EXAMPLE_SOURCES], work, env=env)
        assert not code, log[-2000:]
        for seed in range(1, 6):
            random = ["+verilator+rand+reset+2", f"+verilator+seed+{seed}"]
            assert "PASS: 25 cycles" in run(["./sim", *random], work, env=env)[1]


def test_the_command_needs_no_cache(tmp_path):
    """Nor a home; oracle: the same text from the cache."""
    home = tmp_path / "home"
    home.mkdir(mode=0o555)
    wanted = tmp_path / "wanted.v"
    runner = CliRunner()
    options = ["verilog", "--config", "nano", "--prefix", "mine", "--no-initial-values", "-o"]
    done = runner.invoke(main, [*options, str(wanted)])
    assert done.exit_code == 0, done.output
    assert "top module mine_chip" in done.stderr
    tsp = Path(sys.executable).with_name("tsp")
    found = tmp_path / "found.v"
    command = [tsp, *options, str(found)]
    for env in ({"TSP_CACHE": "/proc/nowhere"}, {"HOME": str(home)}, {}):
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert found.read_text() == wanted.read_text()
