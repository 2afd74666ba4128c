"""One instruction queue and its control."""

from amaranth.hdl import Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tsp.hw import isa
from tsp.hw.fault import FAULT_KINDS, FaultKind
from tsp.hw.guard import Guard
from tsp.hw.isa.base import ISA
from tsp.hw.stream import InstructionLayout, Issue


class QueueLoad(wiring.Signature):
    """The host's way to load a queue: one word at an index, or the number it will issue."""

    def __init__(self, word_bits):
        super().__init__(
            {
                "word_en": Out(1),
                "index": Out(16),
                "word": Out(word_bits),
                "count_en": Out(1),
                "count": Out(17),
            }
        )


class QueueControl(wiring.Component):
    """An instruction queue: issues its words in order, one a cycle, as NOP and Repeat say.

    Once started, it takes as many words as the host announced; then it is done. A queue that
    should issue and has no word, because fewer were loaded, raises a fault and is done.

    Latency
    -------
    A queue may issue on `issue` two cycles after `start` or `resume` at the earliest, and every
    cycle after that. A Notify raises `notify` in its own issue cycle.

    Parameters
    ----------
    config : Config
    unit : Unit
    special : bool
        Whether the queue is that of a special ALU.

    Members
    -------
    load : In(QueueLoad)
    start : In(1)
    resume : In(1)
        The barrier opens.
    notify : Out(1)
    issue : Out(Issue(unit))
    done : Out(1)
        All announced words have issued, the last of them in this cycle or before.
    fault : Out(FAULT_KINDS)
    busy : Out(32)
        Instructions issued, NOP and barrier excluded.
    """

    def __init__(self, config, unit, special=False):
        self.config, self.unit, self.special = config, unit, special
        super().__init__(
            {
                "load": In(QueueLoad(unit.word_bits)),
                "start": In(1),
                "resume": In(1),
                "notify": Out(1),
                "issue": Out(Issue(unit)),
                "done": Out(1),
                "fault": Out(FAULT_KINDS),
                "busy": Out(32),
            }
        )

    @property
    def module_name(self):
        """A name that tells apart any two queues that differ; sizes come from the config."""
        special = "special_" if self.special else ""
        return f"queue_{special}{self.unit.value.lower()}_{self.config.name}"

    def elaborate(self, platform):
        # A Repeat stays at the head while its repetitions issue, so it needs no look-ahead and
        # still costs no slot.
        m = Module()
        bits, depth = self.unit.word_bits, self.config.queue_depth
        m.submodules.words = words = Memory(shape=unsigned(bits), depth=depth, init=[])
        write, read = words.write_port(), words.read_port()
        loaded, expected = Signal(17), Signal(17)
        m.d.comb += [
            write.addr.eq(self.load.index),
            write.data.eq(self.load.word),
            write.en.eq(self.load.word_en),
        ]
        with m.If(self.load.word_en):
            m.d.sync += loaded.eq(self.load.index + 1)
        with m.If(self.load.count_en):
            m.d.sync += expected.eq(self.load.count)

        running, pop = Signal(), Signal()
        # The word after the head stands at the memory's output. The memory's address depends on
        # what the head does, by way of `pop`; so no adder stands behind that.
        places = range(depth + 3)
        fetched, ahead, beyond = Signal(places), Signal(places, init=1), Signal(places, init=2)
        m.d.comb += [read.en.eq(1), read.addr.eq(Mux(pop, beyond, ahead))]
        with m.If(self.start):
            m.d.sync += running.eq(1)

        # The first word becomes the head as it is loaded.
        head = Signal(bits)
        with m.If(pop):
            m.d.sync += [head.eq(read.data), fetched.eq(ahead), ahead.eq(beyond)]
            m.d.sync += beyond.eq(beyond + 1)
        with m.Elif(self.load.word_en & (self.load.index == 0) & ~running):
            m.d.sync += head.eq(self.load.word)
        # Whether there is a word at the head or one is missing is found out a cycle before, for
        # both cases of `pop`, so no comparison stands before what the head does.
        present, starved = Signal(), Signal()
        missing_here, missing_ahead = fetched == loaded, ahead == loaded
        remaining_here, remaining_ahead = fetched != expected, ahead != expected
        with m.If(running | self.start):
            m.d.sync += present.eq(
                Mux(pop, remaining_ahead & ~missing_ahead, remaining_here & ~missing_here)
            )
            m.d.sync += starved.eq(
                Mux(pop, remaining_ahead & missing_ahead, remaining_here & missing_here & ~starved)
            )
        m.d.comb += self.done.eq(~remaining_here)
        with m.If(starved):
            m.d.sync += expected.eq(fetched)

        issue = Signal(self.issue.word.shape())
        valid, notify = Signal(), Signal()
        self._control(m, head, present, pop, valid, issue, notify)
        word = Signal(bits)
        issuing = Signal()
        m.d.sync += [issuing.eq(valid), self.notify.eq(notify)]
        with m.If(valid):
            m.d.sync += word.eq(issue)

        m.submodules.guard = guard = Guard(self.config, self.unit, self.special)
        underrun = Signal()
        m.d.sync += underrun.eq(starved)
        m.d.comb += [
            guard.word.eq(word),
            self.issue.word.eq(word),
            self.issue.valid.eq(issuing & ~guard.undecodable & ~guard.out_of_range),
            self.fault[FaultKind.DECODE].eq(issuing & guard.undecodable),
            self.fault[FaultKind.ADDRESS].eq(issuing & guard.out_of_range),
            self.fault[FaultKind.UNDERRUN].eq(underrun),
        ]
        with m.If(self.issue.valid):
            m.d.sync += self.busy.eq(self.busy + 1)
        # Formal proofs tie their own account of the queue to these.
        self.state |= {"loaded": loaded, "expected": expected, "running": running}
        self.state |= {"fetched": fetched, "ahead": ahead, "beyond": beyond, "head": head}
        self.state |= {"next": read.data, "present": present, "starved": starved}
        return m

    def _control(self, m, head, present, pop, valid, issue, notify):
        """Decide what the word at the head does in this cycle."""
        nop = data.View(InstructionLayout(isa.Nop), head[:64])
        repeat = data.View(InstructionLayout(isa.Repeat), head[:64])
        turn = Signal(16, init=1)  # cycles that the word at the head stands, this one included
        repetition = Signal(16, init=1)
        parked = Signal()
        last = Signal(head.shape())
        repeatable = Signal()
        upper = (head[64:] if len(head) > 64 else Const(0, 1)) != 0
        opcode = head[: isa.base.OPCODE_BITS]
        pass_on = Signal()
        self.state = {"turn": turn, "repetition": repetition, "parked": parked}
        self.state |= {"last": last, "repeatable": repeatable}

        with m.If(present):
            m.d.comb += pass_on.eq(1)
            with m.Switch(opcode):
                with m.Case(isa.Nop.opcode):
                    legal = (nop["count"] != 0) & ~(head[24:64] != 0) & ~upper
                    with m.If(legal):
                        m.d.comb += pass_on.eq(0)
                        with m.If(turn == nop["count"]):
                            m.d.comb += pop.eq(1)
                            m.d.sync += turn.eq(1)
                        with m.Else():
                            m.d.sync += turn.eq(turn + 1)
                with m.Case(isa.Repeat.opcode):
                    legal = (repeat["count"] != 0) & (repeat.interval != 0) & ~(head[56:64] != 0)
                    with m.If(repeatable & legal & ~upper):
                        m.d.comb += [pass_on.eq(0), issue.eq(self._strided(m, last, repeat.stride))]
                        with m.If(turn == repeat.interval):
                            m.d.comb += valid.eq(1)
                            m.d.sync += [turn.eq(1), repetition.eq(repetition + 1), last.eq(issue)]
                            with m.If(repetition == repeat["count"]):
                                m.d.comb += pop.eq(1)
                                m.d.sync += [repetition.eq(1), repeatable.eq(0)]
                        with m.Else():
                            m.d.sync += turn.eq(turn + 1)
                with m.Case(isa.Sync.opcode, isa.Notify.opcode):
                    legal = ~(head[8:64] != 0) & ~upper
                    with m.If(legal):
                        m.d.comb += pass_on.eq(0)
                        m.d.comb += notify.eq((opcode == isa.Notify.opcode) & ~parked)
                        with m.If(parked & self.resume):
                            m.d.comb += pop.eq(1)
                            m.d.sync += parked.eq(0)
                        with m.Else():
                            m.d.sync += parked.eq(1)
            with m.If(pop & (opcode != isa.Repeat.opcode)):
                m.d.sync += repeatable.eq(0)
            with m.If(pass_on):
                m.d.comb += [pop.eq(1), valid.eq(1), issue.eq(head)]
                m.d.sync += [last.eq(head), repeatable.eq(1)]

    def _strided(self, m, word, stride):
        """`word` with `stride` added to the field that its instruction declares as strided."""
        strided = Signal(word.shape())
        m.d.comb += strided.eq(word)
        fields = {
            cls.field(cls.strided).at: cls.field(cls.strided).width
            for cls in ISA.values()
            if cls.unit is self.unit and cls.strided
        }
        for at, width in fields.items():
            m.d.comb += strided[at : at + width].eq(word[at : at + width] + stride)
        return strided
