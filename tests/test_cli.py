"""The command ``tsp run`` on the golden model. Oracles: the fields of its JSON, and numpy."""

import json
from importlib import import_module

import ml_dtypes
import numpy as np
import pytest
from click.testing import CliRunner

from tsp.sim.cli import main
from tsp.sim.kernels.activations import gelu_reference, silu_reference
from tsp.sim.kernels.norms import layernorm_reference, rmsnorm_reference
from tsp.sim.kernels.rope import rope_reference
from tsp.sim.kernels.rows import softmax_reference

FIELDS = {
    "kernel", "config", "backend", "shape", "dtypes", "cycles_scheduled", "cycles_measured",
    "macs", "mxm_utilisation", "max_abs_error", "max_ulp_error", "bit_exact", "build_seconds",
    "sim_seconds", "sim_cycles_per_second", "run_cycles_per_second", "fault",
    "plan_seconds",
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
    "transpose": "--rows 6 --cols 20",
    "linear": "--rows 6 --k 20 --cols 9 --weight-dtype int8 --activation silu --saturate",
    "attention": "--seq 6 --kv-seq 9 --heads 4 --kv-heads 2 --head-dim 8 --causal",
    "ffn": "--seq 6 --width 8 --inner 20 --residual --norm layer --weight-dtype fp8 --saturate",
    "attention_layer": (
        "--seq 6 --width 20 --heads 2 --kv-heads 1 --head-dim 8 --causal --rope "
        "--norm layer --residual --weight-dtype fp8 --saturate"
    ),
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
    assert "attention seq 5, kv seq 7, heads 2," in done.stdout
    scores = np.einsum("qhd,khd->hqk", *(x.astype(float) for x in (q, k)))
    powers = np.exp(scores) * mask
    powers /= powers.sum(axis=2, keepdims=True)
    expected = np.einsum("hqk,khd->qhd", powers, v.astype(float))
    np.testing.assert_allclose(np.load(out), expected, atol=4e-3)


X = np.random.default_rng(2).normal(size=(6, 16)).astype(np.float16)
GAMMA, BETA = np.random.default_rng(3).normal(size=(2, 16)).astype(np.float16)
POSITIONS = np.array([7, 0, 100, 3, 3, 2000])


@pytest.mark.parametrize(
    ("name", "files", "expected"),
    [
        ("softmax", {}, softmax_reference(X)),
        ("rmsnorm", {"gamma": GAMMA}, rmsnorm_reference(X, GAMMA)),
        ("layernorm", {"gamma": GAMMA, "beta": BETA}, layernorm_reference(X, GAMMA, BETA)),
        ("gelu", {}, gelu_reference(X)),
        ("silu", {}, silu_reference(X)),
        ("relu", {}, np.maximum(X, 0)),
        ("rope", {"positions": POSITIONS}, rope_reference(X, 1, POSITIONS)),
        ("transpose", {}, X.T),
        ("transpose", {"x": X.view(np.int8)}, X.view(np.int8).T),
    ],
)
def test_a_matrix_from_a_file(name, files, expected, tmp_path):
    """Every kernel of one matrix; oracle: its reference in numpy, for what the files hold."""
    words, out = [], tmp_path / "out.npy"
    for option, array in {"x": X, **files}.items():
        np.save(tmp_path / option, array)
        words += [f"--{option}", str(tmp_path / f"{option}.npy")]
    done = run(name, *words, "--out", str(out), "--backend", "golden", "--json")
    assert done.exit_code == 0, done.output
    found, shape = json.loads(done.stdout), files.get("x", X).shape
    assert found["right"]
    assert (found["shape"]["rows"], found["shape"]["cols"]) == shape
    got = np.load(out)
    assert got.dtype == files.get("x", X).dtype
    np.testing.assert_allclose(got.astype(float), expected, rtol=1e-3, atol=1e-4)


BAD = {
    "double.npy": X.astype(float),
    "swapped.npy": X.astype(">f2"),
    "row.npy": X[0],
    "cube.npy": X[None],
    "empty.npy": X[:0],
}
HEADERS = {
    "huge.npy": b"(%d, %d)" % (1 << 30, 1 << 30),
    "long.npy": b"(%d,)" % 10**30,
    "open.npy": b"((6, 16)",
}
"""Shapes that the headers of files claim."""


@pytest.fixture
def bad(tmp_path):
    """A folder of files that no kernel can take."""
    for name, array in BAD.items():
        np.save(tmp_path / name, array)
    np.savez(tmp_path / "several.npz", x=X)
    np.save(tmp_path / "good.npy", X)
    (tmp_path / "cut.npy").write_bytes((tmp_path / "good.npy").read_bytes()[:-7])
    (tmp_path / "text.npy").write_text("1 2 3")
    whole = (tmp_path / "good.npy").read_bytes()
    for name, shape in HEADERS.items():
        header = whole[10:128].replace(b"(6, 16)", shape)[:117].ljust(117) + b"\n"
        (tmp_path / name).write_bytes(whole[:10] + header + whole[128:])
    (tmp_path / "start.npy").write_bytes(whole[:7])
    (tmp_path / "nothing.npy").touch()
    return tmp_path


@pytest.mark.parametrize(
    "name", ["softmax", "rmsnorm", "layernorm", "gelu", "silu", "relu", "rope", "transpose"]
)
def test_files_that_are_refused(name, bad):
    """In one line that names what is wrong, by every kernel of one matrix."""
    formats = "int8 or float16" if name == "transpose" else "float16"
    for file, message in {
        "double.npy": f"x must be a numpy array of {formats}, not float64",
        "swapped.npy": f"x must be a numpy array of {formats}, not >f2",
        "row.npy": "x must be a matrix with at least one element, not (16,)",
        "cube.npy": "x must be a matrix with at least one element, not (1, 6, 16)",
        "empty.npy": "x must be a matrix with at least one element, not (0, 16)",
        "several.npz": "several.npz is no .npy file; write one array with numpy.save",
        "cut.npy": "cut.npy cannot be read: EOF: reading array data, expected 192 bytes got 185",
        "text.npy": "text.npy is no .npy file",
        "start.npy": "start.npy cannot be read: ",
        "huge.npy": "huge.npy cannot be read: ",
        "long.npy": "long.npy cannot be read: ",
        "open.npy": "open.npy cannot be read: ",
        "nothing.npy": "nothing.npy is no .npy file",
        "none.npy": "none.npy' does not exist",
    }.items():
        done = run(name, "--x", str(bad / file), "--backend", "golden", "--json")
        assert done.exit_code != 0, file
        assert message in done.output, file
        assert done.stdout == "", file
        assert "Traceback" not in done.output


def test_other_files_that_are_refused(bad):
    """What goes with a matrix."""
    np.save(bad / "float.npy", POSITIONS / 2)
    np.save(bad / "short.npy", POSITIONS[:2])
    for words, message in {
        "rmsnorm --gamma double.npy": "gamma must be a numpy array of float16, not float64",
        "layernorm --gamma cube.npy": "gamma must have shape (16,), not (1, 6, 16)",
        "layernorm --beta good.npy": "beta must have shape (16,), not (6, 16)",
        "layernorm --beta text.npy": "text.npy is no .npy file",
        "rope --positions float.npy": "positions must be integers, not float64",
        "rope --positions short.npy": "positions must have shape (6,), not (2,)",
        "rope --base 0": "base must be a finite number above 0, not 0.0",
        "rope --seq 3": "--x brings its sizes; leave out --seq and --head-dim",
        "rope --head-dim 8": "--x brings its sizes; leave out --seq and --head-dim",
        "softmax --cols 3": "--x brings its sizes; leave out --rows and --cols",
    }.items():
        name, option, value = words.split()
        value = str(bad / value) if value.endswith("npy") else value
        done = run(name, option, value, "--x", str(bad / "good.npy"), "--backend", "golden")
        assert done.exit_code != 0, words
        assert message in done.output, words


def operand_files(tmp_path, weights, **more):
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
    words = operand_files(tmp_path, weights, x=x, gamma=gamma, beta=beta, **scales)
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
    words = operand_files(tmp_path, files)
    for more, message in (
        ([], "weights from files need --x and --up and --gate and --down"),
        (["--activation", "relu"], "weights from files need --x and --up and --down"),
        (["--down-scale", words[1]], "--down-scale needs --down"),
        (["--norm", "rms", "--beta", words[1]], "--beta is not for --norm rms"),
        (["--gamma", words[1]], "--gamma is not for --norm none"),
        (["--down", words[3], "--seq", "3"], "files bring their sizes; leave out --seq, --width"),
        (
            ["--down", words[3], "--weight-dtype", "int8"],
            r"down must have shape (6, 4), not (4, 6)",
        ),
    ):
        done = run("ffn", *words, *more, "--backend", "golden")
        assert done.exit_code != 0, message
        assert message in done.output.replace("\n", " "), done.output
        assert "Traceback" not in done.output


def layer_files(rng, tokens, dtype, cached=0):
    """Operands of an attention layer: 2 heads of 6 with one for keys, tokens of 8 elements."""
    shapes = {"q": (8, 12), "k": (8, 6), "v": (8, 6), "o": (12, 8)}
    kind = {"int8": np.int8, "fp8": ml_dtypes.float8_e4m3fn, "fp16": np.float16}[dtype]
    files = {n: (rng.normal(size=s) * (40 if dtype == "int8" else 1)).astype(kind)
             for n, s in shapes.items()}  # fmt: skip
    if dtype != "fp16":
        files |= {f"{n}_scale": rng.random(s[1]).astype(np.float32) / 40 for n, s in shapes.items()}
    files["x"] = rng.normal(size=(tokens, 8)).astype(np.float16)
    files |= {n: rng.normal(size=8).astype(np.float16) for n in ("gamma", "beta")}
    if cached:
        files |= {n: rng.normal(size=(cached, 1, 6)).astype(np.float16) for n in ("keys", "values")}
    return files


def layer_of(files, mask):
    """The layer with layer norm, rope and residual, by numpy in float64."""
    w = {n: files[n].astype(float) * files.get(f"{n}_scale", 1) for n in "qkvo"}
    x, positions = files["x"].astype(float), np.arange(mask.shape[1])
    y = layernorm_reference(files["x"], files["gamma"], files["beta"])
    new = positions[-len(x) :]
    q = rope_reference(y @ w["q"], 2, new).reshape(-1, 2, 6)
    k, v = rope_reference(y @ w["k"], 1, new), y @ w["v"]
    if "keys" in files:
        k, v = np.vstack([files["keys"][:, 0], k]), np.vstack([files["values"][:, 0], v])
    powers = np.exp(np.einsum("qhd,kd->hqk", q, k) / np.sqrt(6)) * mask
    powers /= powers.sum(axis=2, keepdims=True)
    return np.einsum("hqk,kd->qhd", powers, v).reshape(-1, 12) @ w["o"] + x


@pytest.mark.parametrize("dtype", ["int8", "fp8", "fp16"])
@pytest.mark.parametrize(("tokens", "cached"), [(5, 0), (1, 7)])
def test_attention_layer_from_files(tmp_path, dtype, tokens, cached):
    """All operands, of a layer and of its decode step; the result, and numpy."""
    rng = np.random.default_rng(31)
    files, mask = layer_files(rng, tokens, dtype, cached), rng.random((tokens, tokens + cached))
    mask = mask < 0.7
    mask[:, 0] = True
    words = operand_files(tmp_path, files, mask=mask)
    words += ["--weight-dtype", dtype, "--out", str(tmp_path / "out.npy"), "--backend", "golden"]
    words += ["--heads", "2", "--kv-heads", "1", "--rope", "--norm", "layer", "--residual"]
    done = run("attention_layer", *words)
    assert done.exit_code == 0, done.output
    expected = layer_of(files, mask)
    got = np.load(tmp_path / "out.npy")
    np.testing.assert_allclose(got, expected, atol=3e-3 * np.abs(expected).max())


def test_attention_layer_decodes():
    """One random token and a random cache."""
    words = "--seq 1 --width 20 --heads 2 --head-dim 8 --rope --cache 9 --backend golden --json"
    done = run("attention_layer", *words.split())
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["right"]
    assert found["shape"] == {
        "seq": 1, "width": 20, "heads": 2, "kv_heads": 2, "head_dim": 8, "cache": 9
    }  # fmt: skip


def test_attention_layer_files_that_do_not_belong_together(tmp_path):
    files = layer_files(np.random.default_rng(0), 3, "fp16", cached=4)
    words = operand_files(tmp_path, files)
    path = {name[2:]: [name, file] for name, file in zip(words[::2], words[1::2], strict=True)}
    some, whole = path["x"] + path["q"], [w for n in "xqkvo" for w in path[n]]
    sizes = ["--seq", "3", "--width", "8", "--head-dim", "6"]
    for given, message in (
        (some, "give --x, --q, --k, --v and --o, or none of them"),
        (sizes[:4], "give --seq, --width and --head-dim, or --x and the weights"),
        ([*whole, "--seq", "3"], "files bring their sizes; leave out --seq, --width, --head-dim"),
        ([*whole, "--cache", "4"], "leave out --seq, --width, --head-dim and --cache"),
        (["--q-scale", words[1], *sizes], "--q-scale needs --q"),
        (["--o-scale", words[1], *sizes], "--o-scale needs --o"),
        ([*whole, *path["gamma"]], "--gamma is not for --norm none"),
        ([*whole, "--norm", "rms", *path["beta"]], "--beta is not for --norm rms"),
        ([*sizes, *path["keys"], *path["values"]], "--keys and --values go with --x"),
        ([*whole, *path["keys"]], "give keys and values of the cache, or neither"),
        ([*whole, *path["keys"], *path["values"]], "with a cache there is one new token, not 3"),
    ):
        done = run("attention_layer", *given, "--heads", "2", "--kv-heads", "1")
        assert done.exit_code != 0, message
        assert message in " ".join(done.output.split()), done.output
        assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("rope --heads 2", "give --seq, or --x"),
        ("transpose --cols 3", "give --rows and --cols, or --x"),
        ("softmax --rows 3", "give --rows and --cols, or --x"),
        ("matmul --m 3", "give --m, --k and --n, or --a and --b"),
        ("attention", "give --seq, or --q, --k and --v"),
        ("ffn --seq 3", "give --seq, --width and --inner, or --x and the weights"),
        ("attention_layer --cache 3", "give --seq, --width and --head-dim, or --x"),
        (
            "attention_layer --seq 2 --width 8 --head-dim 6 --cache 3 --backend golden",
            "with a cache there is one new token, not 2",
        ),
        (
            "attention_layer --seq 2 --width 8 --head-dim 5 --rope --backend golden",
            "rope needs heads of an even size, not 5",
        ),
        ("linear --rows 3", "give --rows, --k and --cols, or --x and --w"),
        ("attention --seq 4 --heads 3 --kv-heads 2", "3 heads are no multiple of 2 kv heads"),
        ("rope --seq 4 --head-dim 7 --backend golden", "7 columns are not 1 heads of an even size"),
        (
            "softmax --rows 3 --cols 4 --seed -1",
            "Invalid value for '--seed': -1 is not in the range",
        ),
    ],
)
def test_refusals(words, message):
    """One line that says what is wrong, and no traceback."""
    done = run(*words.split())
    assert done.exit_code != 0
    assert message in done.output
    assert "Traceback" not in done.output


def test_operands_beyond_the_memory_are_refused(monkeypatch):
    """An exbibyte, which nothing even begins to allocate, and what the machine has no room for."""
    huge = f"--rows {10**9} --cols {10**9} --backend golden".split()
    done = run("softmax", *huge)
    assert done.exit_code == 1
    assert (
        f"Error: an operand of {10**9} x {10**9} in fp16 has {2 * 10**18} bytes, and config small "
        "has 1048576 bytes of memory; use a larger config or a smaller problem"
    ) in done.output
    assert isinstance(done.exception, SystemExit)

    def measure(*_, **__):
        raise MemoryError("Unable to allocate 1.73 EiB")

    monkeypatch.setattr(import_module("tsp.sim.cli.run"), "measure", measure)
    done = run("softmax", "--rows", "2", "--cols", "2", "--backend", "golden")
    assert done.exit_code == 1
    assert "Error: an operand is too large for the memory; make it smaller. Unable" in done.output
    assert isinstance(done.exception, SystemExit)


def test_a_traceback_for_who_wants_one(monkeypatch):
    monkeypatch.setenv("TSP_TRACEBACK", "1")
    assert isinstance(run("softmax", "--rows", "3").exception, SystemExit)  # of click itself
    assert isinstance(run("rope", "--seq", "4", "--head-dim", "7").exception, ValueError)
