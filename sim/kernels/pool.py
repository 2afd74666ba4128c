"""Banks that kernels take from a core and keep: those farthest from the VXM first."""

from tsp.hw.errors import CapacityError
from tsp.hw.floorplan import Hemisphere
from tsp.sim.kernels.common import too_few_banks
from tsp.sim.layout import Memory, banks


class Pool:
    """The banks of a core that nothing uses yet, and the memory that is laid out in the others.

    Parameters
    ----------
    config : Config
    what : str
        What needs them, for messages.
    order : str
        Which of several banks is shared: the "first" that was, or the "emptiest".
    """

    def __init__(self, config, what, order="first"):
        self.config, self.memory, self.what = config, Memory(config), what
        self.order = {
            "first": lambda bank: 0,
            "emptiest": lambda bank: -self.memory.room(bank),
        }[order]
        vxm = config.floorplan.slice("VXM").stop
        self.free = {
            side: sorted(banks(config, side), key=lambda bank: -abs(bank.stop - vxm))
            for side in Hemisphere
        }
        self._shared = {side: [] for side in Hemisphere}
        self._uses = {}  # numbers of the passes in which a shared bank is busy

    def take(self, side, count):
        """So many banks of a hemisphere, for good."""
        free = self.free[side]
        if len(free) < count:
            raise self.full(side, count)
        taken, self.free[side] = tuple(free[:count]), free[count:]
        return taken

    def full(self, side, count):
        """The error that says that a hemisphere lacks `count` more banks that nothing uses."""
        needed = 2 * self.config.mem_slices - len(self.free[side]) + count
        size = needed * self.config.bank_words * self.config.vector
        return too_few_banks(self.what, self.config, size)

    def share(self, count, words, uses, sides):
        """The place of so many consecutive words in each of `count` banks of one hemisphere.

        Others have words in these banks too, but are busy in other passes; banks nearest the VXM
        are taken first.

        Parameters
        ----------
        uses : set of int
            Numbers of the passes in which the words are read or written.
        sides : sequence of Hemisphere
            Where to look, the preferred one first.
        """
        self._check_words(words)
        found, more = [], {}
        for side in sides:
            fitting = [
                bank
                for bank in self._shared[side]
                if self.memory.room(bank) >= words and self._uses[bank].isdisjoint(uses)
            ]
            more[side] = max(0, count - len(fitting))
            if more[side] <= len(self.free[side]):
                preferred = -len(self.free[side]) if more[side] else 0
                found.append((more[side], preferred, side, fitting))
        if not found:
            least = min(sides, key=lambda side: more[side] - len(self.free[side]))
            raise self.full(least, more[least])
        added, _, side, fitting = min(found, key=lambda item: item[:2])
        fitting.sort(key=self.order)
        for _ in range(added):
            fitting.append(self.free[side].pop())
            self._shared[side].append(fitting[-1])
            self._uses[fitting[-1]] = set()
        for bank in fitting[:count]:
            self._uses[bank] |= uses
        return self.memory.take(fitting[:count], words)

    def take_together(self, side, count):
        """So many banks at one stop, if there is one with so many free, or else like `take`."""
        stops = [bank.stop for bank in self.free[side]]
        for stop in stops:
            if stops.count(stop) >= count:
                self.free[side].sort(key=lambda bank: bank.stop != stop)
                taken = self.take(side, count)
                self.free[side].sort(key=lambda bank: stops.index(bank.stop))
                return taken
        return self.take(side, count)

    def rows(self, where, count):
        """The place of so many consecutive words in each of some banks."""
        return self.memory.take(where, count)

    def rows_in(self, groups, side, count):
        """The same in the last of some groups of banks; when it is full, another is begun."""
        self._check_words(count)
        if any(self.memory.room(bank) < count for bank in groups[-1]):
            groups.append(self.take(side, len(groups[-1])))
        return self.memory.take(groups[-1], count)

    def _check_words(self, words):
        """Refuse more words than the largest bank has."""
        if words > self.config.bank_words:
            raise CapacityError(
                f"{self.what} needs {words} words in a bank, and those of config "
                f"{self.config.name} have {self.config.bank_words}; use a larger config or a "
                "smaller problem"
            )

    def fill(self, place, vectors, name=""):
        """Put uint8 vectors (bytes, rows, lanes) of the tensor `name` into the image."""
        for plane, (bank, address) in zip(vectors, place, strict=True):
            self.memory.fill(bank, address, plane, name)
