"""The command ``tsp run`` on the golden model. Oracles: the fields of its JSON, and numpy."""

import json

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
    "ffn": "--seq 6 --width 8 --inner 20 --residual",
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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("softmax --rows 3", "give --rows and --cols, or --x"),
        ("matmul --m 3", "give --m, --k and --n, or --a and --b"),
        ("attention", "give --seq, or --q, --k and --v"),
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
