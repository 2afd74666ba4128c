"""Initial values in exported Verilog: their place, and their removal."""

import re

_NAME = r"(?:\\\S+ |\w+)"
_DECLARED = re.compile(
    rf"^  reg (?P<shape>(?:signed )?(?:\[\d+:0\] )?)(?P<name>{_NAME}) *= (?P<value>[^;]*);\n", re.M
)
_AWAKE = r"\\\S*dump_module\S* "
"""Matches what Yosys calls a signal that it makes to start processes at time 0."""


def initialised(text: str) -> str:
    """Verilog `text` of Yosys with the initial values of registers beside their declarations.

    A value in the declaration reads as if it held for good, which Verilator warns of.
    """

    def apart(found):
        shape, name, value = found["shape"], found["name"], found["value"]
        if re.match(_AWAKE, name):
            return found[0]
        return f"  reg {shape}{name};\n  initial {name} = {value};\n"

    return _DECLARED.sub(apart, text)


_INITIAL = re.compile(
    rf"^  reg {_AWAKE} *= 0;\n"
    rf"|^ +if \({_AWAKE} *\) begin end *\n"
    rf"|^  initial {_NAME} *= [^;]*;\n"
    r"|^  integer clear_\w+;\n  initial\n    for [^\n]*\n[^\n]* = \d+'[hd]0+;\n"
    r"|^  initial begin\n    for .*?^  end\n",
    re.M | re.S,
)


def uninitialised(text: str) -> str:
    """Exported Verilog `text` without initial values: what has no reset is unknown until written.

    Raises
    ------
    ValueError
        If it has some that are no zeros of a memory, nor what the reset is: they would be lost.
    """
    text = _INITIAL.sub("", text)
    if found := re.search(r"^.*\binitial\b[^\n]*\n[^\n]*", re.sub("//.*", "", text), re.M):
        raise ValueError(f"initial values that no reset gives: {found[0]!r}")
    return text
