"""The command ``tsp run`` on the golden model. Oracles: the fields of its JSON, and numpy."""

import json

import ml_dtypes
import numpy as np
import pytest
from click.testing import CliRunner

from tsp.sim.cli import main

FIELDS = {
    "kernel", "config", "backend", "shape", "dtypes", "cycles_scheduled", "cycles_measured",
    "macs", "mxm_utilisation", "max_abs_error", "max_ulp_error", "bit_exact", "build_seconds",
    "sim_seconds", "sim_cycles_per_second", "fault",
}  # fmt: skip
RUNS = {
    "matmul": "--m 5 --k 20 --n 9 --a-dtype int8",
    "softmax": "--rows 6 --cols 20",
    "rmsnorm": "--rows 6 --cols 20 --epsilon 0.1",
    "layernorm": "--rows 6 --cols 20",
    "gelu": "--rows 6 --cols 20",
    "silu": "--rows 6 --cols 20",
    "relu": "--rows 6 --cols 20",
    "rope": "--seq 6 --heads 2 --head-dim 8",
    "linear": "--rows 6 --k 20 --cols 9 --weight-dtype int8 --activation silu",
    "attention": "--seq 6 --kv-seq 9 --heads 4 --kv-heads 2 --head-dim 8 --causal",
    "ffn": "--seq 6 --width 8 --inner 20 --residual --norm layer --weight-dtype fp8",
}


def run(*words):
    return CliRunner().invoke(main, ["run", *words])


def test_every_kernel_has_its_run():
    assert set(main.commands["run"].commands) == set(RUNS)


@pytest.mark.parametrize("name", RUNS)
def test_json(name):
    done = run(name, *RUNS[name].split(), "--backend", "golden", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert set(found) >= FIELDS
    assert found["kernel"] == name
    assert found["fault"] is None
    assert found["cycles_scheduled"] == found["cycles_measured"] > 0
    assert found["right"]


def test_own_arrays(tmp_path):
    """Files in, a file out."""
    rng = np.random.default_rng(1)
    q, k, v = (rng.normal(size=(n, 2, 8)).astype(np.float16) for n in (5, 7, 7))
    mask = np.ones((5, 7), bool)
    mask[:, 3] = False
    words = []
    for name, array in {"q": q, "k": k, "v": v, "mask": mask}.items():
        np.save(tmp_path / name, array)
        words += [f"--{name}", str(tmp_path / f"{name}.npy")]
    out = tmp_path / "out.npy"
    done = run("attention", *words, "--scale", "1", "--out", str(out), "--backend", "golden")
    assert done.exit_code == 0, done.output
    assert "attention 5 x 7 x 2 x 2 x 8" in done.stdout
    scores = np.einsum("qhd,khd->hqk", *(x.astype(float) for x in (q, k)))
    powers = np.exp(scores) * mask
    powers /= powers.sum(axis=2, keepdims=True)
    expected = np.einsum("hqk,khd->qhd", powers, v.astype(float))
    np.testing.assert_allclose(np.load(out), expected, atol=4e-3)


def ffn_files(tmp_path, weights, **more):
    """Options that name .npy files of all operands."""
    words = []
    for name, array in (weights | more).items():
        path = tmp_path / f"{name}.npy"
        np.save(path, array)
        words += [f"--{name.replace('_', '-')}", str(path)]
    return words


@pytest.mark.parametrize("dtype", ["int8", "fp8", "fp16"])
def test_ffn_from_files(tmp_path, dtype):
    """All operands of a feed-forward layer; the result, and numpy."""
    rng = np.random.default_rng(12)
    x, gamma, beta = (rng.normal(size=s).astype(np.float16) for s in ((5, 8), (8,), (8,)))
    shapes = {"up": (8, 20), "gate": (8, 20), "down": (20, 8)}
    kind = {"int8": np.int8, "fp8": ml_dtypes.float8_e4m3fn, "fp16": np.float16}[dtype]
    weights = {n: (rng.normal(size=s) * (20 if dtype == "int8" else 1)).astype(kind)
               for n, s in shapes.items()}  # fmt: skip
    scales = {} if dtype == "fp16" else {
        f"{n}_scale": rng.random(s[1]).astype(np.float32) / 20 for n, s in shapes.items()
    }  # fmt: skip
    words = ffn_files(tmp_path, weights, x=x, gamma=gamma, beta=beta, **scales)
    out = tmp_path / "out.npy"
    options = ["--weight-dtype", dtype, "--norm", "layer", "--residual", "--backend", "golden"]
    done = run("ffn", *words, *options, "--out", str(out))
    assert done.exit_code == 0, done.output
    up, gate, down = (
        weights[n].astype(float) * scales.get(f"{n}_scale", 1) for n in ("up", "gate", "down")
    )
    wide = x.astype(float)
    y = (wide - wide.mean(1, keepdims=True)) / np.sqrt(wide.var(1, keepdims=True) + 1e-5)
    y = y * gamma + beta
    g = y @ gate
    expected = (g / (1 + np.exp(-g)) * (y @ up)) @ down + wide
    np.testing.assert_allclose(np.load(out), expected, atol=2e-3 * np.abs(expected).max())


def test_ffn_files_that_do_not_belong_together(tmp_path):
    x, w = np.zeros((3, 4), np.float16), np.zeros((4, 6), np.int8)
    files = dict(zip(("x", "up", "gate"), (x, w, w), strict=True))
    words = ffn_files(tmp_path, files)
    for more, message in (
        ([], "weights from files need --x and --up and --gate and --down"),
        (["--activation", "relu"], "weights from files need --x and --up and --down"),
        (["--down-scale", words[1]], "--down-scale needs --down"),
        (["--norm", "rms", "--beta", words[1]], "--beta is not for --norm rms"),
        (["--gamma", words[1]], "--gamma is not for --norm none"),
        (["--down", words[3], "--seq", "3"], "files bring their sizes; leave out --seq, --width"),
        (["--down", words[3]], r"down must have shape (6, 4), not (4, 6)"),
    ):
        done = run("ffn", *words, *more, "--backend", "golden")
        assert done.exit_code != 0, message
        assert message in done.output.replace("\n", " "), done.output
        assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("softmax --rows 3", "give --rows and --cols, or --x"),
        ("matmul --m 3", "give --m, --k and --n, or --a and --b"),
        ("attention", "give --seq, or --q, --k and --v"),
        ("ffn --seq 3", "give --seq, --width and --inner, or --x and the weights"),
        ("linear --rows 3", "give --rows, --k and --cols, or --x and --w"),
        ("attention --seq 4 --heads 3 --kv-heads 2", "3 heads are no multiple of 2 kv heads"),
        ("rope --seq 4 --head-dim 7 --backend golden", "7 columns are not 1 heads of an even size"),
    ],
)
def test_refusals(words, message):
    """One line that says what is wrong, and no traceback."""
    done = run(*words.split())
    assert done.exit_code != 0
    assert message in done.output
    assert "Traceback" not in done.output
