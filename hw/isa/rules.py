"""Rules that make an instruction illegal, evaluated by both hardware and software.

A rule is one expression over fields. Given bits, by the guard of a queue, it yields logic; given
values, by everything else, it yields a truth value, and a sentence for users if it is broken.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache, reduce
from operator import attrgetter, or_
from typing import TYPE_CHECKING, Any

from tsp.hw.fault import FaultKind

if TYPE_CHECKING:
    from tsp.hw.config import Config
    from tsp.hw.floorplan import Queue
    from tsp.hw.isa.base import Instruction


def any_of(truths: Iterable) -> Any:
    """The OR of truths, False if there are none."""
    return reduce(or_, truths, False)


@dataclass(frozen=True)
class Rule:
    """A condition that makes an instruction illegal.

    Fields come as their codec's ``parts`` (of a value) or ``wires`` (of bits) show them, which have
    the same attributes. So `breaks` may compare and add them and combine truths by ``&`` and ``|``,
    but not branch on them.

    Parameters
    ----------
    kind : FaultKind
        The fault that the hardware raises: DECODE, or ADDRESS for something that does not exist.
    fields : tuple of str
        Names of the fields that it depends on.
    breaks : callable
        Takes the config and those fields; returns whether the rule is broken.
    says : callable
        Takes the config and the instruction; returns the text that follows the mnemonic in a
        refusal: the value, the limit and the remedy.
    when : callable
        Whether the rule can be broken on a config at all; logic is generated only where it can.
    doc : str
        The legal case, for the manual: a clause that follows "legal only if".
    everywhere : bool
        Whether it is the same on every config, so that an illegal instruction cannot be created;
        `breaks` and `says` then get None for the config.

    The legal values of a field that Repeat strides are an interval, whatever the other fields are.
    """

    kind: FaultKind
    fields: tuple[str, ...]
    breaks: Callable
    says: Callable
    when: Callable = lambda config: True
    everywhere: bool = False
    doc: str = ""

    def test(self, cls: "type[Instruction]", config: "Config | None") -> Callable:
        """A function from an instruction of class `cls` to whether it breaks the rule."""
        breaks, get = self.breaks, attrgetter(*self.fields)
        codecs = [cls.field(name).codec for name in self.fields]
        if not any(codec.compound for codec in codecs):
            if len(codecs) == 1:
                return lambda i: breaks(config, get(i))
            return lambda i: breaks(config, *get(i))
        if len(codecs) == 1:
            parts = codecs[0].parts
            return lambda i: breaks(config, parts(get(i)))
        shown = [codec.parts for codec in codecs]
        return lambda i: breaks(config, *(f(x) for f, x in zip(shown, get(i), strict=True)))


@dataclass(frozen=True)
class Refusal:
    """Why a queue of a core does not execute an instruction, and the fault that it raises."""

    kind: FaultKind | None
    reason: str


def refusal(
    instruction: "Instruction",
    config: "Config",
    queue: "Queue | None" = None,
    value: int | None = None,
) -> Refusal | None:
    """Why a core does not execute an instruction.

    Parameters
    ----------
    instruction : Instruction
    config : Config
    queue : Queue, optional
        The queue that contains it; without one, any queue of its unit.
    value : int, optional
        The value of the strided field after the strides of a Repeat.

    Returns
    -------
    Refusal or None
        None if the core executes it.
    """
    cls: Any = type(instruction)  # type checkers take a class for its instances below
    if not cls.executed:
        said = "has an encoding, but this core does not execute it"
        return Refusal(FaultKind.DECODE, _sentence(queue, cls, said))
    if queue is not None and cls.unit is not queue.unit:
        return Refusal(FaultKind.DECODE, f"queue {queue.name} does not execute {cls.mnemonic}")
    if cls.special and queue is not None and not queue.special:
        return Refusal(FaultKind.DECODE, _not_special(cls, config, queue))
    if value is not None and instruction.strided is not None:
        instruction = with_field(instruction, instruction.strided, value)
    for rule, test in tests_of(cls, config):
        if test(instruction):
            return Refusal(rule.kind, _sentence(queue, cls, rule.says(config, instruction)))
    return None


def run_refusal(
    instruction: "Instruction", config: "Config", queue: "Queue | None", count: int, stride: int
) -> Refusal | None:
    """Why a core does not execute `count` issues whose strided field grows by `stride` each time.

    Returns
    -------
    Refusal or None
        Of the first or the last issue, since legal values are an interval. Its kind is None if the
        strides raise no fault but are meaningless: they wrap, or there is nothing to stride.
    """
    found = refusal(instruction, config, queue)
    if found or not stride or count < 2:
        return found
    if instruction.strided is None:
        said = "has no field that Repeat can stride; give it no stride"
        return Refusal(None, _sentence(queue, type(instruction), said))
    info = instruction.field(instruction.strided)
    end = getattr(instruction, info.name) + (count - 1) * stride
    if not 0 <= end < 1 << info.width:
        most = (1 << info.width) - 1
        said = f"{info.name} must be 0 to {most} after the strides of a Repeat too, not {end}"
        return Refusal(None, _sentence(queue, type(instruction), said))
    return refusal(instruction, config, queue, end)


@lru_cache(maxsize=4096)
def largest(cls: "type[Instruction]", config: "Config", name: str) -> int:
    """The largest value of an unsigned field that a core executes, the others at their least.

    The legal values of such a field are an interval that begins with its least.
    """
    codec: Any = cls.field(name).codec
    least, first = cls.least(), codec.least

    def refused(value):
        return refusal(with_field(least, name, value), config) is not None

    return first - 1 + bisect_left(range(first, codec.limit + 1), True, key=refused)


@lru_cache(maxsize=4096)
def tests_of(cls: "type[Instruction]", config: "Config") -> tuple[tuple[Rule, Callable], ...]:
    """``(rule, test)`` of every rule of an instruction class that can be broken on `config`.

    What makes an instruction undecodable is before what puts it out of range, as in a queue.
    """
    rules = [rule for info in cls.fields() for rule in info.codec.rules(info.name)]
    rules = [rule for rule in [*rules, *cls.rules] if not rule.everywhere and rule.when(config)]
    rules.sort(key=lambda rule: rule.kind is FaultKind.ADDRESS)
    return tuple((rule, rule.test(cls, config)) for rule in rules)


def _sentence(queue, cls, said):
    return f"queue {queue.name}: {cls.mnemonic} {said}" if queue else f"{cls.mnemonic} {said}"


def _not_special(cls, config, queue):
    special = config.special_alus
    remedy = f"use VXM.0 to VXM.{special - 1}" if special else "give it special_alus"
    return (
        f"queue {queue.name} does not execute {cls.mnemonic}, because {config.name} has {special} "
        f"special ALUs; {remedy}"
    )


def with_field(instruction: "Instruction", name: str, value: Any) -> "Instruction":
    """`instruction` with another value in a field, for :func:`refusal`: it is not checked alone."""
    other = object.__new__(type(instruction))
    other.__dict__.update(instruction.__dict__)
    other.__dict__[name] = value
    return other
