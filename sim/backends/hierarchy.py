"""How Verilator splits a core: which modules it keeps, and which it builds one by one."""

import re

from tsp.hw.export import split

TOP = "tsp_chip"

_FEW = 4  # instances
_SMALL = 1500  # lines of Verilog, all that is inside counted in
_BLOCK = 500_000  # of a module that is built by itself, at most
_WORTH = 300_000  # of all instances of such a module, at least
_HUGE = 1_000_000  # of a core


class _Sizes:
    """The modules of Verilog `text`, and the lines of each with all that is inside of it."""

    def __init__(self, text):
        bodies = split(text)
        self.lines = {name: body.count("\n") for name, body in bodies.items()}
        self.instances = {
            name: [n for n in re.findall(r"^  (\w+) \S+ \($", body, re.M) if n in bodies]
            for name, body in bodies.items()
        }
        self.inlined = {}
        for name in bodies:
            self._inline(name)

    def _inline(self, name):
        if name not in self.inlined:
            inside = sum(self._inline(child) for child in self.instances[name])
            self.inlined[name] = self.lines[name] + inside
        return self.inlined[name]

    def topmost(self, is_wanted):
        """The modules that ``is_wanted(name, count)``, but for those inside of others of them."""
        counts, found = dict.fromkeys(self.lines, 0), []
        counts[TOP] = 1
        for name in sorted(self.lines, key=self.inlined.get, reverse=True):
            if is_wanted(name, counts[name]):
                found.append(name)
            else:
                for child in self.instances[name]:
                    counts[child] += counts[name]
        return found


def kept(text):
    """Modules of Verilog `text` that Verilator keeps as modules.

    It inlines the others into the modules that use them. Modules that are large and occur often are
    kept, because a large core would otherwise become one function; what they contain is inlined.
    """
    sizes = _Sizes(text)
    return sizes.topmost(lambda name, count: count >= _FEW and sizes.inlined[name] >= _SMALL)


def blocks(text):
    """Modules that Verilator builds one by one, if a core is too large to be built as a whole.

    Verilator takes more than a kilobyte for each line of each instance that it schedules together,
    and compiles every instance anew.
    """
    sizes = _Sizes(text)
    if sizes.inlined[TOP] < _HUGE:
        return []

    def is_block(name, count):
        return sizes.inlined[name] <= _BLOCK and sizes.inlined[name] * count >= _WORTH and count > 1

    return sizes.topmost(is_block)
