"""Pipelines: steps of logic, with registers after the steps at which a cycle ends."""

from copy import copy

from amaranth.hdl import Signal


class Registers:
    """Signals that are registered together; one signal each, which simulates fastest.

    Subclasses give ``shapes``, a dict of shape by name.
    """

    def __init__(self, prefix):
        self._name(prefix)

    def _name(self, prefix):
        for name, shape in self.shapes.items():
            setattr(self, name, Signal(shape, name=f"{prefix}_{name}", reset_less=True))

    def later(self):
        """New signals of the same shapes, named after the class."""
        later = copy(self)
        later._name(type(self).__name__.lower())
        return later

    def eq(self, other):
        """Assignments of all signals of `other`."""
        return [getattr(self, name).eq(getattr(other, name)) for name in self.shapes]

    def take(self, m, other):
        """Assignments of those signals of `other` that this has too."""
        same = [name for name in self.shapes if name in other.shapes]
        m.d.comb += [getattr(self, name).eq(getattr(other, name)) for name in same]


class Pipeline:
    """The registers of a calculation, in short and in deep pipelines.

    The result of a step, some :class:`Registers`, goes through :meth:`always`, :meth:`in_short` or
    :meth:`in_deep`, which register it in all, in short or in deep pipelines, and otherwise pass it
    on unchanged. Registers without work keep their values, so idle logic does not toggle.

    Parameters
    ----------
    m : Module
    work : Signal or list of Signal
        There is work for the first step, or with a list, for the steps of each cycle.
    deep : bool
    control : Signal, optional
        Control word of the first step.

    Attributes
    ----------
    work, control : Signal
        Whether the next step has work, and its control word.
    cycles : int
        Cycles completed so far.
    """

    def __init__(self, m, work, deep, control=None):
        self.work, *self._later = work if isinstance(work, list) else [work]
        self.m, self.deep, self.control = m, deep, control
        self.cycles = 0

    def always(self, made):
        """The result of a step, one cycle later."""
        self.cycles += 1
        later = made.later()
        with self.m.If(self.work):
            self.m.d.sync += later.eq(made)
            if self.control is not None:
                name = f"control_{self.cycles}"
                before = self.control
                self.control = Signal(before.shape(), name=name, reset_less=True)
                self.m.d.sync += self.control.eq(before)
        if self._later:
            self.work = self._later.pop(0)
        else:
            before, self.work = self.work, Signal(name=f"work_{self.cycles}")
            self.m.d.sync += self.work.eq(before)
        return later

    def in_deep(self, made):
        """The result of a step, one cycle later if the pipeline is deep."""
        return self.always(made) if self.deep else made

    def in_short(self, made):
        """The result of a step, one cycle later if the pipeline is short."""
        return made if self.deep else self.always(made)

    def end(self, result, cycles):
        """A register for the `result` of the last step.

        Raises
        ------
        ValueError
            If it is not the register of cycle `cycles`.
        """
        if self.cycles + 1 != cycles:
            raise ValueError(f"this pipeline takes {self.cycles + 1} cycles, not {cycles}")
        register = Signal(len(result), name="result", reset_less=True)
        with self.m.If(self.work):
            self.m.d.sync += register.eq(result)
        return register
