"""Proof of the instruction queue: it issues its program, word by word and cycle by cycle."""

from dataclasses import replace
from functools import partial

from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, Cat, Mux, ResetSignal, Signal
from amaranth.lib import data

from tsp.hw import isa
from tsp.hw.config import Config
from tsp.hw.fault import FaultKind
from tsp.hw.icu import Meaning, QueueControl
from tsp.hw.isa import Unit, timing
from tsp.hw.stream import InstructionLayout
from tsp.sim.formal.proof import Proof

CONFIG = Config(name="formal", lanes=4, streams=8, bank_words=64, acc_rows=8, queue_depth=16)
DEEP = replace(CONFIG, name="formal_deep", pipeline="deep")
STRIDED = slice(8, 24)  # the address of a Read or Write


class QueueProperties(QueueControl):
    """The queue of a MEM bank with free inputs, and an account of the program beside it.

    The account takes every word from the memory of instructions itself, counts down where the
    queue counts up, and knows neither the queue's registers nor when it fetches.
    What it says of the next issue is compared with the ports in every cycle; invariants tie its
    state to the queue's, so that induction covers counts and intervals up to 65,535.

    Assumed is that the host loads words that the queue has room for, with what they mean, and none
    from the cycle of `start` on; and that nothing is reset.
    """

    def __init__(self, config=CONFIG):
        super().__init__(config, Unit.MEM)

    def elaborate(self, platform):
        m = super().elaborate(platform)
        self._host(m)
        index = Signal(17)
        word, before = (self._word(m, index - n, f"word{n}") for n in (0, 1))
        following = self._word(m, index + 1, "following")
        m.d.comb += Assert(self.state["head"].word == word)
        entries = [self._entry(m, place) for place in range(self.config.queue_depth)]
        m.d.comb += [Assert(self._is_known(m, entry)) for entry in [*entries, self.state["head"]]]
        with m.If(self.started):
            m.d.comb += [
                Assert(self.state["next"].word == following),
                Assert(self._is_known(m, self.state["next"])),
            ]
        self._account(m, index, word, before)
        return m

    def _word(self, m, index, name):
        """The word of the program at `index`."""
        word = Signal(self.unit.word_bits, name=name)
        m.d.comb += word.eq(self._entry(m, index).word)
        return word

    def _entry(self, m, index):
        """That word and its meaning, as they lie in the memory."""
        port = m.submodules.words.read_port(domain="comb")
        m.d.comb += port.addr.eq(index)
        return port.data

    def _is_known(self, m, entry):
        """Whether the meaning beside a word is that of the word."""
        meaning = Signal(Meaning)
        m.d.comb += [meaning[name].eq(bit) for name, bit in Meaning.of(entry.word).items()]
        return entry.meaning == meaning

    def _host(self, m):
        """What the host has said: how many words there are, and how many to issue."""
        load, depth = self.load, self.config.queue_depth
        self.started = Signal()
        self.loaded = Signal(17)
        self.expected = Signal(17)
        loading = load.word_en | load.count_en
        m.d.comb += [
            Assume(~ResetSignal()),
            Assume(~(loading & (self.started | self.start))),
            Assume(load.index < depth),
            Assume(self._is_known(m, load)),
            Assert(self.loaded <= depth),
            Assert(self.state["loaded"] == self.loaded),
            Assert(self.state["expected"] == self.expected),
            Assert(self.state["running"] == self.started),
        ]
        address = Signal(range(depth))
        content = Signal(self.unit.word_bits)
        m.d.comb += [
            address.eq(AnyConst(range(depth))),
            Assert(self._word(m, address, "loaded_word") == content),
        ]
        with m.If(load.word_en):
            m.d.sync += self.loaded.eq(load.index + 1)
            with m.If(load.index == address):
                m.d.sync += content.eq(load.word)
        with m.If(load.count_en):
            m.d.sync += self.expected.eq(load.count)
        with m.If(self.start):
            m.d.sync += self.started.eq(1)

    def _account(self, m, index, word, before):
        # `fresh` says that the word came in this cycle; until its end `left` counts the cycles to
        # its end or next repetition, and `times` the repetitions to come.
        fresh = Signal(init=1)
        based = Signal()
        left = Signal(16)
        times = Signal(16)
        offset = Signal(16)
        nop, repeat = (data.View(InstructionLayout(i), word) for i in (isa.Nop, isa.Repeat))
        is_nop = self._is(word, isa.Nop, 24) & (nop["count"] != 0)
        is_repeat = self._is(word, isa.Repeat, 56) & (repeat["count"] != 0)
        is_repeat &= (repeat.interval != 0) & based
        is_notify = self._is(word, isa.Notify, 8)
        is_barrier = is_notify | self._is(word, isa.Sync, 8)

        wait = Mux(fresh, Mux(is_nop, nop["count"], repeat.interval), left)
        again = Mux(fresh, repeat["count"], times)
        end = Signal()
        issue = Signal()
        notify = Signal()
        starved = Signal()
        issued = Signal.like(word)
        missing = self.started & (index != self.expected) & (index >= self.loaded)
        m.d.comb += [starved.eq(missing), issued.eq(word)]
        with m.If(self.started & (index != self.expected) & ~missing):
            with m.If(is_nop):
                m.d.comb += end.eq(wait == 1)
            with m.Elif(is_barrier):
                m.d.comb += [end.eq(~fresh & self.resume), notify.eq(fresh & is_notify)]
            with m.Elif(is_repeat):
                address = (before[STRIDED] + offset + repeat.stride)[:16]
                m.d.comb += [
                    issue.eq(wait == 1),
                    end.eq(issue & (again == 1)),
                    issued.eq(Cat(before[: STRIDED.start], address, before[STRIDED.stop :])),
                ]
            with m.Else():
                m.d.comb += [issue.eq(1), end.eq(1)]
            m.d.sync += [
                fresh.eq(end),
                index.eq(index + end),
                left.eq(Mux(issue, repeat.interval, wait - 1)),
                times.eq(again - issue),
            ]
            with m.If(issue & is_repeat):
                m.d.sync += offset.eq(offset + repeat.stride)
            with m.If(end):
                m.d.sync += [based.eq(issue & ~is_repeat), offset.eq(0)]
        with m.If(starved):
            m.d.sync += self.expected.eq(index)
        self._outputs(m, issue, issued, notify, starved, index)

        # The same state in the terms of the queue.
        state = self.state
        turn, repetition = state["turn"], state["repetition"]
        m.d.comb += [
            Assert(state["fetched"] == index),
            Assert(state["ahead"] == (index + 1)[:17]),
            Assert(state["beyond"] == (index + 2)[:17]),
            Assert(state["repeatable"] == based),
            Assert(state["present"] == (self.started & (index != self.expected) & ~missing)),
            Assert(state["starved"] == missing),
            Assert(index <= self.expected),
            Assert(index <= self.loaded),
            Assert(state["parked"] == (~fresh & is_barrier)),
        ]
        with m.If(based):
            strided = (before[STRIDED] + offset)[:16]
            whole = Cat(before[: STRIDED.start], strided, before[STRIDED.stop :])
            m.d.comb += Assert(state["last"] == whole)
        with m.If(fresh):
            m.d.comb += Assert((turn == 2) & (repetition == 2) & (offset == 0))
        with m.Elif(is_nop):
            m.d.comb += [
                Assert((left != 0) & ((left + turn - 2)[:16] == nop["count"])),
                Assert(repetition == 2),
            ]
        with m.Elif(is_repeat):
            m.d.comb += [
                Assert((left != 0) & ((left + turn - 2)[:16] == repeat.interval)),
                Assert((times != 0) & ((times + repetition - 2)[:16] == repeat["count"])),
            ]
        with m.Else():
            m.d.comb += Assert(is_barrier & (turn == 2) & (repetition == 2))
        with m.If(is_nop | is_repeat):
            m.d.comb += Assert(state["last_turn"] == (wait == 1))
        with m.If(is_repeat):
            m.d.comb += Assert(state["last_repetition"] == (again == 1))
        with m.If(~self.started):
            m.d.comb += Assert((index == 0) & fresh & ~based)
        with m.Elif(~fresh):
            m.d.comb += Assert((index != self.expected) & (index < self.loaded))

    def _is(self, word, instruction, used):
        """Whether `word` is that instruction, with nothing in the bits from `used` on."""
        return (word[:8] == instruction.opcode) & ~word[used:].any()

    def _outputs(self, m, issue, issued, notify, starved, index):
        """Assert what the ports show, a cycle after the account and its verdict."""
        was, ended, verdict = {}, index == self.expected, timing.verdict(self.config)
        values = {"issue": issue, "starved": starved, "word": issued, "notify": notify}
        for name, value in values.items():
            for cycle in range(1 + (verdict if name != "notify" else 0)):
                register = Signal.like(value, name=f"was_{name}_{cycle}")
                m.d.sync += register.eq(value)
                value = register
            was[name] = value
        was_ended = ended
        for cycle in range(verdict):
            register = Signal(init=1, name=f"was_ended_{cycle}")
            m.d.sync += register.eq(was_ended)
            was_ended, ended = register, ended & register
        count = Signal(32)
        valid, trapped = (
            self.issue.valid,
            Cat(self.fault[FaultKind.DECODE], self.fault[FaultKind.ADDRESS]),
        )
        m.d.comb += [
            Assert((valid | trapped.any()) == was["issue"]),
            Assert(~(valid & trapped.any()) & ~trapped.all()),
            Assert(self.notify == was["notify"]),
            Assert(self.fault[FaultKind.UNDERRUN] == was["starved"]),
            Assert(self.done == ended),
            Assert((self.busy + self.state["counted"])[:32] == count),
        ]
        with m.If(was["issue"]):
            m.d.comb += Assert(self.issue.word == was["word"])
        with m.If(valid):
            m.d.sync += count.eq(count + 1)


PROOFS = [
    Proof(
        name="queue" + "-deep" * config.deep,
        claim="what the host loads and announces issues once, in its order and cycle: NOP n takes "
        "n cycles, Repeat n,d issues n times d cycles apart with its stride, barriers wait; "
        f"a missing word is a fault; {config.queue_depth} words" + "; deep pipeline" * config.deep,
        properties=partial(QueueProperties, config),
        depth=1 + max(1, timing.verdict(config)),
    )
    for config in (CONFIG, DEEP)
]
