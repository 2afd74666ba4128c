"""A GTKWave save file beside a waveform, and the files that name values in it."""

import io
from pathlib import Path

from vcd.gtkw import GTKWSave

from tsp.sim import files
from tsp.sim.gtkwave.layout import Group, layout
from tsp.sim.gtkwave.wavefile import wires


def write_save(config, waveform):
    """Write ``x.gtkw`` beside ``x.vcd`` or ``x.fst``; ``gtkwave x.gtkw`` shows the run.

    Texts for values, such as mnemonics, go to a folder ``x.names`` beside it.

    Returns
    -------
    Path
        The save file.

    Raises
    ------
    ValueError
        If the waveform cannot be read, or is not one of a core of `config`.
    """
    waveform = Path(waveform).resolve()
    groups = layout(config, wires(waveform))
    path = waveform.with_suffix(".gtkw")
    text, folder = io.StringIO(), waveform.with_suffix(".names")
    save = GTKWSave(text)
    save.dumpfile(str(waveform))
    save.size(1600, 1000)
    save.signals_width(320)
    save.sst_expanded(False)
    view = _View(save, folder)
    for group in groups:
        view.group(group)
    # Nothing is written before all is known, so that a failure leaves no part of a view.
    for texts, file in view.files.items():
        files.write(file, texts)
    files.write(path, text.getvalue())
    return path


class _View:
    def __init__(self, save, folder):
        self.save, self.folder = save, folder
        self.files = {}

    def group(self, group):
        with self.save.group(group.title, closed=group.closed):
            for item in group.items:
                if isinstance(item, Group):
                    self.group(item)
                else:
                    self.trace(item)

    def trace(self, trace):
        names = self.names(trace) if trace.names else None
        options = {"datafmt": trace.base, "translate_filter_file": names}
        wire, taken = trace.bits[0]
        if len(trace.bits) == 1 and taken is None:
            self.save.trace(wire.path, alias=trace.label, **options)
            return
        # Bits are numbered from the top, and a vector made of them is written after its name.
        parts = []
        for wire, taken in trace.bits:
            if wire.width == 1:
                parts.append(wire.path)
                continue
            every = range(wire.width - 1, -1, -1)
            parts += [f"({wire.width - 1 - bit}){wire.path}" for bit in taken or every]
        self.save.trace(f"#{{{trace.label}}} " + " ".join(parts), **options)

    def names(self, trace):
        """The file that gives a trace's values their texts; one for all that agree."""
        digits = -(-trace.width // 4)
        lines = [
            f"{value if trace.base == 'dec' else f'{value:0{digits}X}'} {text}"
            for value, text in sorted(trace.names.items())
        ]
        text = "\n".join(lines) + "\n"
        if text not in self.files:
            path = self.folder / f"{trace.label.replace('.', '_')}.txt"
            self.files[text] = str(path)
        return self.files[text]
