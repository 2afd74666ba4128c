"""What is measured in cycles: commands ``tsp run``, each with the tables and the plot it is for."""

import re
from dataclasses import dataclass

from tsp.hw.config import preset


@dataclass(frozen=True)
class Benchmark:
    """One command ``tsp run``.

    Members
    -------
    config, kernel, options : str
        The command, without its back end.
    label : str
        What tables call it.
    bound : "macs", "weights" or None
        What its ideal counts: multiply-accumulates over those of all planes in a cycle, or bytes
        of weights over those that all streams carry in a cycle.
    goal : int, optional
        Cycles that the kernel is asked to stay below.
    """

    config: str
    kernel: str
    options: str
    label: str
    bound: str | None = "macs"
    goal: int | None = None

    @property
    def command(self):
        """What follows ``tsp``; it is also the name of the work in the results."""
        return f"run {self.kernel} --config {self.config} {self.options}"

    def ideal(self, macs):
        """Fewest cycles that its bound allows, or None; `macs` is what the problem needs."""
        config = preset(self.config)
        match self.bound:
            case None:
                return None
            case "macs":
                return macs / config.macs_per_cycle
            case "weights":
                # One token meets every weight once, and streams of both directions carry weights.
                size = 1 if re.search("--weight-dtype (int8|fp8)", self.options) else 2
                return macs * size / (2 * config.streams * config.vector)


def _product(config, m, k, n, formats="", more=""):
    options = f"--m {m} --k {k} --n {n}{more}"
    return Benchmark(config, "matmul", options, f"{m} x {k} x {n}{formats}")


_INT8 = ", int8 -> int32", " --a-dtype int8 --b-dtype int8"
_FFN = "--width 576 --inner 1536 --weight-dtype int8"
_LAYER = "--width 576 --heads 9 --kv-heads 3 --head-dim 64 --rope --weight-dtype int8"
_NORMED = "--norm rms --residual"
_LINEAR = "--k 576 --cols 1536 --weight-dtype int8 --no-bias"

PRODUCTS = (
    _product("small", 256, 256, 256, ", fp16 -> fp32"),
    _product("quad16", 64, 64, 64, *_INT8),
    _product("duo32", 128, 576, 1536, ", fp16 x int8 -> fp32", " --b-dtype int8"),
    _product("base", 512, 512, 512, ", fp16 -> fp32"),
)
SOFTMAX = Benchmark("small", "softmax", "--rows 256 --cols 16", "softmax, 256 rows of 16", None)
LINEAR = (
    Benchmark(
        "duo32", "linear", f"--rows 128 {_LINEAR}", "128 x 576 x 1536, int8 weights with scales"
    ),
    Benchmark(
        "duo32", "linear", f"--rows 1 {_LINEAR}", "1 x 576 x 1536, the same weights", "weights"
    ),
)  # fmt: skip
FFN = (
    Benchmark(
        "duo32", "ffn", f"--seq 128 {_FFN}", "SwiGLU layer, 128 x 576, inner 1,536, int8 weights"
    ),
    Benchmark("duo32", "ffn", f"--seq 1 {_FFN}", "the same, one token", "weights"),
    Benchmark(
        "duo32", "ffn", f"--seq 128 {_FFN} {_NORMED}",
        "SwiGLU layer, 128 x 576, inner 1,536, int8 weights, RMS norm and residual",
    ),
    Benchmark("duo32", "ffn", f"--seq 1 {_FFN} {_NORMED}", "the same, one token", "weights"),
    Benchmark(
        "small", "ffn", "--seq 64 --width 64 --inner 128", "SwiGLU layer, 64 x 64, inner 128"
    ),
)  # fmt: skip
ATTENTION = (
    Benchmark(
        "base", "attention", "--seq 512 --heads 8 --head-dim 64 --causal",
        "attention, 8 heads of 64, sequence 512, causal",
    ),
    Benchmark(
        "base", "attention", "--seq 512 --heads 8 --head-dim 64",
        "attention, 8 heads of 64, sequence 512",
    ),
    Benchmark(
        "base", "attention", "--seq 1024 --heads 8 --head-dim 64 --causal",
        "attention, 8 heads of 64, sequence 1,024, causal",
    ),
    Benchmark(
        "base", "attention", "--seq 1024 --heads 4 --kv-heads 2 --head-dim 128 --causal",
        "attention, 4 heads of 128, 2 for keys, sequence 1,024, causal",
    ),
    Benchmark(
        "duo32", "attention", "--seq 128 --heads 9 --kv-heads 3 --head-dim 64",
        "attention, 9 heads of 64, 3 for keys, sequence 128",
    ),
    Benchmark(
        "small", "attention", "--seq 64 --heads 2 --causal",
        "attention, 2 heads of 64, sequence 64, causal",
    ),
    Benchmark(
        "quad16", "attention", "--seq 64 --head-dim 64",
        "attention, one head of 64, sequence 64",
    ),
)  # fmt: skip
LAYERS = (
    Benchmark(
        "quad16", "attention_layer", "--seq 64 --width 64 --head-dim 64",
        "attention layer, 64 tokens of 64, one head of 64", goal=1700,
    ),
    Benchmark(
        "quad16", "attention_layer", "--seq 128 --width 128 --head-dim 192",
        "attention layer, 128 tokens of 128, one head of 192", goal=18_800,
    ),
    Benchmark(
        "duo32", "attention_layer", f"--seq 128 {_LAYER}",
        "attention layer, 128 tokens of 576, 9 heads of 64, 3 for keys, rope, int8 weights",
        goal=34_000,
    ),
    Benchmark(
        "duo32", "attention_layer", f"--seq 128 {_LAYER} {_NORMED}",
        "the same with RMS norm and residual",
    ),
    Benchmark(
        "duo32", "attention_layer", f"--seq 128 {_LAYER} {_NORMED} --causal",
        "the same with RMS norm, residual and causal mask",
    ),
    Benchmark(
        "duo32", "attention_layer", f"--seq 1 {_LAYER} --cache 127",
        "the same without them, one token after 127", None,
    ),
)  # fmt: skip
CHIP = (
    _product("tsp", 320, 320, 320, ", fp16 -> fp32"),
    _product("tsp", 640, 640, 640, ", fp16 -> fp32"),
    Benchmark(
        "tsp", "attention", "--seq 320 --head-dim 320 --causal",
        "attention, one head of 320, sequence 320, causal",
    ),
)  # fmt: skip
"""What runs on the full-size chip: what ``tsp chip`` compares with the golden model."""

KERNELS = (*PRODUCTS, SOFTMAX, *LINEAR, *FFN, *ATTENTION, *LAYERS)
"""What the results page shows of kernels."""

PLANS = (
    Benchmark(
        "small", "attention_layer", "--seq 1 --width 16 --head-dim 16",
        "attention layer, one token of 16, one head of 16", None,
    ),
    *LAYERS,
    Benchmark(
        "base", "attention_layer", "--seq 128 --width 768 --heads 12 --head-dim 64",
        "attention layer, 128 tokens of 768, 12 heads of 64",
    ),
    *FFN,
    *LINEAR,
)  # fmt: skip
"""Those whose planning is timed: all layers, a tiny and a large one of attention besides."""

README = (
    *PRODUCTS,
    SOFTMAX,
    *(ATTENTION[n] for n in (5, 4, 0)),
    *LAYERS[:3],
    *FFN[:2],
)
"""Those of them that stand for all on the front page."""

SIZES = {
    "nano": (4, 8, 16, 32),  # its memory holds no more
    "small": (16, 32, 64, 128, 256),
    "quad16": (16, 32, 64, 128, 256),
    "duo32": (32, 64, 128, 256, 512),
    "base": (64, 128, 256, 512, 1024),
}
"""Sizes of square products, from one vector up."""
SEQUENCES = {
    "small": ("--heads 2 --head-dim 64", (32, 64, 128, 256)),
    "duo32": ("--heads 9 --kv-heads 3 --head-dim 64", (32, 64, 128, 256, 512)),
    "base": ("--heads 8 --head-dim 64", (64, 128, 256, 512, 1024)),
}
"""Heads and lengths of attention."""


def _square(config, n):
    if preset(config).datapath == "int8":
        return _product(config, n, n, n, *_INT8)
    return _product(config, n, n, n, ", fp16 -> fp32")


def _attention(config, heads, n):
    return Benchmark(
        config, "attention", f"--seq {n} {heads}", f"attention, {heads}, sequence {n}"
    )  # fmt: skip


SWEEPS = {
    "size": {c: {n: _square(c, n) for n in sizes} for c, sizes in SIZES.items()},
    "sequence": {
        c: {n: _attention(c, heads, n) for n in lengths}
        for c, (heads, lengths) in SEQUENCES.items()
    },
}
"""By what varies and by configuration: the works of a curve, by size."""


def cycles_works():
    """Every work but those of the full-size chip, once."""
    swept = (work for curves in SWEEPS.values() for c in curves.values() for work in c.values())
    return list({work.command: work for work in (*swept, *KERNELS)}.values())
