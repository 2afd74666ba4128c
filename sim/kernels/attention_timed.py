"""An operation that knows when it touches what it shares with others."""

from tsp.hw.isa import SG1
from tsp.hw.isa.timing import MEM_BANK, MEM_READ, MEM_SAMPLE
from tsp.sim.schedule import Operation


class Timed:
    """An operation, with the cycles in which it touches the first word of what it shares.

    Members
    -------
    operation : Operation
    reads, last_reads, writes, last_writes : dict
        Cycle of the SRAM by (what, bank), the first and the last time.
    """

    def __init__(self, config, name):
        self.operation, self.config = Operation(config, name), config
        self.reads, self.last_reads, self.writes, self.last_writes = {}, {}, {}, {}

    def read(self, what, place, streams, stop, arrive, rows):
        """Read the rows of a place so that the first is at `stop` in cycle `arrive`."""
        for stream, (bank, address) in zip(streams.streams, place, strict=True):
            single = SG1(streams.direction, stream)
            self.operation.read(bank.queue, address, single, stop, arrive, rows)
            if what:
                cycle = self.read_cycle(bank, stop, arrive)
                self._note(self.reads, self.last_reads, (what, bank), cycle)

    @staticmethod
    def read_cycle(bank, stop, arrive):
        """Cycle in which a bank is read, so that the word is at `stop` in cycle `arrive`."""
        return arrive - abs(stop - bank.stop) - MEM_READ + MEM_BANK

    def write(self, what, place, streams, source, driven, rows):
        """Write rows that stop `source` drives from cycle `driven` on."""
        for stream, (bank, address) in zip(streams.streams, place, strict=True):
            single, arrive = SG1(streams.direction, stream), driven + abs(bank.stop - source)
            self.operation.write(bank.queue, address, single, arrive, rows)
            if what:
                cycle = arrive - MEM_SAMPLE + MEM_BANK
                self._note(self.writes, self.last_writes, (what, bank), cycle)

    @staticmethod
    def _note(first, last, key, cycle):
        first[key] = min(first.get(key, cycle), cycle)
        last[key] = max(last.get(key, cycle), cycle)
