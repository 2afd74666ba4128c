"""Random kernels on random configurations: what is drawn, how operands are made, what is right.

A case is a configuration, the name of a kernel, its sizes and options, and a seed of its operands;
all of it is plain Python, so that a case that fails is written as a call of :func:`check`.
"""

import numpy as np

from tsp.hw.config import Config
from tsp.hw.errors import RefusedError
from tsp.hw.isa import DType
from tsp.sim.golden import model
from tsp.sim.kernels.activations import gelu, relu, silu
from tsp.sim.kernels.attention import attention
from tsp.sim.kernels.attention_layer import attention_layer
from tsp.sim.kernels.chain import chain
from tsp.sim.kernels.common import NUMPY, WEIGHTS
from tsp.sim.kernels.ffn import KINDS, ffn
from tsp.sim.kernels.linear import ACTIVATIONS, linear
from tsp.sim.kernels.matmul import matmul
from tsp.sim.kernels.norms import layernorm, rmsnorm
from tsp.sim.kernels.rope import rope
from tsp.sim.kernels.rows import softmax
from tsp.sim.kernels.transpose import transpose

_ANY_DATAPATH = ("matmul", "row kernel", "rope", "transpose")
"""Kernels that need no exact products of fp16."""

_ROOMY = ("linear", "ffn", "attention", "attention_layer")
"""Kernels that need many banks, and of all else more than one."""

ROWS = {f.__name__: f for f in (softmax, rmsnorm, layernorm, gelu, silu, relu)}


def drawn_config(random, datapaths=("fp16",), roomy=False):
    """A configuration of up to four superlanes, with few of everything more often than not.

    If it is to be `roomy` it has as much of everything as a layer needs, more often than not.
    """

    def some(*values):
        return random.choice(values)

    def enough(plenty, few):
        """What a layer needs nine times in ten, if it is to be roomy; or any other number."""
        return some(*plenty) if roomy and random.randint(1, 10) < 10 else some(*plenty, *few)

    planes = enough(((1, 1), (2, 2), (2, 1), (1, 2), (2, 0), (0, 2)), ((1, 0), (0, 1)))
    slices = enough((8, 12, 16, 24, 32) if roomy else (8, 12, 16, 8), (5, 1, 2, 3))
    alus, words = enough((8, 16, 8, 16), (1, 2, 3, 4, 5, 7)), enough((256, 1024, 256), (16, 32, 64))
    return Config(
        name="drawn",
        lanes=some(16, 8, 4),
        superlanes=some(1, 1, 2, 3, 4),
        streams=enough((32, 32, 28, 24, 16, 20), (8, 12)),
        planes_west=planes[0],
        planes_east=planes[1],
        datapath=some(*datapaths),
        mem_slices=slices,
        mem_slices_per_stop=random.randint(1, slices),
        bank_words=words,
        acc_rows=min(words, some(16, 64, 8, 1, 2, 3, 4)),
        alus=alus,
        special_alus=min(alus, enough((2, 4, 3), (1, 0))),
        queue_depth=enough((1024, 1024, 1024), (256, 64, 16)),
        pipeline=some("short", "deep"),
    )


def drawn_case(random, names=None):
    """``(config, kernel, sizes, seed)``, the arguments of :func:`check`.

    Parameters
    ----------
    random : random.Random
        Or what hypothesis has in its place.
    names : sequence of str, optional
        The kernels to choose from.
    """
    name = random.choice(names or NAMES)
    datapaths = ("fp16", "int8") if name in _ANY_DATAPATH else ("fp16",)
    config = drawn_config(random, datapaths, roomy=name in _ROOMY)
    sizes = {key: choose(random, config.vector) for key, choose in MAKES[name][1].items()}
    return config, name, sizes, random.randint(0, 2**32 - 1)


def written(config, name, sizes, seed):
    """The case as a shell command that checks it."""
    call = f"check({config!r}, {name!r}, {sizes!r}, {seed})"
    lines = "from random_kernels import *", call
    return f"PYTHONPATH=tests python -c {'; '.join(lines)!r}"


def check(config, name, sizes, seed):
    """Make a kernel and run it on the golden model: says the cycles, or why it was refused.

    Raises
    ------
    AssertionError
        If the result is not what the kernel promises, in the cycles of the schedule, or if a
        refusal is not one sentence.
    Exception
        What the kernel raises, if that is no refusal.
    """
    rng = np.random.RandomState(seed)  # whose numbers are the same in every version of numpy
    try:
        kernel = MAKES[name][0](config, rng, **sizes)
    except RefusedError as error:
        refused = f"{type(error).__name__}: {error}"
    else:
        return _checked(kernel)
    assert len(refused.splitlines()) == 1, f"not one line: {refused}"
    assert len(refused.split()) > 5, f"no sentence: {refused}"
    return refused


def _checked(kernel):
    """The cycles of a kernel, once its result on the golden model is what it promises."""
    result = model.run(kernel.program)
    assert result.fault is None, result.fault
    assert result.cycles == kernel.program.cycles
    got, want = kernel.unpack(result.outputs), kernel.reference()
    assert got.shape == want.shape
    if not kernel.tolerance:
        np.testing.assert_array_equal(got, want)
        return result.cycles
    exact = kernel.ideal()
    error = np.abs(got.astype(np.float64) - exact).max() / kernel.scale(np.abs(exact).max())
    assert error <= kernel.tolerance, f"off by {error:.2g} of the largest result"
    return result.cycles


# Operands


def _normal(rng, *shape, scale=1.0):
    return (rng.standard_normal(shape) * scale).astype(np.float16)


def _loud(rng, *shape):
    """Numbers whose products are beyond fp16 as often as not."""
    return np.clip(rng.standard_normal(shape) * 30_000, -60_000, 60_000).astype(np.float16)


def _rows(rng, rows, columns, kind):
    """Rows of unit-normal numbers, about a large one, all equal, or wide apart."""
    x = rng.standard_normal((rows, columns))
    if kind == "offset":
        x = x + rng.randint(-999, 999)
    elif kind == "equal":
        x = np.repeat(x[:, :1], columns, axis=1) * rng.randint(1, 9999)
    elif kind == "wide":
        x = x * 10.0 ** rng.randint(-4, 3, x.shape)
    return x.astype(np.float16)


def _operand(rng, shape, dtype):
    if dtype == "int8":
        return rng.randint(-128, 128, shape).astype(np.int8)
    return _normal(rng, *shape)


def _weights(rng, shape, dtype, scaled):
    """Weights of a format whose products are about as large as the rows, and their scales."""
    values = rng.standard_normal(shape) / np.sqrt(shape[0])
    if dtype == "fp16" or not scaled:
        most = 2 if dtype == "int8" else 1
        values = np.rint(values * most) if dtype == "int8" else values
        return values.astype(NUMPY[WEIGHTS[dtype]]), None
    scale = (np.abs(values).max(axis=0) / 100 + 1e-6).astype(np.float32)
    whole = values / scale
    return (np.rint(whole) if dtype == "int8" else whole).astype(NUMPY[WEIGHTS[dtype]]), scale


def _vectors(rng, columns, names):
    return {name: _normal(rng, columns) for name in names}


# Kernels


def _matmul(config, rng, m, k, n, a, b, out, scale):
    if config.datapath == "int8":
        a = b = "int8"
    operands = _operand(rng, (m, k), a), _operand(rng, (k, n), b)
    return matmul(config, *operands, DType[out.upper()], scale if out == "int8" else None)


def _row_kernel(config, rng, kernel, rows, columns, kind, gamma, beta):
    names = {"rmsnorm": ["gamma"], "layernorm": ["gamma", "beta"]}.get(kernel, [])
    names = [name for name, given in (("gamma", gamma), ("beta", beta)) if given and name in names]
    x = _rows(rng, rows, columns, kind)
    return ROWS[kernel](config, x, **_vectors(rng, columns, names))


def _rope(config, rng, rows, heads, half):
    return rope(config, _normal(rng, rows, heads * 2 * half), heads)


def _transpose(config, rng, rows, columns, dtype):
    return transpose(config, _operand(rng, (rows, columns), dtype))


def _linear(config, rng, rows, k, columns, dtype, scaled, bias, activation, saturate=False):
    w, scale = _weights(rng, (k, columns), dtype, scaled)
    given = _vectors(rng, columns, ["bias"] * bias)
    x = _loud(rng, rows, k) if saturate else _normal(rng, rows, k)
    options = {"activation": activation, "saturate": saturate}
    return linear(config, x, w, scale=scale, **options, **given)


def _ffn(
    config, rng, rows, width, inner, dtype, scaled, activation, norm, kind, residual,
    saturate=False,
):  # fmt: skip
    shapes = {"up": (width, inner), "down": (inner, width)}
    if activation == "swiglu":
        shapes["gate"] = width, inner
    made = {name: _weights(rng, shape, dtype, scaled) for name, shape in shapes.items()}
    loud = saturate and norm == "none"
    return ffn(
        config,
        _loud(rng, rows, width)
        if loud
        else _rows(rng, rows, width, kind if norm != "none" else "normal"),
        **{name: w for name, (w, _) in made.items()},
        scales={name: s for name, (_, s) in made.items() if s is not None},
        activation=activation,
        norm=norm,
        residual=residual and kind == "normal",
        saturate=saturate,
        **_vectors(rng, width, {"none": [], "rms": ["gamma"], "layer": ["gamma", "beta"]}[norm]),
    )


def _attention(config, rng, queries, keys, kv_heads, share, size, sees):
    q = _normal(rng, queries, kv_heads * share, size)
    k, v = (_normal(rng, keys, kv_heads, size) for _ in range(2))
    mask = rng.random_sample((queries, keys)) < 0.5 if sees == "mask" else None
    return attention(config, q, k, v, causal=sees == "causal" and keys >= queries, mask=mask)


def _attention_layer(
    config, rng, seq, width, kv_heads, share, half, dtype, causal, rope, norm, residual, cached,
    saturate=False,
):  # fmt: skip
    size, heads = 2 * half, kv_heads * share
    shapes = {"q": (width, heads * size), "out": (heads * size, width)}
    shapes |= dict.fromkeys(("k", "v"), (width, kv_heads * size))
    made = {name: _weights(rng, shape, dtype, True) for name, shape in shapes.items()}
    options = _vectors(rng, width, {"none": [], "rms": ["gamma"], "layer": ["gamma", "beta"]}[norm])
    if cached:
        seq = 1
        options |= {name: _normal(rng, cached, kv_heads, size) for name in ("keys", "values")}
    return attention_layer(
        config,
        _normal(rng, seq, width),
        **{name: w for name, (w, _) in made.items()},
        heads=heads,
        kv_heads=kv_heads,
        scales={name: s for name, (_, s) in made.items() if s is not None},
        causal=causal,
        rope=rope,
        norm=norm,
        residual=residual,
        saturate=saturate,
        **options,
    )


def _chain(config, rng, rows, columns, others, first, second):
    x = _normal(rng, rows, columns)
    links = []
    for name in (first, second):
        columns = x.shape[1]
        if name == "linear":
            links.append(linear(config, x, _normal(rng, columns, others, scale=columns**-0.5)))
            x = np.zeros((rows, others), np.float16)
        else:
            links.append(ROWS[name](config, x))
            x = np.zeros_like(x)
    return chain(*links)


def _upto(tiles):
    """Sizes up to so many vectors; of two one is whole vectors, or one off."""

    def choose(random, lanes):
        near = random.randint(1, tiles) * lanes + random.choice((0, -1, 1))
        return random.choice((near, random.randint(1, tiles * lanes)))

    return choose


def _halves(random, lanes):
    """Halves of heads that divide a vector, or are several."""
    whole = [n for n in range(1, 2 * lanes + 1) if not lanes % (2 * n) or not n % lanes]
    return random.choice(whole)


def _whole(low, high):
    return lambda random, lanes: random.randint(low, high)


def _one(*values):
    return lambda random, lanes: random.choice(values)


_FORMATS = _one(*dict.fromkeys(WEIGHTS))
_TRUTH = _one(True, False)
_RARELY = _one(False, False, False, True)
_NORMS = _one("none", "rms", "layer")
_KINDS = _one("normal", "offset", "equal", "wide")

MAKES = {
    "matmul": (
        _matmul,
        {
            "m": _upto(2),
            "k": _upto(2),
            "n": _upto(2),
            "a": _one("fp16", "int8"),
            "b": _one("fp16", "int8"),
            "out": _one("fp32", "fp16", "int32", "int8"),
            "scale": _one(0.125, None, 0.1, -3.0, 0.007),
        },
    ),
    "row kernel": (
        _row_kernel,
        {
            "kernel": _one(*ROWS),
            "rows": _whole(1, 40),
            "columns": _upto(3),
            "kind": _KINDS,
            "gamma": _TRUTH,
            "beta": _TRUTH,
        },
    ),
    "rope": (_rope, {"rows": _whole(1, 20), "heads": _whole(1, 3), "half": _halves}),
    "transpose": (
        _transpose,
        {"rows": _upto(2), "columns": _upto(2), "dtype": _one("fp16", "int8")},
    ),
    "linear": (
        _linear,
        {
            "rows": _whole(1, 40),
            "k": _upto(2),
            "columns": _upto(3),
            "dtype": _FORMATS,
            "scaled": _TRUTH,
            "bias": _TRUTH,
            "activation": _one(*ACTIVATIONS),
            "saturate": _RARELY,
        },
    ),
    "ffn": (
        _ffn,
        {
            "rows": _whole(1, 20),
            "width": _upto(2),
            "inner": _upto(2),
            "dtype": _FORMATS,
            "scaled": _TRUTH,
            "activation": _one(*KINDS),
            "norm": _NORMS,
            "kind": _KINDS,
            "residual": _TRUTH,
            "saturate": _RARELY,
        },
    ),
    "attention": (
        _attention,
        {
            "queries": _whole(1, 20),
            "keys": _whole(1, 40),
            "kv_heads": _whole(1, 2),
            "share": _whole(1, 2),
            "size": _whole(1, 24),
            "sees": _one("all", "causal", "mask"),
        },
    ),
    "attention_layer": (
        _attention_layer,
        {
            "seq": _whole(1, 6),
            "width": _whole(1, 20),
            "kv_heads": _whole(1, 2),
            "share": _whole(1, 2),
            "half": _whole(1, 6),
            "dtype": _FORMATS,
            "causal": _TRUTH,
            "rope": _TRUTH,
            "norm": _NORMS,
            "residual": _TRUTH,
            "cached": _one(0, 0, 1, 5),
            "saturate": _RARELY,
        },
    ),
    "chain": (
        _chain,
        {
            "rows": _whole(1, 12),
            "columns": _upto(2),
            "others": _upto(2),
            "first": _one("linear", *ROWS),
            "second": _one("linear", *ROWS),
        },
    ),
}
"""By the name of a kernel: a function that makes it, and functions that choose its sizes."""

NAMES = [name for name in MAKES for _ in range(1 if name == "attention_layer" else 4)]
"""Kernels to choose from; those that take long to plan are seldom."""
