"""NSE: the space itself evolves; branches that the front uses stay, unseen ones take the places of the others.

Y. Ci, C. Lin, M. Sun, B. Chen, H. Zhang, W. Ouyang, "Evolving Search Space for Neural Architecture Search",
ICCV 2021, arXiv 2011.10904, and its released code. The symbols K, S, U and theta are the paper's.

Differs from the paper:

* A round may take several generations of the loop, so that it can be saved and resumed; without a budget all
  sizes are feasible; and a budget may be on any cost that is known without evaluation, as an additive one.
* The penalty goes by the cost relative to the target: the paper's 1e-5 (MACs/10^6 - 300)^2 is our
  0.9 (cost/target - 1)^2, and its 2e-4 (latency - 66)^2 is 0.87 of it.
* At least one unseen operation enters a place in each round while there are any, even where the front uses K
  or more there; in the released code, none does. When all have been seen, rounds go on among the survivors.
* Where decisions are choices among alternatives (all spaces but ``nse``), a place is a decision and a set has
  exactly one operation: its probability is proportional to the odds of its indicator. That is ours.
* A front larger than the population is thinned by NSGA-III.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter

from cars_hw.architecture import Architecture
from cars_hw.candidate import Candidate
from cars_hw.evolution import branching, domination, gates, nsga3
from cars_hw.evolution.places import Operations, Place, Places
from cars_hw.evolution.sub_space import SubSpace
from cars_hw.spaces._space import SearchSpace
from cars_hw.strategies._strategy import (
    Strategy,
    Violation,
    distinct_candidates,
    require_count,
    require_number,
    unconstrained,
)
from cars_hw.trainer import Json, OptionGradients, Trainer
from devices._errors import CheckpointError, ConfigError

#: Rounds of draws, each of as many architectures as are wanted, before fewer are returned.
_TRIES = 16
#: For so many samples, one more just below the window, which shapes the front but stays out of it.
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


@dataclass(frozen=True)
class _Duel:
    """Two sets of operations at one place.

    Attributes:
        place: Where.
        operations: Those that compete there, (k,).
        first: S, which of them the chosen architecture has, (k,).
        other: U, a set that differs from S, (k,).
    """

    place: Place
    operations: tuple[int, ...]
    first: NDArray[np.bool_]
    other: NDArray[np.bool_]


class Nse(Strategy):
    """Rounds on fresh weights, each over a sub-space of K operations a place.

    The first round is that of ``warm_up``. With ``generations_per_round`` above 1, a generation within a
    round evaluates the front of the last round alone; in the first round, one sample. The last generation of
    a search always ends a round.

    Args:
        space: The architectures to search.
        rng: The only source of the algorithm's randomness.
        violation: Total constraint violation of a candidate's costs.
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

    Raises:
        ConfigError: A setting is no number, or out of range.
    """

    def __init__(  # noqa: PLR0913  (the paper's hyper-parameters)
        self,
        space: SearchSpace,
        rng: np.random.Generator,
        *,
        violation: Violation = unconstrained,
        population_size: int = 2000,
        operations_per_place: int = 5,
        generations_per_round: int = 1,
        a_step_interval: int = 2,
        indicator_rate: float = 0.005,
        cleaning_threshold: float = -2.0,
        budget: str = "macs",
        target: float | None = None,
        drift: float = 0.1,
        penalty: float = 0.9,
        penalty_power: float = 2.0,
    ) -> None:
        super().__init__(space, rng, violation=violation)
        require_count("population_size", population_size)
        require_count("operations_per_place", operations_per_place)
        require_count("generations_per_round", generations_per_round)
        require_count("a_step_interval", a_step_interval)
        require_number("indicator_rate", indicator_rate, most=1)
        require_number("drift", drift, most=1)
        require_number("penalty", penalty, most=1e6)
        require_number("penalty_power", penalty_power, most=8)
        _require_negative("cleaning_threshold", cleaning_threshold)
        self.population_size = population_size
        self.operations_per_place = operations_per_place
        self.generations_per_round = generations_per_round
        self.a_step_interval = a_step_interval
        self.indicator_rate = indicator_rate
        self.cleaning_threshold = cleaning_threshold
        self.budget, self.drift = budget, drift
        self.penalty = _penalty(target, penalty, penalty_power)
        self._whole, self._places = space, Places(space)
        self._generation = self._round = 0
        self._open_round(SubSpace.first(self._places, operations_per_place, rng))

    def warm_up(self, trainer: Trainer, steps: int) -> None:
        """Train as in every other generation: a round has no warm-up."""
        self.train(trainer, steps)

    def train(self, trainer: Trainer, steps: int) -> None:
        """Take ``steps`` weight steps, and after every few of them a step of the indicators."""
        for step in range(steps):
            self._clean()
            trainer.step(self.to_train())
            if (step + 1) % self.a_step_interval == 0:
                self._a_step(trainer)

    def to_train(self) -> Sequence[Architecture]:
        """Draw one architecture of the sub-space with balanced gates, whatever the indicators say."""
        return self._draw(np.zeros_like(self._indicators), 1)

    def ask(self) -> Sequence[Architecture]:
        """Return the last round's front and, when a round ends, samples by the indicators."""
        front = [member.architecture for member in self.population] if self._round else []
        if not self._ends_round:
            return front or self._sample(1)
        fresh = self.screen(lambda n: self._sample(n, exclude=front), self.population_size)
        return [*front, *fresh, *self._scouts(exclude=[*front, *fresh])]

    def tell(self, evaluated: Sequence[Candidate]) -> None:
        """Take the new costs of the front; when a round ends, choose a front, and replace the space by it."""
        candidates = distinct_candidates(evaluated)
        costs, violations = self.ranking(candidates)
        self.needs_reset = self._ends_round
        if self._ends_round:
            candidates = self._front(candidates, costs, violations)
            used = self._places.used([candidate.architecture for candidate in candidates])
            self._round += 1
            self._open_round(self._sub_space.after(self._places, used, self.operations_per_place))
        self.population = tuple(candidates)
        self._generation += 1
        self.space = self._places.restricted(self._sub_space.competing)

    def state(self) -> dict[str, Json]:
        """Return population, generator, indicators, sub-space and front memory."""
        state = _State(
            self._generation,
            self._round,
            self.needs_reset,
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
                raise ValueError(f"{len(own.indicators)} indicators; the space has {self._places.n_operations}")
        except ValueError as error:
            reason = " ".join(str(error).split())
            raise CheckpointError(f"the strategy's state cannot be restored: nse: {reason}") from error
        super().restore({key: value for key, value in state.items() if key != "nse"})
        self._generation, self._round, self.needs_reset = own.generation, own.round, own.needs_reset
        self._indicators = np.array(own.indicators, dtype=np.float64)
        self._adam = branching.Adam(np.array(own.moments, dtype=np.float64), own.updates)
        self._sub_space = own.sub_space
        self.space = self._places.restricted(self._sub_space.competing)

    @property
    def _ends_round(self) -> bool:
        """Whether the generation that goes on is the last one of its round."""
        is_last = self._generation == self.generations
        return is_last or (self._generation + 1) % self.generations_per_round == 0

    def _open_round(self, sub_space: SubSpace) -> None:
        """Let ``sub_space`` compete, with nothing known about it."""
        self._sub_space = sub_space
        self._indicators = np.zeros(self._places.n_operations)
        self._adam = branching.Adam(np.zeros(self._places.n_operations))
        self.space = self._places.restricted(sub_space.competing)

    def _clean(self) -> None:
        """Drop operations that hardly anything speaks for ("space cleaning")."""
        self._sub_space = self._sub_space.cleaned(self._places, self._indicators, self.cleaning_threshold)

    def _a_step(self, trainer: Trainer) -> None:
        """Let two sets duel at each place, and move the indicators along the loss's gradient."""
        duels = self._duels()
        chosen = self._architecture(duels, [duel.first for duel in duels])
        other = self._architecture(duels, [duel.other for duel in duels])
        if chosen == other:
            return
        found = trainer.option_gradients(chosen, other)
        gradient = self._gradient(duels, (chosen, other), found)
        if math.isfinite(found.loss) and np.isfinite(gradient).all():
            self._adam, change = self._adam.step(gradient, self.indicator_rate)
            self._indicators = self._indicators + change

    def _duels(self) -> list[_Duel]:
        duels = []
        for place, operations in zip(self._places, self._sub_space.competing, strict=True):
            p = branching.probabilities(self._indicators[list(operations)])
            first = gates.draw(p, place.size, 1, self.rng)[0]
            other = gates.draw_other(p, place.size, first, self.rng)
            duels.append(_Duel(place, operations, first, first if other is None else other))
        return duels

    def _gradient(
        self, duels: Sequence[_Duel], pair: tuple[Architecture, Architecture], found: OptionGradients
    ) -> NDArray[np.float64]:
        """Return the derivative, by each indicator, of the loss and of the expected cost's penalty.

        With p_U = 1 - p_S, a place contributes (dL/dp_S - dL/dp_U) dp_S/dtheta.
        """
        chosen, other = pair
        shares = [
            branching.share(self._indicators[list(duel.operations)], duel.first, duel.other) for duel in duels
        ]
        savings, slope = self._cost_of_choice(duels, pair, shares)
        gradient = np.zeros_like(self._indicators)
        for duel, saving in zip(duels, savings, strict=True):
            differing = [d for d in duel.place.decisions if chosen[d] != other[d]]
            if differing:
                by_share = found.chosen[differing[0]] - found.other[differing[0]] + slope * saving
                indicators = self._indicators[list(duel.operations)]
                gradient[list(duel.operations)] = by_share * branching.share_gradient(
                    indicators, duel.first, duel.other
                )
        return gradient
