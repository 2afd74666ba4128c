"""Options of ``tsp run`` that contradict files, what it writes, and ``tsp demo``. Oracle: numpy."""

import importlib
import json

import ml_dtypes
import numpy as np
import pytest
from click.testing import CliRunner

from tsp.sim.cli import main

X = np.random.default_rng(2).normal(size=(6, 16)).astype(np.float16)


def run(*words):
    return CliRunner().invoke(main, ["run", *words])


def module(name):
    """A module of the command line; the package has the commands under the same names."""
    return importlib.import_module(f"tsp.sim.cli.{name}")


def saved(folder, **arrays):
    """Options that name .npy files of arrays."""
    words = []
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
        words += [f"--{name}", str(folder / f"{name}.npy")]
    return words


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("matmul --a A --b A --a-dtype int8", "sizes and formats; leave out --a-dtype"),
        ("matmul --a A --b A --m 3 --b-dtype fp16", "leave out --m and --b-dtype"),
        ("attention --q A --k A --v A --heads 1", "bring their sizes; leave out --heads"),
        ("attention --q A --k A --v A --head-dim 64", "bring their sizes; leave out --head-dim"),
        ("attention --q A --k A --v A --kv-seq 9", "bring their sizes; leave out --kv-seq"),
        ("attention --q A --k A --v A --kv-heads 2", "bring their sizes; leave out --kv-heads"),
        ("linear --rows 2 --k 3 --cols 4 --scale A", "go with --x and --w; leave out --scale"),
        ("linear --rows 2 --k 3 --cols 4 --bias-file A", "--x and --w; leave out --bias-file"),
        ("linear --x A --w A --no-bias --bias-file A", "leave out --no-bias"),
        ("linear --x A --w A --bias", "comes from --bias-file; leave out --bias"),
        ("transpose --x A --dtype fp16", "--x brings its format; leave out --dtype"),
    ],
)
def test_options_that_cannot_apply_are_refused(words, message, tmp_path):
    np.save(tmp_path / "a.npy", X)
    done = run(*words.replace("A", str(tmp_path / "a.npy")).split(), "--backend", "golden")
    assert done.exit_code == 2
    assert message in done.output


@pytest.mark.parametrize(
    ("kind", "option", "message"),
    [
        (np.uint8, "int8", "w.npy holds uint8, and --weight-dtype int8 is int8"),
        (np.int8, "fp8", "w.npy holds int8, and --weight-dtype fp8 is float8_e4m3fn"),
        (np.float16, "int8", "w.npy holds float16, and --weight-dtype int8 is int8"),
        (ml_dtypes.float8_e4m3fn, "int8", "w.npy holds |V1, and --weight-dtype int8 is int8"),
        (float, "fp16", "w.npy holds float64, and --weight-dtype fp16 is float16"),
    ],
)
def test_weights_of_another_format_are_refused(kind, option, message, tmp_path):
    """Nor are the bytes of one format read as another; 200 is no -56."""
    words = saved(tmp_path, x=X, w=np.full((16, 4), 200).astype(kind))
    done = run("linear", *words, "--weight-dtype", option, "--backend", "golden")
    assert done.exit_code == 2
    assert message in done.output


def test_fp8_weights_may_be_bytes(tmp_path):
    w = np.random.default_rng(5).normal(size=(16, 4)).astype(ml_dtypes.float8_e5m2)
    words, out = saved(tmp_path, x=X, w=w.view(np.uint8)), tmp_path / "out.npy"
    more = ["--weight-dtype", "fp8_e5m2", "--backend", "golden", "--out", str(out)]
    assert run("linear", *words, *more).exit_code == 0
    np.testing.assert_allclose(np.load(out), X.astype(float) @ w.astype(float), atol=1e-2)


@pytest.mark.parametrize("option", ["--out", "--waves"])
def test_a_place_that_cannot_be_written_is_refused_first(option, tmp_path, monkeypatch):
    monkeypatch.setattr(module("run"), "measure", lambda *_, **__: pytest.fail("it ran"))
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "y.npy"
    done = run("softmax", "--rows", "3", "--cols", "4", option, str(path))
    assert done.exit_code == 2
    wanted = (
        f"Invalid value for '{option}': {path} cannot be written: {path.parent} is not a folder"
    )
    assert wanted in done.output


def test_the_result_has_the_name_that_was_asked_for(tmp_path):
    out = tmp_path / "y"
    done = run("relu", "--rows", "3", "--cols", "4", "--backend", "golden", "--out", str(out))
    assert done.exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["y"]
    assert np.load(out).shape == (3, 4)


def test_a_result_that_cannot_be_written_does_not_take_the_measurement_with_it():
    """`/dev/full` can be opened, and takes nothing."""
    words = "relu --rows 3 --cols 4 --backend golden --json --out /dev/full"
    done = run(*words.split())
    assert done.exit_code == 1
    assert "No space left" in done.stderr
    assert json.loads(done.stdout)["right"]


def test_demo(monkeypatch):
    """What was measured is shown, also if a later entry fails; `nano` has no fp16."""
    entries = module("demo").DEMO[0], ("matmul", *3 * [4096], *3 * ["fp16"])
    monkeypatch.setattr(module("demo"), "DEMO", entries)
    done = CliRunner().invoke(main, ["demo", "--backend", "golden"])
    assert done.exit_code == 1
    assert "matmul 64x64x64 int8 > int32 " in done.stdout
    assert "2 kernels on small, back end golden" in done.stderr
    assert "Error: " in done.stderr
    done = CliRunner().invoke(main, ["demo", "--backend", "golden", "--config", "nano"])
    assert done.exit_code == 2
    assert "the demo needs the fp16 datapath, and --config nano has an int8 one" in done.output


@pytest.mark.parametrize(
    ("config", "words", "dtypes"),
    [
        ("nano", "matmul --m 3 --k 4 --n 5", ["int8", "int8", "int32"]),
        ("small", "matmul --m 3 --k 4 --n 5", ["fp16", "fp16", "fp32"]),
        ("small", "matmul --m 3 --k 4 --n 5 --b-dtype int8", ["fp16", "int8", "fp32"]),
        ("nano", "transpose --rows 3 --cols 4", ["int8"]),
        ("nano", "transpose --rows 3 --cols 4 --dtype fp16", ["fp16"]),
        ("small", "transpose --rows 3 --cols 4", ["fp16"]),
    ],
)
def test_formats_are_by_default_those_of_the_datapath(config, words, dtypes):
    done = run(*words.split(), "--config", config, "--backend", "golden", "--json")
    assert done.exit_code == 0, done.output
    assert list(json.loads(done.stdout)["dtypes"].values()) == dtypes


def test_gates_of_large_cores_are_warned_of(monkeypatch, tmp_path):
    """Before anything is computed, by every command that runs a program."""

    def stop(*_args, **_options):
        raise ValueError("it ran")

    monkeypatch.setattr("tsp.sim.backends.run", stop)
    program = tmp_path / "wait.tsp"
    program.write_text(".config CONFIG\n.queue VXM.0\n  notify\n  nop 7\n")
    text = program.read_text()
    for config, warned in (("nano", False), ("small", True), ("base", True)):
        program.write_text(text.replace("CONFIG", config))
        for words in (
            f"run relu --rows 3 --cols 4 --config {config}".split(),
            ["exec", str(program)],
            ["demo", "--config", config],
        ):
            done = CliRunner().invoke(main, [*words, "--backend", "gates"])
            told = f"the gates of {config} may take hours" in done.stderr
            assert told == warned, words
            assert ("it ran" in done.stderr) or (words[0] == "demo" and not warned)
