"""Synthesis with free tools: how large a core is, and how fast its clock can be."""

from tsp.sim.synth.report import synthesise
from tsp.sim.synth.yosys import SynthesisError

__all__ = ["SynthesisError", "synthesise"]
