"""The check that every instruction word passes before it reaches a slice."""

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tsp.hw import isa
from tsp.hw.hop import any_of
from tsp.hw.isa import DType, Unit
from tsp.hw.isa.base import ISA
from tsp.hw.isa.codecs import Choice, Flag, Group, Operand, Signed, StreamList, Unsigned
from tsp.hw.isa.mxm import AccMode
from tsp.hw.stream import InstructionLayout


class Guard(wiring.Component):
    """The verdict on one word of a queue, made from the description of the instructions.

    Latency
    -------
    None in short pipelines: the outputs follow the word in the same cycle. In deep ones a cycle, in
    which fields are judged; the next makes the verdict.

    Parameters
    ----------
    config : Config
    unit : Unit
    special : bool
        Whether the queue is that of a special ALU.

    Members
    -------
    word : In(unit.word_bits)
    undecodable : Out(1)
        The word decodes to nothing on this core, or to what the queue does not execute.
    out_of_range : Out(1)
        It decodes, but names an address, row, column, lane or lane count beyond what there is.
    legal : Out(1)
        Neither.
    """

    def __init__(self, config, unit, special=False):
        self.config, self.unit, self.special = config, unit, special
        super().__init__(
            {
                "word": In(unit.word_bits),
                "undecodable": Out(1),
                "out_of_range": Out(1),
                "legal": Out(1),
            }
        )

    def elaborate(self, platform):
        # Instructions share most fields, so each distinct field is judged once.
        m = Module()
        held = self._hold if self.config.deep else lambda m, value: value
        self.verdicts, self.held = {}, {}
        opcode = self.word[: isa.base.OPCODE_BITS]
        decodes, within = [], []
        for number, instruction in ISA.items():
            if (
                instruction.unit is self.unit
                and instruction.executed
                and (self.special or not instruction.special)
            ):
                wrong, beyond = self._checks(m, instruction)
                wrong = [held(m, value) for value in wrong]
                decodes.append(held(m, opcode == number) & ~_bool(any_of(wrong)))
                within.append(decodes[-1] & ~_bool(held(m, beyond)))
        m.d.comb += [
            self.undecodable.eq(~_bool(any_of(decodes))),
            self.legal.eq(_bool(any_of(within))),
            self.out_of_range.eq(~self.undecodable & ~self.legal),
        ]
        return m

    def _hold(self, m, value):
        """`value` a cycle later, with one register for each distinct value."""
        if isinstance(value, int):
            return value
        if id(value) not in self.held:
            register = Signal(name=f"held{len(self.held)}")
            m.d.sync += register.eq(_bool(value))
            self.held[id(value)] = value, register
        return self.held[id(value)][1]

    def _checks(self, m, instruction):
        """What makes `instruction` undecodable (a list of bits), and what puts it out of range."""
        word = data.View(InstructionLayout(instruction), self.word)
        used = sum(((1 << info.width) - 1) << info.at for info in instruction.fields())
        unused = ((1 << self.unit.word_bits) - 1) & ~used & ~0xFF
        wrong = [self._verdict(m, ("unused", unused), lambda: (self.word & unused) != 0)]
        for info in instruction.fields():
            bits = self.word[info.at : info.at + info.width]
            key = (info.codec, info.at)
            wrong.append(self._verdict(m, key, lambda i=info, b=bits: self._illegal(i.codec, b)))
        wrong.append(self._contradictory(instruction, word))
        return wrong, self._beyond(instruction, word)

    def _verdict(self, m, key, judge):
        """The signal for `key`, driven by ``judge()`` when it is first asked for."""
        if key not in self.verdicts:
            self.verdicts[key] = verdict = Signal(name=f"verdict{len(self.verdicts)}")
            m.d.comb += verdict.eq(judge())
        return self.verdicts[key]

    def _illegal(self, codec, bits):
        """Whether `codec` decodes `bits` to nothing, or to a stream or ALU this core lacks."""
        match codec:
            case Unsigned():
                # Comparisons that no word fails are not made.
                wrong = [bits < codec.low] if codec.low else []
                wrong += [bits > codec.limit] if codec.limit < (1 << len(bits)) - 1 else []
                return any_of(wrong)
            case Flag() | Signed():
                return 0
            case Choice():
                return ~any_of([bits == int(member) for member in codec.members])
            case Group():
                off = (bits[:5] & (codec.step - 1)).any()  # steps are powers of 2
                return self._illegal_group(bits, codec.sizes) | off
            case Operand():
                kind, which = bits[8:], bits[:8]
                kinds = {0: self._illegal_group(which, (1, 2, 4))}
                if not codec.group_only:
                    kinds |= {1: which >= self.config.alus, 2: which != 0}
                if codec.optional:
                    kinds |= {3: which != 0}
                return ~any_of([(kind == k) & ~_bool(v) for k, v in kinds.items()])
            case StreamList():
                count = bits[:5]
                wrong = [count < 1, count > 16]
                for i in range(16):
                    entry = bits[5 + 6 * i : 11 + 6 * i]
                    wrong.append((count > i) & (entry[:5] >= self.config.streams))
                    wrong.append((count <= i) & (entry != 0))
                return any_of(wrong)

    def _illegal_group(self, bits, sizes):
        first, log2 = bits[:5], bits[6:8]
        aligned = {1: 1, 2: ~first[0], 4: ~(first[0] | first[1])}
        legal = any_of([(log2 == n.bit_length() - 1) & aligned[n] for n in sizes])
        return ~_bool(legal) | (first >= self.config.streams)

    def _contradictory(self, instruction, word):
        """Whether fields that are legal alone are not together: `Instruction.validate`."""
        eight_bit = self.config.datapath == "int8"
        if instruction is isa.Lw:
            odd = (word.dtype == DType.FP16) & word.streams[0]
            return odd | (eight_bit & (word.dtype != DType.INT8))
        if instruction is isa.Abc:
            pair = word.source[6:8] == 1
            return (pair != (word.dtype == DType.FP16)) | (eight_bit & (word.dtype != DType.INT8))
        if instruction is isa.Acc:
            pair = word.target[6:8] == 1
            return Value.cast(word.emit & (pair != (word.dtype == DType.FP16))) | (
                ~word.emit & (word.mode == AccMode.KEEP)
            )
        if self.unit is Unit.SXM:
            return self._contradictory_exchange(instruction, word)
        return 0

    def _contradictory_exchange(self, instruction, word):
        """The same of an SXM instruction; also whether a run of streams or lanes is not there."""
        lanes, streams = self.config.lanes, self.config.streams
        match instruction:
            case isa.Rotate:
                wrong = 0
                for n in (3, 4):
                    many = n * n
                    beyond = (word.target[:5] + many > streams) if many <= lanes else 1
                    wrong = wrong | ((word.size == n) & beyond)
                return wrong
            case isa.Transpose:
                ends = [group[:5] + lanes > streams for group in (word.source, word.target)]
                return any_of(ends)
            case isa.Reduce:
                # Bits 6 and up are size and kind: a group and one of its size, or none twice.
                return word.companion[6:] != word.companion_target[6:]
            case isa.SelectLanes:
                south = word.south[6:] != word.north[6:]
                return south | (word.target[6:] != word.north[6:])
        return word.source[6:] != word.target[6:]

    def _beyond(self, instruction, word):
        """Whether an address, row, column, lane or lane count lies beyond what there is."""
        lanes = self.config.vector
        if self.unit is Unit.MEM:
            return word.address >= self.config.bank_words
        if instruction is isa.Lw:
            count = word.streams[:5]
            columns = (count >> (word.dtype == DType.FP16)).as_unsigned()
            return word.column + columns > lanes
        if instruction is isa.Abc:
            return word["count"] > lanes
        if instruction is isa.Acc:
            return (word["count"] > lanes) | (word.row >= self.config.acc_rows)
        if instruction in (isa.Distribute, isa.Reduce):
            return word["count"] > lanes
        if instruction is isa.Broadcast:
            return word.lane >= lanes
        return 0


def _bool(value):
    return Value.cast(value).bool()
