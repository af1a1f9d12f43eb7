"""NSE: the space itself evolves; what the front uses stays, and unseen operations replace the rest.

Y. Ci, C. Lin, M. Sun, B. Chen, H. Zhang, W. Ouyang, "Evolving Search Space for Neural Architecture Search",
ICCV 2021, arXiv 2011.10904, and its released code, orashi/NSE_NAS, by whose functions the steps
are cited. The symbols K, S, U and theta are the paper's.

Differs from the paper:

* A round may take several generations of the loop, so that it can be saved and resumed; without a budget all
  sizes are feasible; and a budget may be on any cost that is known without evaluation, as an additive one.
  Where a cost takes long to know (a latency by executed units), its estimate from the last front stands for
  it in training and in sampling, off by about 3 % on the demo's space; a front goes by the cost itself.
* The penalty goes by the cost relative to the target: the paper's 1e-5 (MACs/10^6 - 300)^2 is our
  0.9 (cost/target - 1)^2, and its 2e-4 (latency - 66)^2 would be 0.87 (cost/target - 1)^2.
* At least one unseen operation enters a place in each round while there are any, even where the front uses K
  or more there; in the released code, none does. When all have been seen, rounds go on among the survivors.
* Where decisions are choices among alternatives (all spaces but ``nse``), a place is a decision and a set has
  exactly one operation: its probability is proportional to the odds of its indicator. That is ours.
* A front larger than the population is thinned by NSGA-III.
* Weights are trained as the trainer does: without Nesterov's momentum, and without the two epochs in which
  the paper's learning rate rises before it falls.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter

from cars_hw.candidate import Candidate
from cars_hw.errors import CheckpointError
from cars_hw.evolution import domination, nsga3
from cars_hw.evolution.screening import Estimable
from cars_hw.ledger import Json
from cars_hw.networks.architecture import Architecture
from cars_hw.spaces._space import SearchSpace
from cars_hw.strategies._nse import branching, inclusion
from cars_hw.strategies._nse.places import Place, Places
from cars_hw.strategies._nse.sub_space import SubSpace
from cars_hw.strategies._strategy import (
    KnownCost,
    Strategy,
    Violation,
    distinct_candidates,
    unconstrained,
)
from cars_hw.trainer import OptionGradients, Trainer
from devices.foundation import ConfigError, Settings

#: Rounds of draws, each of as many architectures as are wanted, before fewer are returned.
_TRIES = 16
#: For so many samples, one more just below the window, which shapes the front but stays out of it: the
#: released code has sample_num = 2000 and extra_sample_num = 100.
_SAMPLES_PER_SCOUT = 20
#: By how much a member of the front wins a tie of errors against a newcomer.
_TIE_BONUS = 1e-10

_Finite = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True)
class _State:
    """What the strategy remembers, beside population and generator."""

    generation: Annotated[int, Field(ge=0)]
    round: Annotated[int, Field(ge=0)]
    needs_reset: bool
    indicators: tuple[_Finite, ...]
    moments: tuple[Annotated[_Finite, Field(ge=0)], ...]
    updates: Annotated[int, Field(ge=0)]
    sub_space: SubSpace


_STATE = TypeAdapter(_State)


class NseSettings(Settings):
    """The hyper-parameters of NSE.

    Attributes:
        population_size: Architectures sampled when a round ends, and the most that are kept.
        operations_per_place: K, operations that compete at a place.
        generations_per_round: Generations that train one sub-space.
        a_step_interval: Weight steps for each step of the indicators.
        indicator_rate: Learning rate of the indicators.
        cleaning_threshold: Operations with a smaller indicator leave the sub-space.
        budget: Name of the cost that has a target: "macs", "parameters" or another objective of the search.
        target: The cost that networks are to have; ``None`` lets them have any.
        drift: Samples cost within this share of the target. The released code has 6 of 66 for latency, and
            lacks the setting for MACs.
        penalty: alpha, weight of the expected cost's distance from the target.
        penalty_power: beta.
    """

    population_size: int = Field(2000, ge=1)
    operations_per_place: int = Field(5, ge=1)
    generations_per_round: int = Field(1, ge=1)
    a_step_interval: int = Field(2, ge=1)
    indicator_rate: float = Field(0.005, ge=0, le=1)
    cleaning_threshold: float = Field(-2.0, lt=0)
    budget: str = "macs"
    target: float | None = Field(None, gt=0)
    drift: float = Field(0.1, ge=0, le=1)
    penalty: float = Field(0.9, ge=0, le=1e6)
    penalty_power: float = Field(2.0, ge=1, le=8)


class Nse(Strategy):
    """Rounds on fresh weights, each over a sub-space of K operations a place.

    The first round is that of ``warm_up``. With ``generations_per_round`` above 1, a generation within a
    round evaluates the front of the last round alone; in the first round, one sample. The last generation of
    a search always ends a round.
    """

    settings: NseSettings
    numerics = 2  # 1: one fall of the learning rate over the whole search
    plans_by_rounds = True  # the last generation of a search ends a round

    def __init__(
        self,
        space: SearchSpace,
        rng: np.random.Generator,
        /,
        *,
        violation: Violation = unconstrained,
        **settings: object,
    ) -> None:
        super().__init__(space, rng, violation=violation, **settings)
        self._whole, self._places = space, Places(space)
        self._generation = self._round = 0
        self._needs_reset = True
        self._penalty = _penalty(self.settings)
        #: Population and cost that an estimate was made of, and the estimate.
        self._estimate: tuple[tuple[Candidate, ...], KnownCost, KnownCost] | None = None
        self._open_round(SubSpace.first(self._places, self.settings.operations_per_place, rng))

    def warm_up(self, trainer: Trainer, steps: int) -> None:
        """Train as in every other generation: a round has no warm-up."""
        self.train(trainer, steps)

    def train(self, trainer: Trainer, steps: int) -> None:
        """Take ``steps`` W-steps, and after every few of them an A-step.

        A round starts from fresh weights. Before each W-step, the space is cleaned.
        """
        if self._needs_reset:
            trainer.reset(self._steps_of_round(steps))
            self._needs_reset = False
        for step in range(steps):
            self._clean()
            trainer.step(self.to_train())
            if (step + 1) % self.settings.a_step_interval == 0:  # Aiter
                self._a_step(trainer)

    def to_train(self) -> Sequence[Architecture]:
        """Draw one architecture of the sub-space, all operations at even odds: p = 1/2, whatever theta is."""
        # W-step: AMBNet.sampler(balance=True)
        return self._draw(np.zeros_like(self._indicators), 1)

    def ask(self) -> Sequence[Architecture]:
        """Return the last round's front and, when a round ends, samples by the indicators."""
        front = [member.architecture for member in self.population] if self._round else []
        if not self._ends_round:
            return front or self._sample(1)
        fresh = self.screen(lambda n: self._sample(n, exclude=front), self.settings.population_size)
        return [*front, *fresh, *self._scouts(exclude=[*front, *fresh])]

    def tell(self, evaluated: Sequence[Candidate]) -> None:
        """Take the new costs of the front; when a round ends, let the space evolve from a new front."""
        candidates = distinct_candidates(evaluated)
        costs, violations = self.ranking(candidates)
        self._needs_reset = self._ends_round
        if self._ends_round:
            candidates = self._front(candidates, costs, violations)  # set_front
            used = self._places.used([candidate.architecture for candidate in candidates])
            self._round += 1
            self._open_round(self._sub_space.after(self._places, used, self.settings.operations_per_place))
        self.population = tuple(candidates)
        self._generation += 1
        self.space = self._places.restricted(self._sub_space.competing)

    def state(self) -> dict[str, Json]:
        """Return population, generator, indicators, sub-space and front memory."""
        state = _State(
            self._generation,
            self._round,
            self._needs_reset,
            tuple(self._indicators.tolist()),
            tuple(self._adam.moments.tolist()),
            self._adam.steps,
            self._sub_space,
        )
        return {**super().state(), "nse": _STATE.dump_python(state, mode="json")}

    def restore(self, state: Mapping[str, Json]) -> None:
        try:
            own = _STATE.validate_python(state.get("nse"))
            own.sub_space.check(self._places)
            if not len(own.indicators) == len(own.moments) == self._places.n_operations:
                raise ValueError(
                    f"{len(own.indicators)} indicators; the space has {self._places.n_operations}"
                )
        except ValueError as error:
            reason = " ".join(str(error).split())
            raise CheckpointError(f"the strategy's state cannot be restored: nse: {reason}") from error
        super().restore({key: value for key, value in state.items() if key != "nse"})
        self._generation, self._round, self._needs_reset = own.generation, own.round, own.needs_reset
        self._indicators = np.array(own.indicators, dtype=np.float64)
        self._adam = branching.Adam(np.array(own.moments, dtype=np.float64), own.updates)
        self._sub_space = own.sub_space
        self.space = self._places.restricted(self._sub_space.competing)

    @property
    def _ends_round(self) -> bool:
        """Whether the generation that goes on is the last one of its round."""
        is_last = self._generation == self.facts.generations
        return is_last or (self._generation + 1) % self.settings.generations_per_round == 0

    def _steps_of_round(self, steps: int) -> int:
        """Return the weight steps of the round that begins, ``steps`` of them in its first generation."""
        per_round = self.settings.generations_per_round
        n_left = per_round - 1 - self._generation % per_round
        if self.facts.generations is not None:
            n_left = max(0, min(n_left, self.facts.generations - self._generation))
        return steps + n_left * (steps if self.facts.steps is None else self.facts.steps)

    def _open_round(self, sub_space: SubSpace) -> None:
        """Let ``sub_space`` compete, with theta = 0: between rounds, only the front is remembered."""
        # AMBNet.re_init
        self._sub_space = sub_space
        self._indicators = np.zeros(self._places.n_operations)
        self._adam = branching.Adam(np.zeros(self._places.n_operations))
        self.space = self._places.restricted(sub_space.competing)

    def _clean(self) -> None:
        """Drop operations with a small indicator ("space cleaning", ``AMBNet.clean_space``)."""
        self._sub_space = self._sub_space.cleaned(
            self._places, self._indicators, self.settings.cleaning_threshold
        )

    def _a_step(self, trainer: Trainer) -> None:
        """A-step: draw S and U at each place, and move the indicators down the loss's gradient."""
        duels = [
            branching.Duel.drawn(place, operations, self._indicators, self.rng)
            for place, operations in self._competitions()
        ]
        # The layer computes out_S; out_U counts in the derivative alone (AMBNet.forward, arch_update).
        chosen, other = (
            self._places.architectures(self._sub_space.competing, [sets[None] for sets in each])[0]
            for each in ([duel.first for duel in duels], [duel.other for duel in duels])
        )
        if chosen == other:
            return
        found = trainer.option_gradients(chosen, other)
        gradient = self._gradient(duels, chosen, other, found=found)
        if math.isfinite(found.loss) and np.isfinite(gradient).all():
            self._adam, change = self._adam.step(gradient, self.settings.indicator_rate)
            self._indicators = self._indicators + change

    def _gradient(
        self,
        duels: Sequence[branching.Duel],
        chosen: Architecture,
        other: Architecture,
        *,
        found: OptionGradients,
    ) -> NDArray[np.float64]:
        """Return the derivative of the loss and of the expected cost's penalty by each indicator, ``(o,)``.

        The loss is L + penalty(expected cost). By p_S, with p_U = 1 - p_S, L has the derivative
        <dL/d(out), out_S> - <dL/d(out), out_U>, and the expected cost has cost(S) - cost(U).

        Args:
            duels: One for each place.
            chosen: The architecture that has each S.
            other: The one that has each U.
            found: The inner products, for each decision.
        """
        savings, slope = (0.0,) * len(duels), 0.0
        if self._penalty is not None:
            expected = branching.expected_cost(self._estimated_cost, duels, chosen, other)
            savings, slope = expected.savings, self._penalty.slope(expected.cost)
        gradient = np.zeros_like(self._indicators)
        for duel, saving in zip(duels, savings, strict=True):
            # Decisions of one place re-join in one tensor: each that differs has the same inner products.
            differing = [d for d in duel.place.decisions if chosen[d] != other[d]]
            if differing:
                by_share = found.chosen[differing[0]] - found.other[differing[0]] + slope * saving
                gradient[duel.operations] = duel.gradient(by_share)
        return gradient

    def _competitions(self) -> Iterator[tuple[Place, tuple[int, ...]]]:
        yield from zip(self._places, self._sub_space.competing, strict=True)

    def _draw(self, indicators: NDArray[np.float64], n: int) -> list[Architecture]:
        """Draw ``n`` architectures of the sub-space by the indicators ``(o,)`` of all operations."""
        drawn = [
            inclusion.draw(branching.probabilities(indicators[list(operations)]), place.size, n, self.rng)
            for place, operations in self._competitions()
        ]
        return self._places.architectures(self._sub_space.competing, drawn)

    def _sample(self, n: int, exclude: Collection[Architecture] = ()) -> list[Architecture]:
        """Draw distinct architectures by the indicators, within the window of the target (``batch_sampler``).

        Where none is met within it, return those nearest to the target.
        """
        if self._penalty is None:
            return self._distinct(n, exclude=exclude)
        target = self._penalty.target
        low, high = (1 - self.settings.drift) * target, (1 + self.settings.drift) * target
        outside: dict[Architecture, float] = {}

        def is_within(architecture: Architecture) -> bool:
            cost = self._estimated_cost(architecture)
            if not low <= cost <= high:
                outside[architecture] = abs(cost - target)
            return low <= cost <= high

        within = self._distinct(n, exclude=exclude, accepts=is_within)
        return within or sorted(outside, key=outside.__getitem__)[:n]

    def _scouts(self, exclude: Collection[Architecture]) -> list[Architecture]:
        """Draw a few architectures just below the window of the target (``batch_sampler``, extra samples)."""
        if self._penalty is None:
            return []
        low = (1 - self.settings.drift) * self._penalty.target
        lowest = low - 2 * self.settings.drift * self._penalty.target
        return self._distinct(
            self.settings.population_size // _SAMPLES_PER_SCOUT,
            exclude=exclude,
            accepts=lambda architecture: lowest <= self._estimated_cost(architecture) < low,
        )

    def _distinct(
        self,
        n: int,
        *,
        exclude: Collection[Architecture],
        accepts: Callable[[Architecture], bool] = lambda architecture: True,
    ) -> list[Architecture]:
        """Draw up to ``n`` distinct architectures by the indicators."""
        n = min(n, self.space.size())
        seen, found = set(exclude), list[Architecture]()
        for _ in range(_TRIES):
            for architecture in self._draw(self._indicators, n):
                if architecture not in seen and len(found) < n:
                    seen.add(architecture)
                    found += [architecture] if accepts(architecture) else []
            if len(found) == n:
                break
        return found

    def _front(
        self, candidates: Sequence[Candidate], costs: domination.Costs, violations: domination.Costs
    ) -> list[Candidate]:
        """Return the best of ``candidates``, without the scouts where there are others.

        The members of the last front win ties: their errors count for a little less.

        Args:
            candidates: Those evaluated, n of them.
            costs: ``(n, m)``; the first is the error.
            violations: ``(n,)``.
        """
        members = {member.architecture for member in self.population}
        errors = costs[:, 0] - _TIE_BONUS * np.array([c.architecture in members for c in candidates])
        # is_pareto_efficient_simple
        first = domination.fronts(np.column_stack([errors, costs[:, 1:]]), violations)[0]
        if self._penalty is not None:
            low = (1 - self.settings.drift) * self._penalty.target
            first = np.array([i for i in first if self._cost(candidates[i].architecture) >= low] or first)
        return [candidates[i] for i in first[nsga3.select(costs[first], self.settings.population_size)]]

    def _estimated_cost(self, architecture: Architecture) -> float:
        """Return the cost that has a target, or its estimate by the population, if it has one."""
        known_costs, budget = self.facts.known_costs, self.settings.budget
        cost = known_costs.get(budget)
        if not isinstance(cost, Estimable):
            return self._cost(architecture)
        if (
            self._estimate is None
            or self._estimate[0] is not self.population
            or self._estimate[1] is not cost
        ):
            place = 1 + list(known_costs).index(budget)
            known = {member.architecture: member.costs[place] for member in self.population}
            self._estimate = self.population, cost, cost.estimator(known)
        return self._estimate[2](architecture)

    def _cost(self, architecture: Architecture) -> float:
        """Return the cost that has a target.

        Raises:
            ConfigError: The search has no such objective.
        """
        known_costs = self.facts.known_costs
        if self.settings.budget in known_costs:
            return known_costs[self.settings.budget](architecture)
        graph = self._whole.graph(architecture, "deploy")
        match self.settings.budget:
            case "macs":
                return float(graph.macs())
            case "parameters":
                return float(graph.parameters())
        raise ConfigError(
            f"the strategy's budget is {self.settings.budget!r:.64}, but the search's known costs are "
            f"{', '.join(known_costs) or 'none'}; name it among search.objectives"
        )


def _penalty(settings: NseSettings) -> branching.Penalty | None:
    if settings.target is None:
        return None
    return branching.Penalty(settings.target, settings.penalty, settings.penalty_power)
