"""The programs of the extra `formal`, run so that nothing of them outlives the call."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

_MISSING = "{} is not installed; run `make formal`, or install the extra `formal`"


def yosys(script):
    """The command that runs Yosys on the file `script`.

    Raises
    ------
    RuntimeError
        If it is not installed.
    """
    if not importlib.util.find_spec("pyosys"):
        raise RuntimeError(_MISSING.format("pyosys"))
    run = f"from pyosys import libyosys; libyosys.run_pass({'script ' + script!r})"
    return [sys.executable, "-c", run]


def tool(name):
    """The path of the program `name`, which stands beside Python or on the PATH.

    Raises
    ------
    RuntimeError
        If it does neither.
    """
    beside = Path(sys.executable).with_name(name)
    if beside.exists():
        return str(beside)
    if found := shutil.which(name):
        return found
    raise RuntimeError(_MISSING.format(name))


def run(command, directory, timeout=None, path=None):
    """Run `command` in `directory`, with `path` before the others on the PATH.

    Returns
    -------
    (int, str)
        The return code, and what the command wrote.

    Raises
    ------
    RuntimeError
        If it takes longer than `timeout` seconds.
    """
    environment = dict(os.environ)
    if path:
        environment["PATH"] = f"{path}{os.pathsep}{environment['PATH']}"
    # In a session of its own, so that what it started ends with it.
    with subprocess.Popen(
        command,
        cwd=directory,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=timeout)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                message = f"no answer within {timeout:g} seconds; allow more time"
                raise RuntimeError(message) from error
            raise
    return process.returncode, output
