"""Random programs without faults: consumers are placed where the golden model shows valid words."""

import numpy as np

from tsp.hw.errors import EncodingError
from tsp.hw.isa import (
    IMM,
    ISA,
    SG1,
    Abc,
    Acc,
    AccMode,
    Alu,
    DType,
    Iw,
    Lw,
    Read,
    StreamGroup,
    Transpose,
    Unit,
    Write,
    refusal,
    timing,
)
from tsp.hw.isa.codecs import Group, Operand, Signed, Unsigned
from tsp.hw.isa.mxm import EMITTED, STORAGE
from tsp.hw.isa.rules import largest, with_field
from tsp.hw.isa.vxm import VXM_OPS, Late
from tsp.sim.golden import model
from tsp.sim.program import Block, Region, Run, assemble

WORDS = 16
"""Words of every bank that the image fills and the outputs show."""

_TRIES = 8  # at an SXM instruction, for each class that there is


class Generator:
    """Grows a program run by run, keeping only what leaves it free of faults."""

    def __init__(self, config, seed, cycles=60):
        self.config, self.cycles = config, cycles
        self.plan = config.floorplan
        self.rng = np.random.default_rng(seed)
        self.runs = {}
        self.image = self._image()
        self.outputs = tuple(
            Region(s.name, bank, 0, WORDS)
            for s in self.plan.slices
            if s.kind == "MEM"
            for bank in range(2)
        )

    def program(self, name="random"):
        """The program as it stands."""
        return assemble(self.config, self.runs, image=self.image, outputs=self.outputs, name=name)

    def pick(self, items):
        """One of `items`."""
        return items[self.rng.integers(len(items))]

    def grow(self):
        """Reads first, then matrices, then exchanges and vector operations on what flows, then
        writes.
        """
        self._square()
        for queue in self._queues(Unit.MEM):
            for _ in range(3):
                self._try({queue.name: [self._read()]})
        for plane in self._queues(Unit.ABC):
            self._matrix(plane)
        for queue in self._queues(Unit.SXM):
            for _ in range(6):
                self._exchange(queue)
        for _ in range(8):
            self._vector()
        for queue in self._queues(Unit.MEM):
            for _ in range(2):
                self._write(queue)
        return self

    def _queues(self, unit):
        return [q for q in self.plan.queues if q.unit is unit]

    def _image(self):
        """Words that make interesting numbers in every format: few exponents, some specials."""
        blocks = []
        for s in self.plan.slices:
            if s.kind == "MEM":
                for bank in range(2):
                    data = self.rng.integers(0, 256, (WORDS, self.config.vector), np.uint8)
                    data[::3] = self.rng.choice(
                        [0x3C, 0x00, 0x80, 0xBC, 0x40, 0x7C], data[::3].shape
                    )
                    blocks.append(Block(s.name, bank, 0, data))
        return tuple(blocks)

    def _read(self):
        count = int(self.rng.integers(1, 9))
        stream = SG1(self.pick("EW"), int(self.rng.integers(self.config.streams)))
        first = int(self.rng.integers(WORDS - count + 1))
        start = int(self.rng.integers(self.cycles // 2))
        interval = int(self.rng.integers(1, 4))
        return Run(start, Read(address=first, stream=stream), count, interval, 1)

    def _try(self, more):
        """Add runs per queue if the program stays legal; whether they were added."""
        before = {name: list(runs) for name, runs in self.runs.items()}
        for name, runs in more.items():
            self.runs.setdefault(name, []).extend(runs)
        try:
            fault = model.run(self.program()).fault
        except EncodingError:
            fault = True
        if fault:
            self.runs = before
        return not fault

    def _valid(self):
        """Valid bits (cycle, direction, stop, stream) of the program as it stands."""
        trace = model.run(self.program(), trace=True).trace
        return trace.valid.all(axis=-1)

    def _groups(self, valid, cycle, stop, size):
        """Stream groups of `size` that are wholly valid at a stop in a cycle."""
        return [
            StreamGroup(size, direction, index)
            for d, direction in enumerate("EW")
            for index in range(self.config.streams // size)
            if cycle < len(valid) and valid[cycle, d, stop, index * size : (index + 1) * size].all()
        ]

    def _matrix(self, plane):
        """Load weights, install them, stream some vectors and accumulate them."""
        config, stop = self.config, plane.stop
        prefix = plane.name.removesuffix("ABC")
        least = Lw.least()
        formats = [d for d in STORAGE if not refusal(with_field(least, "dtype", d), config)]
        valid = self._valid()
        moments = [c for c in range(1, len(valid)) if self._groups(valid, c, stop, 1)]
        if not moments:
            return
        installed = None
        for _ in range(3):
            dtype = self.pick(formats)
            per = 16 // dtype.bytes
            loads, column = [], 0
            when = moments[self.rng.integers(len(moments))]
            streams = self._groups(valid, when, stop, 1)
            while column < config.vector:
                columns = min(per, config.vector - column)
                chosen = tuple(self.pick(streams) for _ in range(columns * dtype.bytes))
                later = [c for c in moments if c >= when and self._groups(valid, c, stop, 1)]
                loads.append(
                    Run(when - timing.LW_SAMPLE, Lw(column=column, dtype=dtype, streams=chosen))
                )
                column += columns
                nexts = [c for c in later if c > when]
                if column < config.vector and not nexts:
                    return
                if nexts:
                    when = nexts[0]
                    streams = self._groups(valid, when, stop, 1)
            at = loads[-1].start + timing.LW_BUFFER + int(self.rng.integers(3))
            if self._try({prefix + "LW": loads, prefix + "IW": [Run(at, Iw())]}):
                installed = at if installed is None else min(at, installed)
        if installed is None:
            return
        rows = min(4, config.acc_rows)
        latency = timing.array_latency(config) - timing.ACC_SAMPLE
        held = False
        written = set()
        for cycle in range(installed, len(valid) + 4):
            dtype = self.pick(formats)
            groups = self._groups(valid, cycle + timing.ABC_SAMPLE, stop, dtype.bytes)
            hold = held and bool(self.rng.integers(3) == 0)
            if not groups and not hold:
                continue
            source = self.pick(groups) if groups else SG1("E", 0)
            if source.size != dtype.bytes:
                dtype = DType.INT8
            count = int(self.rng.integers(0, config.vector + 1))
            abc = Abc(source=source, dtype=dtype, hold=hold, count=count)
            row = int(self.rng.integers(rows))
            mode = self.pick([AccMode.WRITE, AccMode.ADD]) if row in written else AccMode.WRITE
            emitted = self.pick(EMITTED)
            target = StreamGroup(
                emitted.bytes,
                self.pick("EW"),
                int(self.rng.integers(config.streams // emitted.bytes)),
            )
            acc = Acc(
                row=row,
                mode=mode,
                emit=bool(self.rng.integers(2)),
                dtype=emitted,
                target=target,
                count=int(self.rng.integers(0, config.vector + 1)),
            )
            more = {prefix + "ABC": [Run(cycle, abc)], prefix + "ACC": [Run(cycle + latency, acc)]}
            if self._try(more):
                held = True
                written.add(row)
            if written and self.rng.integers(4) == 0:
                again = Acc(
                    row=self.pick(sorted(written)),
                    mode=AccMode.KEEP,
                    emit=True,
                    dtype=emitted,
                    target=target,
                    count=config.vector,
                )
                self._try({prefix + "ACC": [Run(cycle + latency + 1, again)]})

    def _vector(self):
        """One vector operation, and perhaps a second one chained to it."""
        valid = self._valid()
        stop = self.plan.slice("VXM").stop
        moments = [c for c in range(1, len(valid)) if self._groups(valid, c, stop, 1)]
        if not moments:
            return
        when = self.pick(moments)
        wait = int(self.rng.integers(0, 6))
        alu = int(self.rng.integers(self.config.alus))
        first = self._operation(alu, valid, stop, when, wait)
        start = when - timing.VXM_SAMPLE
        if not self._try({f"VXM.{alu}": [Run(start, first)]}):
            return
        out = start + timing.vxm_result(self.config) + wait
        other = int(self.rng.integers(self.config.alus))
        groups = self._groups(valid, out, stop, self.pick((1, 2, 4)))
        b = self.pick(groups) if groups else IMM
        chained = self._build(other, Alu(alu), b, IMM, 0)
        self._try({f"VXM.{other}": [Run(out - timing.VXM_SAMPLE, chained)]})

    def _operation(self, alu, valid, stop, when, wait):
        size, late = self.pick((1, 2, 4)), self.pick(list(Late))
        early = self._groups(valid, when, stop, size) or self._groups(valid, when, stop, 1)
        waited = self._groups(valid, when + wait, stop, self.pick((1, 2, 4)))
        c = self._groups(valid, when + wait, stop, 1)
        pair = self.pick(early), self.pick(waited) if waited else IMM
        a, b = pair if late is Late.B else reversed(pair)
        return self._build(alu, a, b, self.pick(c) if c else IMM, wait, late)

    def _build(self, alu, a, b, c, wait, late=Late.B):
        special = alu < self.config.special_alus
        kinds = [op for op in VXM_OPS.values() if special or not op.special]
        if special and self.rng.integers(2):
            kinds = [op for op in kinds if op.special]  # which are few
        cls = self.pick(kinds)
        size = self.pick((1, 2, 4))
        target = StreamGroup(
            size, self.pick("EW"), int(self.rng.integers(self.config.streams // size))
        )
        given = {"a": a, "b": b, "c": c, "target": target, "wait": wait, "late": late, "imm": None}
        others = (info for info in cls.fields() if info.name not in given)
        extra = {info.name: info.codec.sample(self.rng) for info in others}
        numbers = [0, 1, 0xFFFFFFFF, 0x3F800000, 0xC0490FDB, 0x7F800000, 0x80000000, 77]
        return cls(**given | extra | {"imm": self.pick(numbers)})

    def _square(self):
        """Rows of as many streams as a superlane has lanes at an SXM, and their transposition."""
        config, where = self.config, self.pick(self._queues(Unit.SXM))
        direction = where.slice.hemisphere.outward
        first = 4 * int(self.rng.integers((config.streams - config.lanes) // 4 + 1))
        onto = 4 * int(self.rng.integers((config.streams - config.lanes) // 4 + 1))
        rows, arrive = int(self.rng.integers(1, 4)), self.plan.stops + timing.MEM_READ
        banks = self.rng.permutation(self._queues(Unit.MEM))[: config.lanes]
        runs = {
            bank.name: [
                Run(
                    arrive - abs(where.stop - bank.stop) - timing.MEM_READ,
                    Read(address=int(self.rng.integers(12)), stream=SG1(direction, first + i)),
                    *(rows, 1, 1),
                )
            ]
            for i, bank in enumerate(banks)
        }
        transpose = Transpose(source=SG1(direction, first), target=SG1(self.pick("EW"), onto))
        self._try(runs | {where.name: [Run(arrive - timing.SXM_SAMPLE, transpose, rows)]})

    def _exchange(self, queue):
        """One SXM instruction, and perhaps a second one in the next cycle."""
        valid = self._valid()
        moments = [c for c in range(1, len(valid)) if self._groups(valid, c, queue.stop, 1)]
        quads = [c for c in moments if self._groups(valid, c, queue.stop, 4)]
        if moments:
            when = self.pick(quads if quads and self.rng.integers(2) else moments)
            for cycle in (when, when + 1):
                if instruction := self._exchanged(valid, queue.stop, cycle):
                    self._try({queue.name: [Run(cycle - timing.SXM_SAMPLE, instruction)]})

    def _exchanged(self, valid, stop, cycle):
        """An SXM instruction that samples in `cycle`; None if there are no words for it."""
        found = {size: self._groups(valid, cycle, stop, size) for size in (1, 2, 4)}
        there = {group for groups in found.values() for group in groups}
        all_of_unit = (cls for cls in ISA.values() if cls.unit is Unit.SXM)
        kinds = [cls for cls in all_of_unit if not refusal(cls.least(), self.config)]
        for _ in range(_TRIES * len(kinds) if there else 0):
            instruction = self._drawn(self.pick(kinds), found)
            if instruction and {group for group, _ in instruction.samples(self.config)} <= there:
                return instruction
        return None

    def _drawn(self, cls, found):
        """An instruction of a class, mostly on groups that are found, by size; None if its fields
        do not go together.
        """
        size = self.pick([size for size in found if found[size]])
        values = {info.name: self._value(cls, info, size, found) for info in cls.fields()}
        try:
            instruction = cls(**values)
        except EncodingError:
            return None
        return None if refusal(instruction, self.config) else instruction

    def _value(self, cls, info, size, found):
        """A value of a field: stream groups have a size if they can, and numbers are in range."""
        codec, config = info.codec, self.config
        if isinstance(codec, Group | Operand):
            if getattr(codec, "optional", False) and self.rng.integers(2):
                return None
            sizes = getattr(codec, "sizes", (1, 2, 4))
            size = size if size in sizes else self.pick(sizes)
            if found[size] and self.rng.integers(2):
                return self.pick(found[size])
            step = max(1, getattr(codec, "step", 1) // size)
            index = step * int(self.rng.integers(max(1, config.streams // (size * step))))
            return StreamGroup(size, self.pick("EW"), index)
        if isinstance(codec, Signed):
            return int(self.rng.integers(-config.vector, config.vector))
        if isinstance(codec, Unsigned):
            return int(self.rng.integers(codec.low, largest(cls, config, info.name) + 1))
        return codec.sample(self.rng)

    def _write(self, queue):
        valid = self._valid()
        moments = [c for c in range(1, len(valid)) if self._groups(valid, c, queue.stop, 1)]
        if moments:
            when = self.pick(moments)
            stream = self.pick(self._groups(valid, when, queue.stop, 1))
            write = Write(address=int(self.rng.integers(WORDS)), stream=stream)
            self._try({queue.name: [Run(when - timing.MEM_SAMPLE, write)]})
