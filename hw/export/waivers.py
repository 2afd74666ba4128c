"""Warnings of Verilator about the exported Verilog that are not defects, each with the reason.

The waivers are part of the text, so that every reader with Verilator, with or without ``-Wall``,
sees defects only. Verilator has had these rules since 5.006.
"""

import textwrap
from dataclasses import dataclass


@dataclass(frozen=True)
class Waiver:
    """A waiver of the warnings of one rule of Verilator.

    Parameters
    ----------
    rule : str
    reason : str
    computes : bool
        Only in modules that compute, not in those that only connect others.
    """

    rule: str
    reason: str
    computes: bool = True

    @property
    def text(self) -> str:
        """The waiver as comments, which hold for all that follows."""
        lines = textwrap.wrap(self.reason, 97)
        return "".join(f"// {line}\n" for line in [*lines, f"verilator lint_off {self.rule}"])


WAIVERS = (
    Waiver("DECLFILENAME", "One file holds all modules.", computes=False),
    Waiver(
        "PINCONNECTEMPTY",
        "Outputs that nothing needs are left open, and say so; a port that is left out is found.",
        computes=False,
    ),
    Waiver(
        "UNUSEDSIGNAL",
        "Every field and value has a name for waveforms, used or not, and so have the carries of "
        "sums that are cut and fields of instruction words that a unit does not decode; for "
        "synthesis they are no gates.",
        computes=False,
    ),
    Waiver(
        "WIDTH",
        "Every operation has its width and Yosys leaves out leading zeros: Verilog extends the "
        "operands by their sign, as meant. `!` of a vector says that none of its bits is set, and "
        "a part of a vector at a variable place is the low end of the shifted vector.",
    ),
    Waiver(
        "CASEINCOMPLETE",
        "What a case assigns has a value before it: its default, or the register's own.",
    ),
    Waiver(
        "BLKSEQ",
        "Loops over like components compute with variables that are assigned before they are read "
        "in the same process, and shared with no other.",
    ),
)
BEGIN = "// verilator lint_save\n"
END = "// verilator lint_restore\n"
"""What stands around the text, so that the waivers end with it in a design that includes it."""


def waived(connecting: str, computing: str) -> str:
    """The Verilog of modules that only connect others, and of the others, with all waivers."""
    first = "".join(waiver.text for waiver in WAIVERS if not waiver.computes)
    second = "".join(waiver.text for waiver in WAIVERS if waiver.computes)
    return f"{BEGIN}{first}{connecting}{second}{computing}{END}"
