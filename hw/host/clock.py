"""Start, barrier, cycle counter and end of a program."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tsp.hw.host.address import Status


class ProgramClock(wiring.Component):
    """The barrier, the cycle counter and the end of a program.

    Latency
    -------
    `resume` comes two cycles after `notify`; the first issue after it is cycle 0.

    Parameters
    ----------
    landing : int
        Cycles that a write is under way after its issue cycle.
    verdict : int
        Cycles that the verdict on a word takes: queues issue as many later than two cycles after
        `resume`.

    Members
    -------
    start, notify, resume : start of the queues and their barrier
    done : In(1)
        Every queue is done.
    write : In(1)
        A write issues in this cycle.
    counting : Out(1)
        The program is in a cycle that counts.
    cycles : Out(32)
        Program cycle; holds the program's length once it has ended.
    status : Out(Status)
        Without its fault bit.
    """

    start: In(1)
    notify: In(1)
    resume: Out(1)
    done: In(1)
    write: In(1)
    counting: Out(1)
    cycles: Out(32)
    status: Out(Status)

    def __init__(self, landing, verdict=0):
        self.landing, self.verdict = landing, verdict
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        notified, opening, opened = Signal(), Signal(), Signal()
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
        # In cycle v the program is over if all queues were done in v - 1 and no write is under way.
        done, writes = Signal(), Signal(unsigned(self.landing))
        m.d.sync += [done.eq(self.done), writes.eq(writes << 1 | self.write)]
        over = done & (writes == 0)
        m.d.comb += self.counting.eq(opened & ~self.status.done & ~over)
        with m.If(self.start):
            m.d.sync += self.status.running.eq(1)
        with m.If(self.counting):
            m.d.sync += self.cycles.eq(self.cycles + 1)
        # The barrier need not have opened: a program whose queues all underran before it is over.
        with m.If(self.status.running & over):
            m.d.sync += [self.status.running.eq(0), self.status.done.eq(1)]
        return m
