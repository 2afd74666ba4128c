"""Programs that use what random ones left out: an instruction is made for a bin that is open."""

from dataclasses import replace

from tsp.hw.isa import (
    IMM,
    MNEMONICS,
    SG1,
    Abc,
    Acc,
    AccMode,
    Alu,
    DType,
    Iw,
    Lw,
    Mov,
    Nop,
    Read,
    Repeat,
    StreamGroup,
    Unit,
    timing,
)
from tsp.hw.isa.codecs import Choice, Flag, Group, Operand, Signed, StreamList
from tsp.hw.isa.rules import largest
from tsp.sim.coverage.bins import hits
from tsp.sim.program import Run
from tsp.sim.random_programs import WORDS, Generator

_TARGETS = ("target", "companion_target")
_SEA = 44  # cycles in which every bank drives a stream


class Directed(Generator):
    """A program in which words flow everywhere, and instructions for open bins among them.

    Parameters
    ----------
    config : Config
    seed : int
    wanted : set of Bin
        The open bins; what the program uses is removed from it.
    """

    def __init__(self, config, seed, wanted):
        super().__init__(config, seed)
        self.wanted = wanted
        self._sea()
        self._weights()
        self.valid = self._valid()
        self.closed = set()
        self._close()

    def close(self, tries):
        """Try so often to use an open bin."""
        options = sorted(self.wanted)
        for _ in range(tries):
            if not options:
                return self
            bin_ = options[self.rng.integers(len(options))]
            runs = self._placed(bin_)
            before = {name: list(own) for name, own in self.runs.items()}
            if runs and self._try(runs):
                if not self._close():
                    self.runs = before
                options = sorted(self.wanted)
        return self

    def _close(self):
        """Take what the program uses from the open bins; False if it no longer uses what it did.

        An instruction between two others may undo the Repeat of which they were part.
        """
        used = set(hits(self.program()))
        if not self.closed <= used:
            return False
        self.closed |= self.wanted & used
        self.wanted -= used
        return True

    def _sea(self):
        """Every bank drives a stream of its own for long; groups of four are side by side."""
        streams = self.config.streams
        first = {"E": 4 * int(self.rng.integers(streams // 4)), "W": 0}
        first["W"] = 4 * int(self.rng.integers(streams // 4))
        reads = {}
        # In half of the programs some queues stay free for other instructions, and in others all
        # words flow away from the VXM, so that they meet what stands at the ends.
        some_free, outward = bool(self.rng.integers(2)), bool(self.rng.integers(4) == 0)
        for queue in self._queues(Unit.MEM):
            if some_free and not self.rng.integers(3):
                continue
            west = queue.stop < self.plan.slice("VXM").stop
            direction = "W" if west == outward else "E"
            stream = SG1(direction, first[direction] % streams)
            first[direction] += 1
            address = int(self.rng.integers(WORDS))
            reads[queue.name] = [Run(0, Read(address=address, stream=stream), _SEA)]
        self._try(reads)

    def _weights(self):
        """Weights in every plane, and dot products in a row of its accumulator."""
        config, plan = self.config, self.plan
        valid = self._valid()
        for plane in self._queues(Unit.ABC):
            prefix = plane.name.removesuffix("ABC")
            when = plan.stops + 4
            streams = self._groups(valid, when, plane.stop, 1)
            if not streams:
                continue
            each = min(16, config.vector)
            loads = [
                Run(
                    when - timing.LW_SAMPLE + n,
                    Lw(
                        column=column,
                        dtype=DType.INT8,
                        streams=tuple(self.pick(streams) for _ in range(each)),
                    ),
                )
                for n, column in enumerate(range(0, config.vector, each))
            ]
            at = loads[-1].start + timing.LW_BUFFER + 1
            self._try({prefix + "LW": loads, prefix + "IW": [Run(at, Iw())]})

    def _placed(self, bin_):
        """Runs that use a bin, if there are words for them: by queue."""
        cls = MNEMONICS[bin_.instruction]
        if cls in (Nop, Repeat):
            return self._issue(cls, bin_)
        queues = [q for q in self._queues(cls.unit) if q.special or not cls.special]
        if bin_.aspect == "queue":
            queues = [q for q in queues if q.name == bin_.value]
        queue = self.pick(queues)
        cycle = int(self.rng.integers(self.plan.stops + 10, _SEA - 2))
        more = {}
        try:
            instruction = self._made(cls, bin_, queue, cycle, more)
        except ValueError:  # fields that do not go together, or no words for them
            return None
        count = int(self.rng.integers(2, 4)) if bin_.aspect in ("repeat", "stride") else 1
        count = 1 if bin_.value == "once" else count
        interval = 1
        if bin_.value == "spaced":  # two such issues are shorter without a Repeat
            count, interval = 3, 2
        stride = {"+": 1, "-": -1}.get(bin_.value, 0) if cls.strided else 0
        skew = cls.timing(self.config).skew or 0
        own = Run(cycle - skew, instruction, count, interval, stride)
        runs = {**more, queue.name: [*more.get(queue.name, []), own]}
        if cls is Acc:
            self._feed(runs, queue, own)
        return runs

    def _issue(self, cls, bin_):
        """NOP and Repeat come of when a read is issued, and how often."""
        queue = self.pick(self._queues(Unit.MEM))
        read = Read(address=8, stream=SG1(self.pick("EW"), 0))
        start = _SEA + (1 if bin_.value == "1" and cls is Nop else 3)
        if cls is Nop:
            return {queue.name: [Run(start, read)]}
        count = 2 if bin_ == (cls.mnemonic, "count", "1") else 4
        interval = 1 if bin_.value == "1" and bin_.aspect == "interval" else 3
        stride = {"+": 1, "-": -1}.get(bin_.value, 0) if bin_.aspect == "stride" else 0
        return {queue.name: [Run(start, read, count, interval, stride)]}

    def _feed(self, runs, queue, own):
        """Dot products for an ACC, and for the row that it adds to or emits again."""
        prefix = queue.name.removesuffix("ACC")
        latency = timing.array_latency(self.config) - timing.ACC_SAMPLE
        instruction = own.instruction
        cycles = [] if instruction.mode is AccMode.KEEP else list(own.cycles)
        if instruction.mode is not AccMode.WRITE:
            first = replace(instruction, mode=AccMode.WRITE, emit=False)
            start = own.start - (own.last - own.start) - 2
            before = own._replace(start=start, instruction=first)
            runs[queue.name].insert(0, before)
            cycles += before.cycles
        vectors = []
        for cycle in cycles:
            abc = cycle - latency
            sources = self._groups(self.valid, abc + timing.ABC_SAMPLE, queue.stop, 1)
            if sources:
                vector = Abc(source=self.pick(sources), dtype=DType.INT8, count=self.config.vector)
                vectors.append(Run(abc, vector))
        runs[prefix + "ABC"] = vectors

    def _made(self, cls, bin_, queue, cycle, more):
        """An instruction of that class that uses the bin, with operands that are there."""
        size = self._size(cls, bin_)
        fields = {}
        for info in cls.fields():
            want = bin_.value if info.name == bin_.aspect else None
            fields[info.name] = self._field(cls, info, want, size, queue.stop, cycle, more)
        if cls in (Abc, Lw) and self.config.datapath == "int8":
            fields["dtype"] = DType.INT8
        elif cls is Abc and fields["dtype"].bytes != fields["source"].size:
            if bin_.aspect == "dtype":
                fields["source"] = self._source(fields["dtype"].bytes, queue.stop, cycle, "")
            else:
                fields["dtype"] = DType.FP16 if fields["source"].size == 2 else DType.INT8
        if cls is Acc and bin_.aspect in ("target", "dtype", "count"):
            fields["emit"] = True
        if cls is Acc and fields["target"].size != fields["dtype"].bytes:
            if bin_.aspect == "dtype":
                fields["target"] = self._group(fields["dtype"].bytes, "")
            else:
                fields["dtype"] = DType.FP16 if fields["target"].size == 2 else DType.FP32
        if cls.mnemonic == "reduce":
            asked = bin_.aspect in ("companion", "companion_target")
            if bin_.value == "none" or (not asked and self.rng.integers(2)):
                fields |= {"companion": None, "companion_target": None}
        if (bin_.aspect, bin_.value) == ("stride", "-"):
            fields[cls.strided] = 2  # three issues reach 0
        return cls(**fields)

    def _size(self, cls, bin_):
        """The size of the groups that must agree with each other."""
        if bin_.value[:2] == "sg":
            return int(bin_.value[2])
        first = int(bin_.value[1:]) if bin_.value[1:].isdigit() else 0
        return self.pick([n for n in (1, 2, 4) if first % n == 0])

    def _field(self, cls, info, want, size, stop, cycle, more):
        codec, config = info.codec, self.config
        if isinstance(codec, Choice):
            return (
                next(m for m in codec.members if m.name.lower() == want)
                if want
                else (self.pick(codec.members))
            )
        if isinstance(codec, Flag):
            return want == "1" if want else False
        if isinstance(codec, StreamList):
            return self._list(want, stop, cycle)
        if isinstance(codec, Group | Operand):
            sizes = getattr(codec, "sizes", (1, 2, 4))
            size = size if size in sizes else self.pick(sizes)
            if cls.unit is Unit.VXM and info.name in "abc":
                if info.name not in cls.reads or want == "imm":
                    return IMM
                if want and want.startswith("alu"):
                    return self._other(int(want[3:]), cycle, more)
                if not want and self.rng.integers(2):
                    return IMM
            if want == "none":
                return None
            if info.name in _TARGETS or (cls is Read and info.name == "stream"):
                return self._group(size, want or "", getattr(codec, "step", 1))
            if cls.mnemonic == "reduce" and info.name == "source":
                size = 4
            return self._source(size, stop, cycle, want or "")
        return self._number(cls, info, want, config)

    def _number(self, cls, info, want, config):
        """A number of the class that is wanted; the bins say which there are."""
        if isinstance(info.codec, Signed):
            low, high = 1 - config.vector, config.vector - 1
        else:
            low, high = info.codec.low, largest(cls, config, info.name)
        if info.name == "address":
            high = WORDS - 1  # as many as the image has
        if want == "all ones":
            return high
        if want and want.startswith("in superlane"):
            first = int(want.split()[-1]) * config.lanes
            return first + int(self.rng.integers(1, config.lanes))
        if want and want.isdigit():
            return int(want)
        if want in ("north", "south"):
            value = int(self.rng.integers(1, config.vector))
            return value if want == "north" else -value
        if info.name in ("wait", "column") and want is None:
            return 0
        return int(self.rng.integers(low + (want == "between"), high + (want != "between")))

    def _group(self, size, want, step=1):
        """A stream group that is driven: of a size and direction, or one lowest stream."""
        if want[1:].isdigit():
            return StreamGroup(size, want[0], int(want[1:]) // size)
        direction = want[-1] if want else self.pick("EW")
        step = max(1, step // size)
        index = step * int(self.rng.integers(max(1, self.config.streams // (size * step))))
        return StreamGroup(size, direction, index)

    def _source(self, size, stop, cycle, want):
        """A group that carries words at a stop in a cycle; ``ValueError`` if none does."""
        groups = self._groups(self.valid, cycle, stop, size)
        if want[1:].isdigit():
            groups = [g for g in groups if (g.direction, g.first) == (want[0], int(want[1:]))]
        elif want:
            groups = [g for g in groups if g.direction == want[-1]]
        if not groups:
            raise ValueError(f"no words for a group of {size} at stop {stop}")
        return self.pick(groups)

    def _list(self, want, stop, cycle):
        groups = self._groups(self.valid, cycle, stop, 1)
        if want in ("E", "W"):
            groups = [g for g in groups if g.direction == want]
        if not groups:
            raise ValueError(f"no words at stop {stop}")
        many = int(want.split()[0]) if want and want.endswith("streams") else 2
        return tuple(self.pick(groups) for _ in range(many))

    def _other(self, alu, cycle, more):
        """The output of an ALU that moves an immediate so that it is there in time."""
        move = Mov(a=IMM, imm=0x3F80_0000 + int(self.rng.integers(1 << 20)))
        more[f"VXM.{alu}"] = [Run(cycle - timing.vxm_result(self.config), move)]
        return Alu(alu)
