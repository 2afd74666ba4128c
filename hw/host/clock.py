"""Start, barrier, cycle counter and end of a program."""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tsp.hw.isa import timing


class ProgramClock(wiring.Component):
    """The barrier, the cycle counter and the end of a program.

    A program ends when every queue is done and everything that it started has ended.

    Latency
    -------
    `resume` comes two cycles after `notify`; the first issue after it is in cycle 0. `done` comes
    ``SETTLE`` cycles after the first cycle that does not count; faults and counters are final then.

    Parameters
    ----------
    longest : int
        The most cycles that anything lasts after the cycle of its issue.
    verdict : int
        Cycles that the check of a word takes: queues issue that many cycles later than two cycles
        after `resume`.

    Members
    -------
    start, notify, resume : start of the queues and their barrier
    idle : In(1)
        Every queue is done.
    ending : In(longest)
        Bit n: something ends n + 1 cycles after this one, in the last superlane.
    locked : Out(1)
        Set from the start of a program to its end.
    counting : Out(1)
        The current cycle counts as one of the program.
    cycles : Out(32)
        Program cycle; holds the program's length once it has ended.
    running, done : Out(1)
        As in the status register.
    """

    def __init__(self, longest, verdict=0):
        self.longest, self.verdict = longest, verdict
        super().__init__(
            {
                "start": In(1),
                "notify": In(1),
                "resume": Out(1),
                "idle": In(1),
                "ending": In(longest),
                "locked": Out(1),
                "counting": Out(1),
                "cycles": Out(32),
                "running": Out(1),
                "done": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        notified = Signal()
        opening = Signal()
        opened = Signal()
        over = Signal()
        resumed = self.resume
        for number in range(self.verdict):
            before, resumed = resumed, Signal(name=f"resumed_{number}")
            m.d.sync += resumed.eq(before)
        m.d.sync += [
            notified.eq(self.notify),
            self.resume.eq(notified),
            opening.eq(resumed),
            opened.eq(opened | opening),
        ]
        # In cycle v the program is over if all queues were done in v - 1 and nothing is under way.
        idle = Signal()
        under_way = Signal(unsigned(self.longest))
        m.d.sync += [idle.eq(self.idle), under_way.eq(under_way >> 1 | self.ending)]
        ended = Signal()
        settling = Signal(timing.SETTLE - 1)
        m.d.comb += [
            over.eq(idle & (under_way == 0)),
            self.counting.eq(opened & ~ended & ~over),
            self.running.eq(self.locked | settling.any()),
        ]
        with m.If(self.counting):
            m.d.sync += self.cycles.eq(self.cycles + 1)
        with m.If(self.start):
            m.d.sync += self.locked.eq(1)
        # The barrier need not have opened: a program whose queues all underran before it is over.
        with m.If(self.locked & over):
            m.d.sync += [self.locked.eq(0), ended.eq(1)]
        with m.If(self.locked | settling.any()):
            m.d.sync += settling.eq(Cat(self.locked & over, settling))
            m.d.sync += self.done.eq(self.done | settling[-1])
        return m
