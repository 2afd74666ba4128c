"""Made-up results of the bench, and what its tests read of a table."""

from tsp.sim.bench import cycles
from tsp.sim.bench import record as records
from tsp.sim.bench.record import Record
from tsp.sim.bench.works import PLANS, README, SWEEPS

RUN = {
    "commit": "0123456789abcdef0123456789abcdef01234567",
    "changes": [],
    "date": "2026-11-24T20:48:35+00:00",
    "machine": {"cpu": "Abacus", "cores": 2, "memory_gib": 4, "versions": {"numpy": "2.4"}},
}
FOUND = {
    "backend": "rtl", "cycles_scheduled": 40_000, "cycles_measured": 40_000, "macs": 256**3,
    "mxm_utilisation": 0.8, "max_relative_error": 1e-7, "max_ulp_error": 0.5, "bit_exact": True,
    "tolerance": 0.0, "right": True, "fault": None, "build_seconds": 1.0, "sim_seconds": 2.0,
    "sim_cycles_per_second": 20_000.0,
}  # fmt: skip
"""What ``tsp run --json`` says of a made-up run."""
SPEED = {
    "config": "small", "size": 256, "dtype": "fp16", "cycles": 32_768, "macs": 256**3,
    "cycles_per_second": {
        "cocotb": {"busy": 50_000.0, "idle": 100_000.0},
        "bare": {"busy": 80_000.0, "idle": 200_000.0},
    },
}  # fmt: skip
ONLY_BARE = {
    "config": "tsp", "size": 640, "dtype": "fp16", "cycles": 750, "macs": 640**3,
    "cycles_per_second": {"bare": {"busy": 800.0, "idle": 1000.0}},
}  # fmt: skip
TUNED = {
    way: {
        "config": "small", "way": way, "build_seconds": seconds, "cycles": 32_768,
        "macs": 256**3, "cycles_per_second": speed,
    }
    for way, seconds, speed in (("as it is", 40.0, 80_000.0), ("two threads", 44.0, 60_000.0))
}  # fmt: skip
PLAN = {"config": "small", "label": "one", "cycles_scheduled": 1_234, "plan_seconds": 0.97}
PAGE = {
    "config": "small", "work": "a product", "cycles": 4_000, "issues": 1_000_000, "runs": 9,
    "file_bytes": 2_500_000, "until": 3_000, "view_seconds": 7.2, "open_ms": 1_250.0,
    "draw_ms": 12.0, "frame_ms": 17.4, "median_ms": 16.7,
}  # fmt: skip
BUILD = {
    "config": "small", "export_seconds": 3.4, "verilog_bytes": 2_500_000, "verilog_lines": 9,
    "export_memory_bytes": 512 << 20, "build_seconds": 61.0, "build_memory_bytes": 2 << 30,
    "simulator_bytes": 7_000_000,
}  # fmt: skip


def filled(directory):
    """Records of made-up results, written to `directory` and read from there."""
    works = (README[0], SWEEPS["sequence"]["small"][64])
    rows = {
        "cycles": {work.command: cycles.row(work, FOUND) for work in works},
        "plans": {PLANS[0].command: PLAN},
        "view": {"small, a product": PAGE},
        "speed": {"small": SPEED, "tsp": ONLY_BARE},
        "tuning": {f"small, {way}": row for way, row in TUNED.items()},
        "builds": {"small": BUILD},
        "area": {"nano": synthesis()},
    }
    for part, some in rows.items():
        record = Record.of(directory, part)
        run = record.start(RUN)
        for key, row in some.items():
            record.add(key, {**row, "quick": False, "seconds": 90.0}, run)
    return records.results(directory)


def synthesis():
    """What :func:`synthesise` says, of slices that take 1, 2, 3 ... of everything."""
    names = ("MEM", "VXM", "MXM", "SXM", "queues", "streams", "host and control")

    def one(n):
        chip = {"area_um2": n * 1e6, "cells": n, "flip_flops": n, "macro_bits": n, "path_ns": n}
        fpga = dict.fromkeys(("luts", "flip_flops", "block_rams", "dsps"), n * 1000)
        return {**fpga, "chip": chip, "placed": None}

    slices = {name: one(n) for n, name in enumerate(names, 1)}
    slices["MEM"]["placed"] = {"unit": "bank", "mhz": 99.5, "path": None}
    total = {**one(28), "luts_per_mac": 47.0, "area_um2_per_mac": 46_875.0}
    core = {"device": None, "needs": {"luts": 28_000}}
    return {"config": "nano", "macs": 64, "slices": slices, "total": total, "core": core}


def line(text, *words):
    """The cells of the one line of a table that contains all words."""
    (found,) = [row for row in text.splitlines() if all(word in row for word in words)]
    return [cell.strip() for cell in found.strip("|").split("|")]
