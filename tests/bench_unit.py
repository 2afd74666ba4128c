"""A bench for one unit of the core: all its inputs in every cycle, and all its outputs.

It runs on a model that Verilator makes, which the cache keeps; Amaranth's own simulator takes a
hundred times as long for units that are large, or thousands of cycles.
"""

import subprocess
import tempfile
from pathlib import Path

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from bench_ports import Places

from tsp.hw.environment import environment
from tsp.hw.export import to_verilog
from tsp.sim.backends import build

QUICK = build.Tuning(opt="-O0", native=False)
"""To compile it takes longer than to run it."""


class _Packed(wiring.Component):
    """A unit with one input, of all its inputs, and one output; wide enough to be arrays in C."""

    def __init__(self, dut, inputs, outputs):
        self.dut, self.inputs, self.outputs = dut, inputs, outputs
        width = [64 * (2 + len(signals) // 64) for signals in (inputs, outputs)]
        super().__init__({"given": In(width[0]), "shown": Out(width[1])})

    def elaborate(self, platform):
        m = Module()
        m.submodules.dut = self.dut
        m.d.comb += [self.inputs.eq(self.given), self.shown.eq(self.outputs)]
        return m


class Unit:
    """A component that is simulated again and again, from reset each time.

    Parameters
    ----------
    dut : Component
    name : str
        Names it in the cache.
    inputs, outputs : dict
        Its ports, or structures and concatenations of them, by the name that a test gives them.
    form : str
        That of :class:`~tsp.hw.export.Exporter`.
    """

    def __init__(self, dut, name, inputs, outputs, form="loops"):
        self.inputs, self.outputs = Places(inputs), Places(outputs)
        packed = _Packed(dut, self.inputs.all, self.outputs.all)
        text = to_verilog(packed, build.TOP, form=form)
        main = Path(__file__).with_suffix(".cpp")
        built = build.verilate(f"unit-{name}", text, main, [], tuning=QUICK)
        self.executable = built.directory / build.TOP
        self.widths = [len(signal) // 8 for signal in (packed.given, packed.shown)]

    def run(self, steps):
        """The outputs in every cycle, integers by name, before the clock edge that ends it.

        Parameters
        ----------
        steps : iterable of dict
            Inputs by name in each cycle; one that is missing keeps its value, and begins with 0.
        """
        given, shown = self.widths
        with tempfile.TemporaryDirectory(prefix="tsp-") as scratch:
            paths = [Path(scratch) / name for name in ("inputs", "outputs")]
            paths[0].write_bytes(
                b"".join(bits.to_bytes(given, "little") for bits in self.inputs.packed(steps))
            )
            subprocess.run([self.executable, *paths], env=environment(), check=True)
            data = paths[1].read_bytes()
        words = (data[at : at + shown] for at in range(0, len(data), shown))
        return [self.outputs.unpacked(int.from_bytes(word, "little")) for word in words]
