"""Attention on the golden model. Oracles: numpy in float64, cycles."""

import numpy as np
import pytest

from tsp.hw.config import Config, preset
from tsp.hw.errors import CapacityError
from tsp.hw.floorplan import Hemisphere
from tsp.sim.backends import cocotb_backend
from tsp.sim.golden import model
from tsp.sim.kernels.attention import attention, attention_reference
from tsp.sim.kernels.attention_pairs import Pairs, periods
from tsp.sim.kernels.attention_problem import Problem
from tsp.sim.kernels.attention_rounds import Rounds
from tsp.sim.kernels.attention_wiring import PlanError, Running, Streams, deal_alus
from tsp.sim.kernels.pool import Pool
from tsp.sim.program import ProgramError

SMALL, QUAD16, DUO32, BASE = map(preset, ("small", "quad16", "duo32", "base"))
ODD = Config(name="odd", lanes=8, superlanes=3, mem_slices=12, alus=12)
ALONE = Config(name="alone", planes_east=0)


def named(value):
    """What a test is called that is given `value`."""
    parts = value if isinstance(value, tuple) else (value,)
    return " ".join(getattr(part, "name", None) or str(part) for part in parts)


def operands(seed, queries, keys, heads, shared, size, scale=1.0):
    rng = np.random.default_rng(seed)
    shapes = (queries, heads, size), (keys, shared, size), (keys, shared, size)
    q, k, v = ((rng.normal(size=s) * scale).astype(np.float16) for s in shapes)
    return q, k, v


def run(kernel, label=""):
    """The result on the golden model, after a check of cycles and faults."""
    result = model.run(kernel.program)
    assert result.fault is None, label
    assert result.cycles == kernel.program.cycles, label
    return kernel.unpack(result.outputs).astype(np.float64)


SHAPES = [
    (1, 1, 1, 1, 1),
    (10, 7, 2, 1, 24),
    (20, 33, 3, 3, 16),
    (64, 64, 1, 1, 64),
    (70, 130, 4, 2, 20),
    (130, 131, 1, 1, 9),
]


@pytest.mark.parametrize("config", [SMALL, QUAD16, DUO32], ids=lambda c: c.name)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("causal", [False, True])
def test_error_of_unit_normal_operands(config, shape, causal):
    """2e-3 of the largest result: probabilities are kept in fp16."""
    kernel = attention(config, *operands(1, *shape), causal=causal and shape[0] <= shape[1])
    got, want = run(kernel, str(shape)), kernel.ideal()
    assert np.abs(got - want).max() <= 2e-3 * np.abs(want).max()


def test_the_reference_is_what_everyone_writes():
    """One head, no mask, by the formula."""
    q, k, v = operands(2, 5, 6, 1, 1, 8)
    scores = q[:, 0].astype(float) @ k[:, 0].T.astype(float) / np.sqrt(8)
    powers = np.exp(scores)
    expected = powers / powers.sum(axis=1, keepdims=True) @ v[:, 0]
    np.testing.assert_allclose(attention_reference(q, k, v)[:, 0], expected)


@pytest.mark.parametrize("config", [SMALL, QUAD16], ids=lambda c: c.name)
def test_scores_that_spread_widely(config):
    """Scores over +-80: small probabilities vanish, none is NaN."""
    q, k, v = operands(3, 20, 40, 1, 1, 16)
    q[:, 0] = 1
    k[:, 0] = np.linspace(-80, 80, 40)[:, None] / 16
    kernel = attention(config, q, k, v, scale=1.0)
    got, want = run(kernel), kernel.ideal()
    assert np.abs(got - want).max() <= 2e-3 * np.abs(want).max()


@pytest.mark.parametrize("config", [SMALL, QUAD16], ids=lambda c: c.name)
def test_equal_scores_give_the_mean(config):
    q, k, v = operands(4, 9, 33, 1, 1, 16)
    got = run(attention(config, q * 0, k, v))
    np.testing.assert_allclose(got[:, 0], [v[:, 0].astype(float).mean(axis=0)] * 9, atol=1e-3)


def test_one_key_gives_its_value():
    q, k, v = operands(5, 9, 1, 2, 1, 16)
    got = run(attention(SMALL, q, k, v))
    assert (got == v[:, :, :].astype(float)).all()


@pytest.mark.parametrize("config", [SMALL, QUAD16], ids=lambda c: c.name)
def test_rows_that_see_nothing_give_zero(config):
    """And a mask with holes, whole tiles of it unseen."""
    q, k, v = operands(6, 30, 50, 2, 2, 24)
    mask = np.random.default_rng(7).random((30, 50)) < 0.5
    mask[4] = mask[17] = False
    mask[:, 16:32] = False
    kernel = attention(config, q, k, v, mask=mask)
    got, want = run(kernel), kernel.ideal()
    assert (got[[4, 17]] == 0).all()
    assert np.abs(got - want).max() <= 2e-3 * np.abs(want).max()
    nothing = attention(config, q, k, v, mask=np.zeros((30, 50), bool))
    assert (run(nothing) == 0).all()


def made(plan, *arguments):
    """The kernel of a plan, whatever another plan would take."""
    work = plan(*arguments)
    work.run()
    return work.kernel()


PAIRED = [  # queries, keys, heads, kv heads, size; the last works are short, or sizes odd
    (SMALL, 16, (40, 40, 2, 1, 16), {"causal": True}),
    (SMALL, 16, (20, 33, 3, 3, 16), {}),
    (SMALL, 16, (37, 50, 2, 2, 24), {"causal": True}),
    (SMALL, 20, (37, 40, 1, 1, 40), {"causal": True, "scale": 0.25}),
    (SMALL, 48, (60, 61, 2, 2, 9), {"causal": True, "scale": -0.3}),
    (SMALL, 16, (1, 1, 1, 1, 1), {}),
    (SMALL, 16, (4, 60, 6, 2, 40), {}),
    (SMALL, 48, (3, 16, 4, 2, 40), {}),
    (SMALL, 16, (50, 100, 2, 1, 40), {"causal": True}),  # more scores than accumulators
    (SMALL, 14, (50, 190, 1, 1, 20), {}),
    (SMALL, 23, (50, 100, 1, 1, 20), {}),
    (DUO32, 32, (40, 192, 2, 1, 64), {"causal": True}),
    (ODD, 24, (50, 60, 2, 2, 24), {"causal": True}),
    (ODD, 13, (30, 70, 2, 1, 30), {}),
    (DUO32, 32, (70, 100, 4, 2, 32), {"causal": True}),
    (DUO32, 16, (70, 128, 6, 3, 33), {}),
]


@pytest.mark.parametrize(
    ("config", "rows", "shape", "options"), PAIRED, ids=lambda x: getattr(x, "name", str(x))
)
def test_pairs_of_planes(config, rows, shape, options):
    """One plane scores and the other weighs, if scores come in every cycle and if in bursts."""
    problem = Problem.of(config, *operands(11, *shape), **options)
    kernel = made(Pairs, problem, rows)
    got, want = run(kernel), kernel.ideal()
    assert np.abs(got - want).max() <= 2e-3 * np.abs(want).max()


@pytest.mark.parametrize("size", [16, 24])
def test_pairs_under_a_mask(size):
    """Rows that see nothing, tiles that nobody sees, and works that see nothing at all."""
    q, k, v = operands(12, 50, 60, 2, 2, size, scale=2.0)
    mask = np.random.default_rng(13).random((50, 60)) < 0.3
    mask[[5, 33]] = mask[16:32] = False
    mask[:, 32:48] = False
    problem = Problem.of(SMALL, q, k, v, mask=mask)
    kernel = made(Pairs, problem, 16)
    got, want = run(kernel), kernel.ideal()
    assert (got[~mask.any(axis=1)] == 0).all()
    assert np.abs(got - want).max() <= 2e-3 * np.abs(want).max()


@pytest.mark.parametrize("rows", [16, 48])
def test_pairs_with_scores_that_spread_widely(rows):
    q, k, v = operands(3, 60, 40, 1, 1, 16)
    q[:, 0] = 1
    k[:, 0] = np.linspace(-80, 80, 40)[:, None] / 16
    kernel = made(Pairs, Problem.of(SMALL, q, k, v, scale=1.0), rows)
    got, want = run(kernel), kernel.ideal()
    assert np.abs(got - want).max() <= 2e-3 * np.abs(want).max()


def test_pairs_on_the_rtl():
    """Oracle: the golden model. A running value that waits in its ALU, and one that travels."""
    kernels = [
        made(Pairs, Problem.of(SMALL, *operands(14, *shape), causal=True), rows)
        for rows, shape in ((16, (40, 40, 2, 1, 16)), (48, (60, 60, 1, 1, 16)))
    ]
    kernels.append(made(Pairs, Problem.of(SMALL, *operands(15, 21, 100, 2, 1, 24)), 16))
    results = cocotb_backend.run_many([kernel.program for kernel in kernels])
    for kernel, result in zip(kernels, results, strict=True):
        golden = model.run(kernel.program)
        assert result.fault is None
        assert result.cycles == golden.cycles == kernel.program.cycles
        for mine, theirs in zip(result.outputs, golden.outputs, strict=True):
            np.testing.assert_array_equal(mine, theirs)


CYCLES = [  # config, sequence, heads, kv heads, causal, ideal, cycles
    (BASE, 512, 8, 8, True, 8208, 10079),
    (BASE, 512, 8, 8, False, 16384, 17104),
    (DUO32, 128, 9, 3, False, 4608, 4878),
    (QUAD16, 64, 1, 1, False, 512, 750),
    (SMALL, 64, 2, 2, True, 1040, 1669),
]


@pytest.mark.parametrize(
    "case", CYCLES, ids=lambda case: " ".join(map(str, [case[0].name, *case[1:]]))
)
def test_cycles(case):
    """The figures of docs/kernels.md, from the schedule alone; heads of 64 if nothing is said."""
    config, seq, heads, shared, causal, ideal, cycles, *size = case
    size = size[0] if size else 64
    kernel = attention(config, *operands(16, seq, seq, heads, shared, size), causal=causal)
    assert kernel.macs == ideal * config.macs_per_cycle
    assert kernel.program.cycles == cycles


@pytest.mark.full
def test_eight_heads_on_base():
    """The result behind the first of these figures."""
    kernel = attention(BASE, *operands(16, 512, 512, 8, 8, 64), causal=True)
    got, want = run(kernel), kernel.ideal()
    assert np.abs(got - want).max() <= 2e-3 * np.abs(want).max()
    assert kernel.macs / BASE.macs_per_cycle >= 0.8 * kernel.program.cycles


@pytest.mark.parametrize("config", [SMALL, QUAD16, DUO32, ALONE], ids=lambda c: c.name)
def test_the_shortest_schedule_is_taken(config):
    problem = Problem.of(config, *operands(17, 64, 64, 2, 1, 32), causal=True)
    found = [made(Rounds, problem, config.acc_rows)]
    for rows in periods(problem):
        try:
            found.append(made(Pairs, problem, rows))
        except (PlanError, CapacityError):
            continue
    shortest = min(kernel.program.cycles for kernel in found)
    assert (
        attention(config, problem.q, problem.k, problem.v, causal=True).program.cycles == shortest
    )
    assert (len(found) > 1) == (config in (SMALL, DUO32))


def test_refusals_of_pairs():
    problem = Problem.of(SMALL, *operands(18, 64, 64, 1, 1, 64))
    with pytest.raises(PlanError, match="rows 0 to 35 come before their maximum is kept"):
        made(Pairs, Problem.of(SMALL, *operands(18, 50, 100, 1, 1, 20)), 36)
    with pytest.raises(PlanError, match="65 rows exceed the accumulators"):
        Pairs(problem, 65)
    with pytest.raises(PlanError, match="2 rows pass before a tile of 16 columns is loaded"):
        Pairs(problem, 2)
    with pytest.raises(PlanError, match="config alone has no pair of planes"):
        Pairs(Problem.of(ALONE, *operands(18, 64, 64, 1, 1, 64)), 16)
    with pytest.raises(CapacityError, match="attention needs more banks than the 16"):
        Pairs(Problem.of(QUAD16, *operands(18, 64, 64, 1, 1, 64)), 16)
    streams = Streams(SMALL)
    for _ in range(8):
        streams.take(4, "W", Hemisphere.W)
    with pytest.raises(PlanError, match="more than the 32 streams of config small"):
        streams.take(1, "W", Hemisphere.W)
    with pytest.raises(PlanError, match="rows that come again after 58 cycles meet nothing"):
        Running(SMALL, 0, None, None, 0.0, 58, "SXM_W.0", 1, None, None)
    assert Running(SMALL, 0, None, None, 0.0, 57, "SXM_W.0", 1, None, None).wait == 31
    with pytest.raises(PlanError, match="rows that come again after 6 cycles meet nothing"):
        Running(SMALL, 0, None, None, 0.0, 6, "SXM_W.0", 1, None, None)


def test_banks_at_one_stop():
    """Where there is one that has enough, and all others stay in their order."""
    west, pool = Hemisphere.W, Pool(SMALL, "a test")
    before = list(pool.free[west])
    pool.take(west, 1)
    taken = pool.take_together(west, 8)
    assert taken == tuple(before[8:])
    assert pool.free[west] == before[1:8]
    assert pool.take_together(west, 7) == tuple(before[1:8])
    spread = Pool(SMALL, "a test")
    spread.take(west, 1)
    assert spread.take_together(west, 9) == tuple(before[1:10])


def test_every_role_has_an_alu():
    """Dealt as docs/kernels.md says: busy roles have their own, others are shared or lent."""
    scoring, weighing, dividing = (
        ["mask", "max"],
        ["subtract", "narrow", "add"],
        ["divide", "round"],
    )
    west, east = deal_alus(BASE, 2, scoring, weighing, dividing, 64)
    assert sorted({*west.values(), *east.values()}) == list(range(16))
    assert [role for role in west if west[role] == east[role]] == dividing
    assert {west["exp"], east["exp"], west["recip"], east["recip"]} == {0, 1, 2, 3}
    (alone,) = deal_alus(SMALL, 1, scoring, weighing, dividing, 16)
    assert alone["round"] == alone["recip"] == 1
    assert sorted({*alone.values()}) == list(range(8))
    (alone,) = deal_alus(SMALL, 1, scoring, weighing, dividing, 64)
    assert alone["round"] == alone["mask"]
    with pytest.raises(PlanError, match="2 pairs of planes need 3 special ALUs"):
        deal_alus(SMALL, 2, scoring, weighing, dividing, 16)
    with pytest.raises(PlanError, match="need 14 ALUs beside the special ones, and config base"):
        deal_alus(BASE, 2, scoring, [*weighing, "scale", "more"], dividing, 64)
    with pytest.raises(PlanError, match="1 pairs of planes need more than 8 ALUs"):
        deal_alus(SMALL, 1, ["max"], [*weighing, "scale", "more"], dividing, 64)


def test_a_scale_is_folded_if_no_score_changes_by_much():
    q, k, v = operands(19, 5, 6, 1, 1, 16)

    def fold(q, k, scale):
        return Problem.of(SMALL, q, k, v, scale=scale).folded

    scaled, same, rest = fold(q, k, -0.25)
    np.testing.assert_array_equal(scaled, q * np.float16(-0.25))
    assert same is k
    assert rest == 1
    assert fold(q, k, 0.3)[2] == 0.3
    assert (fold(q, k, 0.0)[0] == 0).all()
    tiny = q * np.float16(2e-5)  # loses digits, which matter if k is large
    assert fold(tiny, k, 0.25)[2] == 1
    large = k * np.float16(2000)
    folded = fold(tiny, large, 0.25)
    np.testing.assert_array_equal(folded[1], large * np.float16(0.25))
    both = np.full((6, 1, 16), 3e-7, np.float16)
    both[0, 0, 0] = 3e4
    assert fold(both[:5], both, 0.25)[2] == 0.25
    with pytest.raises(ValueError, match="scale must be finite, not inf"):
        fold(q, k, np.inf)
    for scale in (1e39, -1e-46):
        with pytest.raises(ValueError, match=r"scale must be 0 or from 1\.4e-45 to 3\.4e\+38"):
            fold(q, k, scale)


def test_causal_is_the_lower_triangle():
    q, k, v = operands(8, 12, 20, 1, 1, 8)
    causal = attention(SMALL, q, k, v, causal=True)
    mask = np.arange(20) <= np.arange(12)[:, None] + 8
    np.testing.assert_array_equal(causal.ideal(), attention_reference(q, k, v, mask))
    assert causal.macs == 2 * mask.sum() * 8


def test_refusals():
    q, k, v = operands(9, 6, 4, 2, 2, 8)
    with pytest.raises(TypeError, match="q must be a numpy array of float16, not float64"):
        attention(SMALL, q.astype(float), k, v)
    with pytest.raises(ValueError, match=r"q must have shape \(length, heads, size\)"):
        attention(SMALL, q[:, 0], k, v)
    with pytest.raises(ValueError, match="attention needs the fp16 datapath; config nano"):
        attention(preset("nano"), q, k, v)
    with pytest.raises(ValueError, match="k and v must have one shape"):
        attention(SMALL, q, k, v[:3])
    with pytest.raises(ValueError, match="2 heads are no multiple of 3 kv heads"):
        attention(SMALL, q, np.repeat(k, 2, axis=1)[:, :3], np.repeat(v, 2, axis=1)[:, :3])
    with pytest.raises(ValueError, match="causal attention needs as many keys as queries"):
        attention(SMALL, q, k, v, causal=True)
    with pytest.raises(ValueError, match=r"mask must be bool \(6, 4\), not float64"):
        attention(SMALL, q, k, v, mask=np.ones((6, 4)))
    with pytest.raises(TypeError, match="mask must be a numpy array of bool, not list"):
        attention(SMALL, q, k, v, mask=[[True] * 4] * 6)
    long = np.zeros((65537, 1, 1), np.float16)
    with pytest.raises(ValueError, match="keys must be at most 65536, not 1 and 65537"):
        attention(SMALL, long[:1], long, long)
    long = long.reshape(1, 1, 65537)
    with pytest.raises(ValueError, match="head size and keys must be at most 65536, not 65537"):
        attention(SMALL, long, long, long)
    shallow = Config(name="shallow", queue_depth=32)
    with pytest.raises(ProgramError, match=r"queue \S+ needs \d+ instructions and holds 32"):
        attention(shallow, *operands(10, 64, 64, 1, 1, 64))
    long = operands(10, 64, 3000, 1, 1, 64)
    with pytest.raises(CapacityError, match="attention needs more banks than the 16"):
        attention(SMALL, *long)
