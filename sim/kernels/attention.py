"""Attention: softmax(Q K^T scale + mask) V, by the plan that takes the fewest cycles."""

from collections.abc import Callable
from functools import partial

import numpy as np

from tsp.hw.config import Config
from tsp.hw.errors import NO_PLAN
from tsp.sim.kernels.attention_pairs import Pairs, periods
from tsp.sim.kernels.attention_problem import Problem, attention_reference
from tsp.sim.kernels.attention_rounds import Rounds
from tsp.sim.kernels.common import Kernel

__all__ = ["attention", "attention_reference"]


def attention(
    config: Config,
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    *,
    causal: bool = False,
    mask: np.ndarray | None = None,
    scale: float | None = None,
) -> Kernel:
    """Attention of every query head to the key-value head that it shares with its neighbours.

    Parameters
    ----------
    config : Config
        With the fp16 datapath.
    q : ndarray
        float16 (queries, heads, size).
    k, v : ndarray
        float16 (keys, kv heads, size); the heads must be a multiple of the kv heads.
    causal : bool
        The last query sees all keys, each one before it one key less.
    mask : ndarray, optional
        bool (queries, keys): what a query sees. A query that sees nothing gives 0.
    scale : float, optional
        What scores are multiplied by; 1 / sqrt(size) if not given.

    Returns
    -------
    Kernel
        Its result is float16 (queries, heads, size).

    Raises
    ------
    TypeError, ValueError
        If an operand, the mask or the scale is not as above.
    CapacityError, ProgramError
        If neither plan fits the memory or the queues of `config`.
    PipelineError
        If it has too few ALUs or streams.
    """
    problem = Problem.of(config, q, k, v, causal, mask, scale)
    found: list[Kernel] = []
    refused: list[Exception] = []
    plans: list[Callable] = [partial(Pairs, problem, rows) for rows in periods(problem)]
    plans.append(partial(Rounds, problem, config.acc_rows))
    for plan in plans:
        try:
            work = plan()
            work.run()
            found.append(work.kernel())
        except NO_PLAN as error:
            refused.append(error)
    if not found:
        raise refused[-1]  # of the plan that needs the least
    return min(found, key=lambda kernel: kernel.program.cycles)
