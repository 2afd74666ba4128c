"""Warnings about the exported Verilog that are no faults of it, each with the reason."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Waiver:
    """Warnings of one rule of Verilator that are passed over.

    Parameters
    ----------
    rule : str
    match : str
        Pattern of the message, with ``*`` and ``?``.
    reason : str
    """

    rule: str
    match: str
    reason: str


WAIVERS = (
    Waiver("DECLFILENAME", "*", "the export is one file with all modules"),
    Waiver(
        "UNUSEDSIGNAL",
        "Signal is not used: *",
        "Amaranth names every field and value for waveforms, used or not; for synthesis they are "
        "no gates",
    ),
    Waiver(
        "UNUSEDSIGNAL",
        "Bits of signal are not used: *",
        "the carries of sums that are cut, and fields of instruction words that a unit does not "
        "decode",
    ),
    Waiver(
        "UNUSEDSIGNAL",
        "Signal is not driven, nor used: *",
        "declarations left over in loops by the fields of a register that is declared whole",
    ),
    Waiver(
        "WIDTHEXPAND",
        "*",
        "Amaranth gives every operation its width and Yosys leaves out leading zeros; Verilog "
        "extends the operands by their sign, as meant, and no bit is lost",
    ),
    Waiver(
        "WIDTHTRUNC",
        "Logical operator LOGNOT expects 1 bit*",
        "`!` of a vector is how Yosys writes that none of its bits is set",
    ),
    Waiver(
        "WIDTHTRUNC",
        "Operator ASSIGN* expects * bits on the Assign RHS, but Assign RHS's SHIFTR generates *",
        "a part of a vector at a variable place is the low end of the shifted vector",
    ),
    Waiver(
        "CASEINCOMPLETE",
        "*",
        "what a case assigns has a value before it: its default, or the register's own",
    ),
    Waiver(
        "PROCASSINIT",
        "*",
        "registers have the value of their reset from the start, as FPGAs load it",
    ),
    Waiver(
        "BLKSEQ",
        "*",
        "loops over like components compute with variables that are assigned before they are read "
        "in the same process, and shared with no other",
    ),
    Waiver(
        "PINCONNECTEMPTY",
        "*",
        "outputs that nothing needs are left open, and say so; a port that is left out is found",
    ),
    Waiver("MISINDENT", "*", "the layout of generated text"),
)
