"""A module of Verilog as Yosys writes it, taken apart into registers, memories and logic."""

import re

_STATEMENT = re.compile(
    r"^  (?:(?P<kind>input|output|wire|reg) (?:signed )?(?P<bits>\[\d+:0\] )?"
    r"(?P<name>\\\S+ |\w+)(?: *= (?P<init>.*?))?(?: \[(?P<last>\d+):0\])?;"
    r"|integer (?P<counter>clear_\w+);\n  initial\n    for [^\n]*\n[^\n]* = \d+'[hd]0;"
    r"|assign (?P<assign>.*?;)"
    r"|always @\* begin\n(?P<block>.*?)^  end"
    r"|always @\(posedge clk\) begin\n(?P<clocked>.*?)^  end"
    r"|always @\(posedge clk\)\s+(?P<register>(?:\\\S+ |\w+)\s*<= .*?\s*;))$",
    re.S | re.M,
)
# What a clocked process may consist of: conditions and what is done under them, without `else`.
_CONDITION = re.compile(
    r" {4}if \((?P<enable>[^\n]*)\)"
    r"(?: begin\n(?P<body>(?: {6}[^\n]*\n)*) {4}end|\n(?P<only> {6}[^\n]*;))\n"
)
INDEX = r"(?:\[(?:[^][]|\[[^]]*\])*\]\s*)?"
"""Matches the part of a name, or the word of a memory, that is assigned; there may be none."""
_TARGET = re.compile(rf"(?:^|\n)\s*(\\\S+ |\w+)\s*{INDEX}<?= ")
_TARGETS = re.compile(r"(?:^|\n)\s*\{([^{}]*)\}\s*<?= ")  # several at once
_SHIFT = re.compile(
    r"(?P<to>\\\S+ |\w+) *= (?P<of>\\\S+ |\w+) ?\[(?P<high>\d+):(?P<low>\d+)\] >> "
    r"(?P<by>\\\S+ |\w+) ?;"
)
_NAME = re.compile(r"\\\S+ |(?<![\w'$\\.])[A-Za-z_]\w*")
_KEYWORDS = {"if", "begin", "end", "casez", "endcase", "default", "else"}


def names(text):
    """The names in Verilog `text`, escaped ones with their space."""
    return set(_NAME.findall(f"{text} ")) - _KEYWORDS


def renamed(text, rename):
    """`text` with every name that `rename` gives another one for."""
    return _NAME.sub(lambda found: rename(found[0]), f"{text} ").strip()


class Logic:
    """A combinational statement, and the names that it writes and reads."""

    def __init__(self, text):
        self.text = text
        self.writes = _targets(text)
        self.reads = names(text) - self.writes


class Register:
    """A register: in each cycle, if `enable`, it takes what `body` assigns to it."""

    def __init__(self, text):
        (self.name,) = _targets(text)
        self._set(*_enabled(text))

    def under(self, enable):
        """The same register, for a group with other enables: `enable` stands in its body."""
        copy = object.__new__(Register)
        copy.name = self.name
        copy._set("1'b1", f"    if ({enable}) begin\n{self.body.rstrip()}\n    end\n")
        return copy

    def _set(self, enable, body):
        self.enable, self.body = enable, body
        self.reads = names(self.enable) | (names(self.body) - {self.name})
        # What it is assigned may be read again, before or after the assignment, within the body.
        self.rereads = bool(re.search(rf"= [^;]*{re.escape(self.name.strip())}(?!\w)", self.body))


def _enabled(text):
    """When a clocked process does anything, and what it does then."""
    text = f"{text.rstrip()}\n"
    if _CONDITION.sub("", text):
        return "1'b1", text
    conditions = [found["enable"] for found in _CONDITION.finditer(text)]
    enable = " || ".join(f"({c})" for c in dict.fromkeys(conditions))
    first, *rest = _CONDITION.finditer(text)
    if not rest or (len(rest) == 1 and rest[0]["enable"] == "rst"):
        # A reset assigns all of the register, so the rest may be done before it in any case.
        return enable, (first["body"] or f"{first['only']}\n") + text[first.end() :]
    return enable, text


def _targets(text):
    several = (name for group in _TARGETS.findall(text) for name in names(group))
    found = (name.strip() for name in (*_TARGET.findall(text), *several))
    return {f"{name} " if name[0] == "\\" else name for name in found}


class Netlist:
    """The declarations, registers and logic of one module without submodules.

    ``bits`` and ``initial`` are by name; ``ports`` are the names of inputs and of outputs, clock
    and reset not among them. ``words`` are those of memories, which are registers too and are 0
    at first.
    """

    def __init__(self, text):
        self.bits, self.initial, self.ports = {}, {}, {"input": [], "output": []}
        self.words = {}
        self.logic, self.registers = [], {}
        body = text[text.index(");", text.index("\nmodule ")) + 2 : text.index("endmodule")]
        body = re.sub(r"^.*dump_module.*\n", "", body, flags=re.M)  # they do nothing
        for found in _STATEMENT.finditer(body):
            if found["kind"]:
                self._declare(found)
            elif found["counter"]:
                continue
            elif clocked := found["clocked"] or found["register"]:
                register = Register(clocked)
                self.registers[register.name] = register
            else:
                statement = Logic(self._selecting(found["assign"] or found["block"]))
                if not statement.writes:
                    raise ValueError(f"no loop can be made of {statement.text!r}")
                self.logic.append(statement)
        if rest := _STATEMENT.sub("", body).strip():
            raise ValueError(f"no loop can be made of a module with {rest.splitlines()[0]!r}")
        self._writers = {}
        for statement in self.logic:
            for name in statement.writes:
                self._writers.setdefault(name, []).append(statement)

    def _declare(self, found):
        name, kind = found["name"], found["kind"]
        if name in ("clk", "rst"):
            return
        self.bits[name] = int(found["bits"][1:].split(":")[0]) + 1 if found["bits"] else 1
        if kind in self.ports:
            self.ports[kind].append(name)
        if found["init"]:
            self.initial[name] = found["init"]
        if found["last"]:
            self.words[name] = int(found["last"]) + 1

    def _selecting(self, text):
        """A shift of which few bits are taken, as a selection of those."""
        found = _SHIFT.fullmatch(text)
        if not found or self.bits[found["to"]] > int(found["high"]) - int(found["low"]):
            return text
        place = f"{found['low']} + {found['by'].strip()}  +: {self.bits[found['to']]}"
        return f"{found['to']} = {found['of']} [{place}];"

    def cone(self, read):
        """The logic that the names `read` depend on, in the order of evaluation.

        Raises
        ------
        ValueError
            If there is no such order, as where bits of a signal depend on other bits of it.
        """
        order, seen = {}, set()

        def visit(some):
            for name in sorted(some):
                for statement in self._writers.get(name, ()):
                    if statement not in seen:
                        seen.add(statement)
                        visit(statement.reads)
                        order[statement] = None
                    elif statement not in order:
                        raise ValueError(
                            f"no loop can be made where {name.strip()} depends on itself, if only "
                            "bits of it on others; use a signal of its own for those"
                        )

        visit(read)
        return list(order)

    def sources(self, read):
        """The registers and inputs that the names `read` depend on."""
        every = set(read).union(*(statement.reads for statement in self.cone(read)))
        return {name for name in every if name not in self._writers}
