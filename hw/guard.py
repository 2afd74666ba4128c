"""The check that every instruction word passes before it reaches a slice."""

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tsp.hw.fault import FaultKind
from tsp.hw.isa.base import ISA, OPCODE_BITS
from tsp.hw.isa.rules import any_of


class Guard(wiring.Component):
    """The check of one word of a queue, generated from the description of the instructions.

    Latency
    -------
    None in short pipelines: the outputs follow the word in the same cycle. In deep pipelines one
    cycle, in which fields are checked; the next cycle combines the results.

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
        The word decodes to nothing on this core, or to an instruction that the queue does not
        execute.
    out_of_range : Out(1)
        It decodes, but names an address, row, column, lane or lane count that does not exist.
    legal : Out(1)
        Neither of these.
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
        opcode = self.word[:OPCODE_BITS]
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
        used = sum(((1 << info.width) - 1) << info.at for info in instruction.fields())
        unused = ((1 << self.unit.word_bits) - 1) & ~used & ~0xFF
        wrong = [self._verdict(m, ("unused", unused), lambda: (self.word & unused) != 0)]
        bits = {i.name: self.word[i.at : i.at + i.width] for i in instruction.fields()}
        for info in instruction.fields():
            rules = info.codec.rules(info.name)
            wrong.append(
                self._verdict(
                    m,
                    (info.codec, info.at),
                    lambda i=info, r=rules: any_of(
                        [i.codec.malformed(bits[i.name]), *self._broken(instruction, bits, r)]
                    ),
                )
            )
        rules = {kind: [r for r in instruction.rules if r.kind is kind] for kind in FaultKind}
        wrong.append(any_of(self._broken(instruction, bits, rules[FaultKind.DECODE])))
        return wrong, any_of(self._broken(instruction, bits, rules[FaultKind.ADDRESS]))

    def _broken(self, instruction, bits, rules):
        """For each of `rules` that can be broken on this core, whether it is."""
        wires = {i.name: i.codec.wires(bits[i.name]) for i in instruction.fields()}
        return [
            rule.breaks(self.config, *(wires[name] for name in rule.fields))
            for rule in rules
            if rule.when(self.config)
        ]

    def _verdict(self, m, key, judge):
        """The signal for `key`, driven by ``judge()`` when it is first asked for."""
        if key not in self.verdicts:
            self.verdicts[key] = verdict = Signal(name=f"verdict{len(self.verdicts)}")
            m.d.comb += verdict.eq(judge())
        return self.verdicts[key]


def _bool(value):
    return Value.cast(value).bool()
