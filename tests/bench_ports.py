"""Many signals as one: all inputs of a bench, or all its outputs."""

from amaranth.hdl import Cat, Value


class Places:
    """Signals by name, and where the bits of each are in all of them together.

    Parameters
    ----------
    signals : dict
        A :class:`~amaranth.hdl.Value`, or a structure of them, by name.
    """

    def __init__(self, signals):
        self._signals, self._places, width = signals, {}, 0
        values = {name: Value.cast(signal).as_unsigned() for name, signal in signals.items()}
        for name, value in values.items():
            self._places[name] = width, (1 << len(value)) - 1
            width += len(value)
        self.all = Cat(*values.values())

    def packed(self, steps):
        """The bits of all of them in each of `steps`, dicts; what is missing keeps its value."""
        bits = 0
        for values in steps:
            for name, value in values.items():
                place, mask = self._places[name]
                if isinstance(value, dict):  # the fields of a structure
                    value = self._signals[name].shape().const(value).as_bits()
                bits = bits & ~(mask << place) | (int(value) & mask) << place
            yield bits

    def unpacked(self, bits):
        """The value of each, unsigned, by name."""
        return {name: bits >> place & mask for name, (place, mask) in self._places.items()}
