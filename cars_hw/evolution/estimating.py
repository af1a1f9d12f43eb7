"""Estimates: what candidates are compared by in place of their errors on shared weights.

Shared weights that were trained a little tell networks apart with noise, and rank small ones too well: those
are nearer to what they become. What a network can become follows from its size, too: from the parameters of
the operations that reach its output.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cars_hw.candidate import Candidate
from cars_hw.evolution.domination import as_costs
from cars_hw.evolution.error_model import ranks_of, smoothed
from cars_hw.networks.architecture import Architecture
from cars_hw.spaces._space import SearchSpace

Floats = NDArray[np.float64]

#: Errors as they were measured; losses joined with sizes; or errors by a model of all.
ErrorsBy = Literal["measured", "joined", "modelled"]

#: Shares of the ranks by loss and by size, where both are joined. Chosen by ``benchmarks/emulated.py``, by
#: accuracies on other images and latencies of other devices than ``benchmarks/end_to_end.py`` judges by.
_LOSS_SHARE, _SIZE_SHARE = 0.2, 0.8
#: Random networks whose sizes are the usual ones.
_USUAL = 200


def estimated(
    candidates: Sequence[Candidate],
    losses: Mapping[Architecture, float],
    *,
    errors_by: ErrorsBy,
    space: SearchSpace,
) -> list[Candidate]:
    """Return the candidates of a round with estimates, if they are compared by any.

    Args:
        candidates: All of the round, with their measured errors.
        losses: Their mean losses on the images of the errors; where some are not told, none is joined.
        errors_by: What they are compared by.
        space: What they are of.
    """
    match errors_by:
        case "modelled":
            options = np.array([one.architecture for one in candidates], dtype=np.intp)
            estimates = smoothed(options, as_costs([one.costs for one in candidates]))
        case "joined" if all(one.architecture in losses for one in candidates):
            told = np.array([losses[one.architecture] for one in candidates])
            rng = np.random.default_rng(0)
            usual = _sizes(space, [space.sample(rng) for _ in range(_USUAL)])
            estimates = joined(told, _sizes(space, [one.architecture for one in candidates]), usual)
        case _:
            return list(candidates)
    pairs = zip(candidates, estimates.tolist(), strict=True)
    return [replace(one, estimate=estimate) for one, estimate in pairs]


def joined(losses: Floats, sizes: Floats, usual_sizes: Floats) -> Floats:
    """Return what ranks networks by losses on shared weights and by sizes, in [0, 1]; the lower, the better.

    Of two rankings of one thing that err apart, the mean errs less. A loss is ranked among the others, a size
    among the usual ones: a population that has become small does not make its large networks common.

    Args:
        losses: Mean losses, ``(n,)``.
        sizes: Numbers of live parameters, ``(n,)``; the more, the better.
        usual_sizes: Those of random networks of the space, ``(k,)``.

    Returns:
        Weighted means of the two ranks, ``(n,)``.
    """
    usual = np.sort(usual_sizes)
    # Between those that are smaller and those that are not larger.
    sides = np.searchsorted(usual, sizes, "left") + np.searchsorted(usual, sizes, "right")
    larger = 1.0 - sides / (2 * len(usual))
    ranks: Floats = _LOSS_SHARE * ranks_of(losses[:, None])[:, 0] + _SIZE_SHARE * larger
    return ranks


def _sizes(space: SearchSpace, architectures: Sequence[Architecture]) -> Floats:
    return np.array([space.live_parameters(one) for one in architectures], dtype=np.float64)
