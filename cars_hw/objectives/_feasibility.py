"""Feasibility: whether a network of the space meets the limits, by the known costs alone; nothing is trained.

Small spaces are looked through. In larger ones, decisions are changed one at a time, from the networks with
the same option everywhere and from random ones: costs that add up over operations are found at their least.

Where a cost takes long to know, a hunt goes by its estimate. The best networks that it finds are then judged
by the cost itself, and the next hunt goes by an estimate that knows of them.
"""

import itertools
import math
import statistics
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from functools import partial

import numpy as np

from cars_hw.errors import InfeasibleError
from cars_hw.networks.architecture import Architecture
from cars_hw.objectives._objective import Objective
from cars_hw.spaces._space import SearchSpace

#: Architectures that one hunt looks at, at most: a few seconds.
_MOST_LOOKS = 3000
#: Random architectures that a hunt begins with, and how many of the best it goes on from.
_RANDOM_STARTS, _DESCENTS = 16, 4
#: Hunts by estimates, and how many of the best networks of each are judged by the costs themselves.
_HUNTS, _JUDGED = 2, 8

#: Total relative excess over limits: 0 where all are met.
_Excess = Callable[[Architecture], float]


def require_feasible(space: SearchSpace, costs: Sequence[Objective], limits: Mapping[str, float]) -> None:
    """Refuse limits that no network meets, as far as a short deterministic hunt tells.

    Args:
        space: The architectures.
        costs: Objectives that are known without training.
        limits: Largest allowed costs by name; those of other costs than ``costs`` are not looked at.

    Raises:
        InfeasibleError: A limit is met by none, or all of them together are not; the message has the smallest
            cost that was found, or the network that comes nearest, each by its bound.
    """
    known = {cost.name: cost for cost in costs if cost.name in limits}
    nearest = _nearest(space, known, limits)
    if _excess(known, limits)(nearest) <= 0:
        return
    alone = {name: _nearest(space, {name: known[name]}, limits) for name in known}
    least = {name: _bound(known[name], architecture) for name, architecture in alone.items()}
    unmet = {name: cost for name, cost in least.items() if cost > limits[name]}
    found = "" if _is_small(space) and _are_exact(known) else " found"
    if unmet:
        text = "; ".join(
            _unmet_text(space, known[name], cost, limits[name], found) for name, cost in unmet.items()
        )
        raise InfeasibleError(f"{text}; {_remedy(unmet)}", costs=unmet)
    nearest = _nearest(space, known, limits, starts=[nearest, *alone.values()])
    together = {name: _bound(cost, nearest) for name, cost in known.items()}
    if any(cost > limits[name] for name, cost in together.items()):
        text = _together_text(space, together, limits, found)
        counted = "".join(
            f"; {name} counts by {cost.bound_text}" for name, cost in known.items() if cost.bound_text
        )
        raise InfeasibleError(text + counted, costs=together)


def _bound(cost: Objective, architecture: Architecture) -> float:
    return cost.bound(architecture, cost(architecture))


def _excess(costs: Mapping[str, Objective], limits: Mapping[str, float]) -> _Excess:
    """Return the excess by the bounds of ``costs``."""
    return _excess_by({name: partial(_bound, cost) for name, cost in costs.items()}, limits)


def _excess_by(bounds: Mapping[str, Callable[[Architecture], float]], limits: Mapping[str, float]) -> _Excess:
    def excess(architecture: Architecture) -> float:
        return sum(max(0.0, bound(architecture) / limits[name] - 1.0) for name, bound in bounds.items())

    return excess


def _is_small(space: SearchSpace) -> bool:
    return space.size() <= _MOST_LOOKS


def _are_exact(costs: Mapping[str, Objective]) -> bool:
    """Return whether a hunt goes by the costs themselves."""
    return all(cost.estimator({}) is cost for cost in costs.values())


def _nearest(
    space: SearchSpace,
    costs: Mapping[str, Objective],
    limits: Mapping[str, float],
    *,
    starts: Sequence[Architecture] = (),
) -> Architecture:
    """Return the architecture with the least excess that was found, at once where that is 0."""
    excess = _excess(costs, limits)
    if _are_exact(costs):
        return _hunted(space, excess, starts).best
    first = [*starts, *_starts(space)][0]
    judged = {first: excess(first)}  # tells the first hunt how far bounds are above estimates
    for _ in range(_HUNTS):
        hunt = _hunted(space, _estimated(costs, limits, judged), starts)
        for architecture in hunt.nearest(_JUDGED, besides=judged):
            judged[architecture] = excess(architecture)
            if judged[architecture] <= 0:
                return architecture
    return min(judged, key=lambda architecture: judged[architecture])


def _estimated(
    costs: Mapping[str, Objective], limits: Mapping[str, float], judged: Mapping[Architecture, float]
) -> _Excess:
    """Return the excess by estimates; of those that were judged, their own."""
    by_estimates = _excess_by({name: _estimated_bound(cost, judged) for name, cost in costs.items()}, limits)

    def excess(architecture: Architecture) -> float:
        return judged[architecture] if architecture in judged else by_estimates(architecture)

    return excess


def _estimated_bound(cost: Objective, judged: Collection[Architecture]) -> Callable[[Architecture], float]:
    """Return the bound by an estimate of the cost: above it as the median of those that were judged."""
    known, widths = dict[Architecture, float](), []
    for architecture in judged:
        known[architecture] = cost(architecture)
        bound = cost.bound(architecture, known[architecture])
        widths.append(bound / known[architecture] if known[architecture] else 1.0)
    estimate, width = cost.estimator(known), statistics.median(widths)
    return lambda architecture: width * estimate(architecture)


def _hunted(space: SearchSpace, excess: _Excess, starts: Sequence[Architecture]) -> "_Hunt":
    """Return what is known after looking around."""
    hunt = _Hunt(excess)
    if _is_small(space):
        for architecture in itertools.product(*space.allowed):
            hunt.look(architecture)
            if hunt.is_over:
                break
        return hunt
    starts = [*starts, *_starts(space)]
    for start in sorted(starts, key=hunt.look)[:_DESCENTS]:
        _descend(space, start, hunt)
    return hunt


class _Hunt:
    """Remembers the best of what it looked at, and when to stop.

    Args:
        excess: What is to be made small.

    Attributes:
        best: The architecture with the least excess so far.
        least: Its excess.
    """

    def __init__(self, excess: _Excess) -> None:
        self._excess = excess
        self._seen: dict[Architecture, float] = {}
        self._looks = 0
        self.best: Architecture = ()
        self.least = math.inf

    @property
    def is_over(self) -> bool:
        """Whether there is nothing better, or the looks are used up."""
        return self.least <= 0 or self._looks >= _MOST_LOOKS

    def look(self, architecture: Architecture) -> float:
        """Return the excess of ``architecture``."""
        self._looks += 1
        excess = self._seen[architecture] = self._excess(architecture)
        if not self.best or excess < self.least:
            self.best, self.least = architecture, excess
        return excess

    def nearest(self, n: int, besides: Container[Architecture]) -> list[Architecture]:
        """Return the ``n`` with the least excess of what it looked at, without those ``besides``."""
        return sorted((one for one in self._seen if one not in besides), key=self._seen.__getitem__)[:n]


def _starts(space: SearchSpace) -> list[Architecture]:
    """Return the architectures with one option everywhere, and random ones, the same in each call."""
    rng = np.random.default_rng(0)  # its own: a search draws what it would have drawn without a hunt
    same = [
        tuple(options[min(i, len(options) - 1)] for options in space.allowed)
        for i in range(max(map(len, space.allowed)))
    ]
    return [*same, *(space.sample(rng) for _ in range(_RANDOM_STARTS))]


def _descend(space: SearchSpace, start: Architecture, hunt: _Hunt) -> None:
    """Change one decision at a time while that makes the excess smaller."""
    here, least, is_moving = start, hunt.look(start), True
    while is_moving:
        is_moving = False
        for decision, option in _changes(space):
            if hunt.is_over:
                return
            changed = (*here[:decision], option, *here[decision + 1 :])
            excess = hunt.look(changed)
            if excess < least:
                here, least, is_moving = changed, excess, True


def _changes(space: SearchSpace) -> list[tuple[int, int]]:
    return [(decision, option) for decision, options in enumerate(space.allowed) for option in options]


def _unmet_text(space: SearchSpace, cost: Objective, bound: float, limit: float, found: str) -> str:
    by_bound = f", by {cost.bound_text}" if cost.bound_text else ""
    return (
        f"no network of {space.name} {_meets(found)} {cost.name} <= {limit:g}: the smallest{found} is "
        f"{_rounded_up(bound)}, {bound / limit:.4g} times the limit{by_bound}"
    )


def _together_text(
    space: SearchSpace, costs: Mapping[str, float], limits: Mapping[str, float], found: str
) -> str:
    times = {name: cost / limits[name] for name, cost in costs.items()}
    hardest = max(times, key=lambda name: times[name])
    wanted = " and ".join(f"{name} <= {limits[name]:g}" for name in costs)
    nearest = " and ".join(f"{name} {_rounded_up(cost)}" for name, cost in costs.items())
    return (
        f"no network of {space.name} {_meets(found)} {wanted} at once, though each alone can be met: the "
        f"nearest has {nearest}, and {hardest} is the hard one, {times[hardest]:.4g} times its limit; "
        + _remedy({name: cost for name, cost in costs.items() if times[name] > 1})
    )


def _meets(found: str) -> str:
    return "is found that meets" if found else "meets"


def _remedy(costs: Mapping[str, float]) -> str:
    wanted = " and ".join(f"{name} to {_rounded_up(cost)} at least" for name, cost in costs.items())
    return f"raise the limit of {wanted}, or allow a search that ends without a feasible network"


def _rounded_up(cost: float) -> str:
    """Return ``cost`` with four digits, as a limit that it meets."""
    if cost <= 0:
        return f"{cost:g}"
    unit = 10.0 ** (math.floor(math.log10(cost)) - 3)
    rounded = f"{math.ceil(cost / unit) * unit:.4g}"
    return rounded if float(rounded) >= cost else f"{cost!r}"
