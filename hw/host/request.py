"""The path of a host request into the core."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tsp.hw.hop import any_of
from tsp.hw.host.address import (
    BAD_REQUESTS,
    READ,
    REGISTERS,
    SPACES,
    WRITE,
    HostAddress,
    Register,
    Space,
)
from tsp.hw.icu import Meaning


def meanings(plan):
    """The word widths of queues, by the member of :class:`Request` that has their meaning."""
    widths = sorted({queue.unit.word_bits for queue in plan.queues})
    return {f"meaning_{width}": width for width in widths}


class Request(wiring.Signature):
    """A host request, decoded.

    Parameters
    ----------
    plan : FloorPlan
    bits : int
        Width of a host word.

    Members
    -------
    address, write, read, write_data : as in a :class:`HostPort`
    start : it starts the program
    words, counts : it loads a word of this queue, or the number of its words; one bit per queue
    meaning_<n> : the :class:`Meaning` of the word in a queue whose words have n bits
    banks : it reads or writes SRAM of this bank; two bits per slice, whatever its kind
    registers, queues, slices : it reads this register, the counter of this queue, or the faults of
        this slice; one bit each
    refused : it was for SRAM or a queue of this slice, but a program runs
    """

    def __init__(self, plan, bits):
        super().__init__(
            {
                "address": Out(HostAddress),
                "write": Out(1),
                "read": Out(1),
                "write_data": Out(bits),
                "start": Out(1),
                "words": Out(len(plan.queues)),
                "counts": Out(len(plan.queues)),
                **{name: Out(Meaning) for name in meanings(plan)},
                "banks": Out(2 * len(plan.slices)),
                "registers": Out(len(Register)),
                "queues": Out(len(plan.queues)),
                "slices": Out(len(plan.slices)),
                "refused": Out(len(plan.slices)),
            }
        )


class RequestPath(wiring.Component):
    """The path of a request into the core: it is decoded here, before it travels far.

    An invalid request is counted and has no effect: one to an address that does not exist, or that
    does not allow the access, and one that is both a read and a write. A request for SRAM or queues
    while a program runs has no effect either; it is refused, but not counted.

    Latency
    -------
    2 cycles, and 3 until it is counted.

    Parameters
    ----------
    config : Config
    bits : int
        Width of a host word.

    Members
    -------
    address, write, read, write_data : the request
    locked : a program runs; a request that starts one locks at once
    request : Out(Request)
    bad_requests : Out(BAD_REQUESTS)
        Invalid requests since reset.
    """

    def __init__(self, config, bits):
        self.config, self.plan = config, config.floorplan
        super().__init__(
            {
                "address": In(HostAddress),
                "write": In(1),
                "read": In(1),
                "write_data": In(bits),
                "locked": In(1),
                "request": Out(Request(self.plan, bits)),
                "bad_requests": Out(BAD_REQUESTS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        come, request = (
            Request(self.plan, len(self.write_data)).create(path=("come",)),
            self.request,
        )
        for before, after in ((self, come), (come, request)):
            # The values between requests are unused, so they may stay.
            with m.If(before.write | before.read | after.write | after.read):
                for name in ("address", "write", "read", "write_data"):
                    m.d.sync += getattr(after, name).eq(getattr(before, name))
        self._decode(m, come)
        bad = Signal()
        free = Signal()
        to = self._spaces(m, come)
        m.d.comb += free.eq(~(self.locked | request.start))
        loads = to[Space.QUEUE_WORD] | to[Space.QUEUE_COUNT]
        reads, writes = to[Space.REGISTER] & come.read, to[Space.REGISTER] & come.write
        control = come.registers[Register.CONTROL] & come.write_data[0]
        with m.If(come.write | come.read | request.write | request.read):
            for name, width in meanings(self.plan).items():
                meaning = Meaning.of(come.write_data[:width])
                m.d.sync += [getattr(request, name)[n].eq(bit) for n, bit in meaning.items()]
            m.d.sync += [
                bad.eq((come.write | come.read) & ~Cat(to.values()).any()),
                request.start.eq(writes & control),
                request.words.eq(Mux(to[Space.QUEUE_WORD] & free, come.queues, 0)),
                request.counts.eq(Mux(to[Space.QUEUE_COUNT] & free, come.queues, 0)),
                request.banks.eq(Mux(to[Space.SRAM] & free, come.banks, 0)),
                request.registers.eq(Mux(reads, come.registers, 0)),
                request.queues.eq(Mux(to[Space.QUEUE_BUSY], come.queues, 0)),
                request.slices.eq(Mux(to[Space.SLICE_FAULTS], come.slices, 0)),
            ]
            for where in self.plan.slices:
                bank = come.banks[2 * where.index : 2 * where.index + 2].any()
                queue = any_of([come.queues[queue.index] for queue in self.plan.queues_of(where)])
                refused = (to[Space.SRAM] & bank) | (loads & queue)
                m.d.sync += request.refused[where.index].eq(refused & ~free)
        with m.If(bad & ~self.bad_requests.all()):
            m.d.sync += self.bad_requests.eq(self.bad_requests + 1)
        return m

    def _decode(self, m, come):
        """Select bits of everything that an address can name, each valid in its own space only."""
        address = come.address
        unit = address.as_value()[16:32]
        for some, members in ((come.queues, self.plan.queues), (come.slices, self.plan.slices)):
            m.d.comb += some.eq(Cat(unit == each.index for each in members))
        m.d.comb += come.registers.eq(Cat(address.low == register for register in Register))
        for where in (s for s in self.plan.slices if s.kind == "MEM"):
            for bank in range(2):
                mine = (address.slice == where.index) & (address.bank == bank)
                m.d.comb += come.banks[2 * where.index + bank].eq(mine)

    def _spaces(self, m, come):
        """By space, whether the request is allowed and its address exists."""
        low, bits = come.address.low, come.address.as_value()
        allowed = {READ: come.read & ~come.write, WRITE: come.write & ~come.read}
        registers = [allowed[what] & come.registers[at] for at, what in REGISTERS.items()]
        no_place, no_high = ~low.any(), ~bits[32:36].any()
        exists = {
            Space.REGISTER: ~bits[16:36].any() & any_of(registers),
            Space.SRAM: ~bits[25:36].any() & come.banks.any() & _below(low, self.config.bank_words),
            Space.QUEUE_WORD: no_high & come.queues.any() & _below(low, self.config.queue_depth),
            Space.QUEUE_COUNT: no_high & come.queues.any() & no_place,
            Space.QUEUE_BUSY: no_high & come.queues.any() & no_place,
            Space.SLICE_FAULTS: no_high & come.slices.any() & no_place,
        }
        to = {}
        for space, there in exists.items():
            to[space] = Signal(name=f"to_{space.name.lower()}")
            mine = (come.address.space == space) & any_of([allowed[w] for w in SPACES[space]])
            m.d.comb += to[space].eq(mine & there)
        return to


def _below(value, limit):
    """Whether `value` is less than `limit`; without a comparison if every value is."""
    return value < limit if limit < 1 << len(value) else 1
