"""The return path of answers to host reads."""

from amaranth.hdl import Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tsp.hw.fault import FAULT_KINDS
from tsp.hw.hop import any_of
from tsp.hw.host.address import BAD_REQUESTS, IDENTITY, FaultRecord, Register, Status


class ReadPath(wiring.Component):
    """The answer to host reads outside SRAM.

    Latency
    -------
    The answer to a request of cycle t is on `value` in t + 3, as are words of SRAM.

    Parameters
    ----------
    queues, slices : int

    Members
    -------
    read : In(1)
        The host reads, here or elsewhere.
    registers, queues, slices : what it reads, as in a :class:`Request`
    value : Out(64)
        0 if nothing is read here.
    status, cycles, record, kinds, stream_words, bad_requests, busy, held : the readable values
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
                "bad_requests": In(BAD_REQUESTS),
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
            Register.BAD_REQUESTS: self.bad_requests,
        }
        found = [
            ("register", [(self.registers[at], value) for at, value in registers.items()]),
            ("busy", list(zip(self.queues, self.busy, strict=True))),
            ("held", list(zip(self.slices, self.held, strict=True))),
        ]
        was_read = Signal()
        values = []
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
    """The SRAM word of one superlane that the host reads: at most one bank answers at a time.

    Latency
    -------
    1 cycle.

    Parameters
    ----------
    banks, lanes : int

    Members
    -------
    reading : In(1)
        A bank may answer in this cycle.
    answers : In(8 * lanes).array(banks)
        The answer of each bank, 0 if it has none.
    read_data : Out(8 * lanes)
        The answer, 0 if there is none.
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
