"""Kernel `ffn`, a feed-forward layer, in one program, beside its reference."""

from contextlib import suppress

import numpy as np

from tsp.hw.config import LONGEST_SUM, Config
from tsp.hw.errors import NO_PLAN, InputError
from tsp.sim.kernels.activations import silu_reference
from tsp.sim.kernels.common import Kernel, check_size, column_scales, saturated, weight_format
from tsp.sim.kernels.few_rows import pays
from tsp.sim.kernels.ffn_few import FfnFewRows
from tsp.sim.kernels.ffn_layers import FfnLayers
from tsp.sim.kernels.layers import roomiest
from tsp.sim.kernels.linear import ACTIVATIONS
from tsp.sim.kernels.norm_passes import checked_norm
from tsp.sim.kernels.norms import EPSILON
from tsp.sim.kernels.rows import matrix, to_fp16

KINDS = ("swiglu", "gelu", "silu", "relu")


def ffn(
    config: Config,
    x: np.ndarray,
    up: np.ndarray,
    down: np.ndarray,
    *,
    gate: np.ndarray | None = None,
    scales: dict[str, np.ndarray] | None = None,
    activation: str = "swiglu",
    residual: bool = False,
    norm: str = "none",
    gamma: np.ndarray | None = None,
    beta: np.ndarray | None = None,
    epsilon: float = EPSILON,
    saturate: bool = False,
) -> Kernel:
    """A feed-forward layer: the hidden activations never leave the chip.

    With y = norm(x), ``swiglu`` is (silu(y gate) * (y up)) down; the others are
    activation(y up) down. One or few rows are computed in another way, in which weights stream.

    Parameters
    ----------
    config : Config
        With the fp16 datapath.
    x : ndarray
        float16 (rows, width).
    up, gate : ndarray
        float16, int8, float8_e4m3fn or float8_e5m2 (width, inner); `gate` for swiglu only.
    down : ndarray
        In any of these formats, (inner, width).
    scales : dict, optional
        float32 per column of "up", "gate" and "down"; not for float16 weights.
    activation : str
        "swiglu", "gelu", "silu" or "relu".
    residual : bool
        Add x to the result, as it comes.
    norm : str
        "none", "rms" or "layer": that of :mod:`~tsp.sim.kernels.norms`.
    gamma, beta : ndarray, optional
        float16 (width,), for a norm; beta for "layer" only.
    epsilon : float
        Of the norm.
    saturate : bool
        Whether rows after a norm, hidden activations and results that are beyond 65,504 in
        magnitude become that, and no infinities. It takes ALUs, and with few of them cycles.

    Returns
    -------
    Kernel
        Its result is float16 (rows, width).

    Raises
    ------
    TypeError, ValueError
        For operands that do not fit each other.
    CapacityError
        If they do not fit on the core.
    """
    weights = _checked(config, x, up, down, gate, activation)
    scales = column_scales(scales or {}, weights)
    normed = checked_norm(norm, config, x.shape[1], gamma, beta, epsilon, saturate)
    arguments = config, x, weights, scales, activation, residual, normed, saturate
    work, program = _scheduled(*arguments)
    w = {name: matrix for name, (matrix, _) in weights.items()}

    def reference(x):
        y = x if normed is None else normed.reference(x)
        limits = {"saturate": saturate, "narrow_gate": work.narrow_gate}
        found = ffn_reference(y, **w, scales=scales, activation=activation, **limits)
        return saturated(found + residual * x.astype(np.float64), saturate)

    return Kernel(
        program,
        work.unpack,
        lambda: to_fp16(reference(x)),
        lambda: reference(x),
        macs=x.shape[0] * sum(matrix.size for matrix in w.values()),
        shape={
            "seq": x.shape[0],
            "width": x.shape[1],
            "inner": up.shape[1],
            "activation": activation,
            "norm": norm,
        }
        | {f"{name}_dtype": dtype.name.lower() for name, (_, dtype) in weights.items()},
        tolerance=2e-3,
        source=work.located_source(),
        result=work.located_result(),
        apply=reference,
        terms=lambda: _terms(x if normed is None else normed.reference(x), w, scales, residual * x),
    )


def ffn_reference(
    x: np.ndarray,
    up: np.ndarray,
    down: np.ndarray,
    gate: np.ndarray | None = None,
    scales: dict[str, np.ndarray] | None = None,
    activation: str = "swiglu",
    residual: bool = False,
    saturate: bool = False,
    narrow_gate: bool = False,
) -> np.ndarray:
    """What :func:`ffn` computes, in float64.

    If hidden activations `saturate`, so do those of the gate where these are a `narrow_gate`, kept
    in fp16 until those of the way up are there.
    """
    wide, scales = x.astype(np.float64), scales or {}

    def times(rows, name, w):
        return rows @ w.astype(np.float64) * scales.get(name, 1)

    inner = times(wide, "up", up)
    if activation == "swiglu":
        passed = silu_reference(times(wide, "gate", gate))
        inner = inner * saturated(passed, saturate and narrow_gate)
    else:
        inner = ACTIVATIONS[activation][1](inner)
    inner = saturated(inner, saturate)
    return times(inner, "down", down) + residual * wide


def _terms(y, w, scales, residual):
    """The root of the sum of the squares of the terms of each result, at least.

    No activation is larger than its operand, or much steeper than 1.
    """

    def squares(rows, name):
        return rows @ np.square(w[name].astype(np.float64) * scales.get(name, 1))

    y = np.square(y.astype(np.float64))
    inner = squares(y, "up") * (squares(y, "gate") if "gate" in w else 1)
    return np.sqrt(squares(inner, "down") + np.square(residual.astype(np.float64)))


def _checked(config, x, up, down, gate, activation):
    matrix("x", x)
    if activation not in KINDS:
        raise InputError(f"activation must be one of {', '.join(KINDS)}, not {activation!r}")
    if config.datapath != "fp16":
        raise InputError(f"ffn needs the fp16 datapath; config {config.name} has int8")
    if (gate is not None) != (activation == "swiglu"):
        raise InputError("swiglu needs a gate, and the other activations have none")
    weights = {"up": up, "down": down} | ({} if gate is None else {"gate": gate})
    found = {name: (w, weight_format(name, w)) for name, w in weights.items()}
    if up.ndim != 2 or not up.size:
        raise InputError(f"up must have shape ({x.shape[1]}, inner), not {up.shape}")
    inner = up.shape[1]
    for name, w in weights.items():
        shape = (inner, x.shape[1]) if name == "down" else (x.shape[1], inner)
        if w.shape != shape:
            raise InputError(f"{name} must have shape {shape}, not {w.shape}")
    if max(x.shape[1], inner) > LONGEST_SUM:
        raise InputError(
            f"width and inner must be at most {LONGEST_SUM}, not {x.shape[1]} and {inner}"
        )
    return found


def _scheduled(config, x, weights, scales, activation, residual, norm, saturate):
    """The layer, and its program, by weights that stream if that is worth while."""
    arguments = config, x, weights, scales, activation, residual, norm, saturate
    found = [w for w, _ in weights.values()]
    check_size("a feed-forward layer", config, found, [x])
    if pays(config, len(x), [dtype for _, dtype in weights.values()]):
        with suppress(*NO_PLAN):
            work = FfnFewRows(*arguments)
            work.run()
            return work, work.program()
    work = roomiest(lambda fit: FfnLayers(*arguments, fit), norm is not None)
    work.run()
    return work, work.program()
