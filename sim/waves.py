"""Timing diagrams made from runs on the golden model.

Issue cycles come from the program, words on streams from the trace of the run, and everything else
from the table of latencies, so a diagram cannot disagree with the machine.
"""

import json
import re
from dataclasses import dataclass

from tsp.sim.golden import model

ISSUE, WORD, INSIDE, SUM = "3", "5", "4", "7"
"""Colours: instructions at issue, words on streams, events inside a slice, and results."""


@dataclass(frozen=True)
class Diagram:
    """Rows of events on a common time axis.

    Members
    -------
    title : str
    rows : list
        ``(name, {cycle: (label, colour)})``; a colour that is not a digit is a level, such as 1,
        or ``"."``, which continues the event of the previous cycle.
    steps : list of str
        The same as sentences, for the text beside the diagram.
    """

    title: str
    rows: list
    steps: list

    def wavejson(self):
        """The diagram as WaveJSON, which is also JSON5.

        It begins a cycle early, because WaveDrom has no room for a label at its very edge.
        """
        last = max(cycle for _, events in self.rows for cycle in events)
        signal = []
        for name, events in self.rows:
            wave, labels, level = "", [], ""
            for cycle in range(-1, last + 2):
                label, colour = events.get(cycle, ("", level if level in ("0", "1") else "z"))
                wave += "." if colour == level and colour in "01z" else colour
                level = level if colour == "." else colour
                labels += [label] * (colour not in "01z.")
            signal.append({"name": name, "wave": wave, "data": labels})
        head = {"text": self.title, "tock": -1}
        return {"signal": signal, "head": head, "config": {"hscale": self.scale}}

    @property
    def scale(self):
        """Width of a cycle, in units of 40 pixels, that the longest label needs."""
        longest = max(len(label) for _, events in self.rows for label, _ in events.values())
        return 1 if longest <= 5 else 2

    def source(self):
        """The text of the diagram's JSON5 file, one signal per line."""
        wave = self.wavejson()
        lines = ",\n".join("    " + json.dumps(signal) for signal in wave["signal"])
        head, config = json.dumps(wave["head"]), json.dumps(wave["config"])
        return f'{{\n  "signal": [\n{lines}\n  ],\n  "head": {head},\n  "config": {config}\n}}\n'

    def svg(self):
        """The text of the diagram's SVG file, on white and without definitions it does not use."""
        import wavedrom  # a development dependency: only the docs need it

        text = wavedrom.render(json.dumps(self.wavejson())).tostring()
        used = set(re.findall(r'xlink:href="#([^"]+)"', text))
        definitions, end, drawing = text.partition("</defs>")
        definitions = re.sub(
            r'<g id="([^"]+)">(?:<(?:path|rect)[^>]*/>)*</g>',
            lambda match: match[0] if match[1] in used else "",
            definitions,
        )
        return _framed(re.sub(r"\s*\n\s*", " ", definitions + end + drawing)) + "\n"


def _framed(svg):
    """The drawing on white, its letters small, with room on the left for fonts wider than usual."""
    found = re.search(r'viewBox="0,0,([0-9.]+),([0-9.]+)" width="[0-9.]+"', svg)
    width, height = float(found[1]) + 48, float(found[2])
    size = f'viewBox="-48,0,{width:g},{height:g}" width="{width:g}"'
    white = f'<rect x="-48" width="{width:g}" height="{height:g}" fill="#ffffff"/>'
    svg = svg.replace(found[0], size, 1)
    svg = svg.replace("font-size:11pt", "font-size:10pt")  # so that labels keep clear of borders
    return svg.replace("</style>", "</style>" + white, 1)


class Recording:
    """A run of a program on the golden model, with names for the words that travel.

    Parameters
    ----------
    program : Program
    names : dict
        Label by the bytes of a word.
    """

    def __init__(self, program, names):
        result = model.run(program, trace=True)
        if result.fault:
            raise RuntimeError(f"the example {program.name} faults: {result.fault}")
        self.program, self.names, self.trace = program, names, result.trace
        self.outputs, self.cycles = result.outputs, result.cycles

    def issued(self, queue):
        """Events of a queue: the mnemonic in every cycle in which it issues."""
        return {
            cycle: (instruction.mnemonic, ISSUE)
            for run in self.program.runs[queue]
            for cycle, instruction in run.issues()
        }

    def arriving(self, group, stop, delay=0):
        """Events of a stream group at a stop, `delay` cycles late."""
        direction, events = int(group.direction == "W"), {}
        for cycle in range(self.cycles):
            first = group.first
            if self.trace.valid[cycle, direction, stop, group.streams].all():
                data = self.trace.data[cycle, direction, stop, first : first + group.size]
                label = self.names.get(data.tobytes(), "?")
                events[cycle + delay] = (label, WORD)
        return events

    def counting(self):
        """The level of the cycle counter's enable."""
        return {-1: ("", "0"), 0: ("", "1"), self.cycles: ("", "0")}


def later(events, cycles, colour, label=None):
    """The same events `cycles` cycles later, in another colour, optionally all with one label."""
    return {c + cycles: (label or text, colour) for c, (text, _) in events.items()}


def first(events):
    """The first cycle of some events."""
    return min(events)
