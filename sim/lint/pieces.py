"""A core in pieces: every module by itself, with no more of its parts than their ports.

A large core has each module once but instances by the thousand, and tools that lay them all out
need minutes and gigabytes. In pieces, each module is read once and each binding checked once.
"""

import re

from tsp.hw.export import split

SUFFIX = "_ports"
"""What is added to the name of a module that is only its ports."""


def pieces(text):
    """The Verilog `text` as ``(modules, ports)``, two texts.

    In the first all modules are tops: where one has an instance of another, it has an instance of
    what the second declares, a module with the same ports and nothing inside.
    """
    parts = split(text)

    def instance(found):
        return f"  {found[1]}{SUFFIX} " if found[1] in parts else found[0]

    bodies = [
        re.sub(r"^  (\w+) (?=\S+ +\($)", instance, body, flags=re.M) for body in parts.values()
    ]
    used = set(re.findall(rf"^  (\w+){SUFFIX} \S+ +\($", "".join(bodies), re.M))
    ports = [_ports(name, body) for name, body in parts.items() if name in used]
    return "".join(bodies), "".join(ports)


def _ports(name, body):
    start = re.search(rf"^module {name}\(", body, re.M).start()
    head = body[start : body.index("endmodule", start)]
    names = head[head.index("(") : head.index(");")]
    lines = []
    for kind, bits, port in re.findall(_PORT, head):
        lines.append(f"  {kind} {bits}{port} ;\n")
        if kind == "output":  # a net that nothing drives is a fault to some tools
            lines.append(f"  assign {port} = 0;\n")
    text = "".join(lines)
    return f"(* blackbox *)\nmodule {name}{SUFFIX}{names});\n{text}endmodule\n"


_PORT = re.compile(r"^ *(input|output) (?:reg )?(\[[^]]*\] )?([^;=]*?) ?[;=]", re.M)
