"""Attention layers with random operands, for several tests."""

from dataclasses import replace

import numpy as np

from tsp.hw.floorplan import Hemisphere
from tsp.hw.isa import DType
from tsp.sim.kernels.attention_layer import attention_layer
from tsp.sim.kernels.common import NUMPY
from tsp.sim.layout import banks
from tsp.sim.program import Block


def random_layer(
    config, seq, width, heads, kv_heads, size, *, weights="fp16", cached=0, x=None, **options
):
    """The kernel of a layer whose products are about as large as its tokens."""
    rng = np.random.default_rng(seq * width + heads)
    tokens = rng.normal(size=(seq, width)).astype(np.float16)
    x = tokens if x is None else x
    shapes = {"q": (width, heads * size), "out": (heads * size, width)}
    shapes |= dict.fromkeys(("k", "v"), (width, kv_heads * size))
    made, scales = {}, {}
    for name, shape in shapes.items():
        values = rng.normal(size=shape) / np.sqrt(shape[0])
        if weights == "fp16":
            made[name] = values.astype(np.float16)
            continue
        scales[name] = (np.abs(values).max(axis=0) / 100).astype(np.float32)
        whole = values / scales[name]
        made[name] = (
            np.rint(whole).astype(np.int8)
            if weights == "int8"
            else whole.astype(NUMPY[DType.FP8_E4M3])
        )
    if options.get("norm", "none") != "none":
        options["gamma"] = rng.normal(size=width).astype(np.float16)
    if options.get("norm") == "layer":
        options["beta"] = rng.normal(size=width).astype(np.float16)
    if cached:
        shape = cached, kv_heads, size
        options |= {n: rng.normal(size=shape).astype(np.float16) for n in ("keys", "values")}
    return attention_layer(
        config, x, **made, heads=heads, kv_heads=kv_heads, scales=scales, **options
    )


def in_used_memory(program):
    """The same program after others: words that its image leaves alone are NaN, not 0."""
    config = program.config
    image = []
    for bank in (b for side in Hemisphere for b in banks(config, side)):
        data = np.full((config.bank_words, config.vector), 0xFF, np.uint8)
        for block in program.image:
            if (block.slice, block.bank) == (bank.slice, bank.number):
                data[block.address : block.address + len(block.data)] = block.data
        image.append(Block(bank.slice, bank.number, 0, data))
    return replace(program, image=tuple(image))
