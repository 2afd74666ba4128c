"""Verilog export: a repeated module is converted once and instanced by name."""

import re

from amaranth.back import verilog
from amaranth.hdl import ClockSignal, Instance, ResetSignal
from amaranth.lib.wiring import In


class Exporter:
    """The platform under which a chip is elaborated for export.

    :func:`shared` hands it every module that occurs more than once; it converts each name once.
    """

    def __init__(self):
        self.modules = {}

    def instance(self, name, component):
        """An instance of `component`, converted under `name` unless it already was."""
        if name not in self.modules:
            self.modules[name] = None  # holds the place: children come first in the dict's values
            text = convert(component, name, self)
            del self.modules[name]
            self.modules[name] = text
        text = self.modules[name]
        ports = {}
        for path, member, signal in component.signature.flatten(component):
            side = "i" if member.flow == In else "o"
            ports[f"{side}_" + "__".join(map(str, path))] = signal
        header = text[: text.index(");", text.index(f"module {name}(")) + 2]
        if re.search(r"\bclk\b", header):
            ports["i_clk"] = ClockSignal()
            ports["i_rst"] = ResetSignal()
        return Instance(name, **ports)


def shared(platform, name, component):
    """`component` as a submodule: itself in simulation, an instance of `name` in export.

    Two components with the same `name` must elaborate to the same logic, so `name` must carry
    every parameter. The caller connects the component's own ports in both cases.
    """
    if isinstance(platform, Exporter):
        return platform.instance(name, component)
    return component


def convert(component, name, platform):
    """Verilog text of `component` as module `name`, without its shared modules."""
    return verilog.convert(component, name=name, platform=platform, emit_src=False)


def to_verilog(component, name):
    """Verilog text of `component` as top module `name` with every module it uses.

    The text depends on nothing but the component: same input, same bytes.
    """
    exporter = Exporter()
    top = convert(component, name, exporter)
    return "\n".join([*exporter.modules.values(), top])
