"""The attention layer. Oracles: float64 by numpy, the cycles of the table, and plain words."""

from dataclasses import replace

import numpy as np
import pytest
from configs import ODD, TINY
from layers import in_used_memory, random_layer

from tsp.hw.config import preset
from tsp.hw.errors import CapacityError
from tsp.hw.floorplan import Hemisphere
from tsp.sim.golden import model
from tsp.sim.kernels import attention_layer as module
from tsp.sim.kernels.attention_layer import attention_layer
from tsp.sim.kernels.pipeline import PipelineError
from tsp.sim.kernels.stage.binding import bind
from tsp.sim.kernels.stage.heads import Heads
from tsp.sim.kernels.stage.tiles import Access, Tiles, roomy
from tsp.sim.layout import banks
from tsp.sim.program import ProgramError

SMALL, QUAD, DUO = preset("small"), preset("quad16"), preset("duo32")
# Three ALUs and eight accumulator rows make many passes.
DEEP = replace(ODD, mem_slices=12, mem_slices_per_stop=3, bank_words=256, queue_depth=1024)


def check(kernel):
    """The result is right, whatever was in memory, in as many cycles as were scheduled."""
    result = model.run(in_used_memory(kernel.program))
    assert result.fault is None
    assert result.cycles == kernel.program.cycles
    got, want = kernel.unpack(result.outputs).astype(np.float64), kernel.ideal()
    assert np.isfinite(got).all()
    assert np.abs(got - want).max() <= 2e-3 * np.abs(want).max()
    return got


@pytest.mark.parametrize(
    ("config", "sizes", "options"),
    [
        (SMALL, (20, 32, 2, 1, 16), {"causal": True}),
        (SMALL, (20, 40, 2, 1, 24), {"rope": True, "causal": True, "norm": "rms"}),
        (SMALL, (9, 20, 2, 2, 8), {"rope": True, "norm": "layer", "residual": True}),
        (SMALL, (16, 16, 1, 1, 16), {}),
        (SMALL, (1, 5, 1, 1, 3), {}),
        (SMALL, (70, 30, 2, 2, 16), {"weights": "int8", "rope": True}),
        (SMALL, (33, 20, 2, 1, 12), {"weights": "fp8", "causal": True}),
        (QUAD, (40, 64, 4, 2, 32), {"causal": True, "rope": True, "residual": True}),
        (DUO, (12, 40, 2, 2, 20), {"rope": True}),
        (DUO, (40, 64, 2, 1, 64), {"causal": True, "rope": True, "norm": "layer"}),
        (DEEP, (20, 30, 2, 1, 20), {"causal": True}),
        (DEEP, (9, 24, 1, 1, 24), {"rope": True, "norm": "rms", "residual": True}),
    ],
)
def test_layers(config, sizes, options):
    check(random_layer(config, *sizes, **options))


def test_the_layer_norm_of_equal_numbers_is_beta():
    """Then all tokens are alike: the result is that of one, and of no size of the numbers."""
    for width in (7, 26):
        x = np.repeat(np.float16([3001, 65504, 0.1])[:, None], width, axis=1)
        got = check(random_layer(SMALL, 3, width, 1, 1, 8, x=x, norm="layer"))
        np.testing.assert_array_equal(got, np.broadcast_to(got[:1], got.shape))


@pytest.mark.parametrize("cached", [1, 15, 16, 21])
@pytest.mark.parametrize("weights", ["fp16", "int8"])
def test_decode(cached, weights):
    """One token and a cache whose last tile of keys is new, or has room for one, or for more."""
    options = {"rope": True, "norm": "rms", "residual": True, "weights": weights}
    check(random_layer(SMALL, 1, 32, 2, 1, 16, cached=cached, **options))


def test_decode_on_more_superlanes():
    check(random_layer(DUO, 1, 64, 2, 1, 64, cached=70, rope=True, norm="layer"))


def test_a_decode_step_is_the_last_row_of_the_layer():
    """Oracle: the layer itself, for all tokens at a time."""
    rng, width, size = np.random.default_rng(8), 32, 16
    x = rng.normal(size=(18, width)).astype(np.float16)
    w = {n: (rng.normal(size=(width, size)) / 6).astype(np.float16) for n in ("q", "k", "v")}
    w["out"] = (rng.normal(size=(size, width)) / 6).astype(np.float16)
    whole = check(attention_layer(SMALL, x, **w, heads=1, causal=True))
    keys, values = ((x[:-1].astype(float) @ w[n].astype(float))[:, None] for n in ("k", "v"))
    cache = {"keys": keys.astype(np.float16), "values": values.astype(np.float16)}
    step = check(attention_layer(SMALL, x[-1:], **w, heads=1, **cache))
    np.testing.assert_allclose(step[0], whole[-1], atol=2e-3 * np.abs(whole).max())


def test_masks():
    """A token that sees nothing gives the residual alone."""
    rng = np.random.default_rng(3)
    mask = rng.random((20, 20)) < 0.4
    mask[7] = False
    got = check(random_layer(SMALL, 20, 32, 2, 1, 16, mask=mask))
    assert not got[7].any()


@pytest.mark.parametrize(
    ("config", "sizes", "options", "cycles", "most"),
    [
        (SMALL, (1, 16, 1, 1, 16), {}, 199, 199),
        (QUAD, (64, 64, 1, 1, 64), {}, 1647, 1700),
        (QUAD, (128, 128, 1, 1, 192), {}, 18647, 18800),
        (DUO, (128, 576, 9, 3, 64), {"rope": True, "weights": "int8"}, 33328, 34000),
    ],
)
def test_cycles(config, sizes, options, cycles, most):
    """Of the layers that the docs promise; the numbers are those of the schedule, and exact."""
    kernel = random_layer(config, *sizes, **options)
    assert kernel.program.cycles == cycles <= most
    check(kernel)


def layer_of(config=SMALL, **options):
    rng = np.random.default_rng(0)
    sizes = {"x": (4, 8), "q": (8, 8), "k": (8, 4), "v": (8, 4), "out": (8, 8)}
    made = {name: rng.normal(size=size).astype(np.float16) for name, size in sizes.items()}
    return attention_layer(config, **(made | {"heads": 2, "kv_heads": 1} | options))


HALF = np.float16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"config": preset("nano")}, "needs the fp16 datapath"),
        ({"config": TINY}, "needs 16 streams in each direction, and tiny has 8"),
        ({"heads": 3, "kv_heads": 2}, "3 heads are no multiple of 2 kv heads"),
        ({"heads": 3, "kv_heads": 1}, "8 columns of q are not 3 heads"),
        ({"k": np.zeros((8, 5), HALF)}, r"k must have shape \(8, 4\), not \(8, 5\)"),
        ({"norm": "batch"}, "norm must be one of none, rms, layer, not 'batch'"),
        ({"norm": "rms", "epsilon": -1.0}, "epsilon must be a finite number of at least 0, not -1"),
        ({"norm": "rms", "epsilon": 1e300}, "epsilon times 8 columns must be 0 or from 1.4e-45"),
        ({"gamma": np.zeros(8, HALF)}, "gamma and beta are for a norm, and norm is 'none'"),
        ({"norm": "rms", "beta": np.zeros(8, HALF)}, "beta is for norm 'layer'"),
        ({"norm": "rms", "gamma": np.zeros(7, HALF)}, r"gamma must have shape \(8,\)"),
        ({"scales": {"o": np.zeros(8, np.float32)}}, "scale must be of q, k, v, out, not of 'o'"),
        (
            {"q": np.ones((8, 8), np.int8), "scales": {"q": [1.0, 2.0]}},
            r"scale 'q' must have shape \(8,\), not \(2,\)",
        ),
        (
            {"scales": {"q": np.ones(8, np.float32)}},
            "scale 'q' is for int8 and fp8 weights; multiply float16 weights beforehand",
        ),
        ({"mask": np.ones((4, 5), bool)}, r"mask must be bool \(4, 4\)"),
        ({"keys": np.zeros((3, 1, 4), HALF)}, "give keys and values of the cache, or neither"),
        (
            {n: np.zeros((3, 1, 4), HALF) for n in ("keys", "values")},
            "with a cache there is one new token, not 4",
        ),
        (
            {n: np.zeros((3, 1), HALF) for n in ("keys", "values")},
            "keys must have shape .cached tok",
        ),
        ({"kv_heads": 2}, r"k must have shape \(8, 8\)"),
        ({"kv_heads": 0}, "2 heads are no multiple of 0 kv heads"),
        ({"q": np.array(1, HALF)}, r"q must be a matrix with at least one element, not \(\)"),
        (
            {n: np.zeros((8, 0), HALF) for n in "qkv"},
            r"q must be a matrix with at least one element, not \(8, 0\)",
        ),
        (
            {"x": np.zeros((1, 65537), HALF), "out": np.zeros((2, 65537), HALF)}
            | {"q": np.zeros((65537, 2), HALF)}
            | {n: np.zeros((65537, 1), HALF) for n in "kv"},
            "width must be at most 65536, not 65537",
        ),
        (
            {"x": np.zeros((1, 1), HALF), "out": np.zeros((65538, 1), HALF), "kv_heads": 2}
            | {n: np.zeros((1, 65538), HALF) for n in "qkv"},
            r"heads \* size must be at most 65536, not 65538",
        ),
        (
            {"x": np.zeros((65537, 1), HALF), "out": np.zeros((2, 1), HALF), "kv_heads": 2}
            | {n: np.zeros((1, 2), HALF) for n in "qkv"},
            "keys must be at most 65536, not 65537",
        ),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        layer_of(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask": [[True]]}, "mask must be a numpy array of bool, not list"),
        ({"keys": [1], "values": [1]}, "keys must be a numpy array of float16, not list"),
    ],
)
def test_refusals_of_what_is_no_array(options, message):
    with pytest.raises(TypeError, match=message):
        layer_of(**options)


def test_scales_may_be_lists():
    """As those of the other layers."""
    rng = np.random.default_rng(1)
    q = rng.integers(-9, 9, (8, 8)).astype(np.int8)
    scale = (rng.integers(1, 9, 8) / 64).astype(np.float32)
    kernels = [layer_of(q=q, scales={"q": s}) for s in (scale, scale.tolist())]
    np.testing.assert_array_equal(kernels[0].reference(), kernels[1].reference())


def test_ways_that_overflow_a_queue_are_passed_over(monkeypatch):
    """The first final plan does; the next is taken."""
    final, calls = module._final, []

    def first_overflows(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            raise ProgramError("queue q needs 2 instructions and holds 1")
        return final(*arguments)

    monkeypatch.setattr(module, "_final", first_overflows)
    check(random_layer(SMALL, 1, 5, 1, 1, 3))
    assert len(calls) == 2


def test_hopeless_is_known_soon():
    """A core with one plane and four banks, and one with two: what fits, and what never will."""
    one = replace(SMALL, name="one", planes_east=0, mem_slices=2, mem_slices_per_stop=1)
    check(random_layer(one, 1, 1, 2, 2, 2))
    with pytest.raises(CapacityError, match=r"the 2 of .*: \d+ of the 65536 bytes of one"):
        random_layer(replace(one, mem_slices=1), 1, 1, 2, 2, 2)


def test_what_does_not_fit():
    with pytest.raises(CapacityError, match="an attention layer has 4194304 bytes of weights"):
        random_layer(SMALL, 3, 1024, 1, 1, 512)


def test_heads_are_where_they_say():
    """Pairs of a rotation lie in the same lane of two tiles, or in one tile."""
    for size, lanes in ((24, 16), (64, 32), (16, 16), (6, 16)):
        heads = Heads(3, size, lanes, turned=True)
        columns = np.arange(1, 3 * size + 1, dtype=np.float16)[None]
        spread = heads.spread(columns).reshape(3, -1)
        assert (np.sort(spread[spread > 0]) == columns[0]).all()
        one, partner = spread[1, heads.order()[0]], spread[1, heads.order()[size // 2]]
        assert partner - one == size // 2
        if heads.paired:
            assert (heads.order()[size // 2] - heads.order()[0]) == heads.padded // 2
        else:
            assert heads.partners()[0] == size // 2


def test_a_core_without_special_alus_is_refused():
    """It has nothing that makes probabilities."""
    with pytest.raises(PipelineError, match="needs more than the 0 special ALUs of small"):
        random_layer(replace(SMALL, special_alus=0), 2, 6, 1, 1, 6)


def timed(spans, width=2):
    """Tiles in the west that are written for some spans of cycles."""
    tiles = Tiles(roomy(SMALL), "a test")
    for n, (first, last) in enumerate(spans):
        tile = tiles.tile(("t", n), last - first + 1, width, Hemisphere.W)
        tiles.note([Access(True, tile, 0, last - first + 1, first, 1)], 0)
    return tiles


def test_tiles_that_meet_lie_apart():
    """Eight tiles of two banks at a time, twice; there are sixteen banks."""
    tiles = timed([(0, 50)] * 8 + [(100, 150)] * 8)
    found = bind(SMALL, tiles, set())
    for half in (range(8), range(8, 16)):
        taken = [bank for n in half for bank in found["t", n]]
        assert sorted(taken) == sorted(banks(SMALL, Hemisphere.W))


def test_tiles_of_one_operation_lie_apart_or_are_refused():
    tiles = timed([(0, 9)] * 9)
    pairs = {frozenset((("t", a), ("t", b))) for a in range(9) for b in range(a)}
    with pytest.raises(CapacityError, match="a test needs more banks than the 16 of 2048 words"):
        bind(SMALL, tiles, pairs)


def test_an_access_may_be_far_from_all_before():
    """Ports are counted in every cycle, however far it is from the last one that is known."""
    tiles = Tiles(roomy(SMALL), "a test", ports=2)
    tile = tiles.tile(("t",), 20, 2, Hemisphere.W)
    reads = [Access(False, tile, 0, 20, 0, 1)]
    assert tiles.crowded(reads, 100_000) == 0
    tiles.note(reads, 100_000)
    assert tiles.crowded(reads, 100_001) == 19


def test_a_read_waits_for_its_write():
    """Row by row, and for the farthest bank."""
    tiles = timed([])
    tile = tiles.tile(("t",), 20, 2, Hemisphere.W)
    tiles.note([Access(True, tile, 0, 20, 100, 2, 1, 3)], 0)
    assert tiles.earliest([Access(False, tile, 0, 20, 0, 2)]) == 104
    assert tiles.earliest([Access(False, tile, 0, 20, 0, 1)]) == 104 + 19
    assert tiles.earliest([Access(False, tile, 5, 1, 0, 1)]) == 104 + 10
    assert tiles.earliest([Access(False, tile, 19, 1, 7, 1)]) == 104 + 38 - 7
