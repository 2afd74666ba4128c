"""A bench for one unit of the core: all its inputs in every cycle, and all its outputs.

It runs on a model that Verilator makes, which the cache keeps; Amaranth's own simulator takes a
hundred times as long for units that are large, or thousands of cycles.
"""

import subprocess
import tempfile
from pathlib import Path

from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from bench_ports import Places

from tsp.hw.environment import environment
from tsp.hw.export import to_verilog
from tsp.hw.fault import FaultKind
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


class SliceUnit:
    """A unit of a slice on the streams of its stop, from reset in each run.

    Parameters
    ----------
    dut : Component
        With ports `east` and `west` of every superlane, `drive` of every superlane, and `fault`.
    name : str
        Names it in the cache.
    config : Config
    issues : dict
        Its issue ports, by the names that a test gives them.
    """

    def __init__(self, dut, name, config, issues):
        self.config = config
        self.words = {name: len(port.word) for name, port in issues.items()}
        inputs = {name: Cat(port.valid, port.word) for name, port in issues.items()}
        outputs = {"fault": dut.fault}
        for tile in range(config.superlanes):
            for direction, row in (("E", dut.east[tile]), ("W", dut.west[tile])):
                for stream, word in enumerate(row.data):
                    inputs[tile, direction, stream] = Cat(row.valid[stream], word)
            for number, port in enumerate(dut.drive[tile]):
                outputs[tile, number] = port
        self.port = dut.drive[0][0].shape()
        self.unit = Unit(dut, f"{name}-{config.name}", inputs, outputs)

    def run(self, cycles, issued, arriving):
        """What it drives and which faults it raises, in each of so many cycles.

        Parameters
        ----------
        cycles : int
        issued : callable
            The instruction that a port, by its name, issues in a cycle, or None.
        arriving : callable
            Bytes of all lanes that arrive for superlane 0 in a cycle, on a direction and a stream,
            or None; for superlane i they arrive i cycles later.

        Yields
        ------
        (dict, set of FaultKind)
            Valid drive ports by (superlane, number), and faults.
        """
        steps = (self._inputs(now, issued, arriving) for now in range(cycles))
        for outputs in self.unit.run(steps):
            fault = outputs.pop("fault")
            ports = {where: self.port.from_bits(bits) for where, bits in outputs.items()}
            valid = {where: port for where, port in ports.items() if port.valid}
            yield valid, {kind for kind in FaultKind if fault >> kind & 1}

    def _inputs(self, now, issued, arriving):
        lanes, values = self.config.lanes, {}
        for name, bits in self.words.items():
            instruction = issued(now, name)
            word = instruction.encode() if instruction else (1 << bits) - 1
            values[name] = word << 1 | (instruction is not None)
        for tile in range(self.config.superlanes):
            for direction in "EW":
                for stream in range(self.config.streams):
                    vector = arriving(now - tile, direction, stream)
                    there = vector is not None
                    data = vector[tile * lanes : (tile + 1) * lanes] if there else b"\xee" * lanes
                    bits = int.from_bytes(bytes(data), "little")
                    values[tile, direction, stream] = bits << 1 | there
        return values
