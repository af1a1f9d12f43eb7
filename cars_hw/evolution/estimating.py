"""Estimates: what candidates are compared by in place of their errors on shared weights.

Shared weights that were trained a little tell networks apart with noise, and rank small ones too well: those
are nearer to what they become. What a network can become follows from its size, too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cars_hw.candidate import Candidate
from cars_hw.evolution.domination import as_costs
from cars_hw.evolution.error_model import ranks_of, smoothed
from cars_hw.networks.architecture import Architecture

#: Errors as they were measured; losses joined with sizes; or errors by a model of all.
ErrorsBy = Literal["measured", "joined", "modelled"]

#: Shares of the ranks by loss and by size, where both are joined. Chosen on the networks of NAS-Bench-201 of
#: which ``benchmarks/ranking.py`` says so, and judged on others.
_SHARES_OF_JOINED = np.array([0.4, 0.6])


def estimated(
    candidates: Sequence[Candidate],
    losses: Mapping[Architecture, float],
    *,
    errors_by: ErrorsBy,
    size: Callable[[Architecture], float],
) -> list[Candidate]:
    """Return the candidates of a round with estimates, if they are compared by any.

    Args:
        candidates: All of the round, with their measured errors.
        losses: Their mean losses on the images of the errors; where some are not told, none is joined.
        errors_by: What they are compared by.
        size: Parameters of an architecture.
    """
    match errors_by:
        case "modelled":
            options = np.array([one.architecture for one in candidates], dtype=np.intp)
            estimates = smoothed(options, as_costs([one.costs for one in candidates]))
        case "joined" if all(one.architecture in losses for one in candidates):
            told = np.array([losses[one.architecture] for one in candidates])
            estimates = joined(told, np.array([size(one.architecture) for one in candidates]))
        case _:
            return list(candidates)
    pairs = zip(candidates, estimates.tolist(), strict=True)
    return [replace(one, estimate=estimate) for one, estimate in pairs]


def joined(losses: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what ranks networks by losses on shared weights and by sizes, in [0, 1]; the lower, the better.

    Of two rankings of one thing that err apart, the mean errs less.

    Args:
        losses: Mean losses, ``(n,)``.
        sizes: Numbers of parameters, ``(n,)``; the more, the better.

    Returns:
        Weighted means of the two ranks, ``(n,)``.
    """
    ranks: NDArray[np.float64] = ranks_of(np.column_stack([losses, -sizes])) @ _SHARES_OF_JOINED
    return ranks
