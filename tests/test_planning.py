"""Plans are the same wherever they are made. Oracle: another process with other hashes."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from layers import random_layer

from tsp.hw.config import preset
from tsp.hw.isa import DType
from tsp.sim import plans
from tsp.sim.kernels import attention_layer as module
from tsp.sim.kernels.ffn import ffn
from tsp.sim.kernels.linear import linear
from tsp.sim.kernels.matmul import matmul

SMALL = preset("small")


def digest(program):
    """Stands for all bits of a program: queues, image, outputs."""
    found = hashlib.sha256()
    for name, instructions in program.queues.items():
        found.update(name.encode())
        for instruction in instructions:
            found.update(instruction.encode().to_bytes(16, "little"))
    for block in program.image:
        found.update(f"{block.slice} {block.bank} {block.address}".encode() + block.data.tobytes())
    found.update(repr(program.outputs).encode())
    return found.hexdigest()


def made():
    """The digests of the programs of a few kernels."""
    rng = np.random.default_rng(0)

    def random(*shape):
        return rng.normal(size=shape).astype(np.float16)

    kernels = (
        matmul(SMALL, random(33, 20), random(20, 40), DType.FP32),
        linear(SMALL, random(20, 33), random(33, 17)),
        ffn(SMALL, random(9, 20), random(20, 40), random(40, 20), gate=random(20, 40)),
        random_layer(SMALL, 1, 16, 1, 1, 16),
        random_layer(SMALL, 20, 32, 2, 1, 16, causal=True, rope=True, norm="rms"),
    )
    return [digest(kernel.program) for kernel in kernels]


@pytest.mark.parametrize("seed", ["1", "2"])
def test_plans_do_not_depend_on_hashes(seed):
    path = [str(Path(__file__).parent)]
    code = f"import sys; sys.path += {path}; import test_planning as t; print(*t.made())"
    environment = os.environ | {"PYTHONHASHSEED": seed}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == made()


def test_a_plan_from_the_cache_has_the_same_bits(tmp_path, monkeypatch):
    """And is not searched for: neither a dry run nor a binding is made."""
    monkeypatch.setenv("TSP_CACHE", str(tmp_path))
    sizes = SMALL, 20, 32, 2, 1, 16
    with plans.searched(False):
        first = random_layer(*sizes, causal=True)
        monkeypatch.setattr(module, "_shortest", None)
        again = random_layer(*sizes, causal=True)
        with pytest.raises(TypeError):  # other plans are searched for
            random_layer(*sizes)
        with plans.searched(), pytest.raises(TypeError):
            random_layer(*sizes, causal=True)
    assert digest(again.program) == digest(first.program)
    # It knows the operations that it was made of, and where its operands are, as the first one.
    names = [[(o.name, start) for o, start in p.operations] for p in (first.program, again.program)]
    assert names[0] == names[1] != []
    assert again.program.tensors == first.program.tensors != ()
    assert len(list((tmp_path / "plans").iterdir())) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"choice": "{}", "digest": "0"}', "\0"])
def test_an_entry_that_cannot_be_read_counts_as_none(content, tmp_path, monkeypatch):
    monkeypatch.setenv("TSP_CACHE", str(tmp_path))
    with plans.searched(False):
        plans.keep("p", {"options": 1})
        assert plans.recall("p") == {"options": 1}
        (tmp_path / "plans" / "p.json").write_text(content)
        assert plans.recall("p") is None


def test_a_cache_that_cannot_be_written_stops_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TSP_CACHE", str(tmp_path / "file"))
    with plans.searched(False):
        plans.keep("p", {})
        assert plans.recall("p") is None


def test_the_name_of_a_plan_tells_all_it_depends_on(monkeypatch):
    assert plans.name("k", {"a": 1}) == plans.name("k", {"a": 1}) != plans.name("k", {"a": 2})
    before = plans.name("k")
    monkeypatch.setattr(plans, "_planner", lambda: "other sources")
    assert plans.name("k") != before
