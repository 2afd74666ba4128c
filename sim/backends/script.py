"""The host's side of a run: the requests before it and after it, as plain arrays.

Every RTL back end plays the same script through the core's host port.
"""

from dataclasses import dataclass

import numpy as np

from tsp.hw.fault import FaultKind
from tsp.hw.host import FaultRecord, HostAddress, Register, Space, Status, host_bits
from tsp.hw.isa import Unit
from tsp.sim.result import Counters, Fault

_REGISTERS = (
    Register.STATUS,
    Register.CYCLES,
    Register.FAULT,
    Register.FAULT_KINDS,
    Register.STREAM_WORDS,
    Register.BAD_REQUESTS,
)


@dataclass(frozen=True)
class Script:
    """Host requests of one program.

    `write_addresses` : uint64 (n,); `write_data` : uint64 (n, k), the k parts of a host word,
    lowest first.
    `read_addresses` : uint64 (m,), after the end: registers, busy counters, then the outputs.
    """

    write_addresses: np.ndarray
    write_data: np.ndarray
    read_addresses: np.ndarray

    @classmethod
    def of(cls, program, announce=None):
        """The script of `program`.

        `announce` overrides the number of instructions announced for a queue, by name; a number
        that is too large makes that queue underrun.
        """
        config, plan = program.config, program.config.floorplan
        size = host_bits(config) // 8
        addresses, data = [], []
        for block in program.image:
            where = _sram(plan, block.slice, block.bank, block.address, len(block.data))
            padded = np.zeros((len(where), size), np.uint8)
            padded[:, : config.vector] = block.data
            addresses.append(where)
            data.append(padded.view("<u8"))
        counts = []
        for name, instructions in program.queues.items():
            queue = plan.queue(name)
            first = HostAddress.of_unit(Space.QUEUE_WORD, queue.index)
            addresses.append(first + np.arange(len(instructions), dtype=np.uint64))
            words = b"".join(i.encode().to_bytes(size, "little") for i in instructions)
            data.append(np.frombuffer(words, "<u8").reshape(-1, size // 8))
            count = (announce or {}).get(name, len(instructions))
            counts.append((HostAddress.of_unit(Space.QUEUE_COUNT, queue.index), count))
        addresses.append(np.array([a for a, _ in counts], np.uint64))
        data.append(np.zeros((len(counts), size // 8), np.uint64))
        data[-1][:, 0] = [n for _, n in counts]

        reads = [np.array([HostAddress.of_register(r) for r in _REGISTERS], np.uint64)]
        busy = [HostAddress.of_unit(Space.QUEUE_BUSY, q.index) for q in plan.queues]
        reads.append(np.array(busy, np.uint64))
        for region in program.outputs:
            where = (region.slice, region.bank, region.address, region.words)
            reads.append(_sram(plan, *where))
        return cls(np.concatenate(addresses), np.concatenate(data), np.concatenate(reads))


START = (HostAddress.of_register(Register.CONTROL), 1)
"""The request that starts a program: address and data."""

STATUS = HostAddress.of_register(Register.STATUS)


def is_done(status):
    """Whether a status word reports that the program has ended."""
    return bool(Status.from_bits(status).done)


@dataclass(frozen=True)
class Answers:
    """The meaning of the answers to the reads of a script."""

    cycles: int
    fault: Fault | None
    counters: Counters
    outputs: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, program, words):
        """Decode `words`, uint64 (m, k), the answers to ``Script.of(program).read_addresses``."""
        plan, config = program.config.floorplan, program.config
        registers = {r: int(words[i, 0]) for i, r in enumerate(_REGISTERS)}
        if bad := registers[Register.BAD_REQUESTS]:
            raise RuntimeError(f"the core counted {bad} requests to addresses that do not exist")
        at = len(_REGISTERS)
        busy = {q.name: int(words[at + q.index, 0]) for q in plan.queues}
        at += len(plan.queues)
        outputs = []
        for region in program.outputs:
            part = np.ascontiguousarray(words[at : at + region.words]).view(np.uint8)
            outputs.append(part[:, : config.vector].copy())
            at += region.words
        vectors = {q.name: busy[q.name] for q in plan.queues if q.unit is Unit.ABC}
        counters = Counters(busy, vectors, registers[Register.STREAM_WORDS])
        fault = fault_of(registers[Register.FAULT], registers[Register.FAULT_KINDS], plan)
        return cls(registers[Register.CYCLES], fault, counters, tuple(outputs))


def _sram(plan, slice_name, bank, address, words):
    """Host addresses of consecutive words of a bank."""
    first = HostAddress.of_sram(plan.slice(slice_name).index, bank, 0)
    return np.uint64(first) + np.arange(address, address + words, dtype=np.uint64)


def fault_of(bits, kinds, plan):
    """The :class:`Fault` in a fault record, or None; its kind must be one of the `kinds` seen."""
    fields = dict(FaultRecord.as_shape())
    record = {n: bits >> f.offset & ((1 << f.width) - 1) for n, f in fields.items()}
    if not record["valid"]:
        return None
    if not kinds >> record["kind"] & 1:
        raise RuntimeError(f"the first fault is of kind {record['kind']}, but seen were {kinds:#b}")
    return Fault(FaultKind(record["kind"]), plan.slices[record["slice"]].name, record["cycle"])
