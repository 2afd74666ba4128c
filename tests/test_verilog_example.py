"""The example in plain Verilog, built by FuseSoC. Oracles: numpy, and the schedule's own count."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tsp.hw.config import preset
from tsp.hw.host import HostAddress, Register
from tsp.hw.isa import timing
from tsp.sim import asm, cache, rom
from tsp.sim.backends import build
from tsp.sim.backends.kit import workshop
from tsp.sim.cli import main
from tsp.sim.fusesoc import generator

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "verilog"
PROGRAM = asm.parse_program((EXAMPLE / "matmul.tsp").read_text())
CHIP = "tsp:examples:matmul"


def fuse(directory, example, chip, *flags):
    """Call FuseSoC for `chip` of the folder `example`; what it makes goes to `directory`."""
    home = {"XDG_CONFIG_HOME": str(directory), "XDG_CACHE_HOME": str(directory)}
    roots = [f"--cores-root={path}" for path in (ROOT / "sim" / "fusesoc", example)]
    command = ["fusesoc", *roots, "run", "--target=sim", f"--build-root={directory}", *flags, chip]
    with workshop(opt="-O0") as (_, env):
        path = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
        # Nothing but the compiler takes long here.
        flags = f"{env['MAKEFLAGS']} OPT_GLOBAL=-O0"
        env = {**env, **home, "TSP_CACHE": str(cache.folder()), "PATH": path, "MAKEFLAGS": flags}
        return subprocess.run(
            command, cwd=directory, env=env, capture_output=True, text=True, check=False
        )


@pytest.fixture(scope="module")
def simulator():
    """The directory in which the example is built, kept by the content of all its sources."""
    chip, _ = build.export(preset("nano"))
    sources = [*EXAMPLE.glob("*.*"), *(ROOT / "sim" / "fusesoc").glob("*.*")]
    sources += [Path(rom.__file__), Path(__file__)]

    def make(directory):
        done = fuse(directory, EXAMPLE, CHIP, "--setup", "--build")
        assert not done.returncode, done.stdout + done.stderr

    parts = [chip, *(path.read_text() for path in sorted(sources))]
    directory, _ = cache.entry(parts, "example-nano", make)
    (found,) = directory.glob("*/sim/Vtestbench")
    return found.parent


def play(simulator, scratch, text):
    """What the test bench prints when the ROM holds `text`."""
    (scratch / "rom.hex").write_text(text)
    run = [simulator / "Vtestbench"]
    return subprocess.run(run, cwd=scratch, capture_output=True, text=True, check=True).stdout


def test_the_example_passes_in_the_cycles_of_its_schedule(simulator, tmp_path):
    """With the ROM that FuseSoC's generator made."""
    printed = play(simulator, tmp_path, (simulator / "rom.hex").read_text())
    assert re.findall(r"^(PASS|FAIL): (.*)$", printed, re.M) == [
        ("PASS", f"{PROGRAM.cycles} cycles")
    ]
    assert PROGRAM.cycles == 25


def checks(program=PROGRAM):
    return [t for t in rom.transactions(program) if t[0] is rom.RomOp.CHECK]


def test_any_wrong_answer_fails(simulator, tmp_path):
    """Every check of the ROM is one: changed by one bit, it fails."""
    lines = rom.to_rom(PROGRAM).splitlines()
    found = [n for n, line in enumerate(lines) if int(line[:2], 16) == rom.RomOp.CHECK]
    assert len(found) == len(checks()) == 4 + 16
    for n in found:
        wrong = list(lines)
        wrong[n] = f"{int(wrong[n], 16) ^ 1:044x}"
        assert "FAIL: 25 cycles" in play(simulator, tmp_path, "\n".join(wrong)), lines[n]


def test_what_is_checked_is_the_product():
    """Oracle: numpy, on the matrices that stand in the program's image."""
    image = {(b.slice, b.bank): b.data.view(np.int8).astype(np.int32) for b in PROGRAM.image}
    a = image["MEM_E0", 0]
    west = [image[name, bank] for name in ("MEM_W1", "MEM_W0") for bank in range(2)]
    b = np.stack([rows[0] for rows in west], axis=1)
    want = (a @ b).astype("<i4").view(np.uint8).reshape(4, 4, 4)
    words = [data.to_bytes(4, "little") for _, _, data in checks()[4:]]
    got = np.frombuffer(b"".join(words), np.uint8).reshape(4, 4, 4).transpose(1, 2, 0)
    np.testing.assert_array_equal(got, want)
    for register, expected in {"CYCLES": 25, "FAULT": 0, "BAD_REQUESTS": 0}.items():
        where = HostAddress.of_register(Register[register])
        assert [data for _, address, data in checks() if address == where] == [expected]


def test_the_command_refuses_what_cannot_be_checked(tmp_path):
    text = (EXAMPLE / "matmul.tsp").read_text()
    faulty = tmp_path / "faulty.tsp"
    faulty.write_text(text.replace("nop count=11", "nop count=10"))
    run = ["rom", str(faulty), "--output", str(tmp_path / "rom.hex")]
    done = CliRunner().invoke(main, run)
    assert done.exit_code
    fault = f"invalid in MXM_W at cycle {10 + timing.ACC_SAMPLE}"
    assert f"matmul has no results to check: {fault}" in done.output
    run[1:2] = [str(EXAMPLE / "matmul.tsp"), "--config", "small"]
    done = CliRunner().invoke(main, run)
    assert done.exit_code
    assert "is for nano, not for small" in done.output


def test_the_generator_refuses_other_parameters(tmp_path):
    """FuseSoC shows what it says."""
    cores = tmp_path / "cores"
    cores.mkdir()
    core = (EXAMPLE / "matmul.core").read_text().replace("program: matmul", "programme: matmul")
    (cores / "matmul.core").write_text(core)
    for name in ("top.v", "testbench.v"):
        (cores / name).write_text("")
    done = fuse(tmp_path, cores, CHIP, "--setup")
    assert done.returncode
    assert (
        "takes the parameters config, initial_values, instances, prefix, program, not programme"
        in done.stdout + done.stderr
    )


@pytest.mark.parametrize(
    ("parameters", "form"),
    [
        ({}, []),
        ({"instances": False, "initial_values": True}, []),
        ({"instances": True}, ["--instances"]),
        ({"initial_values": False}, ["--no-initial-values"]),
        ({"prefix": "one"}, ["--prefix", "one"]),
    ],
)
def test_the_generator_passes_the_form_on(parameters, form, monkeypatch):
    """Oracle: the options of `tsp verilog`."""
    called = []
    monkeypatch.setattr(generator, "_tsp", lambda *words: called.append(list(words)))
    made = generator.VerilogGenerator({"parameters": parameters, "vlnv": "::chip:0"})
    made.run()
    assert called == [["verilog", "--config", "small", *form, "--output", "tsp.v"]]


@pytest.mark.parametrize("name", ["instances", "initial_values"])
def test_the_generator_refuses_a_form_that_is_no_boolean(name):
    made = generator.VerilogGenerator({"parameters": {name: "no"}, "vlnv": "::chip:0"})
    with pytest.raises(SystemExit, match=f"{name} must be true or false, not 'no'"):
        made.run()


def test_the_command_names_the_fields_that_differ(tmp_path):
    source = tmp_path / "other.tsp"
    source.write_text(".config nano acc_rows=8\n")
    run = ["rom", str(source), "--config", "nano", "--output", str(tmp_path / "rom.hex")]
    done = CliRunner().invoke(main, run)
    assert done.exit_code
    assert "is for nano with acc_rows=8, not for nano with acc_rows=16" in done.output
