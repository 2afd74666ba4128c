"""The core as gates: Verilog of two-input gates, multiplexers, flip-flops and memories."""

from tsp.sim.synth import yosys
from tsp.sim.synth.design import PINS, Design


def netlist(config, progress=None):
    """Verilog of the core of `config` as Yosys has made gates of it, top module ``tsp_chip``.

    It has the ports of the exported Verilog. Memories are arrays, as a chip has SRAM macros.

    Raises
    ------
    SynthesisError
        If Yosys is missing or fails.
    """
    design = Design.of(config)
    units = [unit for name, unit in design.units.items() if name != PINS]
    directories = yosys.map_all(units, "gates", progress=progress)
    return "".join((directories[unit.name] / "mapped.v").read_text() for unit in units)
