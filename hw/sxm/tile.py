"""One superlane of an SXM unit."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tsp.hw import isa
from tsp.hw.export import repeated
from tsp.hw.isa import Unit, timing
from tsp.hw.stream import InstructionLayout, Issue, Quad, StreamRow
from tsp.hw.sxm.delay import delayed
from tsp.hw.sxm.exchange import Crossing, crossing
from tsp.hw.sxm.local import KINDS, LocalWord
from tsp.hw.sxm.operands import GroupSelect, Reader, is_valid, mask_of, valid_bits
from tsp.hw.sxm.reduce import Tree


class Place(data.Struct):
    """Where a result goes: streams of a quad."""

    quad: 3
    westward: 1
    mask: 4


class Wanted(data.Struct):
    """The operands of an instruction.

    Members
    -------
    source : a group; `all` : as many streams as there are lanes from its first on, in quads
    second, has_second : a second group
    map, has_map : a map of lanes
    """

    source: GroupSelect
    all: 1
    second: GroupSelect
    has_second: 1
    map: GroupSelect
    has_map: 1


class Told(data.Struct):
    """What is to be done with the operands that stand.

    Members
    -------
    local, kind, spread : an operation inside the superlane, which, and whether on all quads
    three : it rotates 3 x 3 lanes
    crosses, crossing : one that crosses superlanes, and which
    reduces, largest, accompanied : a reduction, whether to the maximum, and with a companion
    """

    local: 1
    kind: 3
    spread: 1
    three: 1
    crosses: 1
    crossing: Crossing
    reduces: 1
    largest: 1
    accompanied: 1


class SxmTile(wiring.Component):
    """One superlane of an SXM unit.

    What crosses superlanes leaves through `crosses` and comes back through `exchanged`; a reduction
    leaves through `part` and comes back through `total`.

    Latency
    -------
    An instruction in `issue` in cycle t is at `north` in cycle t + 1, in which its operands are
    sampled, and drives as the timing table says.

    Parameters
    ----------
    config : Config

    Members
    -------
    issue, north : Issue(SXM)
        An instruction, and the same for the next tile.
    first : In(10)
        Number of the first lane of this superlane.
    east, west : In(StreamRow)
    crosses : Out(1)
        The words of an operation that crosses superlanes stand in this cycle.
    crossing : Out(Crossing)
    source : Out(8 * lanes).array(4)
    low, high : Out(8 * lanes)
        The bytes of its map.
    exchanged : In(8 * lanes).array(4)
    valid, maximum, part : Out(1), Out(1), Out(32)
        A reduction of this superlane.
    total : In(32)
        The reduction of all superlanes.
    drive : Out(Quad).array(lanes // 4 + 3)
        Results inside the superlane, one that crossed, a reduction, its companion.
    invalid : Out(1)
        An operand that is not valid was sampled in the cycle before the last.
    """

    def __init__(self, config):
        self.config = config
        lanes, word = config.lanes, 8 * config.lanes
        row = In(StreamRow(lanes, config.streams))
        super().__init__(
            {
                "issue": In(Issue(Unit.SXM)),
                "north": Out(Issue(Unit.SXM)),
                "first": In(10),
                "east": row,
                "west": row,
                "crosses": Out(1),
                "crossing": Out(Crossing),
                "source": Out(word).array(4),
                "low": Out(word),
                "high": Out(word),
                "exchanged": In(word).array(4),
                "valid": Out(1),
                "maximum": Out(1),
                "part": Out(32),
                "total": In(32),
                "drive": Out(Quad(lanes)).array(drive_ports(config)),
                "invalid": Out(1),
            }
        )

    @property
    def module_name(self):
        """A module name, unique among the tiles of one core with different parameters."""
        c = self.config
        return f"sxm_tile_{c.lanes}_{c.superlanes}_{c.streams}"

    def elaborate(self, platform):
        m = Module()
        self.platform = platform
        # The choice of operands takes most of a cycle, so an instruction is decoded a cycle before.
        wanted = Signal(Wanted)
        m.d.sync += self.north.valid.eq(self.issue.valid)
        with m.If(self.issue.valid):
            m.d.sync += [
                self.north.word.eq(self.issue.word),
                wanted.eq(_wanted(m, self.issue.word)),
            ]
        readers = self._sample(m, wanted)

        # A cycle later the operands stand.
        # A reset would share its way to these registers with logic, and could not be global.
        told = Signal(Told, reset_less=True)
        word = Signal(Unit.SXM.word_bits)
        kept = Signal(self.config.lanes, reset_less=True)
        masked = self._masked(self.north.word)
        m.d.sync += told.eq(Mux(self.north.valid, _told(m, self.north.word), 0))
        with m.If(self.north.valid):
            m.d.sync += [word.eq(self.north.word), kept.eq(masked)]
        *rows, south, chosen = readers
        self.rows = [w for reader in rows for w in reader.quad]
        self._local(m, told, word, south.quad, chosen.quad[0], kept)
        self._cross(m, told, word, chosen)
        self._reduce(m, told, word, south.quad, kept)
        return m

    def _sample(self, m, wanted):
        """The readers of the operands: of the source's quads, of a second group, of a map."""
        config, enabled = self.config, self.north.valid
        many = config.lanes // 4
        size = {"lanes": config.lanes, "streams": config.streams}
        readers = [Reader(**size) for _ in range(many + 1)]
        name = f"sxm_reader_{config.lanes}_{config.streams}"
        m.submodules.readers = repeated(self.platform, name, readers, Reader.COMMON)
        # Of a map there are a low and a high byte per lane.
        readers.append(Reader(**size, words=2))
        name = f"sxm_map_reader_{config.lanes}_{config.streams}"
        m.submodules.map = repeated(self.platform, name, readers[-1:], Reader.COMMON)
        for reader in readers:
            m.d.comb += [reader.east.eq(self.east.data), reader.west.eq(self.west.data)]
        *rows, south, chosen = (reader.request for reader in readers)
        for number, request in enumerate(rows):
            m.d.comb += [
                request.enable.eq(enabled & (wanted.all if number else 1)),
                request.select.first.eq(wanted.source.first + 4 * number),
                request.select.westward.eq(wanted.source.westward),
                request.select.log2.eq(wanted.source.log2),
            ]
        m.d.comb += [
            south.enable.eq(enabled & wanted.has_second),
            south.select.eq(wanted.second),
            chosen.enable.eq(enabled & wanted.has_map),
            chosen.select.eq(wanted.map),
        ]
        self._check(m, wanted, [r.enable for r in (rows[0], south, chosen)])
        return readers

    def _check(self, m, wanted, enables):
        """Raise `invalid` for operands that are wanted and not valid: looked at, then judged."""
        many, enabled = self.config.lanes, self.north.valid
        everything = Signal(GroupSelect)
        m.d.comb += [everything.eq(wanted.source), everything.log2.eq(3)]
        selects = [(wanted.source, 4), (wanted.second, 4), (wanted.map, 4), (everything, many)]
        needed = Signal(len(selects))
        east = self.east.valid
        west = self.west.valid
        with m.If(enabled | needed.any()):
            m.d.sync += needed.eq(Cat(*enables, enabled & wanted.all))
            found = [valid_bits(m, select, east, west, streams) for select, streams in selects]
        valid = Cat(is_valid(*bits) for bits in found)
        with m.If(needed.any() | self.invalid):
            m.d.sync += self.invalid.eq((needed & ~valid).any())

    def _masked(self, word):
        """The lanes of this superlane that an instruction does not mask, a bit each."""
        counts = [data.View(InstructionLayout(op), word)["count"]
                  for op in (isa.Reduce, isa.Distribute)]  # fmt: skip
        many = Mux(word[:8] == isa.Reduce.opcode, *counts) - self.first
        return Cat(many > lane for lane in range(self.config.lanes))

    def _local(self, m, told, word, south, chosen, kept):
        """Results inside the superlane, on as many quads as an operation has."""
        lanes, spread = self.config.lanes, told.spread
        results = [LocalWord(lanes=lanes) for _ in range(lanes)]
        m.submodules.local = repeated(
            self.platform, f"sxm_local_{lanes}", results, LocalWord.COMMON
        )
        for number, result in enumerate(results):
            m.d.comb += [
                result.enable.eq(spread if number >= 4 else told.local),
                result.number.eq(number),
                result.kind.eq(told.kind),
                result.three.eq(told.three),
                result.kept.eq(kept),
                Cat(result.rows).eq(Cat(self.rows)),
                result.map.eq(chosen),
            ]
            if number < 4:
                m.d.comb += [result.source.eq(self.rows[number]), result.south.eq(south[number])]
        target = _group(word, isa.Shift, "target")
        whole = Signal(), Signal(Place)
        m.d.sync += whole[0].eq(told.local)
        last = Signal(), Signal()  # there are more quads, and they are those of 3 x 3 streams
        m.d.sync += [last[0].eq(spread), last[1].eq(told.three)]
        with m.If(told.local):
            m.d.sync += [
                whole[1].quad.eq(target.first[2:]),
                whole[1].westward.eq(target.westward),
                whole[1].mask.eq(Mux(spread, 0b1111, mask_of(target))),
            ]
        for number in range(lanes // 4):
            quad = self.drive[number]
            words = [result.word for result in results[4 * number : 4 * number + 4]]
            nine = {2: 0b0001, 3: 0}.get(number, 0b1111)  # of nine streams, those in this quad
            m.d.comb += [
                quad.data.eq(Cat(words)),
                quad.quad.eq(whole[1].quad + number),
                quad.westward.eq(whole[1].westward),
                quad.mask.eq(Mux(last[1], nine, whole[1].mask) if number > 1 else whole[1].mask),
                quad.valid.eq(last[0] if number else whole[0]),
            ]

    def _cross(self, m, told, word, chosen):
        """Words that cross superlanes: out to the exchange, and what comes back onto streams."""
        m.d.comb += [
            self.crosses.eq(told.crosses),
            self.crossing.eq(told.crossing),
            self.low.eq(chosen.quad[0]),
            self.high.eq(chosen.quad[1]),
            *(port.eq(w) for port, w in zip(self.source, self.rows, strict=False)),
        ]
        cycles = timing.crossing_latency(self.config) - timing.SXM_SAMPLE - 1
        place = _place(m, "crossed", _group(word, isa.Shift, "target"))
        self._drive(m, -3, self.crosses, place, cycles, Cat(self.exchanged))

    def _reduce(self, m, told, word, companion, kept):
        """A reduction of this superlane, and what comes back of all superlanes."""
        lanes = self.config.lanes
        fields = data.View(InstructionLayout(isa.Reduce), word)
        m.submodules.tree = tree = Tree(lanes=lanes, deep=self.config.deep)
        m.d.comb += [
            tree.enable.eq(told.reduces),
            tree.largest.eq(told.largest),
            tree.kept.eq(kept),
            *(port.eq(w) for port, w in zip(tree.quad, self.rows, strict=False)),
            self.valid.eq(tree.valid),
            self.maximum.eq(tree.maximum),
            self.part.eq(tree.total),
        ]
        cycles = timing.reduce_latency(self.config) - timing.SXM_SAMPLE - 1
        total = Cat(self.total[at : at + 8].replicate(lanes) for at in range(0, 32, 8))
        place = _place(m, "reduced", _group(word, isa.Shift, "target"))
        self._drive(m, -2, told.reduces, place, cycles, total)

        onto = _place(m, "accompanied", data.View(GroupSelect, fields.companion_target[:8]))
        name, words = "companion", Cat(companion)
        _, words = delayed(m, self.platform, name, told.accompanied, words, cycles)
        self._drive(m, -1, told.accompanied, onto, cycles, words)

    def _drive(self, m, port, enable, place, cycles, words):
        """Drive `words` on `place`, `cycles` after `enable`."""
        quad = self.drive[port]
        name = f"place{-port}"
        valid, later = delayed(m, self.platform, name, enable, place.as_value(), cycles)
        there = data.View(Place, later)
        m.d.comb += [
            quad.data.eq(words),
            quad.quad.eq(there.quad),
            quad.westward.eq(there.westward),
            quad.mask.eq(there.mask),
            quad.valid.eq(valid),
        ]


def drive_ports(config):
    """Quads that a unit may drive in one cycle."""
    return config.lanes // 4 + 3


def _wanted(m, word):
    """The :class:`Wanted` of an instruction."""
    wanted = Signal(Wanted, name="decoded")
    is_transpose = word[:8] == isa.Transpose.opcode
    is_select = word[:8] == isa.SelectLanes.opcode
    mapped = [op.opcode for op in (isa.SelectLanes, isa.Distribute, isa.Permute)]
    reduce = data.View(InstructionLayout(isa.Reduce), word)
    accompanied = (word[:8] == isa.Reduce.opcode) & (reduce.companion[8:] == 0)
    source = _group(word, isa.Shift, "source")
    m.d.comb += [
        wanted.source.first.eq(source.first),
        wanted.source.westward.eq(source.westward),
        wanted.source.log2.eq(Mux(is_transpose, 2, source.log2)),
        wanted.all.eq(is_transpose),
        wanted.second.eq(
            Mux(is_select, _bits(word, isa.SelectLanes, "south"), reduce.companion[:8])
        ),
        wanted.has_second.eq(is_select | accompanied),
        wanted.map.eq(_bits(word, isa.Distribute, "map")),
        wanted.has_map.eq(word[:8].matches(*mapped)),
    ]
    return wanted


def _told(m, word):
    """The :class:`Told` of an instruction."""
    told, opcode = Signal(Told, name="meant"), word[:8]
    rotate, reduce = (data.View(InstructionLayout(op), word) for op in (isa.Rotate, isa.Reduce))
    is_rotate, reduces = opcode == isa.Rotate.opcode, opcode == isa.Reduce.opcode
    which, crosses = crossing(word)
    m.d.comb += [
        told.local.eq(opcode.matches(*(op.opcode for op in KINDS))),
        told.kind.eq(opcode),
        told.spread.eq(is_rotate | (opcode == isa.Transpose.opcode)),
        told.three.eq(is_rotate & (rotate.size == 3)),
        told.crosses.eq(crosses),
        told.crossing.eq(which),
        told.reduces.eq(reduces),
        told.largest.eq(reduce.kind == isa.ReduceKind.MAX),
        told.accompanied.eq(reduces & (reduce.companion[8:] == 0)),
    ]
    return told.as_value()


def _bits(word, instruction, name):
    info = instruction.field(name)
    return word[info.at : info.at + info.width]


def _group(word, instruction, name):
    return data.View(GroupSelect, _bits(word, instruction, name))


def _place(m, name, group):
    place = Signal(Place, name=name)
    m.d.comb += [
        place.quad.eq(group.first[2:]),
        place.westward.eq(group.westward),
        place.mask.eq(mask_of(group)),
    ]
    return place
