"""Kernels one after the other in one program: what one makes is moved to where the next reads it.

Each kernel has been scheduled for itself, from word 0 of every bank and from cycle 0 on. Its words
go behind those of the kernels before it, and its instructions issue after theirs; in between, the
rows of the result pass through the VXM on their way from bank to bank.
"""

from dataclasses import replace
from functools import reduce

from tsp.hw.errors import NO_PLAN, CapacityError, InputError
from tsp.hw.isa import SG1, Mov, Read, StreamGroup, Write
from tsp.sim.kernels.common import Kernel
from tsp.sim.kernels.rows import to_fp16
from tsp.sim.layout import Located, Place
from tsp.sim.program import assemble
from tsp.sim.schedule import Operation, Schedule

_WAYS = [(interval, wait) for interval in (1, 2, 3) for wait in range(interval)]
"""Cycles between rows, and by which they wait in the VXM.

A bank that is both read and written gives every row a cycle for each; with two such banks, two of
three waits may not do.
"""


def chain(first: Kernel, *others: Kernel) -> Kernel:
    """Run kernels one after the other on the chip: each takes what the one before has made.

    The operand `x` with which a kernel but the first was made plays no part, but for its shape.

    Parameters
    ----------
    first, *others : Kernel
        For the same config. The float16 result of each has the shape of the operand `x` of the
        next. Chains can be chained.

    Returns
    -------
    Kernel
        Its result is that of the last kernel, float16; its tolerance the sum of the tolerances.
        Its `shape` has, under "kernels", the name and shape of each.

    Raises
    ------
    ValueError
        For kernels of different configs, a result that is no operand of the next kernel, or a
        kernel that does not say where its operand or its result lies.
    CapacityError
        If a bank has no room for all of them.
    ProgramError
        If a queue has not.
    """
    return reduce(_joined, others, first)


def _joined(a, b):
    """Two kernels as one."""
    _check(a, b)
    config, name = a.program.config, f"{a.program.name}+{b.program.name}"
    moved = _Moved(a.program, b.program)
    source, result = moved.located(b.source), moved.located(b.result)
    runs = {queue: list(found) for queue, found in a.program.runs.items()}
    now = _end(runs)
    operations = [*a.program.operations]
    moves = copies(config, a.result, source)
    operations += _all_later(moves.operations, now)
    for queue, found in moves.runs.items():
        runs.setdefault(queue, []).extend(_later(run, now) for run in found)
    now += _end(moves.runs)
    operations += _all_later(b.program.operations, now, moved.run)
    for queue, found in b.program.runs.items():
        runs.setdefault(queue, []).extend(_later(moved.run(queue, run), now) for run in found)
    image = *a.program.image, *map(moved.words, b.program.image)
    outputs = tuple(map(moved.words, b.program.outputs))

    program = assemble(config, runs, image=image, outputs=outputs, name=name)
    if a.program.operations and b.program.operations:
        program.made_of(operations, _tensors(a.program, b.program, moved))

    def ideal():
        return b.apply(to_fp16(a.ideal()))

    return Kernel(
        program,
        b.unpack,
        lambda: to_fp16(ideal()),
        ideal,
        macs=a.macs + b.macs,
        shape={"kernels": (*_shapes(a), *_shapes(b))},
        tolerance=a.tolerance + b.tolerance,
        source=a.source,
        result=result,
        apply=a.apply and (lambda x: b.apply(to_fp16(a.apply(x)))),
    )


def _tensors(before, after, moved):
    """The tensors of both programs; what is between them is kept."""
    found = [replace(t, role="kept" if t.role == "output" else t.role) for t in before.tensors]
    if "+" not in before.name:  # no chain itself
        found = [replace(t, name=f"{t.name} of {before.name}") for t in found]
    for tensor in map(moved.words, after.tensors):
        role = "kept" if (tensor.name, tensor.role) == ("x", "input") else tensor.role
        found.append(replace(tensor, name=f"{tensor.name} of {after.name}", role=role))
    return found


def _check(a, b):
    """Refuse kernels of which one cannot follow the other."""
    before, after = a.program, b.program
    if before.config != after.config:
        raise InputError(
            f"kernels of a chain must be made for one config; {before.name} is for "
            f"{before.config.name}, and {after.name} for {after.config.name}"
            + (" with other fields" if before.config.name == after.config.name else "")
        )
    for name, where, what in ((before.name, a.result, "result"), (after.name, b.source, "operand")):
        if where is None:
            raise InputError(f"{name} does not say where its {what} lies, and cannot be chained")
    if a.result.shape != b.source.shape:
        raise InputError(
            f"{after.name} takes float16 {b.source.shape}, and {before.name} makes {a.result.shape}"
        )


def _shapes(kernel):
    """Name and shape of every kernel of a chain, or of one kernel."""
    return kernel.shape.get("kernels", ((kernel.program.name, kernel.shape),))


def _end(runs):
    """The cycle after the last issue of some queues; what is read from then on has been written."""
    return max((run.last + 1 for found in runs.values() for run in found), default=0)


def _later(run, cycles):
    return run._replace(start=run.start + cycles)


def _all_later(operations, cycles, move=None):
    """Operations and their starts, so many cycles later; `move` changes the runs of a queue."""
    return [(o.elsewhere(cycles, move), start + cycles) for o, start in operations]


class _Moved:
    """A program in words behind those that another one uses.

    Parameters
    ----------
    before, program : Program

    Raises
    ------
    CapacityError
        If a bank has no room for both.
    """

    def __init__(self, before, program):
        used, self._by = _extents(before), {}
        for bank, (first, last) in _extents(program).items():
            _, end = used.get(bank, (0, 0))
            self._by[bank] = by = max(0, end - first)
            if last + by > program.config.bank_words:
                raise CapacityError(
                    f"{program.name} uses {last - first} words of {bank}, and {before.name} leaves "
                    f"{program.config.bank_words - end}; use a larger config or smaller problems"
                )

    def run(self, queue, run):
        """A run of a queue, with its addresses moved."""
        if not isinstance(run.instruction, Read | Write):
            return run
        address = run.instruction.address + self._by[queue]
        return run._replace(instruction=replace(run.instruction, address=address))

    def words(self, words):
        """A block or a region, moved."""
        return replace(words, address=words.address + self._by[f"{words.slice}.{words.bank}"])

    def located(self, matrix):
        """Where a matrix lies, moved, or None if its kernel does not say."""
        if matrix is None:
            return None
        spans = (replace(span, place=self._place(span.place)) for span in matrix.spans)
        return Located(matrix.shape, tuple(spans))

    def _place(self, place):
        return Place(place.banks, tuple(at + self._by[bank.queue] for bank, at in place))


def _extents(program):
    """The first word that a program uses in every bank, and the one after the last."""
    used = {}

    def note(bank, first, last):
        low, high = used.get(bank, (first, last))
        used[bank] = min(low, first), max(high, last)

    for queue, runs in program.runs.items():
        for run in runs:
            if isinstance(run.instruction, Read | Write):
                first = run.instruction.address
                last = first + (run.count - 1) * run.stride
                note(queue, min(first, last), max(first, last) + 1)
    for block in program.image:
        note(f"{block.slice}.{block.bank}", block.address, block.address + len(block.data))
    for region in program.outputs:
        note(f"{region.slice}.{region.bank}", region.address, region.address + region.words)
    return used


# The copies


def copies(config, made, wanted):
    """The program that moves a matrix from where it was made to everywhere it is wanted.

    Parameters
    ----------
    config : Config
    made, wanted : Located
        Of one shape, and with no word in common.
    """
    schedule = Schedule(config)
    for number, (source, target, rows) in enumerate(_moves(made, wanted)):
        schedule.place(_copy(config, source, target, rows, number))
    return schedule.program()


def _moves(made, wanted):
    """``(source, target, rows)`` of all copies, both of them places of so many rows."""
    for target in wanted.spans:
        row = target.first
        while row < target.last:
            source = next(
                s for s in made.spans if s.tile == target.tile and s.first <= row < s.last
            )
            end = min(source.last, target.last)
            yield _rows_from(source, row), _rows_from(target, row), end - row
            row = end


def _rows_from(span, row):
    """The place of the rows of a span from `row` on."""
    addresses = (address + row - span.first for address in span.place.addresses)
    return Place(span.place.banks, tuple(addresses))


def _copy(config, source, target, rows, number):
    """The operation that moves rows, at the shortest interval that its banks allow."""
    for interval, wait in _WAYS:
        try:
            return _copy_every(config, source, target, rows, number, interval, wait)
        except NO_PLAN as error:
            refused = error
    raise refused


def _copy_every(config, source, target, rows, number, interval, wait):
    """The same with a row every so many cycles; copies take ALUs and streams in turn."""
    operation, vxm = Operation(config, f"copy {number}"), config.floorplan.slice("VXM").stop
    turn = number % min(config.alus, config.streams // 2)
    inward = StreamGroup(2, "E" if source.banks[0].stop < vxm else "W", turn)
    outward = StreamGroup(2, "W" if target.banks[0].stop < vxm else "E", turn)
    for stream, (bank, address) in zip(inward.streams, source, strict=True):
        single = SG1(inward.direction, stream)
        operation.read(bank.queue, address, single, vxm, 0, rows, interval)
    move = Mov(a=inward, target=outward, wait=wait)
    farthest = max((bank.stop for bank in target.banks), key=lambda stop: abs(stop - vxm))
    driven = operation.compute(f"VXM.{turn}", move, wait, farthest, rows, interval)
    for stream, (bank, address) in zip(outward.streams, target, strict=True):
        arrive = operation.arrival(vxm, bank.stop, driven)
        single = SG1(outward.direction, stream)
        operation.write(bank.queue, address, single, arrive, rows, interval)
    return operation
