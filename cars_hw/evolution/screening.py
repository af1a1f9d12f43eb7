"""Screen: spends evaluations where known costs and a model of the error are most promising.

Parameters or latency of an architecture cost nothing to know; its error costs an evaluation. So many more
architectures are drawn than are evaluated, and those are chosen that, if their errors were as low as they
plausibly are, would add the most to what the evaluated ones dominate. Where errors are known with much noise,
that chooses those whose errors are modelled too low; then limits on known costs alone can choose.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from cars_hw.candidate import Candidate, bounds_of
from cars_hw.errors import CheckpointError, SelectionError
from cars_hw.evolution import improvement
from cars_hw.evolution.domination import Costs, Indices, as_costs, levels
from cars_hw.evolution.error_model import ErrorModel, Options, ranks_of
from cars_hw.ledger import Json
from cars_hw.networks.architecture import Architecture
from devices.foundation import ConfigError

#: With fewer evaluations there is nothing to learn from.
_MIN_EVALUATED = 4

#: Choices that are made anew at most, where costs show that some of what was chosen violates a limit.
_CHOICES_ANEW = 2

#: Pools whose known costs are remembered, the latest: of about 0.5 kB an architecture.
_POOLS_REMEMBERED = 8

_STATE = TypeAdapter(tuple[Candidate, ...])

#: A cost that is known without an evaluation, or its estimate.
_Cost = Callable[[Architecture], float]


@runtime_checkable
class Estimable(Protocol):
    """A cost that has an estimate, as objectives do."""

    def __call__(self, architecture: Architecture, /) -> float:
        """Return the cost."""
        ...

    def estimator(self, known: Mapping[Architecture, float], /) -> _Cost:
        """Return what estimates it, itself where that takes no time, as a function of ``known`` alone."""
        ...


@runtime_checkable
class Preparable(Protocol):
    """A cost that is asked for many architectures more cheaply than for one after the other."""

    def prepare(self, architectures: Sequence[Architecture], /) -> None:
        """Get ready to be asked for all of them."""
        ...


class Screen:
    """Chooses which new architectures a strategy asks for; see ``Strategy.screen``.

    Args:
        costs: The objectives after the error, each known without an evaluation, as by arithmetic or from a
            table; called once for each architecture. Of one that has another ``Objective.estimator`` than
            itself, the pool is estimated, and what is chosen alone is known.
        violation: Total constraint violation of what limits are held against, ``(m,)``.
        pool_size: Architectures that are drawn to choose from.
        optimism: Standard deviations by which a plausible error lies below the predicted one; ``None``: no
            error is modelled, and those that violate limits on known costs least are taken as they are drawn.
        remembers: Whether errors stand still, so that what was evaluated in earlier rounds still holds. Those
            of shared weights move: then each round learns from its own evaluations alone.

    Raises:
        ConfigError: No cost is known.
    """

    #: Raised when the same evaluations lead to another choice than before.
    numerics = 1

    def __init__(
        self,
        costs: Sequence[_Cost],
        *,
        violation: Callable[[tuple[float, ...]], float],
        pool_size: int = 2000,
        optimism: float | None = 1.0,
        remembers: bool = False,
    ) -> None:
        if not costs:
            raise ConfigError("screening goes by known costs; name an objective beside the error")
        self._costs, self._violation = tuple(costs), violation
        self._pool_size, self.optimism, self._remembers = pool_size, optimism, remembers
        self._evaluated: dict[Architecture, Candidate] = {}
        self._known: OrderedDict[Architecture, tuple[tuple[float, ...], tuple[float, ...]]] = OrderedDict()

    def __repr__(self) -> str:
        seen = f"{len(self._evaluated)} evaluations seen"
        return f"<screen by {len(self._costs)} known costs: pool of {self._pool_size}, {seen}>"

    def learn(self, evaluated: Sequence[Candidate]) -> None:
        """Take what a round evaluated, members and newcomers."""
        if not self._remembers:
            self._evaluated.clear()
        self._evaluated.update((candidate.architecture, candidate) for candidate in evaluated)

    def __call__(self, draw: Callable[[int], list[Architecture]], n: int) -> list[Architecture]:
        """Return up to ``n`` of the architectures that ``draw`` returns, the most promising ones.

        Before anything was learnt, those that it returns first. What was evaluated already, and still holds,
        is left out.

        Raises:
            SelectionError: A known cost is NaN or infinite.
        """
        if len(self._evaluated) < _MIN_EVALUATED:
            return draw(n)
        drawn = draw(max(n, self._pool_size))
        pool = [found for found in drawn if not (self._remembers and found in self._evaluated)]
        if len(pool) <= n:
            return pool
        estimators = self._estimators()
        optimistic, limited = self._plausible_costs(pool, estimators)
        chosen = self._chosen(optimistic, limited, n)
        for _ in range(_CHOICES_ANEW if estimators is not None else 0):
            estimated = self._violations(limited[chosen])
            self._prepare([pool[i] for i in chosen])
            optimistic[chosen, 1:], limited[chosen, 1:] = self._exact([pool[i] for i in chosen])
            if not np.any((estimated == 0) & (self._violations(limited[chosen]) > 0)):
                break
            chosen = self._chosen(optimistic, limited, n)
        return [pool[i] for i in chosen]

    def state(self) -> Json:
        """Return, as JSON, what decides the next choice."""
        evaluated = (replace(one, previous_error=None) for one in self._evaluated.values())
        state: Json = _STATE.dump_python(tuple(evaluated), mode="json")
        return state

    def restore(self, state: Json) -> None:
        """Continue as the screen that returned ``state`` would have.

        Raises:
            CheckpointError: The state is damaged.
        """
        try:
            evaluated = _STATE.validate_python(state)
            if evaluated:
                as_costs([candidate.costs for candidate in evaluated])
                as_costs([candidate.ranked for candidate in evaluated])
                as_costs([candidate.limited for candidate in evaluated])
        except (SelectionError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise CheckpointError(f"the screen's state cannot be restored: {reason}") from error
        self._evaluated = {candidate.architecture: candidate for candidate in evaluated}

    def renew_known_costs(self) -> None:
        """Give what was evaluated the known costs of today, where a search goes on by another table."""
        self._known.clear()
        self._prepare(list(self._evaluated))
        for architecture, candidate in self._evaluated.items():
            known, bounds = self._known_costs(architecture)
            error = candidate.costs[0]
            self._evaluated[architecture] = replace(
                candidate, costs=(error, *known), bounds=None if bounds == known else (error, *bounds)
            )

    def _estimators(self) -> list[_Cost] | None:
        """Return what estimates each known cost, by the evaluated ones; ``None`` where all are exact."""
        estimators = []
        for place, cost in enumerate(self._costs, start=1):
            known = {one.architecture: one.costs[place] for one in self._evaluated.values()}
            estimators.append(cost.estimator(known) if isinstance(cost, Estimable) else cost)
        is_exact = all(estimate is cost for estimate, cost in zip(estimators, self._costs, strict=True))
        return None if is_exact else estimators

    def _plausible_costs(
        self, pool: Sequence[Architecture], estimators: Sequence[_Cost] | None
    ) -> tuple[Costs, Costs]:
        """Return the costs ``(q, m)`` that are plausible at best, and what limits are held against of them.

        They are the known ones, and an optimistic error, or what stands for it; 0 where none is modelled. The
        interval of an estimated cost is relatively as wide as the median one of those that were evaluated.
        """
        evaluated = self._archive()
        if estimators is None:
            known, bounds = self._exact(pool)
        else:
            known = as_costs([tuple(estimate(one) for estimate in estimators) for one in pool])
            bounds = known * _widths(evaluated[:, 1:], self._limited_archive()[:, 1:])
        if self.optimism is None:
            none = np.zeros(len(pool))
            return np.column_stack([none, known]), np.column_stack([none, bounds])
        optimism, ranks = self.optimism, ranks_of(np.concatenate([evaluated[:, 1:], known]))

        def optimistic(errors: NDArray[np.float64]) -> NDArray[np.float64]:
            model = ErrorModel(_options(self._evaluated), ranks[: len(evaluated)], errors)
            mean, deviation = model.predict(_options(pool), ranks[len(evaluated) :])
            return mean - optimism * deviation

        compared, counted = evaluated[:, 0], self._limited_archive()[:, 0]
        errors = optimistic(compared)
        limited_errors = errors if np.array_equal(compared, counted) else optimistic(counted)
        return np.column_stack([errors, known]), np.column_stack([limited_errors, bounds])

    def _prepare(self, architectures: Sequence[Architecture]) -> None:
        """Let costs that ask a device ask for all that are not known together."""
        unknown = [architecture for architecture in architectures if architecture not in self._known]
        for cost in self._costs:
            if isinstance(cost, Preparable):
                cost.prepare(unknown)

    def _known_costs(self, architecture: Architecture) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return all costs but the error, ``(m - 1,)``, and what limits on them are held against."""
        found = self._known.get(architecture)
        if found is None:
            costs = tuple(cost(architecture) for cost in self._costs)
            bounds = bounds_of(self._costs, architecture, (0.0, *costs))
            found = self._known[architecture] = costs, costs if bounds is None else bounds[1:]
            if len(self._known) > _POOLS_REMEMBERED * self._pool_size:
                self._known.popitem(last=False)
        return found

    def _exact(self, architectures: Sequence[Architecture]) -> tuple[Costs, Costs]:
        """Return all costs but the errors, ``(n, m - 1)``, and what limits on them are held against."""
        found = [self._known_costs(one) for one in architectures]
        return as_costs([costs for costs, _ in found]), as_costs([bounds for _, bounds in found])

    def _archive(self) -> Costs:
        """Return what was evaluated is compared by, ``(n, m)``."""
        return as_costs([one.ranked for one in self._evaluated.values()])

    def _limited_archive(self) -> Costs:
        """Return what limits are held against of what was evaluated, ``(n, m)``."""
        return as_costs([one.limited for one in self._evaluated.values()])

    def _chosen(self, optimistic: Costs, limited: Costs, n: int) -> Indices:
        """Return the indices of ``n`` rows of ``optimistic`` ``(q, m)``, with their ``limited`` ``(q, m)``.

        They are of the least violating, and of the others only where those are too few.
        """
        archive = self._archive()
        is_feasible = self._violations(self._limited_archive()) == 0
        archive = archive[is_feasible] if is_feasible.any() else archive
        chosen = np.empty(0, dtype=np.intp)
        for level in levels(self._violations(limited), len(optimistic)):
            left = n - len(chosen)
            if self.optimism is None:
                chosen = np.append(chosen, level[:left])
            else:
                chosen = np.append(chosen, level[improvement.choose(archive, optimistic[level], left)])
            if len(chosen) == n:
                break
        return chosen

    def _violations(self, limited: Costs) -> Costs:
        """Return the total violation of each row of ``limited`` ``(n, m)``, ``(n,)``."""
        return np.array([self._violation(tuple(row)) for row in limited.tolist()])


def _widths(costs: Costs, limited: Costs) -> Costs:
    """Return the medians ``(k,)`` of ``limited`` over ``costs``, ``(n, k)`` each; a cost of 0 has 1."""
    ratios = np.divide(limited, costs, out=np.ones_like(costs), where=costs != 0)
    widths: Costs = np.median(ratios, axis=0)
    return widths


def _options(architectures: Sequence[Architecture] | Mapping[Architecture, object]) -> Options:
    """Return the options of ``n`` architectures, ``(n, d)``."""
    return np.array(list(architectures), dtype=np.intp)
