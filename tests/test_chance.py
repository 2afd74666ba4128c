"""Random numbers of our own, against the published generator."""

import pytest

from tsp.hw.errors import InputError
from tsp.sim.chance import Chance

# What `java.util.SplittableRandom(1234567).nextLong()` and other implementations give.
PUBLISHED = [
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
]


def test_bits_are_those_of_the_published_generator():
    chance = Chance(1234567)
    assert [chance.bits() for _ in PUBLISHED] == PUBLISHED


def test_words_go_on_where_bits_end():
    chance, again = Chance(3), Chance(3)
    mixed = [chance.bits(), *map(int, chance.words(5)), chance.bits(), *map(int, chance.words(2))]
    assert mixed == [again.bits() for _ in mixed]


def test_seed_is_checked():
    with pytest.raises(InputError, match=r"seed must be 0 to \d+, not -1"):
        Chance(-1)
