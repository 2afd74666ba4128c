"""Instructions as a view shows them: a template is an instruction without its strided field."""

from tsp.hw.isa import Abc, Acc, AccMode, Alu, DType, Instruction, Lw, Read, Reduce, Unit, Write
from tsp.hw.isa.timing import ACC_SAMPLE, array_latency
from tsp.sim.asm import format_instruction

FORMATS = {
    DType.INT8: "i8",
    DType.INT16: "i16",
    DType.INT32: "i32",
    DType.FP8_E4M3: "e4m3",
    DType.FP8_E5M2: "e5m2",
    DType.FP16: "f16",
    DType.FP32: "f32",
}
"""What a view calls the storage formats."""

_INTEGERS = {1: "i8", 2: "i16", 4: "i32"}
_ACTIONS = {Read: "read", Write: "write", Acc: "row"}


class Templates:
    """The templates of a program's instructions, each once.

    Parameters
    ----------
    config : Config

    Members
    -------
    found : list of dict
        What the payload holds of each; see the page on views.
    """

    def __init__(self, config):
        self.config, self.found = config, []
        self._numbers, self._known = {}, {}

    def number(self, instruction: Instruction) -> int:
        """The index of the template of an instruction."""
        found = self._known.get(id(instruction))
        if found is not None and found[0] is instruction:
            return found[1]
        fields = tuple((k, v) for k, v in vars(instruction).items() if k != instruction.strided)
        key = type(instruction), fields
        if key not in self._numbers:
            self._numbers[key] = len(self.found)
            self.found.append(_template(self.config, instruction))
        self._known[id(instruction)] = instruction, self._numbers[key]
        return self._numbers[key]


def _template(config, instruction):
    strided = instruction.strided
    return {
        "mnemonic": instruction.mnemonic,
        "unit": instruction.unit.value,
        "text": _text(instruction),
        "strided": strided,
        "fields": [
            [info.name, info.codec.format(getattr(instruction, info.name))]
            for info in instruction.fields()
            if info.name != strided
        ],
        "samples": [_flow(*flow) for flow in instruction.samples(config)],
        "drives": [_flow(*flow) for flow in instruction.drives(config)],
        "alus": _alus(config, instruction),
        "stands": _stands(config, instruction),
        "takes": ACC_SAMPLE if _takes(instruction) else None,
        "lasts": instruction.lasts(config),
        "action": _ACTIONS.get(type(instruction)),
        "formats": {
            "samples": [_sampled(instruction, group) for group, _ in instruction.samples(config)],
            "drives": [_driven(instruction, group) for group, _ in instruction.drives(config)],
        },
    }


def _stands(config, instruction):
    """Cycles from the issue until what it makes stands where another unit takes it, or None."""
    if instruction.unit is Unit.ABC:
        return array_latency(config)
    return instruction.stands(config)


def _takes(instruction):
    """Whether an instruction takes dot products."""
    return isinstance(instruction, Acc) and instruction.mode is not AccMode.KEEP


def _text(instruction):
    """The assembler's text, with ``{}`` for the value of the strided field."""
    strided = instruction.strided
    if strided is None:
        return format_instruction(instruction)
    value = f"{strided}={instruction.field(strided).codec.format(getattr(instruction, strided))}"
    words = format_instruction(instruction).split(" ")
    return " ".join(f"{strided}={{}}" if word == value else word for word in words)


def _flow(group, after):
    return [group.direction, group.size, group.index, after]


def _alus(config, instruction):
    """``[ALU, cycles after the issue]`` of every operand that is another ALU's result."""
    if instruction.unit is not Unit.VXM:
        return []
    skew = instruction.timing(config).skew
    operands = ((name, getattr(instruction, name)) for name in instruction.reads)
    return [
        [operand.index, skew + instruction.wait * instruction.is_late(name)]
        for name, operand in operands
        if isinstance(operand, Alu)
    ]


def _sampled(instruction, group):
    """The format in which an instruction reads a stream group, or None."""
    match instruction:
        case Abc(dtype=dtype):
            return FORMATS[dtype]
        case Lw(dtype=dtype):
            return FORMATS[dtype] if dtype.bytes == 1 else None
        case Reduce(source=source):
            return "f32" if group == source else None
    return _arithmetic(instruction, group, "source") if instruction.unit is Unit.VXM else None


def _driven(instruction, group):
    """The format in which an instruction drives a stream group, or None."""
    match instruction:
        case Acc(dtype=dtype):
            return FORMATS[dtype]
        case Reduce(target=target):
            return "f32" if group == target else None
    return _arithmetic(instruction, group, "result") if instruction.unit is Unit.VXM else None


def _arithmetic(instruction, group, field):
    """What an ALU takes its operands for and makes of them: by the last letter of the operation."""
    if dtype := getattr(instruction, field, None):
        return FORMATS[dtype] if isinstance(dtype, DType) else None
    name = type(instruction).__name__
    if name.endswith("F") or instruction.special:
        return "f32" if group.size == 4 else None
    if name.endswith(("I", "IS")):
        return _INTEGERS[group.size]
    return None
