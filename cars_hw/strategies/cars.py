"""CARS: a population that evolves while the weights it shares keep training.

Z. Yang, Y. Wang, X. Chen, B. Shi, C. Xu, C. Xu, Q. Tian, C. Xu, "CARS: Continuous Evolution for Efficient
Neural Architecture Search", CVPR 2020, arXiv 1909.04977. The symbols N, t and N_b are the paper's.

Differs from the paper:

* Any number of costs beside the error, a latency among them, and limits on them by Deb's rules; the paper's
  experiments have one cost, parameters or latency.
* What pNSGA-III leaves open is settled in evolution/pnsga3.py, where it is listed.
* ``selection = "size_protection"`` is the selection of the released code, which protects the accurate and
  large where the paper protects what learns fast.
* Offspring differ from each other too; the paper compares them to the members alone. A space with fewer
  architectures than are wanted gives what it has.
* Offspring are screened (evolution/screening.py): of many that are drawn by the paper's shares, those are
  evaluated that known costs and a model of the error promise most of. With ``search.screening = false``, as
  in the paper, they are not.
* A warm-up step takes N_b random paths, as every later step takes N_b members. With N_b = 1, which the
  paper's experiments use, there is no difference.
"""

from collections.abc import Sequence

import numpy as np

from cars_hw.candidate import Candidate
from cars_hw.errors import SelectionError
from cars_hw.evolution import pnsga3, size_protection, variation
from cars_hw.evolution.domination import Indices
from cars_hw.networks.architecture import Architecture
from cars_hw.spaces._space import SearchSpace
from cars_hw.strategies._strategy import (
    Strategy,
    Violation,
    distinct_candidates,
    require_count,
    require_number,
    unconstrained,
)
from cars_hw.trainer import Trainer
from devices.foundation import ConfigError

_SELECTIONS = ("pnsga3", "size_protection")


class Cars(Strategy):
    """Continuous evolution with pNSGA-III.

    Args:
        space: The architectures to search.
        rng: The only source of the algorithm's randomness.
        violation: Total constraint violation of a candidate's costs.
        population_size: N, members that survive a selection.
        offspring_ratio: t, offspring per member.
        members_per_step: N_b, members whose mean gradient makes a step.
        mutation_share: Share of offspring by mutation.
        crossover_share: Share of offspring by crossover; the rest is uniformly random.
        selection: "pnsga3", the paper's, or "size_protection", that of its released code.

    Raises:
        ConfigError: A setting is no number, or out of range, or there is no such selection.
    """

    is_screened = True

    def __init__(  # noqa: PLR0913  (the paper's hyper-parameters)
        self,
        space: SearchSpace,
        rng: np.random.Generator,
        *,
        violation: Violation = unconstrained,
        population_size: int = 128,
        offspring_ratio: float = 1.0,
        members_per_step: int = 1,
        mutation_share: float = 0.25,
        crossover_share: float = 0.25,
        selection: str = "pnsga3",
    ) -> None:
        super().__init__(space, rng, violation=violation)
        require_count("population_size", population_size)
        require_count("members_per_step", members_per_step)
        require_number("offspring_ratio", offspring_ratio, most=100)
        require_number("mutation_share", mutation_share, most=1)
        require_number("crossover_share", crossover_share, most=1)
        if members_per_step > population_size:
            raise ConfigError(
                f"members_per_step is {members_per_step}; it is at most population_size, {population_size}"
            )
        if mutation_share + crossover_share > 1:
            raise ConfigError(
                f"mutation_share {mutation_share} and crossover_share {crossover_share} sum to over 1"
            )
        if selection not in _SELECTIONS:
            raise ConfigError(f"selection is {selection!r:.64}; cars has {', '.join(_SELECTIONS)}")
        self.needs_previous_error = selection == "pnsga3"
        self.selection = selection
        self.population_size = population_size
        self.offspring_ratio = offspring_ratio
        self.members_per_step = members_per_step
        self.mutation_share = mutation_share
        self.crossover_share = crossover_share

    def warm_up(self, trainer: Trainer, steps: int) -> None:
        """Train all operations alike: each step takes N_b fresh, uniformly random paths."""
        for _ in range(steps):
            trainer.step(self._random_paths())

    def to_train(self) -> Sequence[Architecture]:
        """Draw N_b distinct members, whose mean gradient stands for that of all N."""
        if not self.population:
            return self._random_paths()
        n = min(self.members_per_step, len(self.population))
        return [
            self.population[i].architecture for i in self.rng.choice(len(self.population), n, replace=False)
        ]

    def ask(self) -> Sequence[Architecture]:
        """Return N random architectures at first; later the members, whose weights moved, and t*N more."""
        members = [member.architecture for member in self.population]
        if not members:
            return self.screen(
                lambda n: variation.distinct(self.space, n, rng=self.rng), self.population_size
            )
        n_offspring = round(self.offspring_ratio * self.population_size)
        return members + self.screen(lambda n: self._offspring(members, n), n_offspring)

    def tell(self, evaluated: Sequence[Candidate]) -> None:
        """Keep N by ``selection``; all of them where there are no more, as in the first round.

        Raises:
            SelectionError: Nothing was evaluated, a cost is NaN or infinite, or there is a choice to make and
                a candidate's previous error is not known.
        """
        candidates = distinct_candidates(evaluated)
        survivors = self._survivors(candidates)
        self.population = tuple(candidates[i] for i in survivors)

    def _survivors(self, candidates: Sequence[Candidate]) -> Indices:
        costs, violations = self.ranking(candidates)
        if len(candidates) <= self.population_size:
            return np.arange(len(candidates))
        if self.selection == "size_protection":
            return size_protection.select(costs, self.population_size, rng=self.rng, violations=violations)
        speeds = [_speed(candidate) for candidate in candidates]
        return pnsga3.select(costs, speeds, self.population_size, violations=violations)

    def _offspring(self, members: Sequence[Architecture], n: int) -> list[Architecture]:
        return variation.offspring(
            members,
            self.space,
            n=n,
            rng=self.rng,
            mutation_share=self.mutation_share,
            crossover_share=self.crossover_share,
        )

    def _random_paths(self) -> list[Architecture]:
        return variation.distinct(self.space, self.members_per_step, rng=self.rng)


def _speed(candidate: Candidate) -> float:
    """Return the increasing speed of accuracy: how much this generation's training lowered the error."""
    if candidate.previous_error is None:
        raise SelectionError(
            f"the previous error of {candidate.architecture} is not known; evaluate it with the weights from "
            "before this generation's training"
        )
    return candidate.previous_error - candidate.costs[0]
