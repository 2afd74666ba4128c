"""External programs: which are installed, and how to run one so that nothing outlives the call."""

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tsp.hw.environment import environment, python_path
from tsp.hw.errors import ToolError

_MISSING = "{} is not installed; run `make formal`, or install the extra `formal`"

_GRACE = 5.0
"""Seconds within which a process must end once it is asked to."""

COMPILING = {"c++": "g++", "make": "make", "perl": "perl"}
"""The programs that build a simulator, with their Debian packages."""


def which(name: str) -> str | None:
    """The path of the program `name` as a child would find it, or None."""
    return shutil.which(name, path=environment()["PATH"])


def missing(programs: dict[str, str] = COMPILING) -> list[str]:
    """The packages of missing `programs`, a dict of packages by program."""
    return [package for name, package in programs.items() if not which(name)]


def require(programs: dict[str, str] = COMPILING) -> None:
    """Look for `programs`, a dict of packages by program.

    Raises
    ------
    ToolError
        If some are missing; the message names all of them and how to install them.
    """
    if packages := missing(programs):
        verb = "is" if len(packages) == 1 else "are"
        raise ToolError(
            f"building a simulator needs {', '.join(programs.values())}, and "
            f"{', '.join(packages)} {verb} not installed; on Debian or Ubuntu run "
            f"`apt-get install {' '.join(packages)}`"
        )


def yosys(script: str) -> list[str]:
    """The command that runs Yosys on the file `script`.

    Raises
    ------
    ToolError
        If it is not installed.
    """
    if not importlib.util.find_spec("pyosys"):
        raise ToolError(_MISSING.format("pyosys"))
    run = f"from pyosys import libyosys; libyosys.run_pass({'script ' + script!r})"
    return [sys.executable, "-c", run]


def tool(name: str) -> str:
    """The path of the program `name`, beside Python or on the PATH.

    Raises
    ------
    ToolError
        If it is in neither place.
    """
    beside = Path(sys.executable).with_name(name)
    if beside.exists():
        return str(beside)
    if found := which(name):
        return found
    raise ToolError(_MISSING.format(name))


def run(
    command: Sequence[str | os.PathLike],
    directory: Path,
    timeout: float | None = None,
    *,
    env: dict[str, str] | None = None,
    log: Path | None = None,
) -> tuple[int, str]:
    """Run `command` in `directory`.

    Parameters
    ----------
    command : sequence of str or path
    directory : Path
    timeout : float, optional
        Seconds after which to give up.
    env : dict, optional
        Its environment, by default that of :func:`~tsp.hw.environment.environment`; a child of the
        same Python imports from the same places.
    log : Path, optional
        The file to which its output is appended.

    Returns
    -------
    (int, str)
        The return code, and what the command wrote if there is no `log`.

    Raises
    ------
    ToolError
        If it takes longer than `timeout` seconds.
    """
    command = list(map(str, command))
    if env is None:
        is_python = command[0] == sys.executable
        env = environment(**({"PYTHONPATH": python_path()} if is_python else {}))
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(log.open("a")) if log else subprocess.PIPE
        outputs = {"stdout": output, "stderr": subprocess.STDOUT}
        process = stack.enter_context(child(command, env=env, cwd=directory, **outputs))
        try:
            written, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            message = f"no answer within {timeout:g} seconds; raise the time limit"
            raise ToolError(message) from error
    return process.returncode, written or ""


@contextlib.contextmanager
def child(
    command: Sequence[str | os.PathLike], *, env: dict[str, str], **options: Any
) -> Iterator[subprocess.Popen[str]]:
    """A process that ends with the block, together with all its children.

    Its environment is `env`, its output is text, and `options` are further options of
    :class:`subprocess.Popen`. If the block ends with an exception, such as Ctrl-C, the process is
    asked to end, and killed if it does not.
    """
    # A session of its own is a process group, of which all can be told to end.
    process = subprocess.Popen(
        list(map(str, command)), env=env, stdin=subprocess.DEVNULL, text=True,
        start_new_session=True, **options,
    )  # fmt: skip
    try:
        yield process
    except BaseException:
        for number in (signal.SIGTERM, signal.SIGKILL):  # the first, to clean up
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE)
        raise
    finally:
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()
    process.wait()


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, for a message."""
    text = log.read_text(errors="replace") if log.exists() else "there is no log"
    return "\n".join(text.splitlines()[-lines:])


@contextlib.contextmanager
def plain_folder() -> Iterator[Path]:
    """A temporary folder whose path GNU make takes: without spaces and other special characters."""
    usual = tempfile.gettempdir()
    for place in (usual, "/tmp", "/var/tmp"):
        if re.fullmatch(r"[\w./+-]+", place) and os.access(place, os.W_OK):
            with tempfile.TemporaryDirectory(prefix="tsp-", dir=place) as scratch:
                yield Path(scratch)
            return
    raise ToolError(
        f"make cannot build in {usual!r}; set TMPDIR to a folder that can be written and whose "
        "path has letters, digits and any of ./+-_ only"
    )
