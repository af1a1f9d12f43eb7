"""Random search: the baseline that an algorithm has to beat at equal cost.

L. Li, A. Talwalkar, "Random Search and Reproducibility for Neural Architecture Search", UAI 2019, arXiv
1902.07638: random search with weight sharing.

Differs from the paper:

* Several objectives: what is kept is the non-dominated front, at most ``population_size`` of it by NSGA-III.
* Rounds: each evaluates the front again, since its weights moved, and ``population_size`` fresh
  architectures. The paper evaluates once, after training.
"""

from collections.abc import Sequence

import numpy as np

from cars_hw.candidate import Candidate
from cars_hw.evolution import domination, nsga3, variation
from cars_hw.networks.architecture import Architecture
from cars_hw.spaces._space import SearchSpace
from cars_hw.strategies._strategy import (
    Strategy,
    Violation,
    distinct_candidates,
    require_count,
    unconstrained,
)


class RandomSearch(Strategy):
    """Uniformly random architectures, and the archive of the best.

    Args:
        space: The architectures to search.
        rng: The only source of the algorithm's randomness.
        violation: Total constraint violation of a candidate's costs.
        population_size: Fresh architectures in each round, and the most that are kept.

    Raises:
        ConfigError: ``population_size`` is no whole number, or below 1.
    """

    def __init__(
        self,
        space: SearchSpace,
        rng: np.random.Generator,
        *,
        violation: Violation = unconstrained,
        population_size: int = 128,
    ) -> None:
        super().__init__(space, rng, violation=violation)
        require_count("population_size", population_size)
        self.population_size = population_size

    def to_train(self) -> Sequence[Architecture]:
        """Draw one uniformly random path."""
        return [self.space.sample(self.rng)]

    def ask(self) -> Sequence[Architecture]:
        archive = [member.architecture for member in self.population]
        known = frozenset(archive)
        return archive + self.screen(
            lambda n: variation.distinct(self.space, n, rng=self.rng, exclude=known), self.population_size
        )

    def tell(self, evaluated: Sequence[Candidate]) -> None:
        candidates = distinct_candidates(evaluated)
        costs, violations = self.ranking(candidates)
        first = domination.fronts(costs, violations)[0]
        kept = first[nsga3.select(costs[first], self.population_size)]
        self.population = tuple(candidates[i] for i in kept)
