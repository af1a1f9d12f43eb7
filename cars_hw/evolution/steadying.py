"""Errors on few images, made steadier by the losses on the same images.

An error counts images, and moves by chance; the loss weighs how sure a network was of each, and moves less,
but it is another thing. The line through the errors of several candidates over their losses gives the loss
in the units of the error. Of two estimates of one thing that err in part apart, the mean errs less.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cars_hw.candidate import Candidate
from cars_hw.networks.architecture import Architecture

#: An error and its loss, as far as they are told.
_Told = tuple[float | None, float | None]


@dataclass(frozen=True)
class Evaluated:
    """A candidate as it was evaluated.

    Attributes:
        candidate: With its errors as they were counted.
        loss: The mean loss on the same images, where it is told.
        previous_loss: That with the previous weights, where these were evaluated for it now.
    """

    candidate: Candidate
    loss: float | None = None
    previous_loss: float | None = None


def steadied_candidates(evaluated: Sequence[Evaluated]) -> list[Candidate]:
    """Return the candidates of a generation with errors that are steadied by losses, where these are told.

    The lines are those of this generation's candidates, and of previous errors those of its newcomers: a
    member's previous error is what came of it in the generation before.
    """
    now = _estimates({one.candidate.architecture: (one.candidate.costs[0], one.loss) for one in evaluated})
    before = _estimates(
        {one.candidate.architecture: (one.candidate.previous_error, one.previous_loss) for one in evaluated}
    )
    return [
        replace(
            found.with_error(now.get(found.architecture, found.costs[0])),
            previous_error=before.get(found.architecture, found.previous_error),
        )
        for found in (one.candidate for one in evaluated)
    ]


def steadied(errors: NDArray[np.float64], losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of each error and of the value of the line through all of them at its loss, at least 0.

    Args:
        errors: Shares of images that candidates classify wrongly, ``(n,)``.
        losses: Their mean losses on the same images, ``(n,)``, finite.

    Returns:
        ``(n,)``; the errors themselves where all losses are equal, as of one candidate.
    """
    if not len(errors) or losses.min() == losses.max():
        return errors
    # Sums that are rounded once: those of numpy depend on how an array lies in memory.
    centred = losses - math.fsum(losses) / len(losses)
    slope = math.fsum(centred * errors) / math.fsum(centred**2)
    line = math.fsum(errors) / len(errors) + slope * centred
    return np.maximum((errors + line) / 2, 0.0)


def _estimates(seen: Mapping[Architecture, _Told]) -> dict[Architecture, float]:
    """Return steadied errors, of those alone whose error and loss are told."""
    told = {
        one: (error, loss) for one, (error, loss) in seen.items() if error is not None and loss is not None
    }
    errors, losses = np.array(list(told.values()), dtype=np.float64).reshape(-1, 2).T
    return dict(zip(told, steadied(errors, losses).tolist(), strict=True))
