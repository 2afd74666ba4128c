"""Yosys on one unit of a design, and the cache of what it made."""

import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

from tsp.hw.errors import ToolError
from tsp.sim import cache, tools

LIBERTY = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")
WORKERS = 2

_RUN = """
from pyosys import libyosys
libyosys.run_pass("script run.ys", libyosys.Design())
"""


# On the ECP5 logic is made small where its paths are shorter than 3,500 ps before routing.
# In the flows for chips memories stay what they are, as there would be SRAM macros.
_FLOWS = {
    "ecp5": """
read_rtlil unit.il
scratchpad -set abc9.D 3500
synth_ecp5 -nowidelut -top {top}
tee -q -o stat.json stat -json
select {top}
write_rtlil -selected mapped.il
""",
    "gates": """
read_rtlil unit.il
synth -flatten -top {top} -run begin:fine
memory_collect
opt -fast -full
techmap
opt -fast
abc -g AND,OR,XOR,MUX -script +strash;dc2;map
opt_clean
select {top}
write_verilog -noattr -selected mapped.v
""",
    "asic": """
read_rtlil unit.il
synth -flatten -top {top} -run begin:fine
memory_collect
opt -fast -full
write_json memories.json
techmap
opt -fast
dfflibmap -liberty {liberty}
opt -fast
abc -liberty {liberty} -script +strash;dc2;map,-B,0.9;topo;buffer,-c;upsize;dnsize;stime,-p
opt_clean
tee -q -o stat.json stat -json -liberty {liberty}
""",
}


class SynthesisError(ToolError):
    """A tool of synthesis is missing or failed."""


def yosys_version():
    """The version of Yosys that is installed.

    Raises
    ------
    SynthesisError
        If there is none.
    """
    try:
        return metadata.version("pyosys")
    except metadata.PackageNotFoundError:
        raise SynthesisError(
            "synthesis needs Yosys as the package pyosys; run `make install-synth`, or "
            "`pip install 'tsp[synth]'`"
        ) from None


def run(directory, script):
    """Run a Yosys script in `directory`; its output goes to ``run.log`` there."""
    (directory / "run.ys").write_text(script)
    log = directory / "run.log"
    code, _ = tools.run([sys.executable, "-c", _RUN], directory, log=log)
    if code:
        raise SynthesisError(f"Yosys failed; {log} ends:\n{tools.tail(log)}")


def mapped(unit, flow):
    """The directory of `unit` mapped by `flow`: ``ecp5``, ``asic`` or ``gates``; cached."""
    script = _FLOWS[flow].format(top=f"\\{unit.name}", liberty=LIBERTY)
    parts = [unit.text, script, yosys_version()]
    if "{liberty}" in _FLOWS[flow]:
        parts.append(LIBERTY.read_text())

    def build(directory):
        (directory / "unit.il").write_text(unit.text)
        run(directory, script)
        (directory / "unit.il").unlink()

    name = re.sub(r"\W", "-", unit.name)
    directory, _ = cache.entry(parts, f"{flow}-{name}", build)
    return directory


def map_all(units, flow, progress=None):
    """:func:`mapped` for many units, a few at a time; a dict of directories by name."""
    done = {}

    def one(unit):
        done[unit.name] = mapped(unit, flow)
        if progress:
            progress(len(done), len(units))

    # The largest first, so that none of them is what everything waits for.
    order = sorted(units, key=lambda unit: len(unit.text), reverse=True)
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(one, order))
    return done


def statistics(directory, name):
    """Cells by type, and the area if the library has one, of the unit `name` mapped there."""
    found = json.loads((directory / "stat.json").read_text())["modules"][f"\\{name}"]
    return found["num_cells_by_type"], found.get("area", 0.0)


def library_cells():
    """The names of the cells of the Liberty file."""
    return set(re.findall(r"^ *cell *\((\w+)\)", LIBERTY.read_text(), re.M))


def memory_bits(directory):
    """Bits of the memories of a unit that was mapped by the flow ``asic``."""
    modules = json.loads((directory / "memories.json").read_text())["modules"].values()
    cells = [cell for module in modules for cell in module["cells"].values()]
    return sum(
        int(cell["parameters"]["WIDTH"], 2) * int(cell["parameters"]["SIZE"], 2)
        for cell in cells
        if cell["type"] == "$mem_v2"
    )


def delay(directory):
    """Nanoseconds of the longest path between registers, memories and ports, before layout."""
    text = (directory / "run.log").read_text(errors="replace")
    found = [float(n) for n in re.findall(r"ABC: .*Delay = +([\d.]+) ps", text)]
    return max(found, default=0.0) / 1000
