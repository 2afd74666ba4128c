"""``tsp run NAME``: one kernel on a back end, measured."""

import io
import math
import time
import tokenize
from functools import partial

import click
import numpy as np
from click.core import ParameterSource
from numpy.lib.format import MAGIC_PREFIX

from tsp.hw.config import PRESETS, preset
from tsp.hw.errors import CapacityError, InputError
from tsp.sim import files, plans
from tsp.sim.backends import BACKENDS
from tsp.sim.cli.paths import FILE, WRITTEN
from tsp.sim.cli.report import print_json, print_table, shown, table_of, warn_of_size
from tsp.sim.cli.view import leave_views, view_options
from tsp.sim.kernels.activations import gelu, relu, silu
from tsp.sim.kernels.attention import attention
from tsp.sim.kernels.common import NUMPY, WEIGHTS
from tsp.sim.kernels.ffn import KINDS, ffn
from tsp.sim.kernels.linear import ACTIVATIONS, linear
from tsp.sim.kernels.matmul import RESULTS, matmul
from tsp.sim.kernels.norm_passes import NORMS
from tsp.sim.kernels.norms import EPSILON, layernorm, rmsnorm
from tsp.sim.kernels.rope import BASE, rope
from tsp.sim.kernels.rows import softmax
from tsp.sim.kernels.transpose import transpose
from tsp.sim.measure import FORMATS, measure

CONFIG = click.Choice(list(PRESETS))
WEIGHT_FORMATS = click.Choice(list(WEIGHTS))
_OPERANDS = click.Choice(["int8", "fp16"])
_DEFAULT_FORMAT = "Default: that of the configuration's datapath."
_RESULTS = click.Choice([d.name.lower() for d in RESULTS])

_UNREADABLE = (
    *(ValueError, TypeError, SyntaxError, tokenize.TokenError),
    *(OverflowError, MemoryError, RecursionError, EOFError, OSError),
)
"""What numpy raises for a .npy file whose header is wrong or whose data are cut short."""


def _search_anew(context, _option, anew):
    if anew:
        context.with_resource(plans.searched())


_COMMON = (
    click.option("--out", "out_file", **WRITTEN, help="Write the result there, as .npy."),
    click.option("--config", type=CONFIG, default="small", show_default=True),
    click.option("--backend", type=click.Choice(BACKENDS), default="rtl", show_default=True),
    click.option(
        "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of random operands."
    ),
    click.option("--waves", **WRITTEN, help="Write a waveform: rtl .vcd or .fst, pysim .vcd."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
    click.option(
        "--no-plan-cache",
        is_flag=True,
        expose_value=False,
        callback=_search_anew,
        help="Search for the plan, although it may have been found before.",
    ),
)


def common_options(command):
    """Add the options that all kernels have."""
    command = view_options(command)
    for option in reversed(_COMMON):
        command = option(command)
    return command


@click.group()
def run():
    """Run a kernel and report cycles, utilisation and error."""


def random_operand(rng, shape, dtype="fp16"):
    """A matrix to compute with: int8 over its whole range, fp16 unit-normal.

    One that no kernel could place is refused before it is drawn, which may take long.
    """
    config = preset(click.get_current_context().params["config"])
    size = math.prod(shape) * (1 if dtype == "int8" else 2)
    if size > config.memory_bytes:
        sizes = " x ".join(map(str, shape))
        raise CapacityError(
            f"an operand of {sizes} in {dtype} has {size} bytes, and config {config.name} has "
            f"{config.memory_bytes} bytes of memory; use a larger config or a smaller problem"
        )
    if dtype == "int8":
        return rng.integers(-128, 128, shape).astype(np.int8)
    return rng.normal(size=shape).astype(np.float16)


def load(path):
    """The array in a .npy file."""
    data = files.read(path)
    if not data.startswith(MAGIC_PREFIX):
        raise InputError(f"{path} is no .npy file; write one array with numpy.save")
    try:
        return np.load(io.BytesIO(data), allow_pickle=False)
    except _UNREADABLE as error:
        reason = str(error) or type(error).__name__
        raise InputError(f"{path} cannot be read: {reason}") from error


def refuse(reason, *options):
    """Refuse those of `options` that stand on the command line, for `reason`."""
    context = click.get_current_context()
    given = [
        option.opts[0]
        for option in context.command.params
        if option.opts[0] in options
        and context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE
    ]
    if given:
        raise click.UsageError(f"{reason}; leave out {' and '.join(given)}")


def execute(name, make, *, out_file, config, backend, waves, as_json):
    """Run the kernel that ``make(config)`` returns, and report."""
    warn_of_size(preset(config), backend)
    with shown("scheduling") as progress:
        began = time.process_time()
        kernel = make(preset(config))
        times = {"plan_seconds": time.process_time() - began}
        progress(description=f"building the simulator of {config} and running")
        found, result = measure(name, kernel, backend, waves=waves, progress=progress, **times)
    if as_json:
        print_json(found.as_dict(), out_file)
    else:
        print_table(table_of([found]), out_file)
    if out_file:
        made = io.BytesIO()  # numpy wants to know positions, which a pipe has not
        np.save(made, result)
        files.write(out_file, made.getvalue())
    leave_views(kernel.program, found.cycles_measured, found.fault, kernel.macs)
    if not found.right:
        raise SystemExit(1)


@run.command("matmul")
@click.option("--m", type=click.IntRange(1), help="Rows of A and C.")
@click.option("--k", type=click.IntRange(1), help="Columns of A, rows of B.")
@click.option("--n", type=click.IntRange(1), help="Columns of B and C.")
@click.option("--a", "a_file", type=FILE, help="A as .npy.")
@click.option("--b", "b_file", type=FILE, help="B as .npy.")
@click.option("--a-dtype", type=_OPERANDS, help=_DEFAULT_FORMAT)
@click.option("--b-dtype", type=_OPERANDS, help=_DEFAULT_FORMAT)
@click.option("--out-dtype", type=_RESULTS, help="Default: int32 for int8 x int8, else fp32.")
@click.option("--scale", type=float, help="Scale of an int8 result.")
@common_options
def run_matmul(m, k, n, a_file, b_file, a_dtype, b_dtype, out_dtype, scale, seed, **options):
    """C = A B on all planes: random matrices of the given sizes, or your own."""
    if bool(a_file) != bool(b_file):
        raise click.UsageError("give both --a and --b, or neither")
    if a_file:
        own = ("--m", "--k", "--n", "--a-dtype", "--b-dtype")
        refuse("--a and --b bring their sizes and formats", *own)
        a, b = load(a_file), load(b_file)
    else:
        if not (m and k and n):
            raise click.UsageError("give --m, --k and --n, or --a and --b")
        rng = np.random.default_rng(seed)
        a = random_operand(rng, (m, k), a_dtype or preset(options["config"]).datapath)
        b = random_operand(rng, (k, n), b_dtype or preset(options["config"]).datapath)
    if out_dtype is None:
        out_dtype = "int32" if a.dtype == b.dtype == np.int8 else "fp32"
    execute("matmul", lambda config: matmul(config, a, b, FORMATS[out_dtype], scale), **options)


@run.command("attention")
@click.option("--seq", type=click.IntRange(1), help="Queries.")
@click.option("--kv-seq", type=click.IntRange(1), help="Keys; default: as many as queries.")
@click.option("--heads", type=click.IntRange(1), default=1, show_default=True)
@click.option("--kv-heads", type=click.IntRange(1), help="Default: as many as heads.")
@click.option("--head-dim", type=click.IntRange(1), default=64, show_default=True)
@click.option("--causal", is_flag=True, help="A query sees no keys after its own.")
@click.option("--scale", type=float, help="Of scores; default: 1 / sqrt(head dim).")
@click.option("--q", "q_file", type=FILE, help="Q as .npy: float16 (queries, heads, head dim).")
@click.option("--k", "k_file", type=FILE, help="K as .npy: float16 (keys, kv heads, head dim).")
@click.option("--v", "v_file", type=FILE, help="V as .npy, like K.")
@click.option("--mask", "mask_file", type=FILE, help="What is seen: bool (queries, keys).")
@common_options
def run_attention(
    seq, kv_seq, heads, kv_heads, head_dim, causal, scale, q_file, k_file, v_file, mask_file, seed,
    **options,
):  # fmt: skip
    """softmax(Q K^T scale) V of every head: random operands, or your own."""
    files = [q_file, k_file, v_file]
    if any(files):
        if not all(files):
            raise click.UsageError("give --q, --k and --v, which bring their sizes, or --seq")
        own = ("--seq", "--kv-seq", "--heads", "--kv-heads", "--head-dim")
        refuse("--q, --k and --v bring their sizes", *own)
        q, k, v = map(load, files)
    else:
        if not seq:
            raise click.UsageError("give --seq, or --q, --k and --v")
        rng = np.random.default_rng(seed)
        shape = kv_seq or seq, kv_heads or heads, head_dim
        q = random_operand(rng, (seq, heads, head_dim))
        k, v = random_operand(rng, shape), random_operand(rng, shape)
    mask = load(mask_file) if mask_file else None
    execute(
        "attention",
        lambda config: attention(config, q, k, v, causal=causal, mask=mask, scale=scale),
        **options,
    )


@run.command("linear")
@click.option("--rows", type=click.IntRange(1), help="Rows of x.")
@click.option("--k", type=click.IntRange(1), help="Columns of x, rows of W.")
@click.option("--cols", type=click.IntRange(1), help="Columns of W.")
@click.option("--weight-dtype", type=WEIGHT_FORMATS, default="fp16", show_default=True)
@click.option("--bias/--no-bias", default=True, show_default=True)
@click.option(
    "--activation", type=click.Choice(list(ACTIVATIONS)), default="none", show_default=True
)
@click.option("--saturate", is_flag=True, help="What is beyond fp16 becomes 65,504 in magnitude.")
@click.option("--x", "x_file", type=FILE, help="x as .npy, float16.")
@click.option("--w", "w_file", type=FILE, help="W as .npy, in the format of --weight-dtype.")
@click.option("--scale", "scale_file", type=FILE, help="A scale per column, float32.")
@click.option("--bias-file", type=FILE, help="The bias, float16.")
@common_options
def run_linear(
    rows, k, cols, weight_dtype, bias, activation, saturate, x_file, w_file, scale_file, bias_file,
    seed, **options,
):  # fmt: skip
    """activation(x W scale + bias): random operands, or your own."""
    rng, given = np.random.default_rng(seed), None
    if bias_file and not bias:
        raise click.UsageError("--bias-file brings a bias; leave out --no-bias")
    if x_file or w_file:
        if not (x_file and w_file) or rows or k or cols:
            raise click.UsageError("give --x and --w, which bring their sizes, or neither")
        if bias and not bias_file:
            refuse("beside --x and --w a bias comes from --bias-file", "--bias")
        x, w = load(x_file), load_weights(w_file, weight_dtype)
        scale = load(scale_file) if scale_file else None
        given = load(bias_file) if bias_file else None
    else:
        if not (rows and k and cols):
            raise click.UsageError("give --rows, --k and --cols, or --x and --w")
        refuse("scale and bias from files go with --x and --w", "--scale", "--bias-file")
        x = random_operand(rng, (rows, k))
        w, scale = random_weights(rng, (k, cols), weight_dtype)
        given = random_operand(rng, (cols,)) if bias else None
    execute(
        "linear",
        lambda config: linear(
            config, x, w, scale=scale, bias=given, activation=activation, saturate=saturate
        ),
        **options,
    )


def random_weights(rng, shape, dtype):
    """Weights whose products with unit-normal rows are about as large, and their scale or None."""
    if dtype == "int8":
        scale = (rng.random(shape[1]) / 64 / np.sqrt(shape[0])).astype(np.float32)
        return random_operand(rng, shape, "int8"), scale
    values = rng.normal(size=shape) / np.sqrt(shape[0])
    if dtype == "fp16":
        return values.astype(np.float16), None
    scale = (np.abs(values).max(axis=0) / 128).astype(np.float32)
    return (values / scale).astype(NUMPY[WEIGHTS[dtype]]), scale


def load_weights(path, dtype):
    """Weights from a .npy file; fp8, which .npy does not know, may be there as its bytes."""
    found, wanted = load(path), NUMPY[WEIGHTS[dtype]]
    if dtype.startswith("fp8") and found.dtype in (np.dtype(np.uint8), np.dtype("V1")):
        return found.view(wanted)
    if found.dtype != wanted:
        raise click.UsageError(
            f"{path} holds {found.dtype}, and --weight-dtype {dtype} is {wanted}; "
            "give the --weight-dtype of the file, or convert the file"
        )
    return found


@run.command("ffn")
@click.option("--seq", type=click.IntRange(1), help="Tokens; 1 is a decode step.")
@click.option("--width", type=click.IntRange(1), help="Of a token.")
@click.option("--inner", type=click.IntRange(1), help="Width in between.")
@click.option("--activation", type=click.Choice(KINDS), default="swiglu", show_default=True)
@click.option("--norm", type=click.Choice(NORMS), default="none", show_default=True)
@click.option("--epsilon", type=float, default=EPSILON, show_default=True, help="Of the norm.")
@click.option("--residual", is_flag=True, help="Add the input to the result.")
@click.option("--weight-dtype", type=WEIGHT_FORMATS, default="fp16", show_default=True)
@click.option("--saturate", is_flag=True, help="What is beyond fp16 becomes 65,504 in magnitude.")
@click.option("--x", "x_file", type=FILE, help="float16 (tokens, width) as .npy.")
@click.option("--up", type=FILE, help="(width, inner) as .npy, in the format of --weight-dtype.")
@click.option("--gate", type=FILE, help="Like --up, for swiglu.")
@click.option("--down", type=FILE, help="(inner, width) as .npy, like --up.")
@click.option("--up-scale", type=FILE, help="float32 (inner,) as .npy.")
@click.option("--gate-scale", type=FILE, help="float32 (inner,) as .npy.")
@click.option("--down-scale", type=FILE, help="float32 (width,) as .npy.")
@click.option("--gamma", type=FILE, help="Scale of the norm, float16; default: random.")
@click.option("--beta", type=FILE, help="Offset of the layer norm, float16; default: random.")
@common_options
def run_ffn(
    seq, width, inner, activation, norm, epsilon, residual, weight_dtype, saturate, x_file, seed,
    config, out_file, backend, waves, as_json, **files,
):  # fmt: skip
    """A feed-forward layer in one program: random operands, or your own."""
    rng = np.random.default_rng(seed)
    names = ("up", "gate", "down") if activation == "swiglu" else ("up", "down")
    _check_ffn_files(files, names, norm, x_file, (seq, width, inner))
    if files["up"]:
        x = load(x_file)
        weights = {name: load_weights(files[name], weight_dtype) for name in names}
        scales = {n: load(files[f"{n}_scale"]) for n in names if files[f"{n}_scale"]}
    else:
        x = load(x_file) if x_file else random_operand(rng, (seq, width))
        if x.ndim != 2:
            raise click.UsageError(f"--x must be a matrix, not of shape {x.shape}")
        weights, scales = {}, {}
        for name in names:
            shape = (inner, x.shape[1]) if name == "down" else (x.shape[1], inner)
            weights[name], scale = random_weights(rng, shape, weight_dtype)
            scales |= {} if scale is None else {name: scale}
    vectors = ("gamma", "beta")[: NORMS.index(norm)]
    given = {
        name: load(files[name]) if files[name] else random_operand(rng, x.shape[1:])
        for name in vectors
    }
    given |= {"scales": scales, "activation": activation, "residual": residual, "norm": norm}
    given["saturate"] = saturate
    execute(
        "ffn",
        lambda config: ffn(config, x, **weights, **given, epsilon=epsilon),
        config=config, out_file=out_file, backend=backend, waves=waves, as_json=as_json,
    )  # fmt: skip


def _check_ffn_files(files, names, norm, x_file, sizes):
    """Refuse files and sizes that do not belong together."""
    seq, width, inner = sizes
    for name in ("up", "gate", "down"):
        if files[f"{name}_scale"] and not files[name]:
            raise click.UsageError(f"--{name}-scale needs --{name}")
    for name in ("gamma", "beta")[NORMS.index(norm) :]:
        if files[name]:
            raise click.UsageError(f"--{name} is not for --norm {norm}")
    some = [name for name in ("up", "gate", "down") if files[name]]
    if some:
        if sorted(some) != sorted(names) or not x_file:
            flags = " and ".join(f"--{name}" for name in ("x", *names))
            raise click.UsageError(f"weights from files need {flags}")
        if seq or width or inner:
            raise click.UsageError("files bring their sizes; leave out --seq, --width and --inner")
    elif x_file:
        if seq or width or not inner:
            raise click.UsageError("--x brings --seq and --width; give --inner")
    elif not (seq and width and inner):
        raise click.UsageError("give --seq, --width and --inner, or --x and the weights")


@run.command("rope")
@click.option("--seq", type=click.IntRange(1), help="Tokens.")
@click.option("--heads", type=click.IntRange(1), default=1, show_default=True)
@click.option("--head-dim", type=click.IntRange(2), help="Default: 64.")
@click.option("--base", type=float, default=BASE, show_default=True, help="Of the wavelengths.")
@click.option("--x", "x_file", type=FILE, help="float16 (tokens, heads * head dim) as .npy.")
@click.option("--positions", "positions_file", type=FILE, help="Integers; default: 0, 1, 2 ...")
@common_options
def run_rope(seq, heads, head_dim, base, x_file, positions_file, seed, **options):
    """Rotary position embedding of the heads of every token."""
    if not (seq or x_file):
        raise click.UsageError("give --seq, or --x")
    if not (head_dim or x_file):
        head_dim = 64
    names, sizes = ("--seq", "--head-dim"), (seq, head_dim and heads * head_dim)
    x, _ = _matrix_of(sizes, x_file, seed, names)
    positions = load(positions_file) if positions_file else None
    execute("rope", lambda config: rope(config, x, heads, positions, base), **options)


def _matrix_of(sizes, x_file, seed, names=("--rows", "--cols"), dtype="fp16"):
    """The matrix that a kernel treats, and the generator for what else it needs.

    It comes from the file, or else is random; `names` are the options that gave its `sizes`.
    """
    rng = np.random.default_rng(seed)
    if x_file:
        if any(sizes):
            raise click.UsageError(f"--x brings its sizes; leave out {' and '.join(names)}")
        return load(x_file), rng
    if not all(sizes):
        raise click.UsageError(f"give {' and '.join(names)}, or --x")
    return random_operand(rng, sizes, dtype), rng


def _sizes(command, formats="float16"):
    """Add the options of kernels that treat one matrix."""
    for option in (
        click.option("--x", "x_file", type=FILE, help=f"The matrix as .npy, {formats}."),
        click.option("--cols", type=click.IntRange(1), help="Columns."),
        click.option("--rows", type=click.IntRange(1), help="Rows."),
    ):
        command = option(command)
    return common_options(command)


def _row_command(kernel, help_text):
    @_sizes
    def command(rows, cols, x_file, seed, **options):
        x, _ = _matrix_of((rows, cols), x_file, seed)
        execute(kernel.__name__, lambda config: kernel(config, x), **options)

    command.__doc__ = help_text
    run.command(kernel.__name__)(command)


_row_command(softmax, "softmax of every row.")
_row_command(gelu, "GELU of every element, tanh form.")
_row_command(silu, "SiLU of every element.")
_row_command(relu, "ReLU of every element.")


@run.command("rmsnorm")
@click.option("--gamma", "gamma_file", type=FILE, help="Scale of each column; default: random.")
@click.option("--epsilon", type=float, default=EPSILON, show_default=True)
@_sizes
def run_rmsnorm(rows, cols, x_file, gamma_file, epsilon, seed, **options):
    """Root-mean-square norm of every row."""
    x, rng = _matrix_of((rows, cols), x_file, seed)
    gamma = load(gamma_file) if gamma_file else random_operand(rng, x.shape[1:])
    execute("rmsnorm", lambda config: rmsnorm(config, x, gamma, epsilon), **options)


@run.command("layernorm")
@click.option("--gamma", "gamma_file", type=FILE, help="Scale of each column; default: random.")
@click.option("--beta", "beta_file", type=FILE, help="Offset of each column; default: random.")
@click.option("--epsilon", type=float, default=EPSILON, show_default=True)
@_sizes
def run_layernorm(rows, cols, x_file, gamma_file, beta_file, epsilon, seed, **options):
    """Layer norm of every row."""
    x, rng = _matrix_of((rows, cols), x_file, seed)
    gamma = load(gamma_file) if gamma_file else random_operand(rng, x.shape[1:])
    beta = load(beta_file) if beta_file else random_operand(rng, x.shape[1:])
    execute("layernorm", lambda config: layernorm(config, x, gamma, beta, epsilon), **options)


@run.command("transpose")
@click.option("--dtype", type=_OPERANDS, help=f"Without --x. {_DEFAULT_FORMAT}")
@partial(_sizes, formats="float16 or int8")
def run_transpose(rows, cols, dtype, x_file, seed, **options):
    """The transposed matrix, bit for bit."""
    if x_file:
        refuse("--x brings its format", "--dtype")
    dtype = dtype or preset(options["config"]).datapath
    x, _ = _matrix_of((rows, cols), x_file, seed, dtype=dtype)
    execute("transpose", lambda config: transpose(config, x), **options)
