"""Where operands come from: stream groups, outputs of ALUs, the immediate."""

from amaranth.hdl import Cat, Mux, Signal
from amaranth.lib import data

from tsp.hw.stream import StreamWord

_GROUP, _ALU, _IMMEDIATE = range(3)


class Vector(data.StructLayout):
    """A superlane of 32-bit elements, byte by byte as they lie on four streams.

    Members
    -------
    data : four words of a byte per lane, the least significant lowest
    valid : the elements are there
    """

    def __init__(self, lanes):
        super().__init__({"data": data.ArrayLayout(8 * lanes, 4), "valid": 1})


class OperandSelect(data.Struct):
    """An operand field of an instruction, as :class:`~tsp.hw.isa.codecs.Operand` encodes it.

    Members
    -------
    which : lowest stream of a group, or number of an ALU
    westward, log2 : direction and log2 of the size of a group
    kind : a group, an ALU, the immediate, or nothing
    """

    which: 5
    westward: 1
    log2: 2
    kind: 2


def element(vector, lane):
    """The 32-bit element of `lane` in the data of a :class:`Vector`."""
    return Cat(word[8 * lane : 8 * lane + 8] for word in vector)


def read_operand(m, lanes, field, immediate, streams, outputs):
    """The operand that an instruction's `field` names, as a :class:`Vector`, in this cycle.

    Parameters
    ----------
    m : Module
        Where the logic goes.
    lanes : int
        Lanes of the superlane.
    field : Value
        The field of the instruction.
    immediate : Value
        The immediate of the instruction; it is always valid.
    streams : pair of lists of StreamWord
        Eastward and westward streams. Groups of 1 or 2 streams are sign-extended.
    outputs : list of Vector
        The outputs of all ALUs.
    """
    select, operand = Signal(OperandSelect), Signal(Vector(lanes))
    m.d.comb += select.eq(field)
    words = [Signal(StreamWord(lanes), name=f"byte_{k}") for k in range(4)]
    for k, (word, size) in enumerate(zip(words, (1, 2, 4, 4), strict=True)):
        with m.Switch(Cat(select.which, select.westward)):
            for westward, row in enumerate(streams):
                for first in range(0, len(row), size):
                    with m.Case(westward << 5 | first):
                        m.d.comb += word.eq(row[first + k])

    # Bytes beyond the group are filled with the sign of its highest.
    highest = Signal(8 * lanes)
    extension = Cat(highest[8 * lane + 7].replicate(8) for lane in range(lanes))
    m.d.comb += highest.eq(Mux(select.log2 == 0, words[0].data, words[1].data))

    with m.Switch(select.kind):
        with m.Case(_GROUP), m.Switch(select.log2):
            for log2 in range(3):
                group, rest = words[: 1 << log2], words[1 << log2 :]
                with m.Case(log2):
                    m.d.comb += [
                        operand.valid.eq(Cat(word.valid for word in group).all()),
                        operand.data.eq(
                            Cat([word.data for word in group], [extension for _ in rest])
                        ),
                    ]
        with m.Case(_ALU), m.Switch(select.which):
            for number, output in enumerate(outputs):
                with m.Case(number):
                    m.d.comb += operand.eq(output)
        with m.Case(_IMMEDIATE):
            copies = [immediate[8 * k : 8 * k + 8].replicate(lanes) for k in range(4)]
            m.d.comb += [operand.valid.eq(1), operand.data.eq(Cat(copies))]
    return operand
