"""The host port: what every address does, what is refused while a program runs, and its driver.

Oracles: the tables of the page on the host port, written down once more; the golden model for
faults and results; SRAM and queues as they were before a request that must do nothing.
"""

import numpy as np
import pytest
from amaranth.sim import Simulator
from cocotb_tools.runner import get_results
from configs import ODD, TINY

from tsp.hw.config import PRESETS
from tsp.hw.host import RequestPath, host_bits
from tsp.sim.backends import build, cocotb_backend

NANO = PRESETS["nano"]


def whom(config, address, write, read, data=1):
    """Whom a request means: ``(kind, index)``, or None if that is nobody."""
    low, unit, rest = address & 0xFFFF, address >> 16 & 0xFFFF, address >> 32 & 0xF
    bank, place, reserved = address >> 16 & 1, address >> 17 & 0xFF, address >> 25 & 0x7FF
    plan = config.floorplan
    if write == read:
        return None
    match address >> 36:
        case 0 if not unit and not rest:
            if write:
                return ("start", data & 1) if low == 1 else None
            return ("register", low) if low in (0, 2, 3, 4, 5, 6, 7) else None
        case 1 if not reserved and low < config.bank_words:
            banks = [s.index for s in plan.slices if s.kind == "MEM"]
            return ("bank", 2 * place + bank) if place in banks else None
        case 2 if write and not rest and unit < len(plan.queues) and low < config.queue_depth:
            return "word", unit
        case 3 if write and not rest and unit < len(plan.queues) and not low:
            return "count", unit
        case 4 if read and not rest and unit < len(plan.queues) and not low:
            return "busy", unit
        case 5 if read and not rest and unit < len(plan.slices) and not low:
            return "held", unit
    return None


def addresses(config, rng):
    """Addresses of all kinds: what there is, one bit of that changed, edges and noise."""
    plan = config.floorplan
    units = [0, 1, 255, 256, 511, len(plan.queues) - 1, len(plan.queues), len(plan.slices) - 1]
    units += [len(plan.slices), *(2 * s.index + bank for s in plan.slices for bank in range(2))]
    lows = [0, 1, 7, 8, 0xFFFF]
    lows += [edge + n for edge in (config.bank_words, config.queue_depth) for n in (-1, 0)]
    spaces = [*range(8), 15]
    edges = [space << 36 | unit << 16 | low for space in spaces for unit in units for low in lows]
    there = [a for a in edges if whom(config, a, 0, 1) or whom(config, a, 1, 0)]
    there += [1, *(space << 36 | n << 16 for space in range(2, 6) for n in range(3))] * 20
    near = [a ^ 1 << bit for a in rng.choice(there, 20).tolist() for bit in range(40)]
    return [*edges, *there, *near, *rng.integers(0, 1 << 40, 100).tolist()]


PORTS = {
    "start": "start",
    "register": "registers",
    "bank": "banks",
    "word": "words",
    "count": "counts",
    "busy": "queues",
    "held": "slices",
    "refused": "refused",
}
"""The port of a :class:`Request` that says so, by whom it means."""


def decoded(config, requests):
    """What each of `requests` is to whom, and how many of them until then were for nobody.

    A request is the arguments of :func:`whom` and whether a program runs as it arrives. One that
    starts a program shuts the door behind it.
    """
    started, bad = False, 0
    for *request, running in requests:
        found = whom(config, *request)
        bad += found is None and request[1:3] != [0, 0]
        kind, index = found or (None, None)
        closed, started = running or started, found == ("start", 1)
        ports = dict.fromkeys(PORTS, 0)
        if kind in ("bank", "word", "count") and closed:
            queues = config.floorplan.queues
            where = index // 2 if kind == "bank" else queues[index].slice.index
            kind, ports["refused"] = "refused", 1 << where
        elif kind:
            ports[kind] = index if kind == "start" else 1 << index
        yield kind, ports, bad


@pytest.mark.parametrize("config", [NANO, ODD, TINY], ids=lambda c: c.name)
def test_a_request_is_for_whom_it_means_or_for_nobody(config):
    """One request a clock. Oracle: the tables of docs/host.md once more, in `whom`."""
    rng = np.random.default_rng(5)
    many = rng.permutation(addresses(config, rng)).tolist()
    # Reads and writes, some both and some neither; half of them to be shut out.
    requests = [
        [address, *rng.choice([0, 1], 2, p=[0.4, 0.6]).tolist(), *rng.integers(0, 2, 2).tolist()]
        for address in [0, *many, 0, 0]
    ]
    expected = list(decoded(config, requests))
    path = RequestPath(config, host_bits(config))

    async def bench(ctx):
        for n, (address, write, read, data, _) in enumerate(requests):
            ctx.set(path.address.as_value(), address)
            ctx.set(path.write, write)
            ctx.set(path.read, read)
            ctx.set(path.write_data, data)
            ctx.set(path.locked, requests[n - 1][-1])
            await ctx.tick()
            if n > 1:
                _, ports, _ = expected[n - 1]
                found = {kind: ctx.get(getattr(path.request, name)) for kind, name in PORTS.items()}
                if any(requests[n - 1][1:3]) or any(requests[n - 2][1:3]):
                    assert found == ports, f"{requests[n - 1]}"
                assert ctx.get(path.bad_requests) == expected[n - 2][-1]

    simulator = Simulator(path)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert {kind for kind, _, _ in expected} == {*PORTS, None}


def test_the_count_of_bad_requests_stays_at_its_largest():
    path = RequestPath(NANO, host_bits(NANO))

    async def bench(ctx):
        ctx.set(path.address.as_value(), 0xF << 36)
        ctx.set(path.read, 1)
        for _ in range(2):
            await ctx.tick().repeat(70000)
            assert ctx.get(path.bad_requests) == 0xFFFF

    simulator = Simulator(path)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_the_host_bench(tmp_path):
    """Every test of bench_host.py, on `nano` in Verilator; its oracle is the golden model."""
    cocotb_backend.simulate(build.verilator(NANO), tmp_path, "bench_host")
    tests, failed = get_results(tmp_path / "results.xml")
    assert not failed, (tmp_path / "simulation.log").read_text()
    assert tests == 4 + 6 * 3
