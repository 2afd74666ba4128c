"""A module of Verilog as Yosys writes it, taken apart into registers and logic."""

import re

_STATEMENT = re.compile(
    r"^  (?:(?P<kind>input|output|wire|reg) (?:signed )?(?P<bits>\[\d+:0\] )?"
    r"(?P<name>\\\S+ |\w+)(?: *= (?P<init>.*?))?;"
    r"|assign (?P<assign>.*?;)"
    r"|always @\* begin\n(?P<block>.*?)^  end"
    r"|always @\(posedge clk\) begin\n(?P<clocked>.*?)^  end"
    r"|always @\(posedge clk\)\s+(?P<register>(?:\\\S+ |\w+)\s*<= .*?\s*;))$",
    re.S | re.M,
)
# A clocked process that does nothing without its enable.
_ENABLED = re.compile(r" {4}if \((?P<enable>.*)\) begin\n(?P<body>(?: {6}.*\n)*) {4}end\n?")
_TARGET = re.compile(r"(?:^|\n)\s*(\\\S+ |\w+)\s*(?:\[[^]]*\]\s*)?<?= ")
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
        self.enable, self.body = "1'b1", text
        if found := _ENABLED.fullmatch(text):
            self.enable, self.body = found["enable"], found["body"]
        self.reads = names(self.enable) | (names(self.body) - {self.name})
        # What it is assigned may be read again, before or after the assignment, within the body.
        self.rereads = bool(re.search(rf"= [^;]*{re.escape(self.name.strip())}(?!\w)", self.body))


def _targets(text):
    found = (name.strip() for name in _TARGET.findall(text))
    return {f"{name} " if name[0] == "\\" else name for name in found}


class Netlist:
    """The declarations, registers and logic of one module without memories and submodules.

    ``bits`` and ``initial`` are by name; ``ports`` are the names of inputs and of outputs, clock
    and reset not among them.
    """

    def __init__(self, text):
        self.bits, self.initial, self.ports = {}, {}, {"input": [], "output": []}
        self.logic, self.registers = [], {}
        body = text[text.index(");", text.index("\nmodule ")) + 2 : text.index("endmodule")]
        body = re.sub(r"^.*dump_module.*\n", "", body, flags=re.M)  # they do nothing
        for found in _STATEMENT.finditer(body):
            if found["kind"]:
                self._declare(found)
            elif clocked := found["clocked"] or found["register"]:
                register = Register(clocked)
                self.registers[register.name] = register
            else:
                self.logic.append(Logic(found["assign"] or found["block"]))
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

    def cone(self, read):
        """The logic that the names `read` depend on, in the order of evaluation."""
        order, seen = [], set()

        def visit(some):
            for name in sorted(some):
                for statement in self._writers.get(name, ()):
                    if statement not in seen:
                        seen.add(statement)
                        visit(statement.reads)
                        order.append(statement)

        visit(read)
        return order

    def sources(self, read):
        """The registers and inputs that the names `read` depend on."""
        every = set(read).union(*(statement.reads for statement in self.cone(read)))
        return {name for name in every if name not in self._writers}
