"""Reductions: a tree inside each superlane, and a chain over all of them."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tsp.hw.export import repeated, shared
from tsp.hw.sxm.combine import Combine, Leaf
from tsp.hw.sxm.delay import delayed


class Tree(wiring.Component):
    """Sum or maximum of the lanes of one superlane, in the order of a binary tree.

    Latency
    -------
    That of :class:`~tsp.hw.sxm.combine.Combine` a level, of which there are log2(lanes).

    Parameters
    ----------
    lanes : int
    deep : bool
        Whether pipelines are deep.

    Members
    -------
    enable : In(1)
    largest : In(1)
        The maximum is wanted and not the sum.
    kept : In(lanes)
        Lanes that are not masked.
    quad : In(8 * lanes).array(4)
    valid : Out(1)
    maximum : Out(1)
        What stands on `total` is a maximum.
    total : Out(32)
    """

    def __init__(self, *, lanes, deep=False):
        self.lanes, self.deep = lanes, deep
        super().__init__(
            {
                "enable": In(1),
                "largest": In(1),
                "kept": In(lanes),
                "quad": In(8 * lanes).array(4),
                "valid": Out(1),
                "maximum": Out(1),
                "total": Out(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        step, levels = Combine.latency(self.deep), self.lanes.bit_length() - 1
        cycles = step * levels
        valid = Signal(cycles)
        largest = Signal(cycles)
        m.d.sync += valid.eq(Cat(self.enable, valid))
        with m.If(self.enable | valid.any()):
            m.d.sync += largest.eq(Cat(self.largest, largest))
        m.d.comb += [self.valid.eq(valid[-1]), self.maximum.eq(largest[-1])]

        nodes = [Leaf(self.deep) for _ in range(self.lanes // 2)]
        m.submodules.leaves = repeated(platform, "sxm_leaf", nodes, Leaf.COMMON)
        for number, leaf in enumerate(nodes):
            pair = [word[16 * number : 16 * number + 16] for word in self.quad]
            m.d.comb += [leaf.kept.eq(self.kept[2 * number :]), Cat(leaf.pair).eq(Cat(pair))]
        first = Cat(self.enable, valid), Cat(self.largest, largest)
        for level in range(levels):
            for node in nodes:
                m.d.comb += [
                    node.work.eq(first[0][step * level : step * (level + 1)]),
                    node.largest.eq(first[1][step * level]),
                ]
            if len(nodes) == 1:
                break
            below, nodes = nodes, [Combine(self.deep) for _ in nodes[::2]]
            group = repeated(platform, "sxm_combine", nodes, Combine.COMMON)
            m.submodules[f"level{level + 1}"] = group
            for node, a, b in zip(nodes, below[::2], below[1::2], strict=True):
                m.d.comb += [node.a.eq(a.total), node.b.eq(b.total)]
        m.d.comb += self.total.eq(nodes[0].total)
        return m


class Total(wiring.Component):
    """The results of all superlanes combined from south to north, and returned to each.

    Tile i adds its result to that of the tiles below it, which takes the cycles of a
    :class:`~tsp.hw.sxm.combine.Combine`; the result of the last one comes down tile by tile and
    goes up again with the stagger.

    Latency
    -------
    None with one superlane. Else the results of superlane i in cycle t + i give the total of
    superlane j in cycle t + (combine + 1) (superlanes - 1) + 1 + j, `combine` cycles a sum.

    Parameters
    ----------
    superlanes : int
    deep : bool
        Whether pipelines are deep.

    Members
    -------
    valid, maximum : In(1).array(superlanes)
    part : In(32).array(superlanes)
        What the trees give.
    total : Out(32).array(superlanes)
    """

    def __init__(self, superlanes, deep=False):
        self.superlanes, self.deep = superlanes, deep
        super().__init__(
            {
                "valid": In(1).array(superlanes),
                "maximum": In(1).array(superlanes),
                "part": In(32).array(superlanes),
                "total": Out(32).array(superlanes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        if self.superlanes == 1:
            m.d.comb += self.total[0].eq(self.part[0])
            return m

        def later(name, valid, word, cycles):
            return delayed(m, platform, name, valid, word, cycles)

        cycles = Combine.latency(self.deep)
        # The first result waits a cycle, so that it meets that of superlane 1.
        valid, below = later("south", self.valid[0], self.part[0], 1)
        for i in range(1, self.superlanes):
            mine = Cat(self.part[i], self.maximum[i])
            valid, mine = later(f"wait{i}", self.valid[i], mine, (i - 1) * (cycles - 1))
            node, working = Combine(self.deep), Signal(cycles - 1, name=f"working{i}")
            m.submodules[f"node{i}"] = shared(platform, "sxm_node", node)
            m.d.sync += working.eq(Cat(valid, working))
            m.d.comb += [
                node.work.eq(Cat(valid, working)),
                node.largest.eq(mine[32]),
                node.a.eq(below),
                node.b.eq(mine[:32]),
            ]
            below = node.total
        stands = Signal()
        m.d.sync += stands.eq(working[-1])
        valid, word = later("down", stands, below, self.superlanes - 1)
        m.d.comb += self.total[0].eq(word)
        for j in range(1, self.superlanes):
            valid, word = later(f"up{j}", valid, word, 1)
            m.d.comb += self.total[j].eq(word)
        return m
