"""Ctrl-C and SIGTERM. Oracle: the exit status that shells expect, one line, and no process left."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from click.testing import CliRunner

from tsp.hw.config import preset
from tsp.sim import tools
from tsp.sim.backends import build
from tsp.sim.cli import main
from tsp.sim.command import Stopped

LONG = ".program long\n.config nano\n.queue VXM.0\n  notify\n" + "  nop 65535\n" * 500
"""More than 30 million cycles: a minute in Verilator, hours in Amaranth's simulator."""


def tsp(folder, *words):
    """The command, begun in `folder` as from a terminal.

    A shell lets what it starts in the background ignore Ctrl-C, and so do its children.
    """
    code = "from tsp.sim.command import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def children(pid):
    """The processes that `pid` has started and that still run, by what they execute."""
    shown = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,stat=,args="], capture_output=True, text=True, check=True
    )
    rows = (line.split(None, 3) for line in shown.stdout.splitlines())
    return {int(r[0]): r[3] for r in rows if int(r[1]) == pid and r[2][0] != "Z"}


def wait_for(condition):
    """Wait until `condition()` is true, and give what it returns."""
    end = time.monotonic() + 120
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)
    return found


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("backend", ["rtl", "pysim"])
def test_a_run_that_is_stopped(tmp_path, number, status, backend):
    """It says so in one line, leaves no file, and its simulator ends with it."""
    if backend == "rtl":
        simulator = str(build.verilator(preset("nano")).directory)
    (tmp_path / "long.tsp").write_text(LONG)
    out = tmp_path / "out.npz"
    process = tsp(tmp_path, "exec", "long.tsp", "--backend", backend, "--out", out, "--json")
    if backend == "rtl":
        started = wait_for(
            lambda: [pid for pid, what in children(process.pid).items() if simulator in what]
        )
    else:
        started = []
        wait_for(lambda: process.stderr.readline())  # it is under way for two seconds
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == status, stderr
    assert stdout == ""
    assert [line for line in stderr.splitlines() if "long: on nano" not in line] == ["stopped"]
    assert not [pid for pid in started if os.path.exists(f"/proc/{pid}")]
    assert [path.name for path in tmp_path.iterdir()] == ["long.tsp"]


def test_a_stop_in_a_command(monkeypatch):
    """Wherever it comes, also as Python's own exception."""
    for error, status in ((KeyboardInterrupt(), 130), (Stopped(signal.SIGTERM), 143)):

        def stop(*_args, error=error, **_options):
            raise error

        monkeypatch.setattr("tsp.sim.backends.run", stop)
        done = CliRunner().invoke(
            main, ["run", "relu", "--rows", "3", "--cols", "4", "--backend", "golden"]
        )
        assert (done.exit_code, done.output) == (status, "stopped\n")


def test_what_a_child_started_ends_with_it(tmp_path, monkeypatch):
    """Also if it does not heed the signal by which it is told to end."""
    script = "trap '' TERM; sleep 60 & echo $! >child; wait; sleep 60"
    file = tmp_path / "child"
    monkeypatch.setattr(tools, "_GRACE", 0.2)
    command = ["sh", "-c", script]
    environment = dict(os.environ)
    with (
        suppress(KeyboardInterrupt),
        tools.child(command, env=environment, cwd=tmp_path) as process,
    ):
        wait_for(lambda: file.exists() and file.read_text().endswith("\n"))
        raise KeyboardInterrupt
    assert process.returncode == -signal.SIGKILL
    wait_for(lambda: not os.path.exists(f"/proc/{int(file.read_text())}"))
