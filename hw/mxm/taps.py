"""Sampling a stream by number."""

from amaranth.hdl import Signal


def arriving(ports):
    """Pairs of a stream's six-bit code (bit 5: westward) and its data, for `east` and `west`."""
    return [
        (westward << 5 | stream, word)
        for westward, row in enumerate((ports.east, ports.west))
        for stream, word in enumerate(row.data)
    ]


def valid_bits(m, ports):
    """The valid bits of all streams as one word, indexed by code."""
    valid = Signal(64)
    m.d.comb += [valid[:32].eq(ports.east.valid), valid[32:].eq(ports.west.valid)]
    return valid
