"""What GTKWave shows of the waveform of a run: its save file, and names for values."""

from tsp.sim.gtkwave.savefile import write_save

__all__ = ["write_save"]
