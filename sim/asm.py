"""Assembler and disassembler: programs as text.

A source file is made of lines; a comment runs from ``;`` to the end of the line::

    .program copy
    .config small                       ; a preset, then fields that differ: streams=16 ...
    .queue MEM_W3.0
        notify
        read 5 sg1.e7                   ; operands by position,
        repeat count=3 stride=1         ; or by name; defaults may be left out
    .queue MEM_E5.1
        sync
        nop count=5
        write address=9 stream=sg1.e7
        repeat count=3 stride=1
    .image MEM_W3.0 address=5           ; one word a line, two digits a lane, lane 0 first
        000102030405060708090a0b0c0d0e0f
    .output MEM_E5.1 address=9 words=4
"""

import dataclasses
import json

import numpy as np

from tsp.hw.config import PRESETS, Config
from tsp.hw.errors import EncodingError
from tsp.hw.isa import MNEMONICS, Instruction, Unit
from tsp.hw.isa.codecs import number
from tsp.sim.program import Block, Program, ProgramError, Region

_TAKES = {
    ".program": "a name",
    ".config": "a preset, then fields that differ",
    ".queue": "the name of a queue",
    ".image": "a bank and address=",
    ".output": "a bank, address= and words=",
}
"""The operands of every directive."""


class AsmError(EncodingError):
    """Source text that is not legal; the message names the line."""


def parse_instruction(text: str) -> Instruction:
    """The instruction on one line of text.

    Raises
    ------
    AsmError
        Naming the field, its value and its limit.
    """
    mnemonic, *operands = text.split()
    if mnemonic not in MNEMONICS:
        raise AsmError(f"there is no instruction {mnemonic!r}")
    cls = MNEMONICS[mnemonic]
    codecs = {info.name: info.codec for info in cls.fields()}
    values = {}
    for name, value in _named(mnemonic, operands, codecs):
        try:
            values[name] = codecs[name].parse(value)
        except EncodingError as error:
            raise AsmError(f"{mnemonic} {name}: {error}") from None
        except ValueError:
            raise AsmError(f"{mnemonic} {name} must be a number, not {value!r}") from None
    for field in dataclasses.fields(cls):
        if field.name not in values and field.default is dataclasses.MISSING:
            raise AsmError(f"{mnemonic} needs {field.name}: {cls.field(field.name).doc}")
    try:
        return cls(**values)
    except EncodingError as error:
        raise AsmError(str(error)) from None


def format_instruction(instruction: Instruction) -> str:
    """The text of one instruction; fields at their defaults are left out."""
    parts = [instruction.mnemonic]
    for field in dataclasses.fields(instruction):
        value = getattr(instruction, field.name)
        if field.default is dataclasses.MISSING or value != field.default:
            parts.append(f"{field.name}={instruction.field(field.name).codec.format(value)}")
    return " ".join(parts)


def parse_program(text: str, checked: bool = True) -> Program:
    """The :class:`~tsp.sim.program.Program` that a source text describes.

    With `checked` False, only programs that no back end can load are refused; see there.

    Raises
    ------
    AsmError
        Naming the line, the value and its limit.
    ProgramError
        If every line is legal but the core could not hold or run the whole.
    """
    return parse_source(text, checked)[0]


def parse_source(text: str, checked: bool = True) -> tuple[Program, dict]:
    """The same program, and the line number of each of its places.

    Places are those of :class:`~tsp.sim.checks.ProgramError`: ``("MEM_W0.0", 3)`` is instruction 3
    of that queue.
    """
    source = _Source()
    for count, line in enumerate(text.splitlines(), 1):
        try:
            source.take(count, line.partition(";")[0])
        except ValueError as error:
            raise AsmError(f"line {count}: {error}") from None
    try:
        return source.program(checked), source.lines
    except ProgramError as error:
        line = source.lines.get(error.place)
        if line is None:
            raise
        raise AsmError(f"line {line}: {error}") from None


def format_program(program: Program) -> str:
    """The source text of a program; ``parse_program(format_program(p)) == p``."""
    lines = [f".program {_format_name(program.name)}", _format_config(program.config)]
    for name, instructions in program.queues.items():
        lines += ["", f".queue {name}"]
        lines += ["    " + format_instruction(i) for i in instructions]
    for block in program.image:
        lines += ["", f".image {block.slice}.{block.bank} address={block.address}"]
        lines += ["    " + word.tobytes().hex() for word in block.data]
    lines += [""] * bool(program.outputs)
    for region in program.outputs:
        where = f"{region.slice}.{region.bank}"
        lines.append(f".output {where} address={region.address} words={region.words}")
    return "\n".join(lines) + "\n"


class _Source:
    """A program under construction, from the lines read so far."""

    def __init__(self):
        self.name, self.config = "program", None
        self.queues, self.image, self.outputs = {}, [], []
        self.section = None  # takes the words of a line that is no directive
        self.line, self.lines = 0, {}  # this line's number, and that of every place

    def take(self, number, line):
        """Line `number` of the source, comments removed."""
        self.line = number
        words = line.split()
        match words:
            case []:
                pass
            case [".program", _, *_]:
                self.name, self.section = _parse_name(line.strip()[len(".program") :]), None
            case [".config", name, *fields]:
                self._config(name, fields)
            case [".queue", name]:
                self._queue(name)
            case [".image", where, *fields]:
                self._image(*self._bank(where), **_numbers(".image", fields, ("address",)))
            case [".output", where, *fields]:
                numbers = _numbers(".output", fields, ("address", "words"))
                self.lines["output", len(self.outputs)] = number
                self.outputs.append(Region(*self._bank(where), **numbers))
                self.section = None
            case [directive, *rest] if directive in _TAKES:
                found = repr(" ".join(rest)) if rest else "nothing"
                raise AsmError(f"{directive} takes {_TAKES[directive]}, not {found}")
            case [directive, *_] if directive.startswith("."):
                raise AsmError(f"{' '.join(words)!r} is not a directive")
            case _ if self.section is None:
                raise AsmError(f"{words[0]!r} is outside any .queue or .image")
            case _:
                self.section(words)

    def program(self, checked):
        """The program, after the last line."""
        if self.config is None:
            raise AsmError("the source has no .config")
        queues = {name: tuple(instructions) for name, instructions in self.queues.items()}
        length = self.config.vector
        image = [
            Block(*where, np.array(rows, np.uint8).reshape(-1, length))
            for *where, rows in self.image
        ]
        outputs = tuple(self.outputs)
        return Program(self.config, queues, tuple(image), outputs, self.name, checked)

    def _config(self, name, fields):
        if self.config is not None:
            raise AsmError("a source has one .config, before its first queue")
        if name not in PRESETS and not fields:
            raise AsmError(
                f".config {name} needs fields such as lanes=16, as it is none of the presets "
                f"{', '.join(PRESETS)}"
            )
        base = PRESETS.get(name) or Config(name=name)
        known = [f for f in base.as_dict() if f != "name"]
        values = dict(_named(".config", fields, known))
        for key in values.keys() - {"datapath", "pipeline"}:
            values[key] = _number(f".config {key}", values[key])
        self.config = dataclasses.replace(base, **values)

    def _plan(self):
        if self.config is None:
            raise AsmError("a .config must come before the first queue, image or output")
        return self.config.floorplan

    def _queue(self, name):
        self._plan().queue(name)  # refuses what there is not
        if name in self.queues:
            raise AsmError(f"queue {name} is defined twice")
        instructions = self.queues[name] = []
        self.lines[name, 0] = self.line  # of the directive, if nothing follows

        def take(words):
            self.lines[name, len(instructions)] = self.line
            instructions.append(parse_instruction(" ".join(words)))

        self.section = take

    def _bank(self, where):
        queue = self._plan().queue(where)
        if queue.unit is not Unit.MEM:
            raise AsmError(f"{where} is not a bank of a MEM slice")
        return queue.slice.name, queue.port

    def _image(self, where, bank, address):
        rows = []
        self.lines["image", len(self.image)] = self.line
        self.image.append((where, bank, address, rows))
        digits = 2 * self.config.vector

        def take(words):
            text = "".join(words)
            if len(text) != digits:
                raise AsmError(f"a word must have {digits} hexadecimal digits, not {len(text)}")
            try:
                rows.append(list(bytes.fromhex(text)))
            except ValueError:
                raise AsmError(f"a word must be hexadecimal, not {text!r}") from None

        self.section = take


def _format_name(name):
    """The name of a program as it is written on a line: plain, or as a JSON string if necessary."""
    if name and name == " ".join(name.split()) and ";" not in name and not name.startswith('"'):
        return name
    return json.dumps(name).replace(";", r"\u003b")


def _parse_name(text):
    text = text.strip()
    if not text.startswith('"'):
        return " ".join(text.split())
    try:
        return json.loads(text)
    except ValueError:
        raise AsmError(f".program takes a name or a JSON string, not {text}") from None


def _format_config(config):
    """The directive of a config: the fields that differ from a preset, or all fields."""
    base = PRESETS.get(config.name)
    usual = base.as_dict() if base else {"name": config.name}
    changed = [f"{k}={v}" for k, v in config.as_dict().items() if k not in usual or v != usual[k]]
    return " ".join([".config", config.name, *changed])


def _named(where, operands, names):
    """``(name, text)`` of operands given by position or as ``name=text``."""
    names, seen, named = list(names), set(), False
    for position, operand in enumerate(operands):
        name, equals, value = operand.partition("=")
        if not equals:
            if named:
                raise AsmError(f"{where}: {operand!r} needs a name, as it follows a named operand")
            if position >= len(names):
                raise AsmError(f"{where} takes {len(names)} operands; {operand!r} is one too many")
            name, value = names[position], operand
        named = bool(equals)
        if name not in names:
            raise AsmError(f"{where} has no {name!r}; it has {', '.join(names) or 'no operands'}")
        if name in seen:
            raise AsmError(f"{where} gives {name} twice")
        seen.add(name)
        yield name, value


def _numbers(where, operands, names):
    """The operands of a directive that needs all of `names`, as numbers."""
    texts = dict(_named(where, operands, names))
    for name in names:
        if name not in texts:
            raise AsmError(f"{where} needs {name}")
    return {name: _number(f"{where} {name}", text) for name, text in texts.items()}


def _number(where, text):
    try:
        return number(text)
    except ValueError:
        raise AsmError(f"{where} must be a number, not {text!r}") from None
