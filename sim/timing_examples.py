"""The worked examples of docs/timing.md: small programs, run on the golden model, then drawn.

Each example is a function that returns a :class:`~tsp.sim.waves.Diagram`.
"""

import numpy as np

from tsp.hw.config import preset
from tsp.hw.isa import (
    IMM,
    SG1,
    SG4,
    Abc,
    Acc,
    AccMode,
    AddF,
    Alu,
    DType,
    Lw,
    MulF,
    Nop,
    Read,
    Repeat,
    Write,
    timing,
)
from tsp.hw.isa.vxm import Late
from tsp.sim.asm import format_instruction
from tsp.sim.golden.queues import issues
from tsp.sim.program import Block, Region
from tsp.sim.schedule import Operation, Schedule
from tsp.sim.waves import INSIDE, ISSUE, SUM, WORD, Diagram, Recording, first, later


def _words(config, count, seed=0):
    """Random words, uint8 (count, vector)."""
    return np.random.default_rng(seed).integers(1, 100, (count, config.vector), np.uint8)


def _move(config, source, target, stream, words):
    """The program that copies words from bank `source` to bank `target`, and its data."""
    operation = Operation(config, "copy")
    start = config.floorplan.queue(source).stop
    end = config.floorplan.queue(target).stop
    arrive = timing.MEM_READ + abs(end - start)
    operation.read(source, 0, stream, end, arrive, words)
    operation.write(target, 0, stream, arrive, words)
    schedule = Schedule(config)
    schedule.fix(operation, 0)
    data = _words(config, words)
    (name, bank), (to, other) = source.split("."), target.split(".")
    image, outputs = [Block(name, int(bank), 0, data)], [Region(to, int(other), 0, words)]
    return schedule.program(image, outputs, "copy"), data


def copy():
    """A read, hops, and a write."""
    config, stream = preset("small"), SG1("E", 7)
    source, target = "MEM_W1.0", "MEM_E5.1"
    program, data = _move(config, source, target, stream, 2)
    run = Recording(program, {data[0].tobytes(): "v", data[1].tobytes(): "w"})
    reads, writes = run.issued(source), run.issued(target)
    start, end = (config.floorplan.queue(name).stop for name in (source, target))
    driven = run.arriving(stream, start + 1, -1)
    arrives = run.arriving(stream, end)
    rows = [
        (f"{source} issues", reads),
        (f"{source} SRAM is read", later(reads, timing.MEM_BANK, INSIDE, "mem")),
        (f"driven at stop {start}", later(driven, 0, SUM)),
        *((f"e7 arrives at stop {s}", run.arriving(stream, s)) for s in range(start + 1, end + 1)),
        (f"{target} issues", writes),
        (f"{target} SRAM is written", later(writes, timing.MEM_BANK, INSIDE, "mem")),
        ("cycle counter counts", run.counting()),
    ]
    steps = [
        f"`{source}`, at stop {start}, issues the read of `v` in cycle {first(reads)} and that of "
        f"`w` in the next.",
        f"A read drives {timing.MEM_READ} cycles after issue: `v` is driven in cycle "
        f"{first(driven)}.",
        f"It is {end - start} hops from stop {start} to stop {end}: `v` arrives in cycle "
        f"{first(driven)} + {end - start} = {first(arrives)}.",
        f"A write samples {timing.MEM_SAMPLE} cycle after issue, so it is issued in cycle "
        f"{first(writes)}; it touches SRAM in cycle {first(writes) + timing.MEM_BANK}.",
        f"The last write is issued in cycle {max(writes)} and touches SRAM in cycle "
        f"{max(writes) + timing.MEM_BANK}, so the program takes {run.cycles} cycles, "
        f"0 to {run.cycles - 1}.",
    ]
    return Diagram("Two words from MEM_W1 to MEM_E5 (small)", rows, steps)


def stagger():
    """The same on four superlanes, each one cycle behind the one below it."""
    config, stream = preset("base"), SG1("E", 7)
    source, target = "MEM_W1.0", "MEM_E5.1"
    program, data = _move(config, source, target, stream, 1)
    run = Recording(program, {data[0].tobytes(): "v"})
    reads, writes = run.issued(source), run.issued(target)
    stop = config.floorplan.queue(source).stop + 1
    tiles = range(config.superlanes)
    rows = [(f"tile {i} of {source}: read", later(reads, i, ISSUE)) for i in tiles]
    rows += [(f"superlane {i} of e7 at stop {stop}", run.arriving(stream, stop, i)) for i in tiles]
    landing = timing.MEM_BANK
    rows += [
        (f"tile {i} of {target}: SRAM", later(writes, landing + i, INSIDE, "mem")) for i in tiles
    ]
    rows.append(("cycle counter counts", run.counting()))
    last, issued = config.superlanes - 1, max(writes)
    steps = [
        f"The read is issued to tile 0 in cycle {first(reads)} and reaches tile {last} in cycle "
        f"{first(reads) + last}.",
        f"Superlane 0 of the word arrives at stop {stop} in cycle "
        f"{first(run.arriving(stream, stop))}, and superlane {last} in cycle "
        f"{first(run.arriving(stream, stop)) + last}.",
        f"The write, issued in cycle {issued}, meets each superlane as it passes; tile {last} "
        f"touches its SRAM in cycle {issued} + {landing} + {last} = {issued + landing + last}.",
        f"The program therefore takes {run.cycles} cycles.",
    ]
    return Diagram("One word on four superlanes (base)", rows, steps)


def _stop(queue):
    """Stop of a queue of `small`."""
    return preset("small").floorplan.queue(queue).stop


class _Matrix:
    """A matrix product on plane MXM_W.0 of `small`: one LW per tile, rows back to back."""

    plane, target = "MXM_W.0", SG4("E", 0)
    units = ("LW", "IW", "ABC", "ACC")

    def __init__(self, tiles, rows):
        self.config = config = preset("small")
        self.tiles, self.rows = tiles, rows
        plan, lanes = config.floorplan, config.vector
        rng = np.random.default_rng(1)
        self.a = rng.integers(-128, 128, (tiles * rows, lanes)).astype(np.int8)
        self.b = rng.integers(-128, 128, (tiles, lanes, lanes)).astype(np.int8)
        self.stop = plan.queue(f"{self.plane}.LW").stop
        # Column n of every tile is in bank n; the rows of A are in a bank of the other hemisphere.
        self.banks = [f"MEM_W{n // 2}.{n % 2}" for n in range(lanes)]
        self.feed, self.store = "MEM_E0.0", [f"MEM_E{n}.1" for n in range(4)]
        self.images = [
            Block(bank.split(".")[0], int(bank[-1]), 0, self.b[:, :, n].view(np.uint8))
            for n, bank in enumerate(self.banks)
        ]
        self.images.append(Block("MEM_E0", 0, 0, self.a.view(np.uint8)))
        self.outputs = [Region(s.split(".")[0], 1, 0, tiles * rows) for s in self.store]

    def record(self):
        """Schedule it so that the last tile's weights load while rows still flow, and run it."""
        schedule, config, start = Schedule(self.config), self.config, 0
        lw = Lw(column=0, dtype=DType.INT8, streams=tuple(SG1("W", n) for n in range(16)))
        source = SG1("W", 16)
        abc = Abc(source=source, dtype=DType.INT8, count=config.vector)
        for tile in range(self.tiles):
            load = Operation(config, f"weights {tile}")
            ready = load.load(self.plane, lw, 0)
            arrive = lw.timing(config).skew
            for n, bank in enumerate(self.banks):
                load.read(bank, tile, SG1("W", n), self.stop, arrive)
            start = max(start, schedule.place(load, max(0, start - ready)) + ready)

            work = Operation(config, f"rows {tile}")
            work.install(self.plane, 0, used=self.rows)
            row = tile * self.rows
            arrive = abc.timing(config).skew
            work.read(self.feed, row, source, self.stop, arrive, self.rows)
            stands = work.multiply(self.plane, abc, 0, self.rows)
            acc = Acc(row=row, mode=AccMode.WRITE, emit=True, dtype=DType.INT32,
                      target=self.target, count=config.vector)  # fmt: skip
            far = config.floorplan.queue(self.store[0]).stop
            driven = work.accumulate(self.plane, acc, stands, far, self.rows)
            for stream, bank in zip(self.target.streams, self.store, strict=True):
                arrive = work.arrival(self.stop, config.floorplan.queue(bank).stop, driven)
                work.write(bank, row, SG1("E", stream), arrive, self.rows)
            start = schedule.place(work, start) + self.rows
        program = schedule.program(self.images, self.outputs, "matrix")
        return self.check(Recording(program, self.names()))

    def names(self):
        """a0, a1, ... for rows of A, c0, c1, ... for rows of the result."""
        names = {row.tobytes(): f"a{n}" for n, row in enumerate(self.a)}
        for n, row in enumerate(self.product()):
            names[row.view(np.uint8).reshape(-1, 4).T.tobytes()] = f"c{n}"
        return names

    def product(self):
        """The result by numpy."""
        a = self.a.reshape(self.tiles, self.rows, -1).astype(np.int32)
        return (a @ self.b.astype(np.int32)).reshape(self.tiles * self.rows, -1)

    def check(self, run):
        """The run, whose result must be that of numpy."""
        raw = np.ascontiguousarray(np.stack(run.outputs, axis=-1))
        if not np.array_equal(raw.view(np.int32)[..., 0], self.product()):
            raise RuntimeError("the result of the example differs from numpy's")
        return run

    def common(self, run):
        """The rows shown by both matrix diagrams."""
        plane, stop = self.plane, self.stop
        abc = run.issued(f"{plane}.ABC")
        rows = {c: (f"a{n}", ISSUE) for n, c in enumerate(sorted(abc))}
        sums = later(rows, timing.array_latency(self.config), INSIDE)
        emitted = run.arriving(self.target, stop + 1, -1)
        loads = {c: (f"W{n}", ISSUE) for n, c in enumerate(sorted(run.issued(f"{plane}.LW")))}
        installs = {c: (f"W{n}", ISSUE) for n, c in enumerate(sorted(run.issued(f"{plane}.IW")))}
        return [
            ("LW issues", loads),
            ("in the spare buffer from", later(loads, timing.LW_BUFFER, INSIDE)),
            ("IW issues", installs),
            (f"w16 arrives at stop {stop}", run.arriving(SG1("W", 16), stop)),
            ("ABC issues", rows),
            ("dot products ready", sums),
            (
                "ACC issues",
                later(rows, timing.array_latency(self.config) - timing.ACC_SAMPLE, ISSUE),
            ),
            (f"driven at stop {stop}", later(emitted, 0, SUM)),
            (f"e0-e3 arrive at stop {stop + 1}", run.arriving(self.target, stop + 1)),
        ]


def tile():
    """One tile: weights are read, loaded and installed, three rows meet them, sums are emitted."""
    matrix = _Matrix(1, 3)
    run = matrix.record()
    inner, outer, store = matrix.banks[0], matrix.banks[-1], matrix.store[0]
    rows = [
        (f"{inner} issues", run.issued(inner)),
        (f"{outer} issues", run.issued(outer)),
        (f"{matrix.feed} issues", run.issued(matrix.feed)),
        *matrix.common(run),
        (f"{store} issues", run.issued(store)),
        ("cycle counter counts", run.counting()),
    ]
    load, install, abc, acc = (first(run.issued(f"{matrix.plane}.{u}")) for u in matrix.units)
    latency, emit = timing.array_latency(matrix.config), timing.acc_emit(matrix.config)
    writes = run.issued(store)
    steps = [
        f"Sixteen banks read the sixteen weight columns so that they all arrive at stop "
        f"{matrix.stop} in cycle {load + timing.LW_SAMPLE}: `{inner}`, "
        f"{_stop(inner) - matrix.stop} hops away, "
        f"issues in cycle {first(run.issued(inner))}, `{outer}`, "
        f"{_stop(outer) - matrix.stop} hops away, in cycle {first(run.issued(outer))}.",
        f"One LW, issued in cycle {load}, loads them; an IW may follow {timing.LW_BUFFER} cycles "
        f"later, in cycle {install}.",
        f"The first ABC is issued in the same cycle as the IW, {abc}, and already meets the new "
        f"weights; it samples `a0` in cycle {abc + timing.ABC_SAMPLE}.",
        f"Its dot products are ready in cycle {abc} + {latency} = {abc + latency}; the ACC that "
        f"takes them is issued {timing.ACC_SAMPLE} cycles earlier, in cycle {acc}.",
        f"The ACC drives {emit} cycles after issue, in cycle {acc + emit}.",
        f"The results pass `{store}`, {_stop(store) - matrix.stop} hops away, from cycle "
        f"{first(writes) + timing.MEM_SAMPLE} on, and are written there.",
        f"The program takes {run.cycles} cycles.",
    ]
    return Diagram("One tile of weights and three rows (small)", rows, steps)


def switch():
    """Two tiles: the second loads while rows meet the first, and takes over without a bubble."""
    matrix = _Matrix(2, 4)
    run = matrix.record()
    load, install, abc, _ = (sorted(run.issued(f"{matrix.plane}.{u}")) for u in matrix.units)
    steps = [
        f"`W0` is installed in cycle {install[0]}; the ABCs of rows `a0` to `a3` issue in cycles "
        f"{abc[0]} to {abc[3]}.",
        f"The LW of `W1` is issued in cycle {load[1]}, {timing.LW_BUFFER} cycles before the IW of "
        f"cycle {install[1]}.",
        f"The ABC of `a4` issues in the same cycle as that IW, {abc[4]}, and meets `W1`; that of "
        f"`a3`, one cycle earlier, still meets `W0`.",
        f"An ABC is therefore issued in each of the {len(abc)} cycles {abc[0]} to {abc[-1]}.",
    ]
    return Diagram("A switch of weights without a bubble (small)", matrix.common(run), steps)


def chain():
    """y = x * s + x in the VXM: the second ALU holds x until the product is ready."""
    config, result = preset("small"), SG4("E", 1)
    plan, source = config.floorplan, SG4("E", 0)
    vxm = plan.slice("VXM").stop
    scale = np.float32(0.5)
    multiply = MulF(a=source, b=IMM, imm=int(scale.view(np.uint32)))
    times = multiply.timing(config)
    latency = times.func - times.skew
    add = AddF(a=Alu(0), b=source, late=Late.A, wait=latency, target=result)

    operation = Operation(config, "y = x * s + x")
    sample = timing.MEM_READ + vxm - plan.queue("MEM_W0.0").stop
    x = np.arange(1, 1 + config.vector, dtype=np.float32)
    planes = x.view(np.uint8).reshape(-1, 4).T
    for stream in source.streams:
        operation.read(f"MEM_W{stream}.0", 0, SG1("E", stream), vxm, sample)
    stands = operation.compute("VXM.0", multiply, sample)
    driven = operation.compute("VXM.1", add, stands, plan.queue("MEM_E0.0").stop)
    for byte, stream in enumerate(result.streams):
        bank = f"MEM_E{byte}.0"
        arrive = operation.arrival(vxm, plan.queue(bank).stop, driven)
        operation.write(bank, 0, SG1("E", stream), arrive)
    schedule = Schedule(config)
    schedule.fix(operation, 0)
    image = [Block(f"MEM_W{n}", 0, 0, planes[n : n + 1].copy()) for n in range(4)]
    program = schedule.program(image, [Region(f"MEM_E{n}", 0, 0, 1) for n in range(4)], "chain")
    y = x * scale + x
    names = {planes.tobytes(): "x", y.view(np.uint8).reshape(-1, 4).T.tobytes(): "y"}
    run = Recording(program, names)
    arrived, stop = run.arriving(source, vxm), vxm + 1
    holds = dict.fromkeys(range(sample + 1, stands + 1), ("x", "."))
    holds[sample + 1] = ("x", INSIDE)
    rows = [
        ("MEM_W0.0 issues", run.issued("MEM_W0.0")),
        (f"e0-e3 arrive at stop {vxm}", arrived),
        ("VXM.0 issues x * s", run.issued("VXM.0")),
        ("VXM.1 issues alu0 + x", run.issued("VXM.1")),
        ("VXM.1 holds x", holds),
        ("x * s at output of ALU 0", later(arrived, latency, INSIDE, "x*s")),
        (f"driven at stop {vxm}", later(run.arriving(result, stop, -1), 0, SUM)),
        (f"e4-e7 arrive at stop {stop}", run.arriving(result, stop)),
        ("cycle counter counts", run.counting()),
    ]
    issued, takes = first(run.issued("VXM.0")), timing.vxm_result(config)
    steps = [
        f"Four banks at stop {plan.queue('MEM_W0.0').stop} read the four bytes of `x`, which "
        f"arrive at stop {vxm} in cycle {sample}.",
        f"Both ALUs issue in cycle {issued} and sample `x` in cycle {issued} + "
        f"{timing.VXM_SAMPLE}.",
        f"The product is at the output of ALU 0 in cycle {issued} + {takes} = "
        f"{stands}, and only in that cycle.",
        f"`{format_instruction(add)}` samples its late operand, a, {add.wait} cycles late, in "
        f"cycle {stands}; in the meantime `x` waits in the ALU.",
        f"The sum is driven in cycle {issued} + {takes} + {add.wait} = {driven}.",
    ]
    return Diagram("y = x * s + x, with an operand that waits (small)", rows, steps)


def climb():
    """Why dot products take 2(T-1) more cycles: up to the last superlane, back to the first."""
    config = preset("base")
    last, latency = config.superlanes - 1, timing.array_latency(config)
    alone = latency - 2 * last  # of a core with one superlane
    rows = []
    for i in range(config.superlanes):
        events = {
            i: ("abc", ISSUE),
            i + timing.ABC_SAMPLE: (f"a[{i}]", WORD),
            i + alone - 1: (f"sum{i}", INSIDE),
        }
        rows.append((f"tile {i}: sum over superlanes 0 to {i}" if i else "tile 0", events))
    for j in range(config.superlanes):
        rows.append((f"dot products of superlane {j}", {latency + j: ("dot", SUM)}))
    steps = [
        f"Tile i samples its part of the vector in cycle {timing.ABC_SAMPLE} + i, and its sum, "
        f"added to that of the tiles below, is ready in cycle {alone - 1} + i.",
        f"The sum over all superlanes is ready at tile {last} in cycle {alone - 1 + last}, for all "
        f"columns at once.",
        f"It takes one cycle to become one fixed-point number and {last} cycles to return to "
        f"superlane 0, whose dot products are therefore ready in cycle {latency}.",
        "Those of superlane j are ready j cycles later: the result is staggered again.",
    ]
    return Diagram("One vector through an array of four superlanes (base)", rows, steps)


def repeat():
    """A queue with a Repeat and a NOP: the word at its head, and what it issues."""
    config = preset("small")
    queue = config.floorplan.queue("MEM_W0.0")
    words = (
        Read(address=5, stream=SG1("E", 7)),
        Repeat(count=3, interval=2, stride=1),
        Nop(count=2),
        Write(address=9, stream=SG1("E", 7)),
    )
    head, issued, now = {}, {}, 0
    for n, word in enumerate(words):
        end = max(cycle for cycle, *_ in issues(config, queue, words[: n + 1])) + 1
        head |= dict.fromkeys(range(now, end), ("", "."))
        head[now] = (word.mnemonic, INSIDE)
        now = end
    for cycle, instruction, value, _ in issues(config, queue, words):
        if value is not None:
            issued[cycle] = (f"{instruction.mnemonic[0]} {value}", ISSUE)
    *repeated, after = sorted(issued)
    steps = [
        f"The read is issued in cycle {repeated[0]}, its repetitions in cycles "
        f"{', '.join(map(str, repeated[1:]))}, with addresses "
        f"{', '.join(issued[c][0][2:] for c in repeated[1:])}.",
        f"The NOP takes cycles {repeated[-1] + 1} to {after - 1}; the write is issued in cycle "
        f"{after}.",
        f"The queue has issued everything after {now} cycles.",
    ]
    text = "; ".join(format_instruction(word) for word in words[1:3])
    return Diagram(f"read 5; {text}; write 9", [("head", head), ("issues", issued)], steps)


EXAMPLES = (copy, stagger, tile, switch, climb, chain, repeat)
"""The functions above, in the order of the page; each figure is named after its function."""
