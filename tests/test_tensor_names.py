"""The names of what lies in memory. Oracle: what the golden model reads before anybody wrote it."""

import numpy as np
import pytest

from tsp.hw.config import preset
from tsp.hw.isa import DType
from tsp.sim import binary
from tsp.sim.golden import model
from tsp.sim.kernels.attention import attention
from tsp.sim.kernels.attention_layer import attention_layer
from tsp.sim.kernels.chain import chain
from tsp.sim.kernels.ffn import ffn
from tsp.sim.kernels.linear import linear
from tsp.sim.kernels.matmul import matmul
from tsp.sim.kernels.norms import layernorm, rmsnorm
from tsp.sim.kernels.rope import rope
from tsp.sim.kernels.rows import softmax
from tsp.sim.kernels.transpose import transpose

SMALL, QUAD, DUO, NANO = (preset(name) for name in ("small", "quad16", "duo32", "nano"))


def fp16(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float16)


def int8(*shape):
    return np.random.default_rng(sum(shape)).integers(-128, 128, shape).astype(np.int8)


def qkv(*shape):
    return [fp16(*shape) for _ in range(3)]


LAYER = {name: fp16(32, 32) for name in ("q", "k", "v", "out")}
SCALES = {name: np.ones(32, np.float32) for name in ("gate", "up", "down")}

CASES = {
    "matmul": (lambda: matmul(SMALL, fp16(20, 20), fp16(20, 20), DType.FP32), "a b"),
    "transpose past the SXM": (lambda: transpose(SMALL, fp16(20, 20)), "x"),
    "transpose through planes": (lambda: transpose(NANO, int8(8, 8)), "x"),
    "softmax": (lambda: softmax(SMALL, fp16(5, 40)), "x"),
    "layernorm": (lambda: layernorm(SMALL, fp16(5, 16), fp16(16), fp16(16)), "x gamma beta"),
    "rope": (lambda: rope(SMALL, fp16(8, 32), 2), "x cosine sine partners"),
    "linear": (
        lambda: linear(QUAD, fp16(40, 32), fp16(32, 32), bias=fp16(32)),
        "x w bias",
    ),
    "linear of one row": (
        lambda: linear(DUO, fp16(1, 64), int8(64, 32), scale=np.ones(32, np.float32)),
        "x w scale",
    ),
    "ffn": (
        lambda: ffn(QUAD, fp16(40, 32), gate=fp16(32, 32), up=fp16(32, 32), down=fp16(32, 32)),
        "x gate up down",
    ),
    "ffn of one row": (
        lambda: ffn(
            DUO,
            fp16(1, 32),
            **{name: int8(32, 32) for name in ("gate", "up", "down")},
            scales=SCALES,
            norm="rms",
            gamma=fp16(32),
            residual=True,
        ),
        "x gate up down gamma scale of gate scale of up scale of down",
    ),
    "attention in pairs": (lambda: attention(SMALL, *qkv(32, 2, 16), causal=True), "q k v mask"),
    "attention in rounds": (lambda: attention(DUO, *qkv(40, 2, 40), causal=True), "q k v mask"),
    "attention layer": (
        lambda: attention_layer(QUAD, fp16(16, 32), heads=2, **LAYER, causal=True),
        "x q k v out mask",
    ),
    "chain": (
        lambda: chain(softmax(SMALL, fp16(9, 16)), rmsnorm(SMALL, fp16(9, 16), fp16(16))),
        "x of softmax gamma of rmsnorm",
    ),
}


class Watched(model.Model):
    """A golden model that notes what is read before it was written, and what is written."""

    def __init__(self, program):
        super().__init__(program)
        self.given, self.made = set(), set()

    def mem(self, queue, instruction, address):
        word = queue.name, address
        if instruction.mnemonic == "write":
            self.made.add(word)
        elif word not in self.made:
            self.given.add(word)
        super().mem(queue, instruction, address)


def words(program, *roles):
    """The name of every word that belongs to a tensor of some roles."""
    found = {}
    for tensor in program.tensors:
        for address in range(tensor.address, tensor.address + tensor.words):
            if tensor.role in roles:
                word = f"{tensor.slice}.{tensor.bank}", address
                assert found.setdefault(word, tensor.name) == tensor.name
    return found


@pytest.mark.parametrize("name", CASES)
def test_operands_and_results_have_their_names(name):
    make, names = CASES[name]
    program = make().program
    watched = Watched(program)
    while watched.busy:
        watched.step()
    given, results = words(program, "input"), words(program, "output")
    used = {given.get(word, f"nobody's {word}") for word in watched.given}
    for known in sorted(used, key=len, reverse=True):
        assert known in names
        names = names.replace(known, "", 1)
    assert not names.strip()
    assert results
    assert set(results.values()) <= {"result", "result of rmsnorm"}
    assert set(results) <= watched.made
    # What is kept is neither.
    kept = words(program, "kept")
    assert not set(kept) & (set(given) | set(results)) or name == "chain"


def test_a_program_from_a_file_knows_no_names():
    program = CASES["matmul"][0]().program
    assert program.tensors
    assert not binary.from_binary(binary.to_binary(program)).tensors
