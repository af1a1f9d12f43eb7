"""SubSpace: the operations that compete for now, and what takes the places of those that lose.

Ci et al., "Evolving Search Space for Neural Architecture Search", ICCV 2021, arXiv 2011.10904, and its
released code (class ``AMBNet``): space cleaning, and the evolution of the space between rounds.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cars_hw.strategies._nse.places import Operations, Places

#: Operations that cleaning leaves where a place needs one.
_FEWEST_LEFT = 2


@dataclass(frozen=True)
class SubSpace:
    """Some of the operations of each place.

    Attributes:
        competing: Those that are searched now.
        pending: Those that have not been seen yet, in the order in which they will be.
        survivors: Those among ``competing`` that networks of the last front have.
    """

    competing: Operations
    pending: Operations
    survivors: Operations

    @classmethod
    def first(cls, places: Places, size: int, rng: np.random.Generator) -> "SubSpace":
        """Let the first ``size`` of a random order compete at each place (``AMBNet.__init__``)."""
        orders = tuple(
            tuple(place.operations[int(i)] for i in rng.permutation(len(place.operations)))
            for place in places
        )
        return cls(
            tuple(order[:size] for order in orders),
            tuple(order[size:] for order in orders),
            ((),) * len(places),
        )

    def after(self, places: Places, front: Operations, size: int) -> "SubSpace":
        """Return the next sub-space: what ``front`` uses, filled up to ``size`` with unseen operations.

        At least one enters while there are any, also where the front uses ``size`` operations or more.
        ``AMBNet.update_space``, but for that one.
        """
        unseen = [
            tuple(operation for operation in pending if operation not in used)
            for used, pending in zip(front, self.pending, strict=True)
        ]
        entering = [pending[: max(size - len(used), 1)] for used, pending in zip(front, unseen, strict=True)]
        # A place that needs an operation has none left only if the front is of networks from elsewhere.
        competing = tuple(
            (*used, *new) or (old if place.size.fewest else ())
            for place, used, new, old in zip(places, front, entering, self.competing, strict=True)
        )
        waiting = tuple(pending[len(new) :] for pending, new in zip(unseen, entering, strict=True))
        return SubSpace(competing, waiting, front)

    def cleaned(self, places: Places, indicators: NDArray[np.float64], threshold: float) -> "SubSpace":
        """Drop operations with an indicator below ``threshold``, the smallest first (``AMBNet.clean_space``).

        Survivors stay, and so do two operations wherever a network needs one.

        Args:
            places: Those of the whole space.
            indicators: Theta of all operations of all places, ``(o,)``.
            threshold: The least indicator with which an operation surely stays.
        """
        competing = []
        for place, operations, survivors in zip(places, self.competing, self.survivors, strict=True):
            losing = [o for o in operations if indicators[o] < threshold and o not in survivors]
            fewest = _FEWEST_LEFT if place.size.fewest else 0
            n = max(0, min(len(losing), len(operations) - fewest))
            dropped = sorted(losing, key=lambda operation: indicators[operation])[:n]
            competing.append(tuple(o for o in operations if o not in dropped))
        return SubSpace(tuple(competing), self.pending, self.survivors)

    def check(self, places: Places) -> None:
        """Refuse what is no sub-space of these places: this one may come from a file.

        Raises:
            ValueError: An operation is not of its place, or occurs twice, or a place lacks one that it needs.
        """
        for place, *all_kinds in zip(places, self.competing, self.pending, self.survivors, strict=True):
            competing, pending, survivors = all_kinds
            listed = (*competing, *pending)
            if len(set(listed)) != len(listed) or not {*listed, *survivors} <= set(place.operations):
                raise ValueError(f"{all_kinds} are not operations of {place.operations}")
            if len(competing) < place.size.fewest:
                raise ValueError(f"no operation competes at a place of {place.operations}, which needs one")
