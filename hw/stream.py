"""Words that travel through the core: stream words, drives onto streams, issued instructions."""

from amaranth.hdl import unsigned
from amaranth.lib import data
from amaranth.lib.wiring import Out, Signature


class StreamWord(data.StructLayout):
    """One superlane's word of one stream: ``data`` (a byte per lane, lane 0 lowest) and ``valid``.

    Check bits will become a third member.
    """

    def __init__(self, lanes):
        super().__init__({"data": unsigned(8 * lanes), "valid": unsigned(1)})


class StreamRow(data.StructLayout):
    """One superlane's words of all streams of one direction.

    Members
    -------
    data : a word per stream, 8 bits per lane
    valid : a bit per stream
    """

    def __init__(self, lanes, streams):
        super().__init__(
            {"data": data.ArrayLayout(unsigned(8 * lanes), streams), "valid": unsigned(streams)}
        )


class Drive(data.StructLayout):
    """The words that one unit drives onto the streams of its stop in one cycle, for one superlane.

    Members
    -------
    data : the words of the group, least significant stream lowest: `width` words of 8 x lanes bits
    stream : lowest stream of the group
    westward : direction
    log2 : log2 of the number of streams driven (0, 1 or 2)
    valid : the unit drives in this cycle
    """

    def __init__(self, lanes, width):
        super().__init__(
            {
                "data": unsigned(8 * lanes * width),
                "stream": unsigned(5),
                "westward": unsigned(1),
                "log2": unsigned(2),
                "valid": unsigned(1),
            }
        )


class Quad(data.StructLayout):
    """The words that one port of an SXM drives in one cycle, for one superlane: an aligned quad.

    Members
    -------
    data : four words of 8 x lanes bits, each at the place of its stream
    quad : number of the lowest stream, divided by 4
    westward : direction
    mask : which of the four streams are driven
    valid : the port drives in this cycle
    """

    def __init__(self, lanes):
        super().__init__(
            {
                "data": unsigned(8 * lanes * 4),
                "quad": unsigned(3),
                "westward": unsigned(1),
                "mask": unsigned(4),
                "valid": unsigned(1),
            }
        )


class Issue(Signature):
    """The instruction that a queue issues in this cycle, at tile 0 of its slice.

    ``word`` is legal whenever ``valid`` is set: the queue traps every other word.
    """

    def __init__(self, unit):
        super().__init__({"valid": Out(1), "word": Out(unit.word_bits)})


class InstructionLayout(data.StructLayout):
    """The fields of an instruction class (and ``opcode``) as a view of its word."""

    def __new__(cls, instruction):
        members = {"opcode": data.Field(unsigned(8), 0)}
        for info in instruction.fields():
            members[info.name] = data.Field(unsigned(info.width), info.at)
        return data.FlexibleLayout(instruction.unit.word_bits, members)
