"""A bench for the lanes of the VXM: new operands in every cycle, and a result for each."""

import numpy as np
from amaranth.hdl import Cat
from bench_unit import Unit

OPERANDS = ("early", "late")


def run_lane(dut, name, vectors, form="loops"):
    """The results, uint32, of a lane that takes one of `vectors` in every cycle.

    Parameters
    ----------
    dut : Component
        With ports `valid` and `result`; ``latency(deep)`` tells its cycles.
    name : str
        Names its model in the cache.
    vectors : list of dict
        The values of its other ports, by name; operands are 32 bits.
    form : str
        That of :class:`~tsp.hw.export.Exporter`.
    """
    inputs = {name: getattr(dut, name) for name in ("valid", *vectors[0])}
    wide = {name: Cat(inputs[name]) for name in (*OPERANDS, "a") if name in inputs}
    unit = Unit(dut, name, inputs | wide, {"result": Cat(dut.result)}, form)
    latency = dut.latency(dut.deep)
    steps = [*({"valid": 1, **vector} for vector in vectors), *[{"valid": 0}] * latency]
    return np.array([outputs["result"] for outputs in unit.run(steps)[latency:]], np.uint32)
