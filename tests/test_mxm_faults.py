"""What the MXM plane traps, and in which cycle. Oracle: the table in `tsp.hw.fault`."""

import numpy as np
import pytest
from bench_mxm import Script, load_all, measure
from test_mxm import CONFIGS, by_name

from tsp.hw.fault import FaultKind
from tsp.hw.isa import SG1, SG4, Abc, Acc, AccMode, DType, Iw, Lw
from tsp.hw.isa.timing import ABC_SAMPLE, ACC_SAMPLE, LW_BUFFER, LW_SAMPLE, array_latency

INVALID, UNWRITTEN = 1 << FaultKind.INVALID, 1 << FaultKind.UNWRITTEN
SOURCE = SG1("W", 3)


def loaded(config):
    """A script with weights in the buffer, and the first cycle in which IW may install them."""
    script = Script(config, 1)
    weights = np.ones((config.vector, 1, config.vector), np.uint8)
    after = load_all(script, 0, DType.INT8, weights, [SG1("E", s) for s in range(8)])
    return script, after - 1 + LW_BUFFER


def vector(config, hold=False):
    return Abc(source=SOURCE, dtype=DType.INT8, hold=hold, count=config.vector)


def step(config, mode, row=1):
    return Acc(row=row, mode=mode, emit=True, target=SG4("E", 0), count=config.vector)


def faults(script):
    return measure(script).faults


@by_name
def test_load_from_a_missing_word(config):
    script = Script(config, 1)
    column = config.vector - 3
    script.at(4, Lw(column=column, dtype=DType.INT8, streams=(SG1("W", 5), SG1("E", 2))))
    script.missing |= {(4 + LW_SAMPLE, "E", s, 0) for s in range(8) if s != 2}
    assert faults(script) == {}
    for i in range(config.superlanes):
        script.missing |= {(4 + LW_SAMPLE, "W", 5, i)}
    expected = {4 + LW_SAMPLE + i: INVALID for i in range(config.superlanes)}
    assert faults(script) == expected
    script.missing = {(4 + LW_SAMPLE, "E", 2, config.superlanes - 1)}
    assert faults(script) == {4 + LW_SAMPLE + config.superlanes - 1: INVALID}


def test_load_of_fp16_checks_both_bytes():
    config = CONFIGS[2]
    script = Script(config, 1)
    streams = tuple(SG1("E", s) for s in (4, 9, 0, 2))
    script.at(4, Lw(column=9, dtype=DType.FP16, streams=streams))
    for stream in streams:
        script.missing = {(4 + LW_SAMPLE, "E", stream.first, 1)}
        assert faults(script) == {4 + LW_SAMPLE + 1: INVALID}, stream


@by_name
def test_vector_from_a_missing_word(config):
    script, ready = loaded(config)
    last = config.superlanes - 1
    script.at(ready, Iw(), vector(config))
    script.at(ready + 1, vector(config, hold=True))
    script.missing = {(ready + 1 + ABC_SAMPLE, SOURCE.direction, SOURCE.first, last)}
    assert faults(script) == {}
    script.missing = {(ready + ABC_SAMPLE, SOURCE.direction, SOURCE.first, last)}
    assert faults(script) == {ready + ABC_SAMPLE + last: INVALID}


@by_name
def test_install_of_a_column_never_loaded(config):
    script, ready = loaded(config)
    script.at(ready - 1, Iw())
    assert faults(script) == {ready - 1 + 1: UNWRITTEN}
    script, ready = loaded(config)
    script.at(ready, Iw())
    assert faults(script) == {}


@by_name
def test_vector_without_weights(config):
    script, ready = loaded(config)
    script.at(ready - 1, vector(config))
    script.at(ready, Iw(), vector(config))
    assert faults(script) == {ready - 1 + ABC_SAMPLE: UNWRITTEN}


@by_name
def test_hold_of_nothing(config):
    script, ready = loaded(config)
    script.at(ready, Iw(), vector(config, hold=True))
    assert faults(script) == {ready + ABC_SAMPLE: UNWRITTEN}


@by_name
@pytest.mark.parametrize("early", [-1, 1])
def test_accumulator_without_dot_products(config, early):
    script, ready = loaded(config)
    script.at(ready, Iw(), vector(config))
    meet = ready + array_latency(config) - ACC_SAMPLE
    script.at(meet + early, step(config, AccMode.WRITE))
    assert faults(script) == {meet + early + ACC_SAMPLE: INVALID}


@by_name
def test_row_never_written(config):
    script, ready = loaded(config)
    script.at(ready, Iw())
    meet = ready + array_latency(config) - ACC_SAMPLE
    for offset in range(3):
        script.at(ready + offset, vector(config))
    script.at(meet, step(config, AccMode.WRITE))
    script.at(meet + 1, step(config, AccMode.ADD))
    script.at(meet + 2, step(config, AccMode.ADD, row=2))
    script.at(meet + 3, step(config, AccMode.KEEP))
    script.at(meet + 4, step(config, AccMode.KEEP, row=3))
    expected = {meet + 2 + ACC_SAMPLE: UNWRITTEN, meet + 4 + ACC_SAMPLE: UNWRITTEN}
    assert faults(script) == expected
