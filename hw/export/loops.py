"""Export of many identical components as one Verilog module that loops over them.

Simulators compile every instance of a module again. A loop is compiled once, and skips elements
that are not enabled, so idle elements cost next to nothing. For synthesis the module is the same
logic in another form.
"""

from amaranth.back import rtlil
from amaranth.hdl import Cat, ClockSignal, Instance, Module, ResetSignal, Value
from amaranth.lib.wiring import In

from tsp.hw.export.exporter import Exporter, port_name, shared
from tsp.hw.export.loop import Layout, Loop
from tsp.hw.export.yosys import from_rtlil


def repeated(platform, name, components, common=(), *, periods=None, blocks=1, shown=False):
    """All of `components`, which are identical, as one submodule; in export, as a loop.

    The caller connects the ports of all of them in both cases. One alone is an instance.

    Parameters
    ----------
    platform : object
        What `elaborate` is given.
    name : str
        Name of the component; it must carry every parameter.
    components : list of Component
        Their registers and memories are 0 at first, and no combinational path leads from an input
        to an output. Their submodules, if any, become part of them.
    common : collection of str
        Inputs that have the same connection in all components of a block.
    periods : dict, optional
        By input, a period: component n + period of a block has the same connection as component n.
    blocks : int
        Number of blocks of consecutive components.
    shown : bool
        Whether they are instances in an export for waveforms.
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
