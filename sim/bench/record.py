"""Results on disk: one JSON file per part, written anew after every row.

A file is ``{"format": 1, "part": name, "runs": {id: run}, "rows": {key: row}}``. A run says when,
where and on which commit; each row names its run, so that a row may be measured again alone.
"""

import contextlib
import fcntl
import json
import os
from pathlib import Path

from tsp.sim import files
from tsp.sim.bench import BenchError

FORMAT = 1
PARTS = ("cycles", "plans", "view", "speed", "tuning", "builds", "area", "chip")
"""What there are results of, in the order in which it is measured: the slowest comes last."""
RUN_FIELDS = {"commit", "changes", "date", "machine"}


class Record:
    """The results of one part.

    `rows` and `runs` are dicts by name; the order of rows is that in which they came first.
    """

    def __init__(self, path, part):
        self.path, self.part = Path(path), part
        self.runs, self.rows = {}, {}
        if self.path.exists():
            self._load()

    @classmethod
    def of(cls, directory, part):
        """The results of `part` in a directory, empty if there are none."""
        return cls(Path(directory) / f"{part}.json", part)

    def _load(self):
        try:
            found = json.loads(files.read_text(self.path))
        except json.JSONDecodeError as error:
            raise BenchError(f"{self.path} is not JSON: {error}; delete it") from None
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise BenchError(f"{self.path} is not of format {FORMAT}; delete it")
        if found.get("part") != self.part:
            raise BenchError(f"{self.path} has part {found.get('part')!r}, not {self.part!r}")
        self.runs, self.rows = found["runs"], found["rows"]
        for name, run in self.runs.items():
            if missing := RUN_FIELDS - set(run):
                raise BenchError(f"{self.path}: run {name} has no {', '.join(sorted(missing))}")
        for key, row in self.rows.items():
            if row.get("run") not in self.runs:
                raise BenchError(f"{self.path}: row {key!r} names run {row.get('run')!r}")

    def run_of(self, key):
        """The run that measured a row, or None."""
        return self.runs[self.rows[key]["run"]] if key in self.rows else None

    def start(self, run):
        """Add a run, a dict with `RUN_FIELDS`, and return its name."""
        name = str(max((int(n) for n in self.runs), default=0) + 1)
        self.runs[name] = run
        return name

    def add(self, key, row, run):
        """Put a row of the run named `run` in its place, and write the file."""
        self.rows[key] = {"run": run, **row}
        used = {r["run"] for r in self.rows.values()}
        self.runs = {name: r for name, r in self.runs.items() if name in used or name == run}
        content = {"format": FORMAT, "part": self.part, "runs": self.runs, "rows": self.rows}
        files.write(self.path, json.dumps(content, indent=1) + "\n")

    def keep(self, keys):
        """Forget rows that are no longer measured; they are gone with the next one written."""
        wanted = set(keys)
        self.rows = {key: row for key, row in self.rows.items() if key in wanted}


def results(directory):
    """The record of every part in a directory, by part."""
    return {part: Record.of(directory, part) for part in PARTS}


@contextlib.contextmanager
def locked(directory):
    """Keep other benches from writing to a directory, which is made if need be.

    Raises
    ------
    BenchError
        If another one is writing there.
    """
    Path(directory).mkdir(parents=True, exist_ok=True)
    handle = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BenchError(
                f"another bench is writing to {directory}; wait for it, or give another --output"
            ) from None
        yield
    finally:
        os.close(handle)
