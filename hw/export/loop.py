"""The Verilog of many like components, as loops over them."""

import re
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

from tsp.hw.export.indent import indented
from tsp.hw.export.netlist import INDEX, Netlist, names, renamed
from tsp.hw.export.rolled import rolled

_NARROW = 128  # bits of a port that are read at once, without a copy of all of it
_FEW = 4  # places where it is read so
_WIDE = 1024  # bits of a block's port of which nothing is copied


@dataclass(frozen=True)
class Layout:
    """How many components there are, and how their ports lie in those of the loop.

    The components come in `blocks` of `size`. A port of the loop holds that of every component,
    the first lowest; but one in `common` only that of every block, whose components it is the
    same for, and one in `periods` that of the first so many of every block.
    """

    size: int
    blocks: int = 1
    common: frozenset = frozenset()
    periods: dict = field(default_factory=dict)

    @property
    def count(self):
        """All components."""
        return self.size * self.blocks

    def ports(self, port):
        """How many components' ports stand in a port of the loop, per block."""
        return 1 if port in self.common else self.periods.get(port, self.size)

    @property
    def suffix(self):
        """What tells it apart in the name of a module."""
        return f"_x{self.size}" if self.blocks == 1 else f"_x{self.blocks}x{self.size}"


def _bits_of(port):
    """Matches bits of a port that are read: highest and lowest, or lowest, index and width."""
    return re.compile(
        rf"(?<![\w.$\\]){re.escape(port)}\s*"
        r"\[(\d+)(?::(\d+)| \+ (?P<index>[^][]*?) \+: (?P<width>\d+))?\]"
    )


class _Group:
    """Registers that change together: under one enable, and alike in a block or not."""

    def __init__(self, enable, alike):
        self.enable, self.alike = enable, alike
        self.registers = []

    @classmethod
    def of(cls, groups):
        """The group of all registers of `groups`, each changed under its own enable."""
        groups = sorted(groups, key=lambda group: group.enable)
        enables = dict.fromkeys(group.enable for group in groups)
        joint = cls(" || ".join(f"({enable})" for enable in enables), all(g.alike for g in groups))
        joint.registers = [r.under(g.enable) for g in groups for r in g.registers]
        return joint

    @property
    def names(self):
        return {register.name for register in self.registers}

    @property
    def reads(self):
        return names(self.enable).union(*(register.reads for register in self.registers))


class Loop:
    """The Verilog `text` of one component, put together for all of a `layout`.

    Registers are arrays with an element per component; those that are alike in a block, because
    they depend on common inputs only, have one per block. A group of registers is one loop. Groups
    are processed in an order in which each reads what the others have not changed yet.
    """

    def __init__(self, text, layout):
        self.layout, self.common = layout, layout.common
        self.net = net = Netlist(text)
        self.short = {n: f"v{i}_" + re.sub(r"\W", "", n) for i, n in enumerate(net.bits)}
        self.inputs = set(net.ports["input"])
        if taken := {"g", "i", "j"} & set(net.bits):
            raise ValueError(f"no loop can be made with signals {sorted(taken)}; rename them")
        if missing := self.common - self.inputs:
            raise ValueError(
                f"no loop can be made with the common inputs {sorted(missing)}: the component has "
                "none of that name, or it is a word of Verilog; rename them"
            )
        self.alike = self._alike()
        self.groups = self._group()
        self.outputs = net.ports["output"]
        if direct := net.sources(self.outputs) & self.inputs:
            raise ValueError(f"no loop can be made where {sorted(direct)} lead to an output")

    def _alike(self):
        """The registers that depend on common inputs only, and on each other."""
        net, alike = self.net, set(self.net.registers)
        same = self.inputs & self.common | {"rst", "clk"}
        while True:
            left = {n for n in alike if net.sources(net.registers[n].reads) <= alike | same}
            left = {n for n in left if net.sources([n]) <= alike}
            if left == alike:
                return alike | same
            alike = left

    def _group(self):
        groups = {}
        for register in self.net.registers.values():
            alone = register.name if register.name in self.net.words else None
            key = register.enable, register.name in self.alike, alone
            groups.setdefault(key, _Group(*key[:2])).registers.append(register)
        return self._ordered(list(groups.values()))

    def _ordered(self, groups):
        """The groups in an order in which each reads only what is not changed yet.

        Those that read each other in a ring become one.
        """
        written = {name: g for g in groups for name in g.names}
        sorter = TopologicalSorter(dict.fromkeys(groups, ()))
        for group in groups:
            for name in sorted(self.net.sources(group.reads) & set(written)):
                if written[name] is not group:
                    sorter.add(written[name], group)
        try:
            return list(sorter.static_order())
        except CycleError as error:
            ring = list(dict.fromkeys(error.args[1]))  # not a set: the text must not vary
            return self._ordered([*(g for g in groups if g not in ring), _Group.of(ring)])

    def _index(self, name):
        """The element of a register's array; nothing if there is no array."""
        if name not in self.alike:
            return "[i] "
        return "[g] " if self.layout.blocks > 1 else " "

    def _name(self, name):
        """What a name of the component is called in the loop."""
        if name in self.net.registers:
            return f"{self.short[name]}{self._index(name)}"
        if name in self.common and self.layout.blocks == 1:
            return f"{name} "
        return self.short.get(name, name) + " "

    def _local(self, text, direct=()):
        for port in direct:
            text = _bits_of(port).sub(lambda found, port=port: self._bits(port, found), text)
        return renamed(text, lambda name: f"{name} " if name in direct else self._name(name))

    def _bits(self, port, found):
        """Some bits of this component's part of a port, which :func:`_bits_of` has found."""
        first, low, index, width = found.groups()
        place = f"{self._start(port)} + {low or first}"
        if index:
            return f"{port}[{place} + {index} +: {width}]"
        return f"{port}[{place} +: {int(first) - int(low) + 1}]" if low else f"{port}[{place}]"

    def _direct(self, texts):
        """Ports of which `texts` read narrow parts: few of them, or of a wide one of a block.

        Those are read where they stand; of others this component's part is copied first.
        """
        text = " ".join(texts)
        direct = set()
        for port in self._copied(names(text)):
            widths = [
                int(width) if width else int(first) - int(low or first) + 1
                for first, low, _, width in _bits_of(port).findall(text)
            ]
            uses = len(re.findall(rf"(?<![\w.$\\]){re.escape(port)}(?!\w)", text))
            is_few = uses <= _FEW or (port in self.common and self.net.bits[port] > _WIDE)
            if len(widths) == uses and is_few and max(widths) <= _NARROW:
                direct.add(port)
        return direct

    def _copied(self, some):
        """Those of `some` names that are ports of which each component, or block, has its part."""
        kept = self.common if self.layout.blocks == 1 else set()
        return (self.inputs & some) - kept

    def _is_alike(self, statement):
        return self.net.sources(statement.reads) <= self.alike

    def _logic(self, read, texts=()):
        """The logic for the names `read` in `texts`.

        Returns
        -------
        (list of str, list of str, set of str)
            What is alike in a block, what is not, and the ports that need not be copied.
        """
        cone = self.net.cone(read)
        direct = self._direct([*texts, *(s.text for s in cone)])
        once = [self._local(s.text, direct) for s in cone if self._is_alike(s)]
        each = [self._local(s.text, direct) for s in cone if not self._is_alike(s)]
        parts = {False: [], True: []}
        for port in sorted(self._copied(self.net.sources(read)) - direct):
            parts[port in self.common].append(f"{self.short[port]} = {self._part(port)};")
        return parts[True] + once, parts[False] + each, direct

    def _start(self, port):
        """The lowest bit of this component's part of a port of the loop's module."""
        many = self.layout.ports(port)
        if port in self.common:
            number = "g"
        elif many == self.layout.size:
            number = "i"
        else:
            size = self.layout.size
            number = f"(i % {many})"
            if self.layout.blocks > 1:
                number = f"({many} * g + (i - {size} * g) % {many})"
        return f"{self.net.bits[port]}*{number}"

    def _part(self, port):
        """This component's part of a port of the loop's module."""
        return f"{port}[{self._start(port)} +: {self.net.bits[port]}]"

    def _for(self, lines):
        """A loop over the components of a block."""
        size = self.layout.size
        first, end = "0", f"{size}"
        if self.layout.blocks > 1:
            first, end = f"{size} * g", f"{size} * g + {size}"
        yield f"for (i = {first}; i < {end}; i = i + 1) begin"
        yield from lines
        yield "end"

    def _for_blocks(self, lines):
        """A loop over the blocks, if there is more than one."""
        if self.layout.blocks == 1:
            return lines
        head = f"for (g = 0; g < {self.layout.blocks}; g = g + 1) begin"
        return [head, *lines, "end"]

    def _change(self, group, direct):
        """What the registers of a group become, and the logic for it."""
        read_by_others = set()
        for register in group.registers:
            read_by_others |= names(register.body) - {register.name}
        values, changes = [], []
        # Memories come last: what the others read of them is what they held before.
        for register in sorted(group.registers, key=lambda r: r.name in self.net.words):
            name, body = register.name, register.body
            held = (register.rereads or name in read_by_others) and name not in self.net.words
            into = f"n{self.short[name]} " if held else self._name(name)
            target = re.compile(rf"(^|\n)(\s*){re.escape(name)}(\s*{INDEX})<= ")
            parts = target.split(f"{body}\n")
            text = self._local(parts[0], direct)
            for start, space, select, rest in zip(
                *(parts[i::4] for i in (1, 2, 3, 4)), strict=True
            ):
                text += f"{start}{space}{into}{self._local(select, direct)}"
                text += f" = {self._local(rest, direct)}"
            if held:
                values.append(f"{into}= {self._name(name)};")
                changes.append(f"{self._name(name)}= {into};")
            values.append(rolled(f"{text}\n", "j").rstrip())
        return [*values, *changes]

    def text(self, module):
        """The module that loops, under the name `module`."""
        showing = {}  # the outputs that a group's registers lead to, by group
        for group in self.groups:
            for output in self.outputs:
                if self.net.sources([output]) & group.names:
                    showing.setdefault(group, []).append(output)
        place = "[g]" if self.layout.blocks > 1 else ""
        lines = []
        for group in self.groups:
            shows = [f"show_{o}{place} = 1;" for o in showing.get(group, ())]
            lines += self._for_blocks(self._step(group, shows))
        initial = [self._initial(register) for register in sorted(self.net.registers)]
        once, each, _ = self._logic(self.outputs, self.outputs)
        shown = [f"next_{self._part(o)} = {self._local(o)};" for o in self.outputs]
        body = [
            "initial begin",
            *self._for_blocks(list(self._for([*initial, *once, *each, *shown]))),
            *(f"{port} = next_{port};" for port in self.outputs),
            "end",
            "always @(posedge clk) begin",
            *(f"show_{port} = 0;" for port in self.outputs),
            *lines,
            *(line for output in self.outputs for line in self._show(output)),
            "end",
        ]
        used = names("\n".join(body))
        head, *declarations = self._declarations(module, used)
        return f"{head}\n{indented([*declarations, *body], 1)}endmodule\n"

    def _initial(self, name):
        """What a register or a memory is at first."""
        if name not in self.net.words:
            return f"{self._name(name)}= {self.net.initial.get(name, 0)};"
        every = f"for (j = 0; j < {self.net.words[name]}; j = j + 1)"
        return f"{every} {self._name(name)}[j] = 0;"

    def _step(self, group, shows):
        """One cycle of a group, in one block."""
        reads = names(group.enable)
        enabled_once, enabled_each, direct = self._logic(reads, [group.enable])
        enable = self._local(group.enable, direct)
        reads = set().union(*(r.reads | {r.name} for r in group.registers))
        once, each, direct = self._logic(reads, [r.body for r in group.registers])
        change = self._change(group, direct)
        lines = [*enabled_once]
        if group.alike:
            return [*lines, f"if ({enable}) begin", *once, *shows, *change, "end"]
        if not enabled_each and self.net.sources(names(group.enable)) <= self.alike:
            loop = self._for([*each, *change])
            return [*lines, f"if ({enable}) begin", *once, *shows, *loop, "end"]
        body = [*enabled_each, f"if ({enable}) begin", *each, *shows, *change, "end"]
        return [*lines, *once, *self._for(body)]

    def _show(self, output):
        """Drive an output whose registers have changed."""
        once, each, _ = self._logic([output], [output])
        place = "[g]" if self.layout.blocks > 1 else ""
        each = [*each, f"next_{self._part(output)} = {self._local(output)};"]
        inner = [f"if (show_{output}{place}) begin", *once, *self._for(each), "end"]
        yield f"if (|show_{output}) begin"
        yield from self._for_blocks(inner)
        yield f"{output} <= next_{output};"
        yield "end"

    def _declarations(self, module, used):
        """The head of the module, and the signals of which the text makes use."""
        layout = self.layout
        ports = [*self.net.ports["input"], *self.net.ports["output"]]
        yield f"module {module}(clk, rst, {', '.join(ports)});"
        yield "input clk, rst;"
        for kind, some in self.net.ports.items():
            for port in some:
                width = self.net.bits[port] * layout.ports(port) * layout.blocks
                yield f"{kind} [{width - 1}:0] {port};"
                if kind == "output":
                    yield f"reg [{width - 1}:0] {port}, next_{port};"
                    yield f"reg [{layout.blocks - 1}:0] show_{port};"
        for name, short in self.short.items():
            if short not in used:  # it stands for a port, or nothing reads it
                continue
            bits = f"[{self.net.bits[name] - 1}:0]"
            if name in self.net.registers:
                # Of a power of two, so that simulators need not check the index.
                many = layout.blocks if name in self.alike else layout.count
                size = 1 << (many - 1).bit_length()
                array = f" [0:{size - 1}]" if self._index(name).strip() else ""
                if name in self.net.words:
                    yield f"reg {bits} {short}{array} [0:{self.net.words[name] - 1}];"
                else:
                    yield f"reg {bits} {short}{array};"
                    if f"n{short}" in used:
                        yield f"reg {bits} n{short};"
            else:
                yield f"reg {bits} {short};"
        yield "integer g, i, j;"
