"""Export of many like components as one Verilog module that loops over them.

Simulators compile every instance of a module anew. A loop is compiled once, and what is not
enabled in it is passed over: what is idle costs next to nothing. For synthesis the module is the
same logic in other words.
"""

from amaranth.back import rtlil
from amaranth.hdl import Cat, ClockSignal, Instance, Module, ResetSignal, Value
from amaranth.lib.wiring import In

from tsp.hw.export.exporter import Exporter, port_name, shared
from tsp.hw.export.loop import Layout, Loop
from tsp.hw.export.yosys import from_rtlil


def repeated(platform, name, components, common=(), *, periods=None, blocks=1, shown=False):
    """All of `components`, which are alike, as one submodule; in export, as a loop.

    The caller connects the ports of all of them in both cases. One alone is an instance.

    Parameters
    ----------
    platform : object
        What `elaborate` is given.
    name : str
        Name of the component; it must carry every parameter.
    components : list of Component
        They hold registers and memories that are 0 at first, and no combinational path leads from
        an input to an output. Their submodules, if any, become part of them.
    common : collection of str
        Inputs that are connected alike in all components of a block.
    periods : dict, optional
        Inputs that are connected alike in every so many components of a block, and in how many.
    blocks : int
        How many blocks the components come in, one after the other.
    shown : bool
        In an export for waveforms they are instances.
    """
    if len(components) == 1:
        return shared(platform, name, components[0])
    if not loops(platform) or (shown and platform.waves):
        m = Module()
        for number, component in enumerate(components):
            m.submodules[f"{name}_{number}"] = shared(platform, name, component)
        return m

    layout, ports = _bound(name, components, common, periods or {}, blocks)
    module = name + layout.suffix
    if module not in platform.verilog:
        one = from_rtlil(rtlil.convert(components[0], name=name, emit_src=False), flat=True)
        platform.verilog[module] = Loop(one, layout).text(module)
    for component in components:
        component._MustUse__used = True  # Amaranth warns of what is never elaborated
    return Instance(module, i_clk=ClockSignal(), i_rst=ResetSignal(), **ports)


def loops(platform):
    """Whether :func:`repeated` makes a loop."""
    return isinstance(platform, Exporter) and platform.loops


def _bound(name, components, common, periods, blocks):
    """The layout of a loop, and what is bound to its ports."""
    size = len(components) // blocks
    if size * blocks != len(components):
        raise ValueError(f"{len(components)} of {name} cannot come in {blocks} blocks")
    once, periodic, ports = set(), {}, {}
    for members in zip(*(c.signature.flatten(c) for c in components), strict=True):
        path, member, _ = members[0]
        port, many = port_name(f"{name}_x{len(components)}", path), size
        if path[0] in common:
            once.add(port)
            many = 1
        elif path[0] in periods:
            periodic[port] = many = periods[path[0]]
        signals = (Value.cast(signal) for _, _, signal in members)
        taken = [signal for n, signal in enumerate(signals) if n % size < many]
        ports[("i_" if member.flow == In else "o_") + port] = Cat(taken)
    return Layout(size, blocks, frozenset(once), periodic), ports
