"""Random search: the baseline that an algorithm has to beat at equal cost.

L. Li, A. Talwalkar, "Random Search and Reproducibility for Neural Architecture Search", UAI 2019, arXiv
1902.07638: random search with weight sharing.

Differs from the paper:

* Several objectives: what is kept is the non-dominated front, at most ``population_size`` of it by NSGA-III.
* Rounds: each evaluates the front again, since its weights moved, and ``population_size`` fresh
  architectures. The paper evaluates once, after training.
"""

from collections.abc import Sequence

from pydantic import Field

from cars_hw.candidate import Candidate
from cars_hw.evolution import domination, estimating, nsga3, variation
from cars_hw.networks.architecture import Architecture
from cars_hw.strategies._strategy import Strategy, distinct_candidates
from devices.foundation import Settings, added


class RandomSearchSettings(Settings):
    """The hyper-parameters of random search.

    Attributes:
        population_size: Fresh architectures in each round, and the most that are kept.
        errors: What is kept by: see ``CarsSettings``.
    """

    population_size: int = Field(128, ge=1)
    errors: estimating.ErrorsBy = added("measured", before="measured")


class RandomSearch(Strategy):
    """Uniformly random architectures, and the archive of the best."""

    settings: RandomSearchSettings

    @property
    def errors_by(self) -> estimating.ErrorsBy:
        return self.settings.errors

    def to_train(self) -> Sequence[Architecture]:
        """Draw one uniformly random path."""
        return [self.space.sample(self.rng)]

    def ask(self) -> Sequence[Architecture]:
        archive = [member.architecture for member in self.population]
        known = frozenset(archive)
        return archive + self.screen(
            lambda n: variation.distinct(self.space, n, rng=self.rng, exclude=known),
            self.settings.population_size,
        )

    def tell(self, evaluated: Sequence[Candidate]) -> None:
        candidates = distinct_candidates(evaluated)
        costs, violations = self.ranking(candidates)
        first = domination.fronts(costs, violations)[0]
        kept = first[nsga3.select(costs[first], self.settings.population_size)]
        self.population = tuple(candidates[i] for i in kept)
