"""Verilog export: a repeated module is converted once and instanced by name."""

import re

from amaranth.back import rtlil
from amaranth.hdl import ClockSignal, Instance, ResetSignal
from amaranth.lib.wiring import In

from tsp.hw.errors import InputError
from tsp.hw.export.initial import initialised
from tsp.hw.export.waivers import waived
from tsp.hw.export.words import RESERVED
from tsp.hw.export.yosys import from_rtlil, modules

FORMS = ("loops", "waves", "instances")


class Exporter:
    """The platform under which a component is elaborated for export.

    :func:`shared` hands it every module that occurs more than once; it converts each name once.
    ``modules`` is the RTLIL of what it converted; ``verilog`` is the text of modules that are made
    in some other way. Both are by name.

    Parameters
    ----------
    synthesis : bool
        All modules are converted to RTLIL, as Yosys reads it: like components become instances of
        one module, and not a loop, which is what simulators like.
    form : str
        Of the Verilog, one of ``FORMS``: "loops" for simulators; "waves" for waveforms, where what
        a person looks at has its own instances and names; "instances" for synthesis, where every
        component has.
    """

    def __init__(self, synthesis=False, form="loops"):
        if form not in FORMS:
            raise InputError(f"form must be one of {', '.join(FORMS)}, not {form!r}")
        self.synthesis, self.waves = synthesis, form == "waves"
        self.loops = not synthesis and form != "instances"
        self.modules = {}
        self.verilog = {}

    def instance(self, name, component):
        """An instance of `component`, converted under `name` unless it already was."""
        # Amaranth warns of components that are never elaborated; all but the first of a name
        # stay so on purpose.
        component._MustUse__used = True
        if name not in self.modules and name not in self.verilog:
            self.convert(name, component)
        ports = {}
        for path, member, signal in component.signature.flatten(component):
            ports[("i_" if member.flow == In else "o_") + port_name(name, path)] = signal
        if self.is_clocked(name):
            ports["i_clk"] = ClockSignal()
            ports["i_rst"] = ResetSignal()
        return Instance(name, **ports)

    def is_clocked(self, name):
        """Whether module `name` has a clock."""
        if name in self.verilog:
            return "input clk;" in self.verilog[name]
        text = self.modules[name]
        header = text[text.index(f"module \\{name}\n") :]
        return bool(re.search(r"^  wire width 1 input \d+ +\\clk$", header, re.M))

    def convert(self, name, component):
        """Convert `component` to RTLIL as module `name`, after the shared modules inside it."""
        self.modules[name] = rtlil.convert(component, name=name, platform=self, emit_src=False)


def port_name(module, path):
    """What the port at `path` of a component's signature is called in Verilog."""
    port = "__".join(map(str, path))
    if port in RESERVED:
        raise InputError(f"port {port!r} of {module} is a word of SystemVerilog; rename it")
    return port


def shared(platform, name, component):
    """`component` as a submodule: itself in simulation, an instance of `name` in export.

    Two components with the same `name` must elaborate to the same logic, so `name` must carry
    every parameter. The caller connects the component's own ports in both cases.
    """
    if isinstance(platform, Exporter):
        return platform.instance(name, component)
    return component


def to_verilog(component, name, header="", form="loops"):
    """Verilog text of `component` as top module `name` with every module it uses.

    The text depends on nothing but the arguments: same input, same bytes. `header` is put on top,
    as comments; `form` is that of :class:`Exporter`.
    """
    exporter = Exporter(form=form)
    exporter.convert(name, component)
    logic = initialised(from_rtlil("\n".join(exporter.modules.values())))
    written = exporter.verilog.values()
    connecting = "".join(text for text in written if "always @" not in text)
    computing = "".join(text for text in written if "always @" in text) + logic
    comments = "".join(f"// {line}".rstrip() + "\n" for line in header.splitlines())
    return comments + waived(connecting, computing)


def split(text):
    """The Verilog `text` as a dict: each shared module, and the top, with the modules only it uses.

    A name with a dot in it belongs to the module before the dot.
    """
    parts = {}
    for module in modules(text):
        if match := re.search(r"^module \\?([\w$]+)", module, re.M):
            parts[match[1]] = parts.get(match[1], "") + module
    return parts
