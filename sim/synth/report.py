"""The report of a synthesis: what each slice of a core takes, as a plain dict."""

from collections import Counter

from tsp.sim.synth import place, yosys
from tsp.sim.synth.design import CONTROL, SLICES, Design
from tsp.sim.synth.levels import longest_paths

SPEED_GRADE = place.SPEED

MHZ = 60.0
"""The clock that place and route aims at."""

_ECP5 = {
    "luts": {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6},
    "flip_flops": {"TRELLIS_FF": 1},
    "block_rams": {"DP16KD": 1},
    "dsps": {"MULT18X18D": 1},
}
"""What an ECP5 cell takes of the device; a carry cell is two look-up tables."""


def synthesise(
    config, *, place_units=False, place_core=False, paths=0, seed=place.SEED, progress=None
):
    """Area of every slice of a core, for an ECP5 and as a chip, and its critical paths.

    Every module is mapped once and counted as often as it occurs, so what tools would save across
    its borders is not saved. Results of every step are kept in the cache.

    Parameters
    ----------
    config : Config
    place_units : bool
        Place and route each module that holds no other on an ECP5 of speed grade 6, between
        registers, for the clock of every slice. Takes minutes for ``nano``.
    place_core : bool
        The same with the whole core, on the smallest device that it fits.
    paths : int
        How many of the longest paths of the whole core are wanted, as estimated before placement.
    seed : int
        Where the placement of the core begins.
    progress : callable, optional
        Called with (steps done, steps in all, what is done).

    Returns
    -------
    dict
        ``config``, ``macs``, ``yosys`` (its version).
        ``slices`` : by name, a dict of ``luts``, ``flip_flops``, ``block_rams``, ``dsps`` of the
        ECP5; ``chip`` (None without the Liberty file) with ``area_um2``, ``cells``,
        ``flip_flops``, ``macro_bits`` and ``path_ns``, the longest path before layout;
        ``placed`` (None unless asked for) with ``mhz``, ``unit`` and ``path`` of the slowest
        module of those that route and have a clock; None if none does.
        ``total`` : the same sums for the core, and ``luts_per_mac`` and ``area_um2_per_mac`` of
        its MXM.
        ``core`` : None, or ``needs``, what the whole core takes when it is mapped as one, and
        ``device``, ``placed_mhz``, ``mhz`` and ``path``; ``device`` is None if none is large
        enough, ``mhz`` and ``path`` if it does not route.
        ``paths`` : a dict for each with ``ns``, ``cells``, ``times``, ``start`` and ``end``: see
        :class:`~tsp.sim.synth.levels.LongPath`.
        ``missing`` : None, or what to do to get the chip's area.

    Raises
    ------
    SynthesisError
        If a tool is missing or fails; the message says what to install or where the log is.
    """
    design = Design.of(config)
    units = list(design.units.values())
    report = {
        "config": config.name,
        "macs": config.macs_per_cycle,
        "yosys": yosys.yosys_version(),
        "missing": None,
    }
    fpga = yosys.map_all(units, "ecp5", progress=_step(progress, "mapping for the ECP5"))
    chip = None
    if yosys.LIBERTY.exists():
        chip = yosys.map_all(units, "asic", progress=_step(progress, "mapping to standard cells"))
    else:
        report["missing"] = f"{yosys.LIBERTY} is missing; `make install-liberty` installs it"
    placed = _place_units(units, fpga, progress) if place_units else {}

    report["slices"] = {
        name: _slice(design, name, fpga, chip, placed) for name in (*SLICES, CONTROL)
    }
    report["total"] = total = _total(report["slices"].values())
    array = report["slices"]["MXM"]
    total["luts_per_mac"] = array["luts"] / config.macs_per_cycle
    if chip:
        total["area_um2_per_mac"] = array["chip"]["area_um2"] / config.macs_per_cycle
    report["core"], report["paths"] = None, []
    if paths or place_core:
        _step(progress, "mapping the core as one")(0, 1)
        directory = yosys.mapped(design.whole, "ecp5")
    if paths:
        _step(progress, "following paths")(0, 1)
        report["paths"] = [vars(p) for p in longest_paths(design.whole, directory, paths)]
    if place_core:
        needs = _resources(directory, design.whole.name)
        device = place.device_for(needs)
        report["core"] = {"device": None, "needs": needs}
        if device:
            _step(progress, "placing and routing the core")(0, 1)
            report["core"] |= place.place_core(design.whole, directory, device, MHZ, seed)
    return report


def _step(progress, what):
    return lambda done, total: progress and progress(done, total, what)


def _place_units(units, fpga, progress):
    """What place and route says of every unit that uses no other, where it finds a clock."""
    leaves = [unit for unit in units if not unit.uses]
    step, placed = _step(progress, "placing and routing modules"), {}
    for n, unit in enumerate(leaves):
        step(n, len(leaves))
        placed[unit.name] = place.place_unit(unit, fpga[unit.name], MHZ)
    return {name: found for name, found in placed.items() if found["mhz"]}


def _slice(design, name, fpga, chip, placed):
    """What one slice takes."""
    found = dict.fromkeys(_ECP5, 0)
    mine = {unit: n for (where, unit), n in design.instances.items() if where == name}
    for unit, times in mine.items():
        for resource, needed in _resources(fpga[unit], unit).items():
            found[resource] += times * needed
    found["chip"] = _chip(mine, chip) if chip else None
    slowest = min((u for u in mine if u in placed), key=lambda u: placed[u]["mhz"], default=None)
    found["placed"] = {"unit": slowest, **placed[slowest]} if slowest else None
    return found


def _resources(directory, name):
    """What a unit that was mapped there takes of an ECP5."""
    cells, _ = yosys.statistics(directory, name)
    return {
        resource: sum(weight * cells.get(cell, 0) for cell, weight in weights.items())
        for resource, weights in _ECP5.items()
    }


def _chip(units, directories):
    """The standard cells of a slice. Memories are counted in bits and have no area."""
    total, path, library = Counter(), 0.0, yosys.library_cells()
    for unit, times in units.items():
        cells, area = yosys.statistics(directories[unit], unit)
        standard = {kind: n for kind, n in cells.items() if kind in library}
        total["area_um2"] += times * area
        total["cells"] += times * sum(standard.values())
        total["flip_flops"] += times * sum(n for k, n in standard.items() if k.startswith("DFF"))
        total["macro_bits"] += times * yosys.memory_bits(directories[unit])
        path = max(path, yosys.delay(directories[unit]))
    return {**total, "path_ns": round(path, 2)}


def _total(slices):
    """The sums of all slices."""
    slices = list(slices)
    total = {resource: sum(s[resource] for s in slices) for resource in _ECP5}
    total["chip"] = None
    if slices[0]["chip"]:
        names = ("area_um2", "cells", "flip_flops", "macro_bits")
        total["chip"] = {name: sum(s["chip"][name] for s in slices) for name in names}
        total["chip"]["path_ns"] = max(s["chip"]["path_ns"] for s in slices)
    return total
