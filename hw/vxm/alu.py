"""The control of one ALU of one superlane: when operands are read or wait, and what lanes do."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tsp.hw.isa import Unit, timing
from tsp.hw.isa import vxm as isa
from tsp.hw.stream import InstructionLayout, Issue
from tsp.hw.vxm.control import Control, decode, is_special
from tsp.hw.vxm.lane import Lane
from tsp.hw.vxm.operands import (
    BLOCK,
    WAITS,
    OperandSelect,
    Reader,
    Request,
    Waiting,
    is_valid,
)

_FORMS = InstructionLayout(isa.Convert)  # has the fields of all others


class Step(data.Struct):
    """What goes along with an operation, after its operands are read.

    Members
    -------
    valid : there is an operation
    target : where its result goes
    clash : another operation wanted the same step
    """

    valid: unsigned(1)
    target: OperandSelect
    clash: unsigned(1)


class Roles(data.Struct):
    """Which operands an instruction samples when it is its turn.

    Members
    -------
    enable : it has a late operand
    is_a : that is a, and not b
    condition : it has a condition
    """

    enable: unsigned(1)
    is_a: unsigned(1)
    condition: unsigned(1)


class Turn(data.Struct):
    """What an instruction samples when it is its turn, and where from its late operand."""

    roles: Roles
    select: OperandSelect


class Alu(wiring.Component):
    """One ALU of one superlane without its data: the control of readers and lanes.

    If two instructions sample their late operands in the same cycle, the one issued later is
    executed, and `conflict` is raised after its result has appeared.

    Latency
    -------
    An instruction in `issue` in cycle t is on `north` in t + 1 and samples operands then; with
    ``wait`` w the late ones w cycles later, and `work` stands ``Reader.latency(deep)`` after that.
    The result is there in cycle t + w + ``vxm_result(config)``, as the timing table has it, and
    only then.

    Parameters
    ----------
    config : Config
    special : bool
        Whether it has the special functions.

    Members
    -------
    issue, north : an instruction, and the same for the next tile
    east, west, alus : valid bits of the streams at the stop and of all ALUs of the superlane
    requests : the operands that are sampled: an early one, a late one, the condition
    waiting : where the early one waits
    work : there are operands; `special` : for a special function
    swap : the early operand is b, else a
    control : what is done with them
    result : a result stands
    drives : it goes to the streams
    target : where to
    invalid : an operand that was not valid was sampled in the last cycle
    conflict : the result of the last cycle was one of two that met
    pending : an instruction waits, or waited until this cycle, in which it samples late operands
    """

    def __init__(self, config, special=False):
        self.read = Reader.latency(config.deep)
        built = Lane.latency(config.deep) + timing.VXM_SAMPLE + self.read
        if built != timing.vxm_result(config):
            raise ValueError(
                f"vxm_result is {timing.vxm_result(config)}, but lanes, sample and operands take "
                f"{built} cycles"
            )
        self.config, self.is_special = config, special
        super().__init__(
            {
                "issue": In(Issue(Unit.VXM)),
                "north": Out(Issue(Unit.VXM)),
                "east": In(config.streams),
                "west": In(config.streams),
                "alus": In(config.alus),
                "requests": Out(Request()).array(3),
                "waiting": Out(Waiting()),
                "work": Out(1),
                "special": Out(1),
                "swap": Out(1),
                "control": Out(Control),
                "result": Out(1),
                "drives": Out(1),
                "target": Out(OperandSelect),
                "invalid": Out(1),
                "conflict": Out(1),
                "pending": Out(1),
            }
        )

    @property
    def module_name(self):
        """A module name, unique among the ALUs of one core with different parameters."""
        special = "special_" if self.is_special else ""
        return f"vxm_{special}alu_{self.config.streams}_{self.config.alus}"

    def elaborate(self, platform):
        """An instruction that waits lies in a circular buffer, at the place whose turn comes when
        the wait is over; `pending` says which places hold one. One that does not wait takes its
        turn at once.

        Memories are slow, so they are read a cycle early into registers, and what waits for one
        cycle only passes by them. The choice of operands takes most of a cycle, so what is to be
        chosen is known a cycle early too: what an instruction samples is decoded as it is issued
        and lies in the buffer beside it, with the late operand in the place of a.
        """
        m = Module()
        issue = self.north
        coming = Signal(_FORMS)
        m.d.comb += coming.eq(self.issue.word)
        m.d.sync += issue.valid.eq(self.issue.valid)
        with m.If(self.issue.valid):
            m.d.sync += issue.word.eq(self.issue.word)
        waits = Signal()
        direct = Signal()
        brief = Signal()
        with m.If(self.issue.valid | issue.valid):
            m.d.sync += [
                waits.eq(self.issue.valid & coming.wait.any()),
                direct.eq(self.issue.valid & ~coming.wait.any()),
                brief.eq(self.issue.valid & (coming.wait == 1)),
            ]

        # Whose turn it is: the instruction that samples its late operands in this cycle.
        entry = data.StructLayout({"word": _FORMS, "roles": Roles, "clash": 1})
        m.submodules.buffer = buffer = Memory(shape=entry, depth=WAITS, init=[], attrs=BLOCK)
        put = buffer.write_port()
        taken = buffer.read_port(transparent_for=(put,))
        now, turn, fetched = (Signal(_FORMS, name=n) for n in ("now", "turn", "fetched"))
        decoded = _turn(m, coming)
        at_once = Signal(Turn)
        sampled = Signal(Turn)
        with m.If(self.issue.valid):
            m.d.sync += at_once.eq(decoded)
        place = Signal(range(WAITS))
        pending = Signal(WAITS)
        active = Signal()
        clash = Signal()
        m.d.comb += [
            now.eq(issue.word),
            active.eq(direct | pending[0]),
            self.pending.eq(pending.any()),
            put.addr.eq(place + now.wait),
            put.data.word.eq(issue.word),
            put.data.word.a.eq(at_once.select),
            put.data.roles.eq(at_once.roles),
            put.data.clash.eq(pending.bit_select(now.wait, 1)),
            put.en.eq(waits),
            taken.addr.eq(place + 2),
            taken.en.eq(pending[2] | put.en),
            fetched.eq(Mux(brief, put.data.word, taken.data.word)),
        ]
        m.d.sync += place.eq(place + 1)
        with m.If(waits | pending.any()):
            m.d.sync += pending.eq((pending | waits << now.wait) >> 1)
        with m.If(brief | pending[1]):
            m.d.sync += [
                turn.eq(fetched),
                sampled.roles.eq(Mux(brief, at_once.roles, taken.data.roles)),
                sampled.select.eq(fetched.a),
                clash.eq(Mux(brief, put.data.clash, taken.data.clash)),
            ]
        with m.If(self.issue.valid & ~coming.wait.any()):
            m.d.sync += [turn.eq(coming), sampled.eq(decoded)]
        self._read(m, coming, active, turn, sampled)

        # When the operands are there, an early one that waits goes where it does.
        waiting = self.waiting
        was_brief = Signal()
        with m.If(brief | was_brief):
            m.d.sync += was_brief.eq(brief)
        with m.If(waits | waiting.put):
            m.d.sync += [waiting.put.eq(waits), waiting.put_place.eq(put.addr)]
        m.d.comb += [
            waiting.fetch.eq(pending[1]),
            waiting.fetch_place.eq(place + 1),
            waiting.take.eq(pending[0]),
            waiting.brief.eq(was_brief),
            waiting.direct.eq(direct),
        ]
        first = Signal(Step)
        steps = [Signal(Step, name=f"step_{i}") for i in range(timing.vxm_result(self.config) - 1)]
        m.d.comb += [
            first.valid.eq(active),
            first.target.eq(turn.target),
            first.clash.eq(Mux(direct, pending[0], clash)),
        ]
        for step, before in zip(steps, [first, *steps], strict=False):
            m.d.sync += step.valid.eq(before.valid)
            with m.If(before.valid):
                m.d.sync += step.eq(before)
        self._tell(m, [step.valid for step in [first, *steps]], turn, sampled.roles.is_a)
        last = steps[-1]
        with m.If(last.valid | self.conflict):
            m.d.sync += self.conflict.eq(last.valid & last.clash)
        m.d.comb += [
            self.work.eq(steps[self.read - 1].valid),
            self.result.eq(last.valid),
            self.drives.eq(last.valid & (last.target.kind == 0)),
            self.target.eq(last.target),
        ]
        return m

    def _tell(self, m, valid, turn, swap):
        """Tell lanes what to do with their operands, as they get them; `valid` is of each cycle."""
        told = [decode(m, turn), swap, is_special(turn) if self.is_special else 0]
        names, ports = ("control", "swap", "special"), (self.control, self.swap, self.special)
        for number in range(self.read):
            if number + 1 == self.read:
                later = ports
            else:
                shapes = [port.shape() for port in ports]
                later = [
                    Signal(shape, name=f"{name}_{number}", reset_less=True)
                    for name, shape in zip(names, shapes, strict=True)
                ]
            with m.If(valid[number]):
                m.d.sync += [a.eq(b) for a, b in zip(later, told, strict=True)]
            told = later

    def _read(self, m, coming, active, turn, sampled):
        """Sample operands: the early one when it is issued, the late ones in its turn."""
        issued = self.north.valid
        starts = Signal()
        select = Signal(OperandSelect)
        now = Signal(_FORMS)
        with m.If(self.issue.valid | issued):
            reads = _reads(coming, "b") | (coming.late == isa.Late.B)
            m.d.sync += starts.eq(self.issue.valid & reads)
        with m.If(self.issue.valid):
            m.d.sync += select.eq(Mux(coming.late == isa.Late.A, coming.b, coming.a))
        early, late, condition = self.requests
        m.d.comb += [
            now.eq(self.north.word),
            early.enable.eq(starts),
            early.select.eq(select),
            early.immediate.eq(now.imm),
            late.enable.eq(active & sampled.roles.enable),
            late.select.eq(sampled.select),
            late.immediate.eq(turn.imm),
            condition.enable.eq(active & sampled.roles.condition),
            condition.select.eq(turn.c),
            condition.immediate.eq(turn.imm),
        ]
        with m.If(issued | active | self.invalid):
            m.d.sync += self.invalid.eq(0)
            for request in self.requests:
                valid = is_valid(m, request, self.east, self.west, self.alus)
                with m.If(request.enable & ~valid):
                    m.d.sync += self.invalid.eq(1)


def _turn(m, instruction):
    """The :class:`Turn` of an instruction."""
    turn = Signal(Turn)
    is_a = instruction.late == isa.Late.A
    m.d.comb += [
        turn.roles.is_a.eq(is_a),
        turn.roles.enable.eq(_reads(instruction, "b") | is_a),
        turn.roles.condition.eq(_reads(instruction, "c")),
        turn.select.eq(Mux(is_a, instruction.a, instruction.b)),
    ]
    return turn


def _reads(instruction, operand):
    """Whether an instruction reads operand ``"b"`` or ``"c"``."""
    readers = [op.opcode for op in isa.VXM_OPS.values() if op.executed and operand in op.reads]
    return instruction.opcode.matches(*readers)
