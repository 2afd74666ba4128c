"""Export of components that connect other modules: instances, and the wires between them.

Amaranth and Yosys handle a netlist bit by bit. A core of full size has millions of bits between
its modules, but only thousands of words, so connections are written here, word by word.
"""

import re
from collections import Counter

from amaranth.back import rtlil
from amaranth.hdl import ClockSignal, Const, Fragment, Instance, ResetSignal, Signal, Value
from amaranth.hdl._ast import Assign, Concat, Operator, SignalDict, SignalSet, Slice
from amaranth.hdl._ir import PortDirection
from amaranth.lib.wiring import In

from tsp.hw.export.exporter import Exporter, port_name
from tsp.hw.export.wires import Piece, Wire, cut, resolved, text
from tsp.hw.export.words import RESERVED


def assembly(platform, name, component):
    """`component` as a submodule: itself in simulation, in export an instance of module `name`.

    The module holds instances and wires. What else `component` says becomes one more module,
    ``NAME_glue``. All submodules of `component` are shared, repeated or assemblies; those that
    are none of these are taken apart as if their statements stood in `component`.

    Two components with the same `name` must elaborate to the same, as for
    :func:`~tsp.hw.export.exporter.shared`.
    """
    if isinstance(platform, Exporter):
        if platform.synthesis:
            return platform.instance(name, component)
        if name not in platform.verilog:
            platform.verilog[name] = _Assembly(platform, name, component).text()
        return platform.instance(name, component)
    return component


class _Assembly:
    """The Verilog of `component` under the name `module`."""

    def __init__(self, platform, module, component):
        self.module, self.platform = module, platform
        self.names, self.wires, self.signals = Counter(RESERVED), [], SignalDict()
        self.clocks = {name: self._new(name, 1, is_source=True) for name in ("clk", "rst")}
        self.statements, self.instances = [], []
        self._gather(Fragment.get(component, platform), "")
        self.ports = {True: [], False: []}  # of wires, by whether they are inputs
        for path, member, signal in component.signature.flatten(component):
            signal, is_input = Value.cast(signal), member.flow == In
            name = port_name(module, path)
            wire = self._new(name, len(signal), init=signal.init, is_source=is_input)
            self.signals[signal] = wire
            self.ports[is_input].append(wire)
        self.driven = SignalSet()  # by logic
        self._divide()
        self.bound = self._bind()
        if self.statements:
            self.bound.append(self._logic())
        self.assigned = self._assign()

    def _gather(self, fragment, prefix):
        """Collect statements and instances of `fragment` and of the fragments inside it."""
        for domain, statements in fragment.statements.items():
            self.statements += [(domain, statement) for statement in statements]
        for number, (inner, name, _) in enumerate(fragment.subfragments):
            path = prefix + (name or f"part{number}")
            if isinstance(inner, Instance):
                self.instances.append((self._unique(path), inner))
            elif type(inner) is Fragment:
                self._gather(inner, f"{path}_")
            else:
                kind = type(inner).__name__
                raise ValueError(f"{path} of {self.module} is a {kind}; put it in a shared module")

    def _unique(self, name):
        base = name = re.sub(r"\W", "_", name)
        while name in self.names:
            self.names[base] += 1
            name = f"{base}_{self.names[base]}"
        self.names[name] = 1
        return name

    def _new(self, name, width, **more):
        wire = Wire(self._unique(name), width, **more)
        self.wires.append(wire)
        return wire

    def _wire(self, signal):
        if signal not in self.signals:
            self.signals[signal] = self._new(signal.name, len(signal), init=signal.init)
        return self.signals[signal]

    def _pieces(self, value):
        """What a value is made of, lowest first; None if it is more than bits of wires."""
        match value:
            case Signal():
                return [self._wire(value).whole]
            case Const():
                return [Piece(value.value, 0, len(value))]
            case Slice():
                whole = self._pieces(value.value)
                return whole and cut(whole, value.start, value.stop - value.start)
            case Concat():
                parts = [self._pieces(part) for part in value.parts]
                return None if None in parts else [piece for part in parts for piece in part]
            case Operator(operator="s" | "u"):
                return self._pieces(value.operands[0])
            case ClockSignal():
                return [self.clocks["clk"].whole]
            case ResetSignal():
                return [self.clocks["rst"].whole]
        return None

    def _divide(self):
        """Sort the statements: those that only connect wires, and the logic."""
        connections, logic = [], []
        for domain, statement in self.statements:
            found = self._connection(statement) if domain == "comb" else None
            kind = logic if found is None else connections
            kind.append((domain, statement, found))
        while logic:
            # What logic drives in part, it drives as a whole.
            self.driven.update(signal for _, s, _ in logic for signal in s._lhs_signals())
            mixed = [any(s in self.driven for s in c[1]._lhs_signals()) for c in connections]
            logic += [c for c, is_mixed in zip(connections, mixed, strict=True) if is_mixed]
            connections = [
                c for c, is_mixed in zip(connections, mixed, strict=True) if not is_mixed
            ]
            if not any(mixed):
                break
        self.statements = [(domain, statement) for domain, statement, _ in logic]
        for signal in self.driven:
            self._wire(signal).is_source = True
        for _, _, (targets, sources) in connections:
            _drive(targets, sources)

    def _connection(self, statement):
        """``(targets, sources)`` of a statement, piece by piece, if it only connects wires."""
        if not isinstance(statement, Assign):
            return None
        lhs, rhs = statement.lhs, statement.rhs
        targets, sources = self._pieces(lhs), self._pieces(rhs)
        if targets is None or sources is None:
            return None
        if len(rhs) < len(lhs):
            if isinstance(rhs, Const):
                sources = [Piece(rhs.value, 0, len(lhs))]
            elif rhs.shape().signed:
                return None
            else:
                sources = [*sources, Piece(0, 0, len(lhs) - len(rhs))]
        return targets, cut(sources, 0, len(lhs))

    def _bind(self):
        """Type, name and ports of every instance; its outputs become sources."""
        sources = {}
        for name, instance in self.instances:
            for port, (value, flow) in instance.ports.items():
                if flow == "o":
                    source = self._new(f"{name}__{port}", len(value), is_source=True)
                    _drive(self._pieces(value), [source.whole])
                    sources[name, port] = source
        bound = []
        for name, instance in self.instances:
            ports = []
            for port, (value, flow) in instance.ports.items():
                if flow == "o":
                    ports.append((port, sources[name, port]))
                    continue
                if (pieces := self._pieces(value)) is None:
                    raise ValueError(f"{port} of {name} in {self.module} is more than wires")
                ports.append((port, text(resolved(pieces))))
            bound.append((instance.type, name, ports))
        return bound

    def _logic(self):
        """The same of the module that holds the logic, which is converted here."""
        reads = SignalSet()
        for _, statement in self.statements:
            reads.update(statement._rhs_signals())
        reads = [signal for signal in reads if signal not in self.driven]
        bound = [(self._wire(s).name, text(resolved([self._wire(s).whole]))) for s in reads]
        self._assign()  # finds all wires that are kept
        outputs = self.ports[False]
        shown = [s for s in self.driven if self._wire(s).is_kept or self._wire(s) in outputs]
        bound += [(self._wire(s).name, self._wire(s).name) for s in shown]
        ports = {self._wire(s).name: (s, PortDirection.Input) for s in reads}
        ports |= {self._wire(s).name: (s, PortDirection.Output) for s in shown}
        fragment, name = Fragment(), f"{self.module}_glue"
        for domain, statement in self.statements:
            fragment.add_statements(domain, statement)
        self.platform.modules[name] = rtlil.convert(
            fragment, name=name, ports=ports, emit_src=False
        )
        if self.platform.is_clocked(name):
            bound = [(name, name) for name in self.clocks] + bound
            for wire in self.clocks.values():
                wire.is_kept = True
        return name, self._unique("glue"), bound

    def _assign(self):
        """What is assigned to outputs and to wires that are kept but are no sources."""
        assigned = {}
        while True:
            wires = [*self.ports[False], *(wire for wire in self.wires if wire.is_kept)]
            left = [wire for wire in wires if not wire.is_source and wire not in assigned]
            if not left:
                return assigned
            assigned |= {wire: text(wire.origin()) for wire in left}

    def text(self):
        """The module."""
        clocks = [wire for wire in self.clocks.values() if wire.is_kept]
        inputs, outputs = [*clocks, *self.ports[True]], self.ports[False]
        ports = [*inputs, *outputs]
        own = [wire for wire in self.wires if wire.is_kept and wire not in ports]
        lines = [f"module {self.module}({', '.join(wire.name for wire in ports)});"]
        for kind, wires in (("input", inputs), ("output", outputs), ("wire", own)):
            lines += [f"  {kind} {wire.range}{wire.name};" for wire in wires]
        lines += [f"  assign {wire.name} = {value};" for wire, value in self.assigned.items()]
        for kind, name, ports in self.bound:
            values = [(port, _shown(value)) for port, value in ports]
            bindings = ",\n".join(f"    .{port}({value})" for port, value in values)
            lines.append(f"  {kind} {name} (\n{bindings}\n  );")
        return "\n".join([*lines, "endmodule\n"])


def _drive(targets, sources):
    """Let pieces in a row drive others in a row."""
    at = 0
    for target in targets:
        low = target.low
        for piece in cut(sources, at, target.width):
            target.wire.drive(low, piece)
            low += piece.width
        at += target.width


def _shown(value):
    """A port's value: text, or an output's wire, which may be needed nowhere."""
    if isinstance(value, Wire):
        return value.name if value.is_kept else ""
    return value
