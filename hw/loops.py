"""Export of many like components as one Verilog module that loops over them.

Simulators compile every instance of a module anew. A loop is compiled once, and it passes over
registers that are not enabled with all logic that serves only them: what is idle costs next to
nothing. For synthesis the module is the same logic in other words.
"""

import re
from collections import Counter

from amaranth.back import rtlil
from amaranth.hdl import Cat, ClockSignal, Instance, Module, ResetSignal, Value
from amaranth.lib.wiring import In

from tsp.hw.export import Exporter, from_rtlil, port_name


def repeated(platform, name, components, common=()):
    """All of `components`, which are alike, as one submodule; in export, as a loop.

    The caller connects the ports of all of them in both cases.

    Parameters
    ----------
    platform : object
        What `elaborate` is given.
    name : str
        Name of the component; it must carry every parameter.
    components : list of Component
        They hold registers, but no memories and no submodules, and no combinational path leads
        from an input to an output.
    common : collection of str
        Inputs that are connected alike in all components.
    """
    if not isinstance(platform, Exporter):
        m = Module()
        for number, component in enumerate(components):
            m.submodules[f"{name}_{number}"] = component
        return m

    module = f"{name}_x{len(components)}"
    ports, once = {"i_clk": ClockSignal(), "i_rst": ResetSignal()}, set()
    for members in zip(*(c.signature.flatten(c) for c in components), strict=True):
        path, member, _ = members[0]
        port = port_name(module, path)
        signals = [Value.cast(signal) for _, _, signal in members]
        if path[0] in common:
            once.add(port)
            signals = signals[:1]
        ports[("i_" if member.flow == In else "o_") + port] = Cat(signals)
    if module not in platform.verilog:
        one = from_rtlil(rtlil.convert(components[0], name=name, emit_src=False))
        platform.verilog[module] = _Loop(one, len(components), once).text(module)
    for component in components:
        component._MustUse__used = True  # Amaranth warns of what is never elaborated
    return Instance(module, **ports)


# What Yosys writes for a module without memories and submodules.
_STATEMENT = re.compile(
    r"^  (?:(?P<kind>input|output|wire|reg) (?:signed )?(?P<bits>\[\d+:0\] )?"
    r"(?P<name>\\\S+ |\w+)(?: *= (?P<init>.*?))?;"
    r"|assign (?P<assign>.*?;)"
    r"|always @\* begin\n(?P<block>.*?)^  end"
    r"|always @\(posedge clk\)\s+(?P<register>\\\S+ |\w+)\s*<= (?P<next>.*?)\s*;)$",
    re.S | re.M,
)
# What a register's next value is, if it has an enable and no reset.
_ENABLED = re.compile(
    r"\s*(?P<next>\\\S+ |\w+)\s*= (?P<old>.*?)\s*;"
    r"\s*if \((?P<enable>.*?)\) begin\s+(?P=next)\s*= (?P<value>.*?)\s*;\s+end\s*"
)
_NAME = re.compile(r"\\\S+ |(?<![\w'$\\.])[A-Za-z_]\w*")
_KEYWORDS = {"if", "begin", "end", "casez", "endcase", "default", "else"}


class _Logic:
    """A combinational statement, and the names that it writes and reads."""

    def __init__(self, text):
        self.text = text
        assignments = [line.split(" = ", 1) for line in text.splitlines() if " = " in line]
        self.writes = {name for target, _ in assignments for name in _names(target)}
        self.reads = _names(text) - self.writes


class _Group:
    """The registers that have `enable` in common, and the logic of their next values."""

    def __init__(self, enable):
        self.enable = enable
        self.updates = []  # (register, next value)
        self.logic = []

    @property
    def values(self):
        return " ".join(value for _, value in self.updates)


class _Loop:
    """The Verilog `text` of one component, taken apart, to be put together for `count` of them."""

    def __init__(self, text, count, common):
        self.count, self.common = count, common
        self.bits, self.initial, self.ports = {}, {}, {"input": [], "output": []}
        logic, registers = [], {}
        body = text[text.index(");", text.index("\nmodule ")) + 2 : text.index("endmodule")]
        body = re.sub(r"^.*dump_module.*\n", "", body, flags=re.M)  # they do nothing
        for found in _STATEMENT.finditer(body):
            if found["kind"]:
                self._declare(found)
            elif found["register"]:
                registers[found["register"]] = found["next"]
            else:
                logic.append(_Logic(found["assign"] or found["block"]))
        if rest := _STATEMENT.sub("", body).strip():
            raise ValueError(f"no loop can be made of a module with {rest.splitlines()[0]!r}")

        self.writers = {}
        for statement in logic:
            for name in statement.writes:
                self.writers.setdefault(name, []).append(statement)
        self.short = {n: f"v{i}_" + re.sub(r"\W", "", n) for i, n in enumerate(self.bits)}
        self.registers = set(registers)
        self.groups = self._group(registers)
        self.output_logic = self._cone(" ".join(self.ports["output"]))
        if direct := self._read(self.output_logic) & set(self.ports["input"]):
            raise ValueError(f"no loop can be made where {sorted(direct)} lead to an output")

    def _declare(self, found):
        name, kind = found["name"], found["kind"]
        if name in ("clk", "rst"):
            return
        self.bits[name] = int(found["bits"][1:].split(":")[0]) + 1 if found["bits"] else 1
        if kind in self.ports:
            self.ports[kind].append(name)
        if found["init"]:
            self.initial[name] = found["init"]

    def _group(self, registers):
        groups = {}
        for register, value in registers.items():
            enable = "1'b1"
            writers = self.writers.get(f"{value} " if value[0] == "\\" else value, [])
            found = _ENABLED.fullmatch(writers[0].text) if len(writers) == 1 else None
            if found and found["old"] == register.strip():
                enable, value = found["enable"], found["value"]
            group = groups.setdefault(enable, _Group(enable))
            group.updates.append((register, value))
        for group in groups.values():
            group.logic = self._cone(group.values)
        return list(groups.values())

    def _cone(self, text):
        """The logic that `text` depends on, in order."""
        order, seen = [], set()

        def visit(names):
            for name in sorted(names):
                for statement in self.writers.get(name, ()):
                    if statement not in seen:
                        seen.add(statement)
                        visit(statement.reads)
                        order.append(statement)

        visit(_names(text))
        return order

    @staticmethod
    def _read(logic):
        return {name for statement in logic for name in statement.reads}

    def _local(self, text):
        """`text` with the names of the loop's variables; a register is an array of them."""

        def short(found):
            name = found[0]
            if name in self.registers:
                return f"{self.short[name]}[i] "
            return (name if name in self.common else self.short.get(name, name)) + " "

        return _NAME.sub(short, f"{text} ").strip()

    def _part(self, port):
        """This component's part of a port of the loop's module."""
        width = self.bits[port]
        return f"{port}[{width}*i +: {width}]"

    def text(self, module):
        """The module that loops, under the name `module`."""
        uses = Counter(statement for group in self.groups for statement in group.logic)
        shared = {statement for statement, count in uses.items() if count > 1}
        shared |= set(self._cone(" ".join(group.enable for group in self.groups)))

        # All next values are found from the old registers, then those that are enabled change.
        step, change = [], []
        for number, group in enumerate(self.groups):
            own = [self._local(s.text) for s in group.logic if s not in shared]
            values = [f"n{self.short[r]} = {self._local(v)};" for r, v in group.updates]
            news = [f"{self._local(r)} = n{self.short[r]};" for r, _ in group.updates]
            step += [f"go{number} = {self._local(group.enable)};"]
            step += [f"if (go{number}) begin", *own, *values, "end"]
            change += [f"if (go{number}) begin", *news, "end"]

        shown = self._read(self.output_logic) | set(self.ports["output"])
        showing = [
            f"go{number}"
            for number, group in enumerate(self.groups)
            if shown & {register for register, _ in group.updates}
        ]
        outputs = [self._local(s.text) for s in self.output_logic]
        outputs += [f"next_{self._part(o)} = {self._local(o)};" for o in self.ports["output"]]
        order = self._cone(" ".join(group.values + " " + group.enable for group in self.groups))
        own_inputs = [port for port in self.ports["input"] if port not in self.common]
        loop = [f"for (i = 0; i < {self.count}; i = i + 1) begin"]
        lines = [
            *self._declarations(module),
            "initial begin",
            *loop,
            *(f"{self._local(r)} = {self.initial.get(r, 0)};" for r in sorted(self.registers)),
            *outputs,
            "end",
            *(f"{port} = next_{port};" for port in self.ports["output"]),
            "end",
            "always @(posedge clk) begin",
            "changed = 0;",
            "/* verilator unroll_disable */",
            *loop,
            *(f"{self.short[port]} = {self._part(port)};" for port in own_inputs),
            *(self._local(s.text) for s in order if s in shared),
            *step,
            *change,
            f"if ({' | '.join(showing)}) begin",
            "changed = 1;",
            *outputs,
            "end",
            "end",
            "if (changed) begin",
            *(f"{port} <= next_{port};" for port in self.ports["output"]),
            "end",
            "end",
            "endmodule\n",
        ]
        return "\n".join(lines)

    def _declarations(self, module):
        ports = [*self.ports["input"], *self.ports["output"]]
        yield f"module {module}(clk, rst, {', '.join(ports)});"
        yield "input clk, rst;"
        for kind, names in self.ports.items():
            for port in names:
                width = self.bits[port] * (1 if port in self.common else self.count)
                yield f"{kind} [{width - 1}:0] {port};"
                if kind == "output":
                    yield f"reg [{width - 1}:0] {port}, next_{port};"
        for name, short in self.short.items():
            bits = f"[{self.bits[name] - 1}:0]"
            if name in self.registers:
                yield f"reg {bits} {short} [0:{self.count - 1}];"
                yield f"reg {bits} n{short};"
            else:
                yield f"reg {bits} {short};"
        for number in range(len(self.groups)):
            yield f"reg go{number};"
        yield "reg changed;"
        yield "integer i;"


def _names(text):
    return set(_NAME.findall(f"{text} ")) - _KEYWORDS
