"""Several kernels in one program. Oracles: numpy in float64, each kernel alone, cycles."""

from dataclasses import replace

import numpy as np
import pytest
from configs import ODD
from layers import random_layer

from tsp.hw.config import preset
from tsp.hw.errors import CapacityError
from tsp.sim.golden import model
from tsp.sim.kernels.activations import gelu, relu, silu
from tsp.sim.kernels.chain import chain, copies
from tsp.sim.kernels.ffn import ffn
from tsp.sim.kernels.linear import linear
from tsp.sim.kernels.norms import layernorm, rmsnorm
from tsp.sim.kernels.rope import rope
from tsp.sim.kernels.rows import softmax
from tsp.sim.kernels.transpose import transpose
from tsp.sim.layout import Located, Place, Span, banks
from tsp.sim.program import Block, Region, assemble

SMALL, DUO32 = preset("small"), preset("duo32")


def normal(seed, *shape, scale=1.0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=shape) * scale).astype(np.float16)


def zeros(*shape):
    """What a kernel is made with that takes what another one makes."""
    return np.zeros(shape, np.float16)


def run(kernel):
    """The result of the golden model, without a fault, in the cycles that were known."""
    result = model.run(kernel.program)
    assert result.fault is None
    assert result.cycles == kernel.program.cycles
    return kernel.unpack(result.outputs)


def check(x, *makes):
    """Chain kernels that are made by functions of x: bit for bit what they do one by one.

    All but the first are made with zeros. Returns the chain.
    """
    kernels, alone = [makes[0](x)], run(makes[0](x))
    for make in makes[1:]:
        kernels.append(make(zeros(*alone.shape)))
        alone = run(make(alone))
    kernel = chain(*kernels)
    found, want = run(kernel), kernel.ideal()
    np.testing.assert_array_equal(found, alone)
    error = np.abs(found.astype(np.float64) - want).max()
    assert error <= kernel.tolerance * np.abs(want).max()
    return kernel


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 7, 9), (16, 16, 16), (70, 40, 50)])
@pytest.mark.parametrize("config", [SMALL, DUO32], ids=lambda c: c.name)
def test_norm_linear_gelu(config, shape):
    rows, k, columns = shape
    x, gamma, w = normal(1, rows, k), normal(2, k), normal(3, k, columns, scale=k**-0.5)
    kernel = check(
        x,
        lambda x: rmsnorm(config, x, gamma),
        lambda x: linear(config, x, w),
        lambda x: gelu(config, x),
    )
    assert kernel.program.name == "rmsnorm+linear+gelu"
    assert kernel.macs == rows * w.size
    assert [name for name, _ in kernel.shape["kernels"]] == ["rmsnorm", "linear", "gelu"]
    assert kernel.shape["kernels"][0][1] == {"rows": rows, "cols": k}


def feed_forward(config, width, inner, norm, activation="swiglu"):
    """A function of x that makes a layer with a residual."""
    up, gate = (normal(n, width, inner, scale=width**-0.5) for n in (4, 5))
    down = normal(6, inner, width, scale=inner**-0.5)
    options = {"norm": norm, "activation": activation, "residual": True}
    if activation == "swiglu":
        options["gate"] = gate
    return lambda x: ffn(config, x, up, down, **options)


@pytest.mark.parametrize(
    ("config", "rows", "width", "heads", "size", "rope", "norm"),
    [
        (SMALL, 20, 32, 2, 16, True, "rms"),
        (SMALL, 17, 20, 2, 8, True, "layer"),
        (SMALL, 1, 32, 2, 16, True, "rms"),
        (SMALL, 9, 16, 1, 16, False, "none"),
        (DUO32, 20, 64, 1, 64, True, "rms"),
        (DUO32, 13, 40, 2, 16, False, "layer"),
    ],
)
def test_transformer_block(config, rows, width, heads, size, rope, norm):
    """Attention and a feed-forward layer, with norms, residuals, and padded vectors."""
    options = {"norm": norm, "rope": rope, "causal": True, "residual": True}
    first = random_layer(config, rows, width, heads, 1, size, **options)
    check(None, lambda _: first, feed_forward(config, width, 48, norm))


@pytest.mark.parametrize("cached", [0, 5, 16])
def test_attention_after_a_norm(cached):
    """With a cache, the token lies in the middle of its tile, and its copies elsewhere."""
    rows = 1 if cached else 21
    options = {"cached": cached, "residual": True, "norm": "layer", "causal": True}

    def layer(x):
        return random_layer(SMALL, rows, 20, 2, 1, 8, x=x, **options)

    check(normal(7, rows, 20), lambda x: rmsnorm(SMALL, x), layer)


@pytest.mark.parametrize("activation", ["swiglu", "gelu"])
@pytest.mark.parametrize("norm", ["layer", "none"])
@pytest.mark.parametrize("config", [SMALL, DUO32], ids=lambda c: c.name)
def test_feed_forward_layers_in_a_row(config, norm, activation):
    """The second half of odd rows is added from a copy of its own; one row takes another way."""
    for rows, width in ((41, 30), (1, 128)):
        layer = feed_forward(config, width, 48, norm, activation)
        check(normal(8, rows, width), layer, layer)


def test_padding_is_harmless():
    """softmax leaves infinities in the lanes beyond the columns; whatever reads them ignores it."""
    x = normal(9, 19, 20) - np.float16(200)
    w = normal(10, 20, 20)
    planes = model.run(softmax(SMALL, x).program).outputs
    assert any((plane == 0x7C).any() for plane in planes)  # the high byte of an infinity
    for after in (
        lambda x: softmax(SMALL, x),
        lambda x: rmsnorm(SMALL, x),
        lambda x: layernorm(SMALL, x),
        lambda x: linear(SMALL, x, w),
        feed_forward(SMALL, 20, 30, "rms"),
        feed_forward(SMALL, 20, 30, "layer"),
        feed_forward(SMALL, 20, 30, "none"),
        lambda x: random_layer(SMALL, 19, 20, 2, 1, 8, norm="none", x=x),
        lambda x: random_layer(SMALL, 19, 20, 2, 1, 8, norm="rms", x=x),
    ):
        check(x, lambda x: softmax(SMALL, x), after)


def test_rope_reads_two_copies():
    """Where the partner of an element is in another tile."""
    for columns in (8, 64):
        kernel = check(
            normal(11, 30, columns),
            lambda x: silu(SMALL, x),
            lambda x, columns=columns: rope(SMALL, x, heads=1 if columns > 8 else 2),
            lambda x: relu(SMALL, x),
        )
        assert kernel.macs == 0


def test_odd_config():
    """One plane, few banks, of which copies read and write the same, and 64 words in each."""
    w = normal(12, 30, 26)
    check(
        normal(13, 7, 30),
        lambda x: relu(ODD, x),
        lambda x: linear(ODD, x, w),
        lambda x: relu(ODD, x),
    )


def test_chains_can_be_chained():
    x, w = normal(14, 10, 20), normal(15, 20, 20, scale=0.2)
    kernels = [layernorm(SMALL, x), linear(SMALL, zeros(10, 20), w), softmax(SMALL, zeros(10, 20))]
    a, b, c = kernels
    flat = chain(a, b, c)
    assert np.abs(run(flat) - flat.ideal()).max() <= flat.tolerance * np.abs(flat.ideal()).max()
    for other in (chain(chain(a, b), c), chain(a, chain(b, c))):
        np.testing.assert_array_equal(run(other), run(flat))
        np.testing.assert_array_equal(other.ideal(), flat.ideal())
        assert other.tolerance == pytest.approx(3e-3)
        assert other.shape == flat.shape
    assert chain(a) is a
    np.testing.assert_array_equal(flat.apply(x), flat.ideal())


def test_the_price_of_a_chain():
    """What is added is what the banks need for the copies, and the way through the VXM."""

    def added(make, width):
        a, b = make(normal(16, 40, width)), make(zeros(40, width))
        return chain(a, b).program.cycles - a.program.cycles - b.program.cycles

    assert added(lambda x: relu(SMALL, x), 16) <= 40 + 15
    assert added(lambda x: relu(SMALL, x), 32) <= 80 + 15  # two tiles in the same banks
    w = normal(20, 48, 48)
    assert added(lambda x: linear(DUO32, x, w), 48) <= 40 + 15  # two tiles in banks of their own


@pytest.mark.parametrize("swapped", [False, True])
def test_copies_inside_banks(swapped):
    """Every way between banks of two hemispheres, the same bank and the swapped pair included."""
    rows, there = 40, banks(SMALL)
    pairs = [(there[0], there[9]), (there[9], there[1]), (there[16], there[31])]
    rng = np.random.default_rng(17)
    data = rng.integers(0, 256, (2, rows, SMALL.vector)).astype(np.uint8)
    for source in pairs:
        for target in pairs:
            target = target[::-1] if swapped else target
            made = Located((rows, 16), (Span(0, 0, rows, Place(source, (0, 0))),))
            wanted = [Span(0, 5, rows, Place(target, (105, 205)))]
            wanted += [Span(0, 0, 5, Place(target, (100, 200)))]
            image = [Block(b.slice, b.number, 0, data[n]) for n, b in enumerate(source)]
            outputs = [Region(b.slice, b.number, 100 + 100 * n, rows) for n, b in enumerate(target)]
            runs = copies(SMALL, made, Located((rows, 16), tuple(wanted))).runs
            program = assemble(SMALL, runs, image=tuple(image), outputs=tuple(outputs))
            result = model.run(program)
            assert result.fault is None
            np.testing.assert_array_equal(np.stack(result.outputs), data)


def test_refusals():
    x = normal(18, 10, 20)
    norm = rmsnorm(SMALL, x)
    with pytest.raises(ValueError, match="for one config; rmsnorm is for small, and relu for duo"):
        chain(norm, relu(DUO32, x))
    with pytest.raises(ValueError, match="relu for small with other fields"):
        chain(norm, relu(replace(SMALL, alus=6), x))
    with pytest.raises(ValueError, match=r"relu takes float16 \(10, 21\), and rmsnorm makes \("):
        chain(norm, relu(SMALL, zeros(10, 21)))
    with pytest.raises(ValueError, match="transpose does not say where its operand lies, and cann"):
        chain(norm, transpose(SMALL, x))
    with pytest.raises(ValueError, match="transpose does not say where its result lies, and canno"):
        chain(transpose(SMALL, x), relu(SMALL, zeros(20, 10)))
    long = normal(19, 1500, 16)
    with pytest.raises(CapacityError, match=r"relu uses 1500 words of MEM_.*, and relu leaves 5"):
        chain(relu(SMALL, long), relu(SMALL, long))


def test_tiles_that_are_no_vectors():
    """Of one row and int8 weights, the planes share the columns in other portions."""
    w = np.ones((64, 40), np.int8)
    kernel = linear(SMALL, zeros(1, 64), w)
    assert kernel.result is None
    with pytest.raises(ValueError, match="linear does not say where its result lies"):
        chain(kernel, relu(SMALL, zeros(1, 40)))
    assert kernel.source is not None


def test_the_last_kernel_need_not_say_where_its_result_lies():
    """One row past streaming weights, whose tiles are no whole vectors: the end of a chain."""
    x, w = normal(20, 1, 64), normal(21, 64, 8, scale=0.1)
    kernel = check(x, lambda x: rmsnorm(SMALL, x), lambda x: linear(SMALL, x, w))
    assert kernel.result is None
    with pytest.raises(ValueError, match="does not say where its result lies, and cannot be cha"):
        chain(kernel, relu(SMALL, zeros(1, 8)))
