"""Prefixes of module names, so that a design can contain several cores."""

import re

from tsp.hw.errors import InputError

OWN = "tsp_"
"""The prefix of the names of the top module and the core in the export."""

_MODULE = re.compile(r"^module (?P<escape>\\?)(?P<name>[^\s(]+)", re.M)
_USE = re.compile(r"^(?P<start>  \\?)(?P<name>[\w$][^\s;]*)(?P<end> +\S+ +\()$", re.M)
_TITLE = re.compile(r"^(?P<start>// Top module )(?P<name>\w+)(?P<end>)", re.M)


def prefixed(text: str, prefix: str) -> str:
    """Exported Verilog `text` in which the names of all modules begin with `prefix` and ``_``.

    The prefix replaces ``tsp_`` where there is one: the top module is ``PREFIX_chip``.

    Raises
    ------
    InputError
        If no Verilog name can begin with `prefix`.
    """
    if not re.fullmatch(r"[A-Za-z_]\w*", prefix, re.ASCII):
        raise InputError(
            f"prefix must be letters, digits and underscores, no digit first, not {prefix!r}"
        )
    names = {found["name"] for found in _MODULE.finditer(text)}

    def named(name):
        return f"{prefix}_{name.removeprefix(OWN)}"

    def used(found):
        name = found["name"]
        return f"{found['start']}{named(name)}{found['end']}" if name in names else found[0]

    text = _MODULE.sub(lambda found: f"module {found['escape']}{named(found['name'])}", text)
    return _USE.sub(used, _TITLE.sub(used, text, count=1))
