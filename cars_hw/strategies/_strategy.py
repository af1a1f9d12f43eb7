"""The contract of a search algorithm: what to train, what to evaluate, what to keep."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from cars_hw.architecture import Architecture
from cars_hw.candidate import Candidate
from cars_hw.evolution import domination
from cars_hw.spaces._space import SearchSpace
from cars_hw.trainer import Json, Trainer

#: Total constraint violation of costs (m,): 0 where all constraints hold.
Violation = Callable[[tuple[float, ...]], float]


def unconstrained(costs: tuple[float, ...]) -> float:
    """Violate nothing."""
    return 0.0


class Strategy(ABC):
    """A search algorithm as ask and tell, with a say in what is trained.

    The first round is ``warm_up``, ``ask``, evaluate, ``tell``; every later one ``train``, ``ask``, evaluate,
    ``tell``.

    Args:
        space: The architectures to search.
        rng: The only source of the algorithm's randomness; the strategy owns it.
        violation: Total constraint violation of a candidate's costs.

    Attributes:
        population: The candidates kept by the last ``tell``, with their costs of then.
        needs_previous_error: Whether every candidate's error before this generation's training must be known.
    """

    needs_previous_error = False

    def __init__(
        self, space: SearchSpace, rng: np.random.Generator, *, violation: Violation = unconstrained
    ) -> None:
        self.space = space
        self.rng = rng
        self.violation = violation
        self.population: tuple[Candidate, ...] = ()

    def warm_up(self, trainer: Trainer, steps: int) -> None:
        """Take ``steps`` training steps, each on one architecture drawn uniformly from the space."""
        for _ in range(steps):
            trainer.step([self.space.sample(self.rng)])

    def train(self, trainer: Trainer, steps: int) -> None:
        """Take ``steps`` training steps, each on the architectures of one ``to_train``."""
        for _ in range(steps):
            trainer.step(self.to_train())

    @abstractmethod
    def to_train(self) -> Sequence[Architecture]:
        """Choose the architectures whose mean gradient makes the next step."""

    @abstractmethod
    def ask(self) -> Sequence[Architecture]:
        """Return distinct architectures to evaluate with today's weights."""

    @abstractmethod
    def tell(self, evaluated: Sequence[Candidate]) -> None:
        """Take the costs of what ``ask`` returned, and choose the next population.

        Raises:
            SelectionError: A cost is NaN or infinite.
        """

    def front(self) -> tuple[Candidate, ...]:
        """Return the non-dominated members of the population: of its feasible ones, if there are any.

        Sorted by the first cost, then by the others.
        """
        if not self.population:
            return ()
        costs = np.array([member.costs for member in self.population])
        violations = np.array([self.violation(member.costs) for member in self.population])
        first = domination.fronts(costs, violations)[0]
        return tuple(sorted((self.population[i] for i in first), key=lambda member: member.costs))

    def state(self) -> dict[str, Json]:
        """Return, as JSON, what decides the algorithm's next actions: population and generator."""
        return {
            "population": [
                [list(member.architecture), list(member.costs), member.previous_error] for member in self.population
            ],
            "rng": self.rng.bit_generator.state,
        }

    def restore(self, state: Mapping[str, Json]) -> None:
        """Continue as the strategy that returned ``state`` would have."""
        self.population = tuple(
            Candidate(tuple(architecture), tuple(costs), previous_error)
            for architecture, costs, previous_error in state["population"]
        )
        self.rng.bit_generator.state = state["rng"]
