"""The way of a request into the chip."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tsp.hw.host.address import HostAddress, Register, Space
from tsp.hw.icu import Meaning


def meanings(plan):
    """The widths of words that queues have, by the name of a :class:`Request`'s meaning of one."""
    widths = sorted({queue.unit.word_bits for queue in plan.queues})
    return {f"meaning_{width}": width for width in widths}


class Request(wiring.Signature):
    """A request of the host that knows whom it means.

    Parameters
    ----------
    plan : FloorPlan
    bits : int
        Of a host word.

    Members
    -------
    address, write, read, write_data : as those of a :class:`HostPort`
    start : it starts the program
    words, counts : it loads a word into this queue, or says how many there are; a bit per queue
    meaning_<n> : what a queue whose words have n bits has to do for the word
    banks : it reads or writes SRAM of this bank; two bits per slice, of any kind
    registers, queues, slices : it reads this register, the counter of this queue, faults of this
        slice; a bit for each
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
            }
        )


class RequestPath(wiring.Component):
    """The way of a request into the chip: it is decoded here, so that it can travel far then.

    Latency
    -------
    2 cycles.

    Parameters
    ----------
    plan, bits : as those of a :class:`Request`

    Members
    -------
    address, write, read, write_data : the request
    request : Out(Request)
    """

    def __init__(self, plan, bits):
        self.plan = plan
        super().__init__(
            {
                "address": In(HostAddress),
                "write": In(1),
                "read": In(1),
                "write_data": In(bits),
                "request": Out(Request(plan, bits)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        come, request = (
            Request(self.plan, len(self.write_data)).create(path=("come",)),
            self.request,
        )
        address = come.address
        unit = address.as_value()[16:32]
        to = {space: address.space == space for space in Space}
        queues, slices = (Cat(unit == each.index for each in some)
                          for some in (self.plan.queues, self.plan.slices))  # fmt: skip
        registers = Cat(address.low == register for register in Register)
        banks = Signal(len(request.banks))
        for where in (s for s in self.plan.slices if s.kind == "MEM"):
            for bank in range(2):
                mine = (address.slice == where.index) & (address.bank == bank)
                m.d.comb += banks[2 * where.index + bank].eq(mine)
        for before, after in ((self, come), (come, request)):
            # What stands between requests is nobody's, so it may stand.
            with m.If(before.write | before.read | after.write | after.read):
                for name in ("address", "write", "read", "write_data"):
                    m.d.sync += getattr(after, name).eq(getattr(before, name))
        with m.If(come.write | come.read | request.write | request.read):
            for name, width in meanings(self.plan).items():
                meaning = Meaning.of(come.write_data[:width])
                m.d.sync += [getattr(request, name)[n].eq(bit) for n, bit in meaning.items()]
            control = to[Space.REGISTER] & registers[Register.CONTROL]
            m.d.sync += [
                request.start.eq(come.write & control & come.write_data[0]),
                request.words.eq(Mux(come.write & to[Space.QUEUE_WORD], queues, 0)),
                request.counts.eq(Mux(come.write & to[Space.QUEUE_COUNT], queues, 0)),
                request.banks.eq(Mux((come.write | come.read) & to[Space.SRAM], banks, 0)),
                request.registers.eq(Mux(come.read & to[Space.REGISTER], registers, 0)),
                request.queues.eq(Mux(come.read & to[Space.QUEUE_BUSY], queues, 0)),
                request.slices.eq(Mux(come.read & to[Space.SLICE_FAULTS], slices, 0)),
            ]
        return m
