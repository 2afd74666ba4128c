"""A view of a waveform for a viewer: which signals, in which order, under which names."""
