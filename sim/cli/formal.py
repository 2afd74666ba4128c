"""The command ``tsp formal``: proofs of units, and a table of their outcomes."""

from functools import partial
from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.table import Table

from tsp.sim import files
from tsp.sim.cli.report import attempted, console, print_json, show, shown


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=900,
    show_default=True,
    help="Time limit of each step of a proof, in seconds.",
)
@click.option(
    "--waves",
    type=click.Path(file_okay=False),
    help="Directory for a waveform of every counterexample.",
)
def formal(names, as_json, timeout, waves):
    """Prove properties of units of the core with Yosys and a solver: all proofs, or those named."""
    from tsp.sim.formal import Outcome, Verdict, prove, select

    verdicts = []
    for proof in select(names):
        with shown(f"proving {proof.name}"):
            unknown = partial(Verdict, proof=proof, outcome=Outcome.UNKNOWN)
            verdict = attempted(partial(prove, proof, timeout), unknown)
        verdicts.append(verdict)
        console.print(f"{proof.name}: {verdict.outcome.value}, {verdict.seconds:.1f} s")
        if verdict.message:
            console.print(f"  {verdict.message}", markup=False, soft_wrap=True)
        if waves and verdict.trace:
            path = Path(waves) / f"{proof.name}.vcd"
            files.write(path, verdict.trace)
            console.print(f"wrote {path}")
    if as_json:
        print_json({"proofs": [verdict.as_dict() for verdict in verdicts]})
    else:
        show(table_of(verdicts))
    if not all(verdict.proven for verdict in verdicts):
        raise SystemExit(1)


def table_of(verdicts):
    """A table that a person reads, a row per proof, in 100 columns."""
    table = Table(
        title="formal proofs",
        caption="inductive, k: by k-induction; any state, n: in every cycle from n after any state",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    table.add_column("proof", no_wrap=True)
    table.add_column("what is proven")
    for heading in ("method", "solver"):
        table.add_column(heading, no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    table.add_column("result", no_wrap=True)
    for verdict in verdicts:
        proof = verdict.proof
        table.add_row(
            proof.name,
            proof.claim,
            proof.kind,
            proof.solver,
            f"{verdict.seconds:.1f}",
            verdict.outcome.value,
        )
    return table
