"""``tsp run attention_layer``: projections, attention and projection back, in one program."""

import click
import numpy as np

from tsp.sim.cli.paths import FILE
from tsp.sim.cli.run import (
    WEIGHT_FORMATS,
    common_options,
    execute,
    load,
    load_weights,
    random_operand,
    random_weights,
)
from tsp.sim.kernels.attention_layer import WEIGHTS, attention_layer
from tsp.sim.kernels.norm_passes import NORMS
from tsp.sim.kernels.norms import EPSILON


@click.command("attention_layer")
@click.option("--seq", type=click.IntRange(1), help="Tokens.")
@click.option("--width", type=click.IntRange(1), help="Of a token.")
@click.option("--heads", type=click.IntRange(1), default=1, show_default=True)
@click.option("--kv-heads", type=click.IntRange(1), help="Default: as many as heads.")
@click.option("--head-dim", type=click.IntRange(1), help="Size of a head.")
@click.option("--causal", is_flag=True, help="A token sees none after itself.")
@click.option("--rope", is_flag=True, help="Turn queries and keys by their positions.")
@click.option("--norm", type=click.Choice(NORMS), default="none", show_default=True)
@click.option("--epsilon", type=float, default=EPSILON, show_default=True, help="Of the norm.")
@click.option("--residual", is_flag=True, help="Add the input to the result.")
@click.option("--weight-dtype", type=WEIGHT_FORMATS, default="fp16", show_default=True)
@click.option("--cache", type=click.IntRange(0), default=0, help="Tokens cached; then --seq 1.")
@click.option("--saturate", is_flag=True, help="What is beyond fp16 becomes 65,504 in magnitude.")
@click.option("--x", type=FILE, help="float16 (tokens, width) as .npy.")
@click.option("--q", type=FILE, help="(width, heads * head dim) as .npy; see --weight-dtype.")
@click.option("--k", type=FILE, help="(width, kv heads * head dim) as .npy, like --q.")
@click.option("--v", type=FILE, help="Like --k.")
@click.option("--o", "out", type=FILE, help="(heads * head dim, width) as .npy, like --q.")
@click.option("--q-scale", type=FILE, help="float32, one per column, as .npy; so --k-scale ...")
@click.option("--k-scale", type=FILE)
@click.option("--v-scale", type=FILE)
@click.option("--o-scale", "out_scale", type=FILE)
@click.option("--gamma", type=FILE, help="Scale of the norm, float16; default: random.")
@click.option("--beta", type=FILE, help="Offset of the layer norm, float16; default: random.")
@click.option("--mask", type=FILE, help="What is seen: bool (tokens, keys).")
@click.option("--keys", type=FILE, help="The cache: float16 (tokens, kv heads, head dim), turned.")
@click.option("--values", type=FILE, help="The cache, like --keys.")
@common_options
def run_attention_layer(
    seq, width, heads, kv_heads, head_dim, causal, rope, norm, epsilon, residual, weight_dtype,
    saturate, cache, seed, config, out_file, backend, waves, as_json, **files,
):  # fmt: skip
    """An attention layer in one program: random operands, or your own."""
    _check_files(files, norm, (seq, width, head_dim), cache)
    rng, kv_heads = np.random.default_rng(seed), kv_heads or heads
    if files["q"]:
        x = load(files["x"])
        weights = {name: load_weights(files[name], weight_dtype) for name in WEIGHTS}
        scales = {n: load(files[f"{n}_scale"]) for n in WEIGHTS if files[f"{n}_scale"]}
    else:
        x = random_operand(rng, (seq, width))
        shapes = {"q": (width, heads * head_dim), "out": (heads * head_dim, width)}
        shapes |= dict.fromkeys(("k", "v"), (width, kv_heads * head_dim))
        weights, scales = {}, {}
        for name in WEIGHTS:
            weights[name], scale = random_weights(rng, shapes[name], weight_dtype)
            scales |= {} if scale is None else {name: scale}
    given = {"scales": scales, "causal": causal, "rope": rope, "norm": norm, "epsilon": epsilon}
    given["saturate"] = saturate
    for name in ("gamma", "beta")[: NORMS.index(norm)]:
        random = random_operand(rng, x.shape[1:])
        given[name] = load(files[name]) if files[name] else random
    if files["mask"]:
        given["mask"] = load(files["mask"])
    for name in ("keys", "values"):
        if files[name]:
            given[name] = load(files[name])
        elif cache:
            given[name] = random_operand(rng, (cache, kv_heads, head_dim))
    execute(
        "attention_layer",
        lambda config: attention_layer(
            config, x, **weights, heads=heads, kv_heads=kv_heads, residual=residual, **given
        ),
        config=config, out_file=out_file, backend=backend, waves=waves, as_json=as_json,
    )  # fmt: skip


def _check_files(files, norm, sizes, cache):
    """Refuse files and sizes that do not belong together."""
    for name in WEIGHTS:
        if files[f"{name}_scale"] and not files[name]:
            raise click.UsageError(f"--{name[0]}-scale needs --{name[0]}")
    for name in ("gamma", "beta")[NORMS.index(norm) :]:
        if files[name]:
            raise click.UsageError(f"--{name} is not for --norm {norm}")
    some = [files[name] for name in ("x", *WEIGHTS)]
    if any(some):
        if not all(some):
            raise click.UsageError("give --x, --q, --k, --v and --o, or none of them")
        if any(sizes) or cache:
            raise click.UsageError(
                "files bring their sizes; leave out --seq, --width, --head-dim and --cache"
            )
    elif not all(sizes):
        raise click.UsageError("give --seq, --width and --head-dim, or --x and the weights")
    elif files["keys"] or files["values"]:
        raise click.UsageError("--keys and --values go with --x and the weights; give --cache")
