"""The state of the code that is measured, as git has it."""

import subprocess
from pathlib import Path

from tsp.hw.environment import environment
from tsp.sim.bench import BenchError

ROOT = Path(__file__).parents[2]
APART = ("docs", "README.md", "tests")
"""Paths on which nothing that is measured depends; pages are written by the bench itself."""


def _git(root, *arguments):
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise BenchError("git is not installed; results name their commit") from None
    return done


def commit(root=ROOT):
    """The commit that is checked out.

    Raises
    ------
    BenchError
        If the package does not lie in a git repository.
    """
    done = _git(root, "rev-parse", "HEAD")
    if done.returncode:
        raise BenchError(f"{root} is not a git repository; results name their commit")
    return done.stdout.strip()


def changes(root=ROOT):
    """Paths of code that differ from the commit, or that git does not know."""
    outside = [f":(exclude){path}" for path in APART]
    done = _git(root, "status", "--porcelain", "--untracked-files=all", "--", ".", *outside)
    if done.returncode:
        raise BenchError(f"git status fails in {root}: {done.stderr.strip()}")
    return [line[3:] for line in done.stdout.splitlines()]


def same_code(before, root=ROOT):
    """Whether the checked out commit differs from `before` only in what lies apart."""
    outside = [f":(exclude){path}" for path in APART]
    return _git(root, "diff", "--quiet", before, "HEAD", "--", ".", *outside).returncode == 0
