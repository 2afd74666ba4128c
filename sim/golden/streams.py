"""The stream registers as two belts."""

import numpy as np


class Streams:
    """Every stream register of the chip, eastward and westward.

    A belt turns by one stop per cycle, so a word that is not overwritten keeps its place on the
    belt: stop x of the eastward belt is place ``x - now``, of the westward belt ``x + now``, modulo
    the number of stops. The place that runs off one end enters, cleared, at the other.
    """

    def __init__(self, config):
        self.stops, self.streams = config.floorplan.stops, config.streams
        self.superlanes = config.superlanes
        self.data = np.zeros((2, self.stops, self.streams, config.vector), np.uint8)
        self.valid = [[0] * self.stops, [0] * self.stops]  # a bit per stream
        self.now = 0

    def _place(self, direction, stop):
        return (stop + self.now if direction else stop - self.now) % self.stops

    def read(self, stop, group):
        """The words of a stream group that arrive at `stop`, uint8 (size, vector), or None."""
        direction = int(group.direction == "W")
        place, mask = self._place(direction, stop), _mask(group)
        if self.valid[direction][place] & mask != mask:
            return None
        first = group.first
        return self.data[direction, place, first : first + group.size].copy()

    def step(self, drives):
        """Advance to the next cycle; `drives` are the ``(stop, group, words)`` of this one.

        Returns the lowest stop at which two of them drove one register, or None.
        """
        taken, conflict = {}, None
        for stop, group, words in drives:
            direction, mask = int(group.direction == "W"), _mask(group)
            if taken.get((stop, direction), 0) & mask:
                conflict = stop if conflict is None else min(conflict, stop)
            taken[stop, direction] = taken.get((stop, direction), 0) | mask
            place = self._place(direction, stop)
            self.data[direction, place, group.first : group.first + group.size] = words
            self.valid[direction][place] |= mask
        self.now += 1
        self.valid[0][self._place(0, 0)] = 0
        self.valid[1][self._place(1, self.stops - 1)] = 0
        return conflict

    def snapshot(self):
        """``(valid, data)`` of one entry of a :class:`~tsp.sim.result.Trace`."""
        stops, streams = np.arange(self.stops), np.arange(self.streams)
        places = np.stack([stops - self.now, stops + self.now]) % self.stops
        masks = np.take_along_axis(np.array(self.valid), places, axis=1)
        valid = (masks[..., None] >> streams & 1).astype(bool)
        data = np.stack([self.data[d, places[d]] for d in range(2)])
        return np.repeat(valid[..., None], self.superlanes, axis=-1), data


def _mask(group):
    return ((1 << group.size) - 1) << group.first
