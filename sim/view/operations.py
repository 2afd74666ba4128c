"""The operations of any program: those that it was made of, or what its words join."""

from collections import defaultdict

import numpy as np

from tsp.hw.isa import Unit
from tsp.sim.program import Program, Run
from tsp.sim.schedule import Operation
from tsp.sim.schedule import resource as res
from tsp.sim.schedule.columns import Runs
from tsp.sim.schedule.flows import flows


def operations(program: Program) -> list[tuple[Operation, int]]:
    """Operations and their start cycles, in the order of placing.

    A program that knows none is taken apart: issues between which words, results or sums flow are
    rigid, and all such groups that issue from the same runs are one operation. They are in the
    order of their starts.
    """
    return list(program.operations) or _joined(program)


class _Found(Operation):
    """An operation that was found in a program, which may be wrong: it refuses nothing."""

    def issue(self, queue, instruction, cycle, count=1, interval=1, stride=0):
        self.claim(res.issue_slot(queue), cycle, res.comb(count, interval))
        self.runs.append((queue, Run(cycle, instruction, count, interval, stride)))

    def _drive(self, group, source, target, cycle, pattern):
        if source != target:  # what leaves the chip at once takes no register
            super()._drive(group, source, target, cycle, pattern)

    def _take(self, resource, mask):
        self.claims[resource] = self.claims.get(resource, 0) | mask


def _joined(program):
    config = program.config
    runs = Runs(config, ((q, run, -1) for q, found in program.runs.items() for run in found))
    if not len(runs):
        return []
    run, nth, cycle = runs.issues()
    found = flows(runs)
    part = _parts(len(run), found.maker, found.user)
    installs = np.array([i.unit is Unit.IW for i in runs.instructions])
    # Installing weights is a thing for itself, however regularly a program does it.
    operation = _alike(part, np.where(installs[run], len(runs) + np.arange(len(run)), run))
    hops = _hops(len(run), found)
    made = defaultdict(list)
    for first, count, step in _combs(operation, run, nth, _numbered(hops)):
        made[operation[first]].append((first, count, step))
    result = []
    for combs in made.values():
        combs.sort(key=lambda comb: cycle[comb[0]])
        start = int(cycle[combs[0][0]])
        operation = _Found(config, "")
        for first, count, step in combs:
            _perform(operation, runs, run[first], nth[first], cycle[first] - start, count, step,
                     hops[first])  # fmt: skip
        operation.name = _name(operation)
        result.append((operation, start))
    return sorted(result, key=lambda item: item[1])


def _parts(size, one, other):
    """A label for each of `size` things; those that pairs join have the same."""
    label = np.arange(size)
    while True:
        low = np.minimum(label[one], label[other])
        before = label.copy()
        np.minimum.at(label, label[one], low)
        np.minimum.at(label, label[other], low)
        while not np.array_equal(label, label[label]):
            label = label[label]
        if np.array_equal(before, label):
            return label


def _alike(part, run):
    """A number for every issue; parts that issue from the same runs share it."""
    pairs = np.unique(np.stack([part, run]), axis=1)
    edges = np.flatnonzero(np.diff(pairs[0], prepend=-1))
    known, number = {}, np.zeros(len(part), int)
    for first, last in zip(edges, [*edges[1:], pairs.shape[1]], strict=True):
        key = pairs[1, first:last].tobytes()
        number[pairs[0, first]] = known.setdefault(key, len(known))
    return number[part]


def _hops(size, found):
    """How far what each issue drives is used: an entry for every drive of its instruction."""
    hops = np.zeros((size, found.drive.max(initial=0) + 1), np.uint8)
    leaves = found.drive >= 0
    np.maximum.at(hops, (found.maker[leaves], found.drive[leaves]), found.hops[leaves])
    return hops


def _numbered(rows):
    """A number for every row of a matrix; equal ones have the same."""
    number = np.zeros(len(rows), int)
    for column in rows.T:
        number = np.unique(number * 256 + column, return_inverse=True)[1]
    return number


def _combs(operation, run, nth, reach):
    """``(issue, count, step)``: issues of one operation and run, evenly apart, equally far used."""
    order = np.lexsort((nth, run, operation))
    key = np.stack([operation[order], run[order], reach[order]])
    new = np.ones(len(order), bool)
    new[1:] = (key[:, 1:] != key[:, :-1]).any(axis=0)
    edges = np.flatnonzero(new)
    for first, last in zip(edges, [*edges[1:], len(order)], strict=True):
        position = nth[order[first:last]]
        while len(position):
            step = int(position[1] - position[0]) if len(position) > 1 else 1
            apart = np.flatnonzero(np.diff(position) != step)
            count = int(apart[0]) + 1 if len(apart) else len(position)
            yield int(order[first]), count, step
            first, position = first + count, position[count:]


def _perform(operation, runs, of, nth, at, count, step, hops):
    """Let an operation perform `count` issues of run `of`, each `step`-th from issue `nth` on."""
    config, instruction = operation.config, runs.instructions[of]
    queue, stride = config.floorplan.queues[runs.queue[of]], int(runs.stride[of])
    if stride and instruction.strided:
        before = int(runs.value[of])
        size = 1 << instruction.field(instruction.strided).width
        instruction = instruction.strided_by((before + int(nth) * stride) % size - before)
    ends = {}
    for number, (group, _) in enumerate(instruction.drives(config)):
        far = hops[number] if number < len(hops) else 0  # of the last ones nobody uses any
        step_on = max(1, int(far)) * (1 if group.direction == "E" else -1)
        ends[group] = min(max(queue.stop + step_on, 0), config.floorplan.stops - 1)
    many = count > 1
    operation.perform(
        queue.name,
        instruction,
        int(at),
        None,
        count,
        int(runs.interval[of]) * step if many else 1,
        stride * step if many else 0,
        ends,
    )


def _name(operation):
    """What an operation does, in words: its instructions but for reads and writes, and where."""
    plan, acts, moves = operation.config.floorplan, {}, {}
    for queue, run in operation.runs:
        where = plan.queue(queue)
        kind = moves if where.unit is Unit.MEM else acts
        kind.setdefault(run.instruction.mnemonic, {})[where.slice.name] = None
    named = acts or moves
    return "; ".join(f"{name} in {', '.join(places)}" for name, places in named.items())
