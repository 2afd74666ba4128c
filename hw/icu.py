"""One instruction queue and its control."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tsp.hw import isa
from tsp.hw.fault import FAULT_KINDS, FaultKind
from tsp.hw.guard import Guard
from tsp.hw.isa import timing
from tsp.hw.isa.base import ISA
from tsp.hw.stream import InstructionLayout, Issue


class Meaning(data.Struct):
    """What a word means to the queue itself, if it is a legal instruction of the ICU.

    Members
    -------
    nop, repeat, sync, notify : the instruction; none of them is set for one of the unit
    brief : a NOP of one cycle, or a Repeat with an interval of one
    single : its count is one
    """

    nop: 1
    repeat: 1
    sync: 1
    notify: 1
    brief: 1
    single: 1

    @staticmethod
    def of(word):
        """The members for a word, as a dict of values."""
        repeat = data.View(InstructionLayout(isa.Repeat), word[:64])
        counts = repeat["count"].any()
        rest = word[56:].any()
        unused = word[24:40].any() | word[40:56].any() | rest
        single, brief = repeat["count"] == 1, repeat.interval == 1
        opcode = repeat.opcode
        return {
            "nop": (opcode == isa.Nop.opcode) & counts & ~unused,
            "repeat": (opcode == isa.Repeat.opcode) & counts & repeat.interval.any() & ~rest,
            "sync": (opcode == isa.Sync.opcode) & ~counts & ~unused,
            "notify": (opcode == isa.Notify.opcode) & ~counts & ~unused,
            "brief": Mux(opcode == isa.Nop.opcode, single, brief),
            "single": single,
        }


class QueueLoad(wiring.Signature):
    """A request of the host to load a queue: one word at an index, or the number of words to issue.

    `meaning` is the :class:`Meaning` of the word.
    """

    def __init__(self, word_bits):
        super().__init__(
            {
                "word_en": Out(1),
                "index": Out(16),
                "word": Out(word_bits),
                "meaning": Out(Meaning),
                "count_en": Out(1),
                "count": Out(17),
            }
        )


class QueueControl(wiring.Component):
    """An instruction queue: issues its words in order, one per cycle, subject to NOP and Repeat.

    Once started, it issues as many words as the host announced and is then done. A queue that
    runs out of words before that raises a fault and is done.

    Latency
    -------
    A queue may issue on `issue` two cycles after `start` or `resume` at the earliest, and every
    cycle after that. A Notify raises `notify` in its own issue cycle. In deep pipelines issues come
    ``verdict(config)`` cycles later, and `notify` as many before its own.

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
        """A module name, unique among queues of one configuration with different parameters."""
        special = "special_" if self.special else ""
        return f"queue_{special}{self.unit.value.lower()}_{self.config.name}"

    def elaborate(self, platform):
        # What a word means comes with it and lies beside it in the memory. A Repeat stays at the
        # head while its repetitions issue, so it needs no look-ahead and still costs no slot.
        m = Module()
        bits, depth = self.unit.word_bits, self.config.queue_depth
        entry = data.StructLayout({"word": bits, "meaning": Meaning})
        m.submodules.words = words = Memory(shape=entry, depth=depth, init=[])
        write, read = words.write_port(), words.read_port()
        loaded = Signal(17)
        expected = Signal(17)
        m.d.comb += [
            write.addr.eq(self.load.index),
            write.data.word.eq(self.load.word),
            write.data.meaning.eq(self.load.meaning),
            write.en.eq(self.load.word_en),
        ]
        with m.If(self.load.word_en):
            m.d.sync += loaded.eq(self.load.index + 1)
        with m.If(self.load.count_en):
            m.d.sync += expected.eq(self.load.count)

        running = Signal()
        pop = Signal()
        # The word after the head stands at the memory's output. The memory's address depends on
        # what the head does, by way of `pop`; so no adder stands behind that.
        places = range(depth + 3)
        fetched = Signal(places)
        ahead = Signal(places, init=1)
        beyond = Signal(places, init=2)
        m.d.comb += [read.en.eq(1), read.addr.eq(Mux(pop, beyond, ahead))]
        with m.If(self.start):
            m.d.sync += running.eq(1)

        # The first word becomes the head as it is loaded.
        head = Signal(entry)
        with m.If(pop):
            m.d.sync += [fetched.eq(ahead), ahead.eq(beyond), beyond.eq(beyond + 1)]
        # Whether there is a word at the head or one is missing is found out a cycle before, for
        # both cases of `pop`, so no comparison stands before what the head does.
        present = Signal()
        starved = Signal()
        missing_here, missing_ahead = fetched == loaded, ahead == loaded
        remaining_here, remaining_ahead = fetched != expected, ahead != expected
        with m.If(running | self.start):
            m.d.sync += present.eq(
                Mux(pop, remaining_ahead & ~missing_ahead, remaining_here & ~missing_here)
            )
            m.d.sync += starved.eq(
                Mux(pop, remaining_ahead & missing_ahead, remaining_here & missing_here & ~starved)
            )
        ended = [~remaining_here]  # a bit for each cycle that the last word waits for its verdict
        for number in range(timing.verdict(self.config)):
            ended.append(Signal(name=f"ended_{number}", init=1))
            m.d.sync += ended[-1].eq(ended[-2])
        m.d.comb += self.done.eq(Cat(ended).all())
        with m.If(starved):
            m.d.sync += expected.eq(fetched)

        issue = Signal(self.issue.word.shape())
        valid = Signal()
        notify = Signal()
        last_turn, last_repetition = self._control(m, head, present, pop, valid, issue, notify)
        first = self.load.word_en & (self.load.index == 0) & ~running
        for enters, entering in ((first, write.data), (pop, read.data)):
            with m.If(enters):
                m.d.sync += [
                    head.eq(entering),
                    last_turn.eq(entering.meaning.brief),
                    last_repetition.eq(entering.meaning.single),
                ]
        m.d.sync += self.notify.eq(notify)
        self._judge(m, valid, issue, starved)
        # Nobody reads the counter before the queue is done, so it may count a cycle late.
        counted = Signal()
        m.d.sync += counted.eq(self.issue.valid)
        with m.If(counted):
            m.d.sync += self.busy.eq(self.busy + 1)
        # Formal proofs tie their own account of the queue to these.
        self.state |= {"loaded": loaded, "expected": expected, "running": running}
        self.state |= {"fetched": fetched, "ahead": ahead, "beyond": beyond, "head": head}
        self.state |= {"counted": counted}
        self.state |= {"next": read.data, "present": present, "starved": starved}
        return m

    def _judge(self, m, valid, issue, starved):
        """Issue the word of the last cycle, or raise a fault; some cycles later if deep."""
        m.submodules.guard = guard = Guard(self.config, self.unit, self.special)
        cycles, steps = timing.verdict(self.config), [(valid, issue, starved)]
        for number in range(cycles + 1):
            before, before_word, before_starved = steps[-1]
            issuing, underrun = Signal(name=f"issuing_{number}"), Signal(name=f"underrun_{number}")
            word = Signal.like(issue, name=f"word_{number}")
            m.d.sync += [issuing.eq(before), underrun.eq(before_starved)]
            with m.If(before):
                m.d.sync += word.eq(before_word)
            steps.append((issuing, word, underrun))
        judged = steps[max(cycles, 1)][0]
        verdict = m.d["sync" if cycles else "comb"]
        verdict += [
            self.issue.valid.eq(judged & guard.legal),
            self.fault[FaultKind.DECODE].eq(judged & guard.undecodable),
            self.fault[FaultKind.ADDRESS].eq(judged & guard.out_of_range),
        ]
        m.d.comb += [
            guard.word.eq(steps[1][1]),
            self.issue.word.eq(steps[-1][1]),
            self.fault[FaultKind.UNDERRUN].eq(steps[-1][2]),
        ]

    def _control(self, m, head, present, pop, valid, issue, notify):
        """Decide what the word at the head does in this cycle.

        Returns two registers: whether this cycle is the last of the word, or of its wait for the
        next repetition; and whether that repetition is its last. A new head sets them.
        """
        word, meaning = head.word, head.meaning
        nop = data.View(InstructionLayout(isa.Nop), word[:64])
        repeat = data.View(InstructionLayout(isa.Repeat), word[:64])
        turn = Signal(16, init=2)  # counts the next cycle too
        last_turn = Signal()
        repetition = Signal(16, init=2)
        last_repetition = Signal()
        parked = Signal()
        repeatable = Signal()
        last = Signal(word.shape())
        self.state = {"turn": turn, "repetition": repetition, "parked": parked}
        self.state |= {"last_turn": last_turn, "last_repetition": last_repetition}
        self.state |= {"last": last, "repeatable": repeatable}

        barrier = Signal()
        repeating = Signal()
        pass_on = Signal()
        released = Signal()
        period = Mux(meaning.nop, nop["count"], repeat.interval)
        m.d.comb += [
            barrier.eq(meaning.sync | meaning.notify),
            repeating.eq(meaning.repeat & repeatable),
            pass_on.eq(~(meaning.nop | repeating | barrier)),
            released.eq(parked & self.resume),
            pop.eq(
                present
                & (
                    pass_on
                    | (barrier & released)
                    | (meaning.nop & last_turn)
                    | (repeating & last_turn & last_repetition)
                )
            ),
            valid.eq(present & (pass_on | (repeating & last_turn))),
            issue.eq(Mux(repeating, self._strided(m, last, repeat.stride), word)),
            notify.eq(present & meaning.notify & ~parked),
        ]
        with m.If(present & barrier):
            m.d.sync += parked.eq(~released)
        with m.If(valid):
            m.d.sync += last.eq(issue)
        with m.If(present & (meaning.nop | repeating)):
            with m.If(last_turn):
                m.d.sync += [turn.eq(2), last_turn.eq(meaning.brief)]
                m.d.sync += repetition.eq(repetition + 1)
                m.d.sync += last_repetition.eq(repetition == repeat["count"])
            with m.Else():
                m.d.sync += [turn.eq(turn + 1), last_turn.eq(turn == period)]
        with m.If(pop):
            m.d.sync += [repetition.eq(2), repeatable.eq(pass_on)]
        return last_turn, last_repetition

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
