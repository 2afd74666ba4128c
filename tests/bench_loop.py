"""A bench that compares components exported as a loop, in Icarus, with Amaranth's simulator."""

import random
import subprocess

from amaranth.hdl import Module, ResetInserter, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from bench_ports import Places

from tsp.hw.export import repeated, to_verilog

SEED = 5
BENCH = """
module bench;
  reg clk = 0, rst = 0;
  {declared}
  parts dut(.clk(clk), .rst(rst), {connected});
  initial begin
    {steps}
  end
endmodule
"""


class Row(wiring.Component):
    """Some of one component, unconnected.

    Parameters
    ----------
    make : callable
        Gives a new one.
    number : int
    """

    def __init__(self, make, number=2):
        self.parts = [make() for _ in range(number)]
        super().__init__({name: flow(len(signal)) for name, flow, signal in self._ports()})

    def _ports(self):
        for number, part in enumerate(self.parts):
            for path, member, signal in part.signature.flatten(part):
                yield "__".join(map(str, (*path, f"n{number}"))), member.flow, Value.cast(signal)

    def elaborate(self, platform):
        m = Module()
        m.submodules.parts = repeated(platform, "part", self.parts)
        for name, flow, signal in self._ports():
            port = getattr(self, name)
            m.d.comb += signal.eq(port) if flow is In else port.eq(signal)
        return m


def ports(dut, flow):
    """The ports of one direction by name."""
    members = dut.signature.flatten(dut)
    return {
        "__".join(map(str, path)): Value.cast(signal)
        for path, member, signal in members
        if member.flow is flow
    }


def stimulus(dut, cycles):
    """Every input in every cycle, reset among them."""
    draw = random.Random(SEED)
    for cycle in range(cycles):
        drawn = {name: draw.getrandbits(len(port)) for name, port in ports(dut, In).items()}
        yield {"rst": int(cycle in (20, 21))} | drawn


def simulated(dut, cycles):
    """The outputs in every cycle, on Amaranth's simulator."""
    seen = []
    rst = Signal()
    inputs = Places({"rst": rst, **ports(dut, In)})
    outputs = [port.as_unsigned() for port in ports(dut, Out).values()]

    async def bench(ctx):
        for bits in inputs.packed(stimulus(dut, cycles)):
            ctx.set(inputs.all, bits)
            seen.append([ctx.get(port) for port in outputs])
            await ctx.tick()

    simulator = Simulator(ResetInserter(rst)(dut))
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return seen


def run_loop(dut, cycles, scratch):
    """The same of the exported Verilog in Icarus, as lists of hexadecimal numbers."""
    declared, steps = [], []
    widths = {"rst": 1}
    for kind, flow in (("reg", In), ("wire", Out)):
        for name, port in ports(dut, flow).items():
            declared.append(f"{kind} [{len(port) - 1}:0] {name};")
            widths[name] = len(port)
    shown = list(ports(dut, Out))
    for values in stimulus(dut, cycles):
        steps += [f"{name} = {widths[name]}'h{value:x};" for name, value in values.items()]
        display = f'$display("{"%h " * len(shown)}", {", ".join(shown)})'
        steps.append(f"#1 {display}; clk = 1; #1 clk = 0;")
    names = [name for name in widths if name != "rst"]
    text = BENCH.format(
        declared="\n  ".join(declared),
        connected=", ".join(f".{name}({name})" for name in names),
        steps="\n    ".join(steps),
    )
    (scratch / "bench.v").write_text(to_verilog(dut, "parts") + text)
    command = ["iverilog", "-g2005", "-s", "bench", "-o", scratch / "bench", scratch / "bench.v"]
    subprocess.run(command, check=True, capture_output=True)
    run = subprocess.run(["vvp", scratch / "bench"], check=True, capture_output=True, text=True)
    return [line.split() for line in run.stdout.splitlines()]


def compare(make, cycles, scratch):
    """Assert that what `make` gives does the same exported and simulated."""
    dut = make()
    want, got = simulated(dut, cycles), run_loop(make(), cycles, scratch)
    names = list(ports(dut, Out))
    for cycle, (loop, parts) in enumerate(zip(got, want, strict=True)):
        for name, mine, theirs in zip(names, loop, parts, strict=True):
            assert mine.lstrip("0") == f"{theirs:x}".lstrip("0"), f"{name} in cycle {cycle}"
