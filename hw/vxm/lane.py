"""One lane of one ALU: 32-bit operands in, 32-bit result out."""

from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tsp.hw.pipeline import Pipeline
from tsp.hw.vxm.control import Control
from tsp.hw.vxm.operate import add, align, choose, measure, part
from tsp.hw.vxm.round import cut, finish, first_zeros, last_zeros, locate, more_zeros


class Piped(wiring.Component):
    """What takes operands in every cycle, in a short or in a deep pipeline.

    Parameters
    ----------
    deep : bool
    """

    def __init__(self, deep=False):
        self.deep = deep
        super().__init__()

    @staticmethod
    def latency(deep):
        """Cycles from operands to result: all operations of an ALU have one latency."""
        return 10 if deep else 6


class Lane(Piped):
    """One lane of one ALU.

    Integer results are modulo 2^32 or saturated.
    Float results are rounded once to nearest even; subnormals are kept, NaN is canonical.
    A step without work keeps its registers, so an idle lane does not toggle.

    Latency
    -------
    ``latency(deep)``: 6 cycles in a short pipeline, 10 in a deep one.

    Parameters
    ----------
    deep : bool
        Whether its pipeline is deep.

    Members
    -------
    valid : there is an operation
    control : what it is
    early, late : its operands, byte by byte, as they come from four streams
    swap : the early one is b, else it is a
    condition : whether its third operand is not 0
    result : its result, likewise
    """

    COMMON = ("valid", "control", "swap")

    valid: In(1)
    control: In(Control)
    swap: In(1)
    early: In(8).array(4)
    late: In(8).array(4)
    condition: In(1)
    result: Out(8).array(4)

    def elaborate(self, platform):
        m = Module()
        pipe = Pipeline(m, self.valid, self.deep, self.control)
        operands = choose(m, self.control, self.swap, self.early, self.late, self.condition)
        operands = pipe.in_deep(operands)
        parts = pipe.always(part(m, pipe.control, operands))
        measured = pipe.in_deep(measure(m, pipe.control, parts))
        terms = pipe.always(align(m, pipe.control, measured))
        total = pipe.in_deep(add(m, pipe.control, terms))
        words = pipe.in_short(first_zeros(m, total))
        halves = pipe.in_deep(more_zeros(m, words))
        normal = pipe.always(last_zeros(m, halves))
        place = pipe.in_deep(locate(m, pipe.control, normal))
        short = pipe.always(cut(m, pipe.control, place))
        result = finish(m, pipe.control, short)
        m.d.comb += Cat(self.result).eq(pipe.end(result, self.latency(self.deep)))
        return m
