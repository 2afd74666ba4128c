"""An MXM plane: L x L multiply-accumulators with their accumulators and four queues."""

from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tsp.hw.export import assembly, repeated
from tsp.hw.fault import FAULT_KINDS, FaultKind
from tsp.hw.isa import Unit, timing
from tsp.hw.mxm.accumulator import Accumulator, AccumulatorLane
from tsp.hw.mxm.activation import ActivationLoader
from tsp.hw.mxm.checks import Checks
from tsp.hw.mxm.mac import mac_of
from tsp.hw.mxm.ops import Decoder
from tsp.hw.mxm.reskew import Reskew
from tsp.hw.mxm.rounding import Rounder
from tsp.hw.mxm.supercell import Supercells
from tsp.hw.mxm.weights import WeightLoader
from tsp.hw.stream import Drive, Issue, StreamRow

SUPERCELL = 2
"""Cycles from an activation in a supercell to its sums on the north side; one more if deep."""


class Plane(wiring.Component):
    """One plane: weights, activations, dot products, and exact sums rounded once.

    Dot products that no ACC takes in their one cycle at the accumulators are lost.

    Latency
    -------
    As the table says: ``LW_SAMPLE``, ``LW_BUFFER``, ``ABC_SAMPLE``, :func:`array_latency`,
    ``ACC_SAMPLE``, :func:`acc_emit`.

    Parameters
    ----------
    config : Config

    Members
    -------
    lw, iw, abc, acc : In(Issue)
    east, west : In(StreamRow).array(superlanes)
    drive : Out(Drive(lanes, 4)).array(superlanes)
    fault : Out(FAULT_KINDS)
        Offences of the last cycle.
    vectors : Out(1)
        Tile 0 takes an activation vector in this cycle, a held one included.
    """

    def __init__(self, config):
        self.config = config
        row = In(StreamRow(config.lanes, config.streams)).array(config.superlanes)
        super().__init__(
            {
                "lw": In(Issue(Unit.LW)),
                "iw": In(Issue(Unit.IW)),
                "abc": In(Issue(Unit.ABC)),
                "acc": In(Issue(Unit.ACC)),
                "east": row,
                "west": row,
                "drive": Out(Drive(config.lanes, 4)).array(config.superlanes),
                "fault": Out(FAULT_KINDS),
                "vectors": Out(1),
            }
        )
        _check_table(config)

    def elaborate(self, platform):
        m = Module()
        m.submodules.decoder = decoder = Decoder()
        for name in ("lw", "iw", "abc", "acc"):
            issue = getattr(decoder, f"{name}_issue")
            wiring.connect(m, wiring.flipped(getattr(self, name)), issue)

        sums, invalid = self._array(m, platform, decoder)
        mac = mac_of(self.config)
        m.submodules.reskew = reskew = Reskew(mac, self.config.lanes, self.config.superlanes)
        wiring.connect(m, sums, reskew.top)
        self._accumulators(m, platform, decoder, reskew)

        m.submodules.checks = checks = Checks(self.config)
        m.d.comb += [
            checks.lw.eq(decoder.lw),
            checks.iw.eq(decoder.iw),
            checks.abc.eq(decoder.abc),
            checks.acc.eq(decoder.acc),
            self.fault[FaultKind.UNWRITTEN].eq(checks.unwritten),
            self.fault[FaultKind.INVALID].eq(checks.no_dots | invalid),
        ]
        return m

    def _array(self, m, platform, decoder):
        """The tiles: each passes instructions and sums to the next. Their sums, and `invalid`."""
        config, mac = self.config, mac_of(self.config)
        weights = [WeightLoader(config) for _ in range(config.superlanes)]
        activations = [ActivationLoader(config) for _ in weights]
        name = f"{config.datapath}_l{config.lanes}t{config.superlanes}s{config.streams}"
        m.submodules.weights = repeated(platform, f"mxm_weights_{name}", weights)
        m.submodules.activations = repeated(platform, f"mxm_activations_{name}", activations)
        array = Supercells(mac, config.lanes, config.vector, config.superlanes)
        m.submodules.array = assembly(platform, array.module_name, array)

        lw, install, abc = decoder.lw, decoder.iw, decoder.abc
        for i, (weight, activation) in enumerate(zip(weights, activations, strict=True)):
            m.d.comb += [weight.op.eq(lw), activation.op.eq(abc)]
            m.d.sync += array.install[i].eq(install)
            lw, install, abc = weight.north, array.install[i], activation.north
            for loader in (weight, activation):
                m.d.comb += [loader.east.eq(self.east[i]), loader.west.eq(self.west[i])]
            m.d.comb += [
                Cat(array.words[i]).eq(Cat(weight.words)),
                array.write[i].eq(Cat(weight.write)),
                array.active[i].eq(activation.active),
                array.activation[i].eq(activation.activation),
            ]
            if mac.special:
                m.d.comb += array.dtype[i].eq(weight.dtype)
        m.d.comb += self.vectors.eq(activations[0].north.valid)
        return array.north, Cat(loader.invalid for loader in (*weights, *activations)).any()

    def _accumulators(self, m, platform, decoder, reskew):
        """The accumulators of every superlane."""
        config, mac = self.config, mac_of(self.config)
        accumulators = [Accumulator(config) for _ in range(config.superlanes)]
        name = f"mxm_accumulator_{config.datapath}_l{config.lanes}"
        m.submodules.accumulators = repeated(platform, name, accumulators)
        lanes = [[AccumulatorLane(mac, config.acc_rows) for _ in dots] for dots in reskew.dots]
        name = f"{name}w{mac.dot.widths[-1]}r{config.acc_rows}_lane"
        every = [lane for some in lanes for lane in some]
        m.submodules.lanes = repeated(
            platform, name, every, AccumulatorLane.COMMON, blocks=config.superlanes
        )
        op = decoder.acc
        for i, accumulator in enumerate(accumulators):
            m.d.comb += accumulator.op.eq(op)
            accumulator.connect(m, lanes[i], reskew.dots[i], self.drive[i])
            op = accumulator.north


def _check_table(config):
    """Refuse a table of latencies that this pipeline does not have."""
    climb = 2 * (config.superlanes - 1)
    built = {
        "LW_SAMPLE": 1,
        "LW_BUFFER": 2,
        "ABC_SAMPLE": 1,
        "ACC_SAMPLE": 2,
        "acc_emit": timing.ACC_SAMPLE + 1 + Rounder.latency(config.deep),
        "array_latency": timing.ABC_SAMPLE + 1 + SUPERCELL + config.deep + 1 + climb,
    }
    for name, cycles in built.items():
        table = getattr(timing, name)
        if (table(config) if callable(table) else table) != cycles:
            raise ValueError(f"{name} must be {cycles} for this pipeline, not the table's")
