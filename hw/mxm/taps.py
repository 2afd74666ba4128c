"""Sampling a stream by number."""

from amaranth.hdl import Signal


def arriving(ports):
    """Pairs of a stream's six-bit code (bit 5: westward) and its word, for `east` and `west`."""
    return [
        (westward << 5 | stream, word)
        for westward, words in enumerate((ports.east, ports.west))
        for stream, word in enumerate(words)
    ]


def valid_bits(m, ports):
    """The valid bits of all streams as one word, indexed by code."""
    valid = Signal(64)
    m.d.comb += [valid[code].eq(word.valid) for code, word in arriving(ports)]
    return valid
