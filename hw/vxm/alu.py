"""One ALU of one superlane: operands are chosen, wait if they must, and go through the lanes."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tsp.hw.export import shared
from tsp.hw.isa import Unit, timing
from tsp.hw.isa import vxm as isa
from tsp.hw.stream import Drive, InstructionLayout, Issue, StreamWord
from tsp.hw.vxm.control import decode
from tsp.hw.vxm.lane import Lane
from tsp.hw.vxm.operands import OperandSelect, Vector, element, read_operand

_WAITS = 1 << isa.Mov.field("wait").width
_FORMS = InstructionLayout(isa.Convert)  # has the fields of all others


class Step(data.Struct):
    """What goes along with an operation through its stages.

    Members
    -------
    valid : there is an operation
    target : operand field that names the stream group of the result
    clash : another operation wanted the same step
    """

    valid: unsigned(1)
    target: OperandSelect
    clash: unsigned(1)


class Alu(wiring.Component):
    """One ALU of one superlane.

    If two instructions sample their late operands in the same cycle, the one issued later is
    executed, and `conflict` is raised when its result appears.

    Latency
    -------
    An instruction in `issue` in cycle t samples operands in t; with ``wait`` w the late ones in
    t + w. The result is at `output` and `drive` in cycle t + w + 4, and only then.

    Parameters
    ----------
    config : Config

    Members
    -------
    issue : an instruction
    east, west : stream words at the stop
    outputs : outputs of all ALUs of the superlane, this one's too
    output : the result
    drive : the result, as it goes to the streams
    invalid : an operand that is not valid is sampled in this cycle
    conflict : the result is one of two that met
    """

    def __init__(self, config):
        self.config = config
        words = StreamWord(config.lanes)
        super().__init__(
            {
                "issue": In(Issue(Unit.VXM)),
                "east": In(words).array(config.streams),
                "west": In(words).array(config.streams),
                "outputs": In(Vector(config.lanes)).array(config.alus),
                "output": Out(Vector(config.lanes)),
                "drive": Out(Drive(config.lanes, 4)),
                "invalid": Out(1),
                "conflict": Out(1),
            }
        )

    def elaborate(self, platform):
        """The early operand of a waiting instruction and the instruction itself lie in a circular
        buffer, at the place that is read when the wait is over; `pending` says which places hold
        one. An instruction that does not wait takes its turn at once.
        """
        m = Module()
        lanes = self.config.lanes

        def read(field, immediate):
            return read_operand(m, lanes, field, immediate, (self.east, self.west), self.outputs)

        entry_layout = data.StructLayout(
            {"early": Vector(lanes)["data"].shape, "word": Unit.VXM.word_bits, "clash": 1}
        )
        m.submodules.waiting = waiting = Memory(shape=entry_layout, depth=_WAITS, init=[])
        write, entry = waiting.write_port(), waiting.read_port(domain="comb")
        now, turn = Signal(_FORMS), Signal(_FORMS)
        time, pending = Signal(range(_WAITS)), Signal(_WAITS)
        waits, direct, due = Signal(), Signal(), pending[0]
        early = read(Mux(now.late == isa.Late.A, now.b, now.a), now.imm)
        m.d.comb += [
            now.eq(self.issue.word),
            waits.eq(self.issue.valid & now.wait.any()),
            direct.eq(self.issue.valid & ~now.wait.any()),
            write.addr.eq(time + now.wait),
            write.data.early.eq(early.data),
            write.data.word.eq(self.issue.word),
            write.data.clash.eq(pending.bit_select(now.wait, 1)),
            write.en.eq(waits),
            entry.addr.eq(time),
            turn.eq(Mux(direct, self.issue.word, entry.data.word)),
        ]
        m.d.sync += [
            time.eq(time + 1),
            pending.eq((pending | waits << now.wait) >> 1),
        ]

        late_a = turn.late == isa.Late.A
        late = read(Mux(late_a, turn.a, turn.b), turn.imm)
        condition = read(turn.c, turn.imm)
        a, b = Signal.like(early.data), Signal.like(early.data)
        waited = Mux(direct, early.data, entry.data.early)
        m.d.comb += [
            a.eq(Mux(late_a, late.data, waited)),
            b.eq(Mux(late_a, waited, late.data)),
        ]
        m.d.comb += self.invalid.eq(
            self.issue.valid & ~early.valid & ~(_unary(now) & (now.late == isa.Late.A))
            | (direct | due)
            & (
                ~late.valid & ~(_unary(turn) & ~late_a)
                | ~condition.valid & (turn.opcode == isa.Select.opcode)
            )
        )

        steps = [Signal(Step, name=f"step_{i}") for i in range(timing.VXM_RESULT - 1)]
        first = Signal(Step)
        m.d.comb += [
            first.valid.eq(direct | due),
            first.target.eq(turn.target),
            first.clash.eq(Mux(direct, due, entry.data.clash)),
        ]
        for step, before in zip(steps, [first, *steps], strict=False):
            m.d.sync += step.valid.eq(before.valid)
            with m.If(before.valid):
                m.d.sync += step.eq(before)

        results, control = [], decode(m, turn)
        for number in range(lanes):
            lane = Lane()
            m.submodules[f"lane_{number}"] = shared(platform, "vxm_lane", lane)
            m.d.comb += [
                lane.valid.eq(first.valid),
                lane.control.eq(control),
                lane.a.eq(element(a, number)),
                lane.b.eq(element(b, number)),
                lane.condition.eq(element(condition.data, number).any()),
            ]
            results.append(lane.result)
        for k, word in enumerate(self.output.data):
            m.d.comb += word.eq(Cat(result[8 * k : 8 * k + 8] for result in results))

        last = steps[-1]
        m.d.comb += [
            self.output.valid.eq(last.valid),
            self.conflict.eq(last.valid & last.clash),
            self.drive.data.eq(self.output.data),
            self.drive.stream.eq(last.target.which),
            self.drive.westward.eq(last.target.westward),
            self.drive.log2.eq(last.target.log2),
            self.drive.valid.eq(last.valid & (last.target.kind == 0)),
        ]
        return m


def _unary(instruction):
    """Whether an instruction does not read b."""
    return instruction.opcode.matches(isa.Mov.opcode, isa.Convert.opcode)
