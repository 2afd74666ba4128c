"""The host port: an address map over memories, queues, status, faults and counters."""

from enum import IntEnum

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tsp.hw.fault import FAULT_KINDS
from tsp.hw.hop import any_of
from tsp.hw.icu import Meaning

_INSTRUCTION = 128  # bits that hold the word of any queue

HOST_READ = 6
"""Cycles from a read request to its data: two to the place that is read, three of them back."""


def host_bits(config):
    """Bits of a host word: one word of SRAM of all superlanes, in multiples of 128."""
    return -(-8 * config.vector // _INSTRUCTION) * _INSTRUCTION


class Space(IntEnum):
    """Address spaces of the host port: bits 36 to 39 of an address."""

    REGISTER = 0
    SRAM = 1
    QUEUE_WORD = 2
    QUEUE_COUNT = 3
    QUEUE_BUSY = 4
    SLICE_FAULTS = 5


class Register(IntEnum):
    """Addresses in the register space."""

    IDENTITY = 0
    CONTROL = 1
    STATUS = 2
    CYCLES = 3
    FAULT = 4
    FAULT_KINDS = 5
    STREAM_WORDS = 6


IDENTITY = 0x5453_5001
"""What the identity register reads: "TSP" and the version of this map."""


class HostAddress(data.Struct):
    """An address of the host port, in host words.

    SRAM: `low` is the word, `bank` and `slice` say where (`slice` is the floor plan's index).
    QUEUE_WORD: `low` is the index in the queue. QUEUE_*: `unit` is the queue's index.
    SLICE_FAULTS: `unit` is the slice's index. REGISTER: `low` is the register.
    """

    low: 16
    bank: 1
    slice: 8
    reserved: 11
    space: 4

    @staticmethod
    def of_sram(slice_index, bank, word):
        """The address of a word of SRAM, as an integer."""
        return word | bank << 16 | slice_index << 17 | Space.SRAM << 36

    @staticmethod
    def of_unit(space, unit, low=0):
        """The address that belongs to queue or slice number `unit`, as an integer."""
        return low | unit << 16 | space << 36

    @staticmethod
    def of_register(register):
        """The address of a register, as an integer."""
        return register | Space.REGISTER << 36


class HostPort(wiring.Signature):
    """A plain synchronous port, one request a cycle.

    Parameters
    ----------
    bits : int
        Of a host word: see :func:`host_bits`.

    Members
    -------
    address, write, read, write_data : the request; `write` or `read`, never both
    read_data, read_valid : the answer to a read, ``HOST_READ`` cycles after it
    """

    def __init__(self, bits):
        super().__init__(
            {
                "address": Out(40),
                "write": Out(1),
                "read": Out(1),
                "write_data": Out(bits),
                "read_data": In(bits),
                "read_valid": In(1),
            }
        )


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


class Status(data.Struct):
    """The status register: `running` from start to end, `done` after it, `fault` if one is held."""

    running: 1
    done: 1
    fault: 1


class FaultRecord(data.Struct):
    """The first fault: when, in which slice, and its kind; `valid` if there is one.

    Of several in one cycle it holds that of the westernmost slice, and of its lowest kind.
    """

    cycle: 32
    slice: 8
    kind: 4
    valid: 1


class FaultRecorder(wiring.Component):
    """The sticky memory of faults.

    Latency
    -------
    A fault in cycle t is on the outputs in t + 1.

    Parameters
    ----------
    slices : int

    Members
    -------
    cycle : In(32)
    faults : In(FAULT_KINDS).array(slices)
    record : Out(FaultRecord)
    kinds : Out(FAULT_KINDS)
        Every kind seen since reset.
    held : Out(FAULT_KINDS).array(slices)
        Every kind seen since reset, per slice.
    """

    def __init__(self, slices):
        self.slices = slices
        super().__init__(
            {
                "cycle": In(32),
                "faults": In(FAULT_KINDS).array(slices),
                "record": Out(FaultRecord),
                "kinds": Out(FAULT_KINDS),
                "held": Out(FAULT_KINDS).array(slices),
            }
        )

    def elaborate(self, platform):
        m = Module()
        first = Signal(8)
        kinds = Signal(FAULT_KINDS)
        for index in reversed(range(self.slices)):
            fault = self.faults[index]
            m.d.sync += self.held[index].eq(self.held[index] | fault)
            with m.If(fault.any()):
                m.d.comb += [first.eq(index), kinds.eq(fault)]
        m.d.sync += self.kinds.eq(self.kinds | any_of(self.faults))
        with m.If(kinds.any() & ~self.record.valid):
            m.d.sync += [
                self.record.valid.eq(1),
                self.record.cycle.eq(self.cycle),
                self.record.slice.eq(first),
            ]
            for kind in reversed(range(FAULT_KINDS)):
                with m.If(kinds[kind]):
                    m.d.sync += self.record.kind.eq(kind)
        return m


class ReadPath(wiring.Component):
    """The answer to host reads that are not of SRAM.

    Latency
    -------
    What is asked for in cycle t is on `value` in t + 3, as words of SRAM are.

    Parameters
    ----------
    queues, slices : int

    Members
    -------
    read : In(1)
        The host reads, this or something else.
    registers, queues, slices : what it asks for, as in a :class:`Request`
    value : Out(64)
        0 if nothing is asked for.
    status, cycles, record, kinds, stream_words, busy, held : what can be read
    """

    def __init__(self, queues, slices):
        super().__init__(
            {
                "read": In(1),
                "registers": In(len(Register)),
                "queues": In(queues),
                "slices": In(slices),
                "value": Out(64),
                "status": In(Status),
                "cycles": In(32),
                "record": In(FaultRecord),
                "kinds": In(FAULT_KINDS),
                "stream_words": In(48),
                "busy": In(32).array(queues),
                "held": In(FAULT_KINDS).array(slices),
            }
        )

    def elaborate(self, platform):
        m = Module()
        registers = {
            Register.IDENTITY: Const(IDENTITY),
            Register.STATUS: self.status,
            Register.CYCLES: self.cycles,
            Register.FAULT: self.record,
            Register.FAULT_KINDS: self.kinds,
            Register.STREAM_WORDS: self.stream_words,
        }
        found = [
            ("register", [(self.registers[at], value) for at, value in registers.items()]),
            ("busy", list(zip(self.queues, self.busy, strict=True))),
            ("held", list(zip(self.slices, self.held, strict=True))),
        ]
        was_read, values = Signal(), []
        m.d.sync += was_read.eq(self.read)
        with m.If(self.read | was_read):
            for name, choices in found:
                values.append(Signal(64, name=name))
                chosen = [Value.cast(value) & asked.replicate(64) for asked, value in choices]
                m.d.sync += values[-1].eq(any_of(chosen))
        value = Signal(64)
        m.d.sync += [value.eq(any_of(values)), self.value.eq(value)]
        return m


class ReadGather(wiring.Component):
    """What the host reads of one superlane: of all banks at most one answers at a time.

    Latency
    -------
    1 cycle.

    Parameters
    ----------
    banks, lanes : int

    Members
    -------
    reading : In(1)
        There may be an answer.
    answers : In(8 * lanes).array(banks)
        What each bank reads, 0 if nothing.
    read_data : Out(8 * lanes)
        0 if nothing.
    """

    def __init__(self, banks, lanes):
        self.module_name = f"read_gather_{banks}_{lanes}"
        word = 8 * lanes
        super().__init__(
            {"reading": In(1), "answers": In(word).array(banks), "read_data": Out(word)}
        )

    def elaborate(self, platform):
        m = Module()
        was_reading = Signal()
        m.d.sync += was_reading.eq(self.reading)
        with m.If(self.reading | was_reading):
            m.d.sync += self.read_data.eq(any_of(self.answers))
        return m


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
