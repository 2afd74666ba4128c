"""The error of the special functions over all fp32 numbers, measured on the golden model.

``python -m tsp.sim.special_errors`` tests every number, which takes long, or with ``--stride N``
every N-th. It computed the figures in docs/numerics.md.
"""

from dataclasses import dataclass, field

import click
import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tsp.hw.isa.special import INFINITY, SIGN, Function
from tsp.sim.golden.special import evaluate

CHUNK = 1 << 18  # numbers at a time; more would not fit the caches
_NEAR_TIE = 1e-6  # where double precision may round to the wrong side, in units in the last place

EXACT = {
    Function.EXP: np.exp,
    Function.TANH: np.tanh,
    Function.RSQRT: lambda x: 1 / np.sqrt(x),
    Function.RECIP: lambda x: 1 / x,
}
# Whether a function rises from one number to the next of larger magnitude, by the sign of both.
_RISES = {
    Function.EXP: {0: True, 1: False},
    Function.TANH: {0: True, 1: False},
    Function.RSQRT: {0: False},
    Function.RECIP: {0: False, 1: True},
}


def order(bits):
    """Integers in the order of fp32 `bits`; both zeros are 0, infinity follows the last number."""
    magnitude = (bits & (SIGN - 1)).astype(np.int64)
    return np.where(bits >= SIGN, -magnitude, magnitude)


def is_nan(bits):
    """Whether fp32 `bits` are a NaN."""
    return bits & (SIGN - 1) > INFINITY


@np.errstate(all="ignore")
def errors(function, a, got):
    """Distance of `got` from the function of `a`, and from the correctly rounded result.

    The first is in units of the last place of the correctly rounded result, the second counts fp32
    numbers. Both are 0 where the function is not defined, and infinite if either is a NaN alone.
    """
    exact = EXACT[function](a.view(np.float32).astype(np.float64))
    rounded = exact.astype(np.float32).view(np.uint32)
    unit = np.ldexp(1.0, np.maximum((rounded >> 23 & 0xFF).astype(int), 1) - 150)
    scaled = exact / unit
    tie = np.flatnonzero(np.abs(np.abs(scaled - np.floor(scaled)) - 0.5) < _NEAR_TIE)
    better = EXACT[function](a[tie].view(np.float32).astype(np.longdouble))
    rounded[tie] = better.astype(np.float32).view(np.uint32)

    apart = np.abs(order(got) - order(rounded)).astype(np.float64)
    distance = np.abs(got.view(np.float32).astype(np.float64) - exact) / unit
    infinite = (rounded & (SIGN - 1) == INFINITY) | (got & (SIGN - 1) == INFINITY)
    distance = np.where(infinite, apart, distance)
    undefined, wrong = is_nan(rounded) & is_nan(got), is_nan(rounded) != is_nan(got)
    for result in (apart, distance):
        result[undefined], result[wrong] = 0, np.inf
    return distance, apart


def turns(function, sign, got):
    """Where `got` is not monotonic, for arguments of one sign and rising magnitude."""
    if sign not in _RISES[function]:
        return np.zeros(len(got) - 1, bool)
    known = ~is_nan(got)
    step = np.diff(order(got)) * (1 if _RISES[function][sign] else -1)
    return (step < 0) & known[1:] & known[:-1]


@dataclass
class Measured:
    """The result of a sweep over one function.

    `error` is the largest error in units in the last place and `at` the argument that has it;
    `apart` is the largest distance of a result from the correctly rounded one, in fp32 numbers;
    `wrong` is how many of `count` results are not correctly rounded; `turned` are the arguments
    at which the function is not monotonic.
    """

    error: float = 0.0
    at: int = 0
    apart: int = 0
    wrong: int = 0
    count: int = 0
    turned: list[int] = field(default_factory=list)

    def add(self, function, sign, a, before):
        """Measure the numbers `a`; returns the last result, which is `before` of the next."""
        got = evaluate(function, a)
        distance, apart = errors(function, a, got)
        worst = distance.argmax()
        if distance[worst] > self.error:
            self.error, self.at = float(distance[worst]), int(a[worst])
        self.apart = max(self.apart, apart.max())
        self.wrong += int(np.count_nonzero(apart))
        self.count += len(a)
        previous = got[:1] if before is None else before
        turned = turns(function, sign, np.concatenate([previous, got]))
        self.turned += a[turned].tolist()[: 10 - len(self.turned)]
        return got[-1:]


def sweep(function, stride=1, advance=lambda count: None):
    """:class:`Measured` of every `stride`-th number of either sign."""
    result = Measured()
    for sign in (0, 1):
        before = None
        for first in range(0, SIGN, stride * CHUNK):
            numbers = np.arange(first, min(first + stride * CHUNK, SIGN), stride, np.uint32)
            before = result.add(function, sign, numbers | np.uint32(sign * SIGN), before)
            advance(len(numbers))
    return result


def report(found):
    """A table of :class:`Measured` by function."""
    table = Table()
    for heading in (
        *("function", "arguments", "max error (ulp)", "at", "fp32 numbers off"),
        *("not correctly rounded", "monotonic"),
    ):
        table.add_column(heading, overflow="fold")  # a narrow terminal cuts no figure off
    for function, m in found.items():
        at = np.uint32(m.at).view(np.float32)
        table.add_row(
            function.name.lower(),
            f"{m.count:,}",
            f"{m.error:.4f}",
            f"{m.at:#010x} ({at:.9g})",
            f"{m.apart:.0f}",
            f"{100 * m.wrong / m.count:.3f} %",
            "no, at " + ", ".join(map(hex, m.turned)) if m.turned else "yes",
        )
    return table


@click.command()
@click.option("--stride", default=1, show_default=True, type=click.IntRange(1, SIGN))
@click.option(
    "--function",
    "names",
    multiple=True,
    type=click.Choice([f.name.lower() for f in Function]),
    help="Only this one; may be given again.",
)
def main(stride, names):
    """Measure the special functions over every STRIDE-th fp32 number."""
    functions = [Function[name.upper()] for name in names] or list(Function)
    console, found = Console(), {}
    with Progress(console=console) as progress:
        for function in functions:
            total = 2 * len(range(0, SIGN, stride))
            task = progress.add_task(function.name.lower(), total=total)
            found[function] = sweep(function, stride, lambda n, t=task: progress.advance(t, n))
    console.print(report(found))


if __name__ == "__main__":
    main()
