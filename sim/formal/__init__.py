"""Formal proofs of units of the core: properties as Amaranth components, and their runner."""

from tsp.hw.errors import InputError
from tsp.sim.formal import bank, hop, queue, rounding
from tsp.sim.formal.proof import Method, Outcome, Proof, Verdict, prove

__all__ = ["PROOFS", "Method", "Outcome", "Proof", "Verdict", "prove", "select"]

PROOFS = {proof.name: proof for unit in (queue, hop, bank, rounding) for proof in unit.PROOFS}
"""All proofs by name, in the order of reports."""


def select(names):
    """The proofs of those names; all if there are none.

    Raises
    ------
    ValueError
        If a name is none of a proof; the message lists those there are.
    """
    for name in names:
        if name not in PROOFS:
            raise InputError(f"proof must be one of {', '.join(PROOFS)}, not {name!r}")
    return [PROOFS[name] for name in names] or list(PROOFS.values())
