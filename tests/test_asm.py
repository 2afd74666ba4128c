"""Programs as text, as bytes and as a listing.

Oracle: the program itself, read back; the listing and the example are written out here.
"""

import contextlib
import dataclasses
import inspect
import io

import numpy as np
import pytest
from click.testing import CliRunner

from tsp.hw.config import PRESETS, Config, preset
from tsp.hw.isa import IMM, ISA, SG1, SG4, AddI, DType, Lw, Nop, Notify, Read, Repeat, Sync, Write
from tsp.sim import asm
from tsp.sim.asm import AsmError, format_program, parse_instruction, parse_program
from tsp.sim.binary import BinaryError, from_binary, to_binary
from tsp.sim.cli import main
from tsp.sim.listing import listing, timeline
from tsp.sim.program import Block, Program, ProgramError, Region, issue_cycles

SMALL = preset("small")
EXAMPLE = inspect.cleandoc(asm.__doc__).partition("::\n\n")[2]


def random_program(config, rng):
    """Random instructions in random queues: any that encode, whether they make sense or not."""
    queues = {}
    for queue in rng.permutation(np.array(config.floorplan.queues, object)):
        kinds = [cls for cls in ISA.values() if cls.unit.value in (queue.unit.value, "ICU")]
        kinds = [cls for cls in kinds if cls not in (Sync, Notify)]
        barrier = Sync() if queues else Notify()
        drawn_ones = (drawn(kinds[rng.integers(len(kinds))], rng) for _ in range(5))
        queues[queue.name] = (barrier, *drawn_ones)
    image = tuple(
        Block(
            f"MEM_{side}0", bank, bank * 3, rng.integers(256, size=(n, config.vector), dtype="u1")
        )
        for side in "WE"
        for bank, n in enumerate(rng.integers(0, 4, 2))
    )
    outputs = (Region("MEM_W1", 0, 2, 5), Region("MEM_E0", 1, 0, 1))
    return Program(config, queues, image, outputs, name="random", checked=False)


def drawn(cls, rng):
    """A random legal instruction of a class."""
    while True:
        try:
            return cls(**{info.name: info.codec.sample(rng) for info in cls.fields()})
        except ValueError:
            continue


CONFIGS = [*PRESETS.values(), Config(name="odd", lanes=4, superlanes=3, alus=3, mem_slices=5)]
WITH_CONFIG = pytest.mark.parametrize("config", CONFIGS, ids=lambda c: c.name)


@WITH_CONFIG
def test_round_trips(config):
    """Text and bytes give the program back, and are the same every time."""
    for seed in range(3 if config.vector < 32 else 1):
        program = random_program(config, np.random.default_rng(seed))
        text, data = format_program(program), to_binary(program)
        assert parse_program(text, checked=False) == program, f"{seed=}"
        assert format_program(parse_program(text, checked=False)) == text, f"{seed=}"
        assert from_binary(data, checked=False) == program, f"{seed=}"
        assert to_binary(from_binary(data, checked=False)) == data, f"{seed=}"


def test_the_example_of_the_manual():
    """Positions, names, defaults and comments; oracle: the program written as objects."""
    stream = SG1("E", 7)
    again = Repeat(count=3, stride=1)
    row = np.arange(16, dtype=np.uint8)[None]
    assert parse_program(EXAMPLE) == Program(
        SMALL,
        {
            "MEM_W3.0": (Notify(), Read(address=5, stream=stream), again),
            "MEM_E5.1": (Sync(), Nop(count=5), Write(address=9, stream=stream), again),
        },
        image=(Block("MEM_W3", 0, 5, row),),
        outputs=(Region("MEM_E5", 1, 9, 4),),
        name="copy",
    )


@pytest.mark.parametrize(
    ("text", "instruction"),
    [
        ("nop", Nop(count=1)),
        ("read 0x10 sg1.e7", Read(address=16, stream=SG1("E", 7))),
        ("read 007 sg1.e07", Read(address=7, stream=SG1("E", 7))),
        ("repeat 010 stride=-08", Repeat(count=10, stride=-8)),
        ("read stream=sg1.e7 address=16", Read(address=16, stream=SG1("E", 7))),
        ("read 16 stream=sg1.e7", Read(address=16, stream=SG1("E", 7))),
        ("addi a=sg4.w1 imm=0xffffffff", AddI(a=SG4("W", 1), b=IMM, imm=0xFFFFFFFF)),
        (
            "lw 3 int8 sg1.e0+sg1.w31",
            Lw(column=3, dtype=DType.INT8, streams=(SG1("E", 0), SG1("W", 31))),
        ),
    ],
)
def test_instruction_text(text, instruction):
    """Operands by position and by name."""
    assert parse_instruction(text) == instruction


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jump 5", "there is no instruction 'jump'"),
        ("read 5", "read needs stream: stream that is driven"),
        ("read 5 sg1.e7 3", "read takes 2 operands; '3' is one too many"),
        ("read address=5 sg1.e7", "'sg1.e7' needs a name, as it follows a named operand"),
        ("read 5 address=6", "read gives address twice"),
        ("read 5 bank=6", "read has no 'bank'; it has address, stream"),
        ("iw now", "iw takes 0 operands"),
        ("iw now=1", "iw has no 'now'; it has no operands"),
        ("read five sg1.e7", "read address must be a number, not 'five'"),
        ("read 65536 sg1.e7", "read address must be 0 to 65535, not 65536"),
        ("read 5 sg1.n7", "read stream: a stream group reads like sg4.e2, not 'sg1.n7'"),
        ("read 5 sg1.e32", "must have index 0 to 31, not 32"),
        ("read 5 sg2.e3", "read stream must be a stream group SG1"),
        ("lw 0 fp32 sg1.e0", "lw dtype must be one of int8, fp8_e4m3, fp8_e5m2, fp16"),
        ("lw 0 fp64 sg1.e0", "lw dtype: 'fp64' must be one of int8"),
        ("mov alu16", "mov a: ALU operand must be 0 to 15, not 16"),
        ("abc sg1.e0 int8 hold=2 count=3", "abc hold: a flag must be 0 or 1, not '2'"),
    ],
)
def test_instruction_errors(text, message):
    """The message names the field, the value and the limit."""
    with pytest.raises(AsmError) as caught:
        parse_instruction(text)
    assert message in str(caught.value)


FIRST = ".config nano\n.queue MEM_W0.0\n notify\n "


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (".config nano lanes=5", "line 1: lanes must be 4, 8 or 16, not 5"),
        (".config nano lanes=x", "line 1: .config lanes must be a number, not 'x'"),
        (".config nano colour=1", "line 1: .config has no 'colour'"),
        (".config nano\n.config nano", "line 2: a source has one .config"),
        (".queue VXM.0", "line 1: a .config must come before"),
        (".config nano\n\n.queue VXM.7", "line 3: there is no queue 'VXM.7'"),
        (".config nano\n.queue VXM.0\n.queue VXM.0", "line 3: queue VXM.0 is defined twice"),
        (
            ".config nano\n.queue VXM.0\n  read 5 sg1.e0",
            "line 3: queue VXM.0 does not execute read",
        ),
        (".config nano\n.queue VXM.0\n  nop 0 ; x", "line 3: nop count must be 1 to 65535, not 0"),
        (".config nano\nnop", "line 2: 'nop' is outside any .queue or .image"),
        (".config nano\n.memory 3", "line 2: '.memory 3' is not a directive"),
        (".config nano\n.image VXM.0 address=3", "line 2: VXM.0 is not a bank of a MEM slice"),
        (".config nano\n.image MEM_W0.0", "line 2: .image needs address"),
        (
            ".config nano\n.image MEM_W0.0 address=0\n001122",
            "line 3: a word must have 8 hexadecimal digits, not 6",
        ),
        (
            ".config nano\n.image MEM_W0.0 address=0\n0011223g",
            "line 3: a word must be hexadecimal, not '0011223g'",
        ),
        (".config nano\n.output MEM_W0.0 address=1 words=x", "line 2: .output words must be a num"),
        ("", "the source has no .config"),
        (FIRST + "read 5 sg1.e0\n nop 2\n read 5 sg1.e9", "line 6: queue MEM_W0.0: read stream mu"),
        (
            FIRST + "read 256 sg1.e0",
            "line 4: queue MEM_W0.0: read address must be 0 to 255 on nano",
        ),
        (
            FIRST + "read 250 sg1.e0\n repeat 6 stride=1",
            "line 5: queue MEM_W0.0: read address must",
        ),
        (FIRST + "read 1 sg1.e0\n repeat 3 stride=-1", "line 5: queue MEM_W0.0: read address must"),
        (FIRST + "repeat 3", "line 4: queue MEM_W0.0 has repeat as instruction 1; repeat must fol"),
        (FIRST + "nop 3\n repeat 3", "line 5: queue MEM_W0.0 has repeat as instruction 2"),
        (FIRST + "gather sg1.e0 sg1.e1", "line 4: queue MEM_W0.0: gather has an encoding, but"),
        (FIRST + "ifetch sg1.e0", "line 4: queue MEM_W0.0: ifetch has an encoding, but"),
        (FIRST + "sync", "line 4: queue MEM_W0.0 has sync as instruction 1"),
        (FIRST + "read 0 sg1.e0\n" * 512, "line 515: queue MEM_W0.0 needs 513 instructions"),
        (".config nano\n.queue MEM_W0.0\n nop 3", "line 3: queue MEM_W0.0 must begin with sync or"),
        (".config nano\n.queue MEM_W0.0", "line 2: queue MEM_W0.0 must begin with sync or"),
        (
            FIRST + ".queue MEM_E0.0\n notify",
            "line 5: queues MEM_W0.0 and MEM_E0.0 both begin with notify; one opens the barrier "
            "for all, so begin the others with sync",
        ),
        (
            ".config nano\n.queue VXM.0\n notify\n mov imm wait=4\n nop 3\n mov imm",
            "line 6: queue VXM.0: the results of instructions 1 (mov) and 3 (mov) meet in cycle 17",
        ),
        (
            ".config nano\n.image MEM_W0.0 address=1\n 00010203\n 00010203\n"
            ".image MEM_W0.0 address=0\n00010203\n.image MEM_W0.0 address=2\n00010203",
            "line 7: the image gives word 2 of MEM_W0 bank 0 twice; let its blocks not overlap",
        ),
        (
            ".config nano\n\n.output MEM_W0.0 address=0 words=0",
            "line 3: an output of MEM_W0 bank",
        ),
        (
            ".config nano\n.output MEM_W0.0 address=256 words=1",
            "line 2: an address of MEM_W0 bank 0",
        ),
        (
            ".config nano\n.image MEM_W0.0 address=256\n 00010203",
            "line 2: an address of MEM_W0 bank 0 must be 0 to 255, not 256",
        ),
        (".program ; none", "line 1: .program takes a name, not nothing"),
        ('.program "a b', 'line 1: .program takes a name or a JSON string, not "a b'),
        (".config", "line 1: .config takes a preset, then fields that differ, not nothing"),
        (".config nano\n.queue", "line 2: .queue takes the name of a queue, not nothing"),
        (".config nano\n.queue a b", "line 2: .queue takes the name of a queue, not 'a b'"),
        (".config nano\n.image", "line 2: .image takes a bank and address=, not nothing"),
        (".config nano\n.output", "line 2: .output takes a bank, address= and words=, not"),
        (
            ".config quad_16",
            "line 1: .config quad_16 needs fields such as lanes=16, as it is none of the presets "
            "nano, small, quad16, duo32, base, tsp",
        ),
    ],
)
def test_source_errors(text, message):
    """The message names the line, also where a line is wrong because of another."""
    with pytest.raises(AsmError) as caught:
        parse_program(text)
    assert message in str(caught.value)


def test_a_config_of_ones_own():
    """A name that is no preset stands for the defaults and what is given."""
    assert parse_program(".config mine alus=3").config == Config(name="mine", alus=3)
    changed = parse_program(".config nano datapath=fp16 alus=0x1").config
    assert changed == dataclasses.replace(preset("nano"), datapath="fp16", alus=1)
    decimal = parse_program(".config nano bank_words=0128").config
    assert decimal == dataclasses.replace(preset("nano"), bank_words=128)


@pytest.mark.parametrize("changes", [{}, {"alus": 3}])
def test_a_config_that_is_no_preset_is_written_in_full(changes):
    """Also where it has the defaults, so that the name is known to be meant."""
    config = Config(name="mine", **changes)
    text = format_program(Program(config, {}))
    (line,) = [line for line in text.splitlines() if line.startswith(".config")]
    assert [word.split("=")[0] for word in line.split()[2:]] == list(config.as_dict())[1:]
    assert parse_program(text).config == config


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("matmul", "matmul"),
        ("seed 3", "seed 3"),
        ("two  spaces", '"two  spaces"'),
        (" before; and after ", r'" before\u003b and after "'),
        ("two\nlines", r'"two\nlines"'),
        ('"quoted"', r'"\"quoted\""'),
        ("", '""'),
    ],
)
def test_names_of_programs(name, text):
    """As they are, or as a JSON string where a line would change them."""
    program = Program(SMALL, {}, name=name)
    assert format_program(program).splitlines()[0] == f".program {text}"
    assert parse_program(format_program(program)) == program


def test_a_program_that_does_not_fit_is_refused():
    """Legal lines, but more words than the bank has."""
    with pytest.raises(AsmError, match=r"line 2: .* exceed its 256 words"):
        parse_program(".config nano\n.output MEM_W0.0 address=200 words=57")


def test_broken_binaries():
    """Bytes that are no program, and words that decode to nothing."""
    for data in (b"", b"program", b"PK\3\4 and so on"):
        with pytest.raises(BinaryError, match="the data is not a program"):
            from_binary(data)
    good = to_binary(parse_program(EXAMPLE))
    parts = dict(np.load(io.BytesIO(good)))

    def packed(**changed):
        stream = io.BytesIO()
        np.savez(stream, **(parts | changed))
        return stream.getvalue()

    assert from_binary(packed()) == from_binary(good)
    header = str(parts["header"]).replace("tsp program 1", "tsp program 9")
    with pytest.raises(BinaryError, match="format must be 'tsp program 1', not 'tsp program 9'"):
        from_binary(packed(header=np.array(header)))
    words = parts["queue MEM_W3.0"].copy()
    words[1] = 0
    with pytest.raises(BinaryError, match=r"queue MEM_W3.0 word 1: word 0x0 decodes to nothing"):
        from_binary(packed(**{"queue MEM_W3.0": words}))
    header = str(parts["header"]).replace('["MEM_W3", 0, 5]', '["MEM_W3", 0, 2048]')
    with pytest.raises(ProgramError, match="an address of MEM_W3 bank 0 must be 0 to 2047"):
        from_binary(packed(header=np.array(header)))
    for change, message in (
        (("lanes", "lines"), "unexpected keyword argument 'lines'"),
        (('"lanes": 16', '"lanes": 5'), "lanes must be 4, 8 or 16, not 5"),
        (("config", "core"), "KeyError.'config'"),
        (("MEM_E5.1", "MEM_E9.1"), "there is no queue 'MEM_E9.1'"),
        (('"queues": [', '"queues": ["VXM.0", '), "queue VXM.0 is not a file"),
    ):
        header = np.array(str(parts["header"]).replace(*change))
        with pytest.raises(BinaryError, match=f"the program is damaged: .*{message}"):
            from_binary(packed(header=header))
    with pytest.raises(BinaryError, match="the program is damaged"):
        from_binary(packed(**{"queue MEM_W3.0": np.array(3)}))
    stream = io.BytesIO()
    np.save(stream, np.zeros(3))
    for data in (stream.getvalue(), packed(header=np.array("[1, 2]"))):
        with pytest.raises(BinaryError, match="the data is not a program"):
            from_binary(data)


def test_any_byte_of_a_binary_may_be_wrong():
    """Oracle: the program itself; a byte that is not looked at changes nothing."""
    program = parse_program(EXAMPLE)
    good = to_binary(program)
    for at in range(0, len(good), 3):
        data = bytearray(good)
        data[at] ^= 1 << at % 8
        with contextlib.suppress(BinaryError, ProgramError):
            assert from_binary(bytes(data)) == program, f"{at=}"
    for length in range(0, len(good), 50):
        with pytest.raises(BinaryError):
            from_binary(good[:length])


def test_the_listing():
    """Oracle: cycles counted by hand."""
    queue = (Notify(), Nop(count=3), Read(address=5, stream=SG1("E", 7)))
    queue += (Repeat(count=3, interval=4, stride=-1), Nop(), Write(address=0, stream=SG1("W", 0)))
    text = listing(Program(SMALL, {"MEM_W3.0": queue, "VXM.0": (Sync(),)}, name="demo"))
    assert (
        text
        == inspect.cleandoc(
            """
        ; demo on small: 20 cycles

        MEM_W3.0: 6 of 4096 instructions
             barrier  notify
                0..2  nop count=3
                   3  read address=5 stream=sg1.e7
          7..15 by 4  repeat count=3 interval=4 stride=-1
                  16  nop
                  17  write address=0 stream=sg1.w0

        VXM.0: 1 of 4096 instructions
          barrier  sync
        """
        )
        + "\n"
    )


def test_the_timeline_ends_where_the_queue_does():
    """Random queues; oracle: the count of the program."""
    for seed in range(50):
        rng = np.random.default_rng(seed)
        queue = [Notify()]
        for _ in range(10):
            queue.append(Read(address=0, stream=SG1("E", 0)))
            queue.append(
                [Nop(count=4), Repeat(count=3, interval=int(rng.integers(1, 5)))][seed % 2]
            )
        *_, (cycles, _) = timeline(queue)
        assert cycles[-1] + 1 == issue_cycles(queue), f"{seed=}"


def test_a_program_without_cycles_is_not_written(tmp_path):
    source, output = tmp_path / "bad.tsp", tmp_path / "bad.npz"
    source.write_text(".config nano\n.queue VXM.0\n  notify\n  repeat 3\n")
    for more in ([], ["--listing"]):
        done = CliRunner().invoke(main, ["asm", str(source), "--output", str(output), *more])
        assert done.exit_code == 1
        assert "line 4: queue VXM.0 has repeat as instruction 1; repeat must fo" in done.output
        assert not output.exists()


LATE = """.program late
.config nano
.queue MEM_W0.0
    notify
    read 5 sg1.e7
    repeat 3
.queue VXM.0
    sync
    nop 8
    mov sg1.e7      ; the words have passed
.output MEM_W0.0 address=0 words=1
"""


def test_programs_with_outputs_are_checked(tmp_path):
    """The golden model finds a fault before anything is written; the lines are those at fault."""
    source, output = tmp_path / "late.tsp", tmp_path / "late.npz"
    source.write_text(LATE)
    assemble = ["asm", str(source), "--output", str(output)]
    for more in ([], ["--check"]):
        done = CliRunner().invoke(main, [*assemble, *more])
        assert done.exit_code == 1
        assert done.output.strip() == (
            "Error: the golden model runs late into a fault: invalid in VXM at cycle 9 (line 10: "
            "mov a=sg1.e7); use --no-check to assemble it anyway"
        )
        assert not output.exists()
    assert CliRunner().invoke(main, [*assemble, "--no-check"]).exit_code == 0
    assert from_binary(output.read_bytes()) == parse_program(LATE)
    source.write_text(LATE.replace("nop 8", "nop 5"))
    assert CliRunner().invoke(main, assemble).exit_code == 0
    # Without outputs nothing is run unless that is asked for.
    source.write_text(LATE.replace(".output", ";"))
    assert CliRunner().invoke(main, assemble).exit_code == 0
    assert CliRunner().invoke(main, [*assemble, "--check"]).exit_code == 1


def test_assembling_and_back(tmp_path):
    """What `disasm` prints assembles to the same bytes; without an output there is the listing."""
    source, output = tmp_path / "wait.tsp", tmp_path / "wait.npz"
    source.write_text(".program to wait\n.config nano\n.queue VXM.0\n  notify\n  nop 7\n")
    invoke = CliRunner().invoke
    assert invoke(main, ["asm", str(source), "--output", str(output)]).output == ""
    assert "to wait on nano: 7 cycles" in invoke(main, ["asm", str(source)]).output
    done = invoke(main, ["disasm", str(output)])
    source.write_text(done.output)
    again = tmp_path / "again.npz"
    assert invoke(main, ["asm", str(source), "--output", str(again)]).exit_code == 0
    assert again.read_bytes() == output.read_bytes()
    output.write_bytes(output.read_bytes()[:-30])
    done = invoke(main, ["disasm", str(output)])
    assert (done.exit_code, done.output) == (1, "Error: the data is not a program\n")
