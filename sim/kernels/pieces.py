"""A formula for rows, cut into pipelines that pass one after the other.

A row in every cycle needs an ALU for every step. Where there are fewer, a pipeline takes several
cycles a row, and ALUs that do two steps by turns take an instruction for each: no repetition says
that. Of a formula that is cut every ALU repeats one step for all rows, and what one piece leaves to
the next is kept in SRAM.
"""

from dataclasses import dataclass

from tsp.hw.errors import NO_PLAN


class Symbol:
    """A value of a formula that is written down."""


@dataclass(frozen=True, eq=False)
class Step:
    """A call of a method of a pipeline, and the symbols of what it returns."""

    method: str
    operands: tuple
    fields: dict
    results: tuple

    def symbols(self):
        """The values that it takes."""
        return [x for x in (*self.operands, *self.fields.values()) if isinstance(x, Symbol)]


class Recorder:
    """Takes the place of a :class:`~tsp.sim.kernels.pipeline.Pipeline`, and writes down its steps.

    Members
    -------
    loads : dict
        By symbol, the steps that load, or convert what is loaded: every piece does so anew.
    steps : list of Step
        All others.
    """

    def __init__(self, formula):
        self.loads, self.steps = {}, []
        formula(self)

    def load(self, place, *, same=False):
        """As of a pipeline."""
        symbol = Symbol()
        self.loads[symbol] = Step("load", (place,), {"same": same}, (symbol,))
        return symbol

    def store(self, value, place):
        """As of a pipeline."""
        self._add("store", (value, place), {}, 0)

    def op(self, name, *operands, **fields):
        """As of a pipeline."""
        return self._add("op", (name, *operands), fields)

    def convert(self, value, source, result):
        """As of a pipeline."""
        if value not in self.loads:
            return self._add("convert", (value, source, result), {})
        symbol = Symbol()
        self.loads[symbol] = Step("convert", (value, source, result), {}, (symbol,))
        return symbol

    def reduce(self, side, kind, value, count, companion=None):
        """As of a pipeline."""
        fields, results = {"companion": companion}, 1 if companion is None else 2
        return self._add("reduce", (side, kind, value, count), fields, results)

    def permute(self, side, value, place):
        """As of a pipeline."""
        return self._add("permute", (side, value, place), {})

    def _add(self, method, operands, fields, results=1):
        symbols = tuple(Symbol() for _ in range(results))
        self.steps.append(Step(method, operands, fields, symbols))
        return symbols[0] if results == 1 else symbols


class Piece:
    """Some steps of a formula, in a pipeline.

    Parameters
    ----------
    steps : list of Step
    loads : dict
        As of a recorder.
    kept : dict
        Places by the symbols of what earlier pieces have left.
    leaves : dict
        Places by the symbols of what this one leaves.
    """

    def __init__(self, steps, loads, kept, leaves):
        self.steps, self.loads, self.kept, self.leaves = steps, loads, kept, leaves

    @property
    def reads(self):
        """Places of earlier pieces that it reads."""
        taken = {symbol for step in self.steps for symbol in step.symbols()}
        return [place for symbol, place in self.kept.items() if symbol in taken]

    def play(self, p):
        """Build the steps in a pipeline."""
        values, moved = {}, {}

        def value(x, driven=False):
            if not isinstance(x, Symbol):
                return x
            if x not in values:
                if x in self.kept:
                    values[x] = p.load(self.kept[x])
                else:
                    load = self.loads[x]
                    operands = [value(y) for y in load.operands]
                    values[x] = getattr(p, load.method)(*operands, **load.fields)
            if not driven or _free(values[x]):
                return values[x]
            if x not in moved or not _free(moved[x]):
                moved[x] = p.op("mov", values[x])
            return moved[x]

        for step in self.steps:
            driven = step.method in ("store", "reduce", "permute")
            operands = [value(x, driven) for x in step.operands]
            fields = {key: value(x, driven) for key, x in step.fields.items()}
            made = getattr(p, step.method)(*operands, **fields)
            if step.results:
                made = (made,) if len(step.results) == 1 else made
                values |= dict(zip(step.results, made, strict=True))
        for symbol, place in self.leaves.items():
            p.store(value(symbol, driven=True), place)


def _free(value):
    """Whether a value can be driven: the result of an ALU that is not driven yet."""
    return value.node is not None and not value.node.targets


def pieces(formula, build, place):
    """The pipelines of a formula that is cut, with what each reads of earlier ones.

    Parameters
    ----------
    formula : callable
        Of a pipeline.
    build : callable
        From a formula to its pipeline, or :data:`~tsp.hw.errors.NO_PLAN`.
    place : callable
        From a number to a place of fp32 rows; different numbers are different places.

    Yields
    ------
    (Pipeline, list of Place)
        Each to be placed before the next is asked for.

    Raises
    ------
    PipelineError
        If there is no room for one step.
    CapacityError
        If there is none for what it leaves.
    """
    written = Recorder(formula)
    steps, kept, first = written.steps, {}, 0
    while first < len(steps):
        for end in range(len(steps), first, -1):
            later = {symbol for step in steps[end:] for symbol in step.symbols()}
            made = [s for step in steps[first:end] for s in step.results if s in later]
            try:
                leaves = {symbol: place(len(kept) + n) for n, symbol in enumerate(made)}
                piece = Piece(steps[first:end], written.loads, kept, leaves)
                pipeline = build(piece.play)
                break
            except NO_PLAN as error:
                refused = error
        else:
            raise refused
        yield pipeline, piece.reads
        kept, first = kept | leaves, end
