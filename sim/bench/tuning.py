"""What was tried to make simulators faster, measured anew: a bare model per way to build it."""

from functools import partial

from tsp.hw.config import preset
from tsp.sim.backends import bare
from tsp.sim.backends.build import USUAL, Tuning
from tsp.sim.bench.job import Job
from tsp.sim.bench.speed import CYCLES, REPEATS, check, product
from tsp.sim.fresh import fresh_cache

WAYS = {
    "as it is": USUAL,
    "no module kept apart": Tuning(keep=False),
    "compiler at -O1": Tuning(opt="-O1"),
    "compiler at -O3": Tuning(opt="-O3"),
    "compiler at -O3, for this processor": Tuning(opt="-O3 -march=native"),
    "two threads": Tuning(flags=("--threads", "2")),
    "profile-guided": Tuning(trained=True),
}
"""Each builds in an empty cache; the first is how every other simulator is built."""

CONFIGS = {"small": list(WAYS), "base": ["as it is", "two threads", "profile-guided"]}
