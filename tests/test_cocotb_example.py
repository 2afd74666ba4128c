"""The example with a cocotb bench of its own, run as its page says. Oracle: numpy, in the bench."""

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[1] / "examples" / "cocotb"


def test_every_test_of_the_bench_passes():
    run = [sys.executable, str(EXAMPLE / "run.py")]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stdout + done.stderr
    shown = (EXAMPLE / "README.md").read_text().partition("run.py    # ")[2].partition("\n")[0]
    assert done.stdout.splitlines()[-1] == shown
    assert (
        shown == f"{(EXAMPLE / 'bench.py').read_text().count('@cocotb.test()')} of 3 tests passed"
    )
