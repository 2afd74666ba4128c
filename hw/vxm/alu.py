"""One ALU of one superlane: operands are read, wait if they must, and go through the lanes."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tsp.hw.export import repeated
from tsp.hw.isa import Unit, timing
from tsp.hw.isa import vxm as isa
from tsp.hw.stream import Drive, InstructionLayout, Issue
from tsp.hw.vxm.control import Control, decode, is_special
from tsp.hw.vxm.lane import Lane
from tsp.hw.vxm.operands import OperandSelect, Request, Vector, is_valid
from tsp.hw.vxm.special import Special

_WAITS = 1 << isa.Mov.field("wait").width
_BLOCK = {"ram_style": "block"}  # FPGAs would make them of look-up tables, and larger
_FORMS = InstructionLayout(isa.Convert)  # has the fields of all others


class Step(data.Struct):
    """What goes along with an operation, after its operands are read.

    Members
    -------
    valid : there is an operation
    target : where its result goes
    clash : another operation wanted the same step
    special : it is a special function
    """

    valid: unsigned(1)
    target: OperandSelect
    clash: unsigned(1)
    special: unsigned(1)


class Late(data.Struct):
    """What an instruction samples when it is its turn.

    Members
    -------
    enable, select : its late operand, if it has one
    is_a : that is a, and not b
    condition : it has a condition
    """

    enable: unsigned(1)
    select: OperandSelect
    is_a: unsigned(1)
    condition: unsigned(1)


class Alu(wiring.Component):
    """One ALU of one superlane.

    If two instructions sample their late operands in the same cycle, the one issued later is
    executed, and `conflict` is raised when its result appears.

    Latency
    -------
    An instruction in `issue` in cycle t samples operands in t; with ``wait`` w the late ones in
    t + w. The result is at `value` and `drive` in cycle t + w + VXM_RESULT - VXM_SAMPLE, as the
    timing table has them, and only then.

    Parameters
    ----------
    config : Config
    special : bool
        Whether it has the special functions.

    Members
    -------
    issue : an instruction
    coming : the same, a cycle before
    east, west, alus : valid bits of the streams at the stop and of all ALUs of the superlane
    requests : the operands that are sampled: an early one, a late one, the condition
    operands : the first two, a cycle later
    condition : the third, a cycle later: in which lanes it is not 0
    value : the result
    drive : the result, as it goes to the streams
    invalid : an operand that is not valid is sampled in this cycle
    conflict : the result is one of two that met
    """

    def __init__(self, config, special=False):
        if not Lane.LATENCY == Special.LATENCY == timing.VXM_RESULT - timing.VXM_SAMPLE - 1:
            raise ValueError(
                f"lanes take {Lane.LATENCY} cycles and those of special functions "
                f"{Special.LATENCY}; both must be VXM_RESULT - VXM_SAMPLE - 1, which is "
                f"{timing.VXM_RESULT - timing.VXM_SAMPLE - 1}"
            )
        self.config, self.lanes, self.special = config, config.lanes, special
        super().__init__(
            {
                "issue": In(Issue(Unit.VXM)),
                "coming": In(Issue(Unit.VXM)),
                "east": In(config.streams),
                "west": In(config.streams),
                "alus": In(config.alus),
                "requests": Out(Request()).array(3),
                "operands": In(8 * config.lanes).array(2, 4),
                "condition": In(config.lanes),
                "value": Out(Vector(config.lanes)),
                "drive": Out(Drive(config.lanes, 4)),
                "invalid": Out(1),
                "conflict": Out(1),
            }
        )

    @property
    def module_name(self):
        """A name that tells apart any two ALUs that differ."""
        config, special = self.config, "special_" if self.special else ""
        return f"vxm_{special}alu_{config.lanes}_{config.streams}_{config.alus}"

    def elaborate(self, platform):
        """An instruction that waits lies in a circular buffer, at the place whose turn comes when
        the wait is over; `pending` says which places hold one. One that does not wait takes its
        turn at once. Its early operand lies at the same place of a second buffer, a cycle later.
        Memories are slow, so what they read goes through registers: they are read a cycle early,
        and what waits for one cycle only passes by them. The choice of operands takes most of a
        cycle, so what is to be chosen is decoded a cycle early too.
        """
        m = Module()

        # Whose turn it is: the instruction that samples its late operands in this cycle.
        entry = data.StructLayout({"word": Unit.VXM.word_bits, "clash": 1})
        m.submodules.waiting = waiting = Memory(shape=entry, depth=_WAITS, init=[], attrs=_BLOCK)
        put = waiting.write_port()
        taken = waiting.read_port(transparent_for=(put,))
        now, turn, place = Signal(_FORMS), Signal(_FORMS), Signal(range(_WAITS))
        coming, at_once, in_turn, now_late = (
            Signal(_FORMS),
            Signal(Late),
            Signal(Late),
            Signal(Late),
        )
        starts, first_select = Signal(), Signal(OperandSelect)
        pending, waits, direct, active = Signal(_WAITS), Signal(), Signal(), Signal()
        brief, was_brief, front = Signal(), Signal(), Signal(entry)
        m.d.comb += [
            now.eq(self.issue.word),
            coming.eq(self.coming.word),
            active.eq(direct | pending[0]),
            put.addr.eq(place + now.wait),
            put.data.word.eq(self.issue.word),
            put.data.clash.eq(pending.bit_select(now.wait, 1)),
            put.en.eq(waits),
            taken.addr.eq(place + 2),
            taken.en.eq(pending[2] | put.en),
            turn.eq(Mux(direct, self.issue.word, front.word)),
        ]
        m.d.sync += [
            place.eq(place + 1),
            pending.eq((pending | waits << now.wait) >> 1),
            was_brief.eq(brief),
            waits.eq(self.coming.valid & coming.wait.any()),
            direct.eq(self.coming.valid & ~coming.wait.any()),
            brief.eq(self.coming.valid & (coming.wait == 1)),
            starts.eq(self.coming.valid & (_reads(coming, "b") | (coming.late == isa.Late.B))),
        ]
        with m.If(self.coming.valid):
            m.d.sync += [
                at_once.eq(_late(m, coming)),
                first_select.eq(Mux(coming.late == isa.Late.A, coming.b, coming.a)),
            ]
        fetched = Signal(_FORMS)
        m.d.comb += fetched.eq(Mux(brief, self.issue.word, taken.data.word))
        with m.If(brief | pending[1]):
            m.d.sync += [
                front.word.eq(fetched),
                front.clash.eq(Mux(brief, put.data.clash, taken.data.clash)),
                in_turn.eq(_late(m, fetched)),
            ]

        # Its operands. The late ones are sampled in its turn, the early one when it was issued.
        early, late, condition = self.requests
        m.d.comb += [
            now_late.eq(Mux(direct, at_once, in_turn)),
            early.enable.eq(starts),
            early.select.eq(first_select),
            early.immediate.eq(now.imm),
            late.enable.eq(active & now_late.enable),
            late.select.eq(now_late.select),
            late.immediate.eq(turn.imm),
            condition.enable.eq(active & now_late.condition),
            condition.select.eq(turn.c),
            condition.immediate.eq(turn.imm),
        ]
        for request in self.requests:
            valid = is_valid(m, request, self.east, self.west, self.alus)
            with m.If(request.enable & ~valid):
                m.d.comb += self.invalid.eq(1)

        # A cycle later they are there, and an early one goes where it waits.
        vector = Vector(self.lanes)["data"].shape
        m.submodules.early = waiting = Memory(shape=vector, depth=_WAITS, init=[], attrs=_BLOCK)
        keep = waiting.write_port()
        kept = waiting.read_port(transparent_for=(keep,))
        control, swap, was_direct = Signal(Control), Signal(), Signal()
        m.d.sync += [keep.en.eq(waits), keep.addr.eq(put.addr)]
        m.d.comb += [kept.addr.eq(place + 1), kept.en.eq(pending[1])]
        with m.If(active):
            m.d.sync += [control.eq(decode(m, turn)), swap.eq(now_late.is_a), was_direct.eq(direct)]
        a, b, other, waited = (Signal(vector, name=n) for n in ("a", "b", "other", "waited"))
        early, late = (Cat(words) for words in self.operands)
        with m.If(was_brief):
            m.d.sync += waited.eq(early)
        with m.Elif(pending[0]):
            m.d.sync += waited.eq(kept.data)
        m.d.comb += [
            keep.data.eq(early),
            other.eq(Mux(was_direct, early, waited)),
            a.eq(Mux(swap, late, other)),
            b.eq(Mux(swap, other, late)),
        ]

        first = Signal(Step)
        steps = [Signal(Step, name=f"step_{i}") for i in range(timing.VXM_RESULT - 1)]
        m.d.comb += [
            first.valid.eq(active),
            first.target.eq(turn.target),
            first.clash.eq(Mux(direct, pending[0], front.clash)),
        ]
        for step, before in zip(steps, [first, *steps], strict=False):
            m.d.sync += step.valid.eq(before.valid)
            with m.If(before.valid):
                m.d.sync += step.eq(before)

        lanes = [Lane() for _ in range(self.lanes)]
        m.submodules.lanes = repeated(platform, "vxm_lane", lanes, ("valid", "control"))
        for lane in lanes:
            m.d.comb += [
                lane.valid.eq(steps[0].valid & ~steps[0].special),
                lane.control.eq(control),
            ]
        m.d.comb += Cat(lane.condition for lane in lanes).eq(self.condition)
        last, result = steps[-1], Signal(vector)
        _connect(m, lanes, a=a, b=b, result=result)
        if self.special:
            m.d.comb += first.special.eq(is_special(turn))
            special = self._special(m, platform, steps[0], control.function, a)
            result = Mux(last.special, special, result)
        m.d.comb += [
            self.value.data.eq(result),
            self.value.valid.eq(last.valid),
            self.conflict.eq(last.valid & last.clash),
            self.drive.data.eq(self.value.data),
            self.drive.stream.eq(last.target.which),
            self.drive.westward.eq(last.target.westward),
            self.drive.log2.eq(last.target.log2),
            self.drive.valid.eq(last.valid & (last.target.kind == 0)),
        ]
        return m

    def _special(self, m, platform, step, function, a):
        """The results of the special functions of `a`."""
        lanes, result = [Special() for _ in range(self.lanes)], Signal.like(a, name="special")
        m.submodules.special = repeated(platform, "vxm_special", lanes, ("valid", "operation"))
        for lane in lanes:
            m.d.comb += [lane.valid.eq(step.valid & step.special), lane.operation.eq(function)]
        _connect(m, lanes, result, a=a)
        return result


def _connect(m, lanes, result, **operands):
    """Give each lane its bytes of the operands, and gather the results."""
    for number, lane in enumerate(lanes):
        byte = slice(8 * number, 8 * number + 8)
        for k in range(4):
            m.d.comb += [getattr(lane, name)[k].eq(v[k][byte]) for name, v in operands.items()]
            m.d.comb += result[k][byte].eq(lane.result[k])


def _late(m, instruction):
    """What an instruction samples :class:`Late`."""
    late = Signal(Late)
    m.d.comb += [
        late.is_a.eq(instruction.late == isa.Late.A),
        late.enable.eq(_reads(instruction, "b") | late.is_a),
        late.select.eq(Mux(late.is_a, instruction.a, instruction.b)),
        late.condition.eq(_reads(instruction, "c")),
    ]
    return late


def _reads(instruction, operand):
    """Whether an instruction reads operand ``"b"`` or ``"c"``."""
    readers = [op.opcode for op in isa.VXM_OPS.values() if op.executed and operand in op.reads]
    return instruction.opcode.matches(*readers)
