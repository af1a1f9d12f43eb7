"""CARS: a population that evolves while the weights it shares keep training.

Z. Yang, Y. Wang, X. Chen, B. Shi, C. Xu, C. Xu, Q. Tian, C. Xu, "CARS: Continuous Evolution for Efficient
Neural Architecture Search", CVPR 2020, arXiv 1909.04977. The symbols N, t and N_b are the paper's, and so
are the equations and the titles of sections below.

Differs from the paper:

* Any number of costs beside the error, a latency among them, and limits on them by Deb's rules; the paper's
  experiments have one cost, parameters or latency.
* What pNSGA-III leaves open is settled in evolution/pnsga3.py, where it is listed.
* ``selection = "size_protection"`` is the selection of the released code, which protects the accurate and
  large where the paper protects what learns fast.
* Offspring differ from each other too; the paper compares them to the members alone. A space with fewer
  architectures than are wanted gives what it has.
* Offspring that are all evaluated are by crossover (three quarters) and by mutation of one group of decisions
  (a quarter); the paper draws half of them at random, and mutates each group with probability 0.5.
  ``crossover_share = 0.25`` and ``mutated_groups = "half"`` are the paper's. Figures: docs/search-quality.md.
* New architectures are screened (evolution/screening.py): of many that are drawn by the paper's shares, those
  are evaluated that are most promising by known costs and a model of the error. Without screening, as in the
  paper, all are. By default losses joined with sizes are not modelled: the model would find those whose noise
  flatters them, so limits alone screen there.
* Generations go on training random paths of the whole space. The paper trains members alone
  (``trained = "members"``): what is trained ranks higher, survives and is trained again, and where the
  warm-up was short, small networks alone may be left; ``benchmarks/end_to_end.py`` has both as arms.
* ``warm_up_paths = "fair"``, ``trained = "fair"``: each step trains every option of each decision once
  (strict fairness), by as many paths as the decision with the most options has, and at their cost.
* ``selection = "nsga3"`` is pNSGA-III without its speeds: what the small model trap is shown by.
* ``errors = "joined"``: where losses are told, selections and fronts go by the loss joined with the number
  of live parameters in place of the error. Little training on shared weights ranks small networks too well;
  what a network can become follows from its size, too. Candidates keep the errors that were measured;
  ``errors = "measured"`` is the paper's. Figures: docs/results.md.
* ``errors = "modelled"`` goes by a model of all errors of a round in place of each one: a SuperNet tells
  networks apart with noise.
* A warm-up step takes N_b random paths, as every later step takes N_b members. With N_b = 1, which the
  paper's experiments use, there is no difference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, TypeAdapter, model_validator

from cars_hw.candidate import Candidate
from cars_hw.errors import CheckpointError, SelectionError
from cars_hw.evolution import estimating, nsga3, pnsga3, size_protection, variation
from cars_hw.evolution.domination import Indices
from cars_hw.ledger import Json
from cars_hw.networks.architecture import Architecture
from cars_hw.strategies._strategy import Strategy, distinct_candidates
from cars_hw.trainer import Trainer
from devices.foundation import Settings, added

_MODELLED = TypeAdapter(tuple[Annotated[float, Field(allow_inf_nan=False)], ...])


class CarsSettings(Settings):
    """The hyper-parameters of CARS.

    Attributes:
        population_size: N, members that survive a selection.
        offspring_ratio: t, offspring per member.
        members_per_step: N_b, members whose mean gradient makes a step; at most N.
        mutation_share: Share of offspring by mutation.
        crossover_share: Share of offspring by crossover; the rest is uniformly random. The paper's is 0.25.
        mutated_groups: Which groups of decisions a mutation draws anew: "one" of them, or each with
            probability "half", the paper's.
        pool: What is drawn where new architectures are screened: offspring by the "paper" shares, half of
            which are random, or by the "own" shares of these settings.
        selection: "pnsga3", the paper's; "size_protection", that of its released code; or "nsga3",
            which knows no speed of learning.
        warm_up_paths: What a step of the warm-up trains: N_b "random" paths, or "fair" ones, which together
            have every option of each decision, once where decisions have equally many.
        trained: What a step of a generation trains: N_b "members", as in the paper, or paths as in the
            warm-up, "random" or "fair".
        errors: What a selection goes by: errors as "measured", which is the paper's; losses "joined" with the
            number of live parameters, where losses are told; or errors as "modelled" from all of the round,
            by options and known costs.
    """

    population_size: int = Field(128, ge=1)
    offspring_ratio: float = Field(1.0, ge=0, le=100)
    members_per_step: int = Field(1, ge=1)
    mutation_share: float = Field(0.25, ge=0, le=1)
    crossover_share: float = added(0.75, before=0.25, ge=0, le=1)
    mutated_groups: variation.MutatedGroups = added("one", before="half")
    pool: Literal["paper", "own"] = added("paper", before="own")
    selection: Literal["pnsga3", "size_protection", "nsga3"] = "pnsga3"
    warm_up_paths: Literal["random", "fair"] = added("random", before="random")
    trained: Literal["members", "random", "fair"] = added("random", before="members")
    errors: estimating.ErrorsBy = added("joined", before="measured")

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.members_per_step > self.population_size:
            raise ValueError(
                f"members_per_step is {self.members_per_step}; "
                f"it is at most population_size, {self.population_size}"
            )
        if self.mutation_share + self.crossover_share > 1:
            raise ValueError(
                f"mutation_share {self.mutation_share} and crossover_share {self.crossover_share} "
                "sum to over 1"
            )
        return self


class Cars(Strategy):
    """Continuous evolution with pNSGA-III."""

    settings: CarsSettings
    is_screened = True

    @property
    def needs_previous_error(self) -> bool:
        return self.settings.selection == "pnsga3"

    @property
    def errors_by(self) -> estimating.ErrorsBy:
        return self.settings.errors

    def warm_up(self, trainer: Trainer, steps: int) -> None:
        """Train all operations alike: each step takes N_b fresh, uniformly random paths, or fair ones.

        "Parameter Warmup": every connection and operation is equally likely.
        """
        for _ in range(steps):
            trainer.step(self._paths(self.settings.warm_up_paths))

    def to_train(self) -> Sequence[Architecture]:
        """Draw N_b distinct members, whose mean gradient stands for that of all N.

        "Parameter Optimization", section 3.2: with g_i the gradient of member i, masked by its connections
        (eq. 1), (1 / N) sum_i g_i (eq. 2) is approximated by the mean over N_b members n_j,
        (1 / N_b) sum_j g_(n_j) (eq. 3).
        """
        if self.settings.trained != "members":
            return self._paths(self.settings.trained)
        if not self.population:
            return self._paths("random")
        n = min(self.settings.members_per_step, len(self.population))
        drawn = self.rng.choice(len(self.population), n, replace=False)  # n_1 .. n_(N_b) of eq. 3
        return [self.population[i].architecture for i in drawn]

    def ask(self) -> Sequence[Architecture]:
        """Return N random architectures at first; later the members, whose weights moved, and t*N offspring.

        So a selection is among (t + 1) * N, all with today's errors ("Continuous Evolution for CARS").
        """
        members = [member.architecture for member in self.population]
        if not members:
            return self.screen(
                lambda n: variation.distinct(self.space, n, rng=self.rng), self.settings.population_size
            )
        n_offspring = round(self.settings.offspring_ratio * self.settings.population_size)
        return members + self.screen(lambda n: self._offspring(members, n), n_offspring)

    def tell(self, evaluated: Sequence[Candidate]) -> None:
        """Keep N of (t + 1) * N by ``selection``; all of them where there are no more, as in the first round.

        "Continuous Evolution for CARS" keeps those that pNSGA-III chooses.

        Raises:
            SelectionError: Nothing was evaluated, a cost is NaN or infinite, or there is a choice to make and
                a candidate's previous error is not known.
        """
        candidates = distinct_candidates(evaluated)
        self.population = tuple(candidates[i] for i in self._survivors(candidates))

    def restore(self, state: Mapping[str, Json]) -> None:
        """Continue as the strategy that returned ``state`` would have: see ``Strategy.restore``.

        Earlier versions kept modelled errors beside the members.
        """
        super().restore({name: value for name, value in state.items() if name != "modelled"})
        try:
            modelled = _MODELLED.validate_python(state.get("modelled", ()))
        except ValueError as error:
            raise CheckpointError(f"the modelled errors cannot be restored: {error}"[:300]) from error
        if len(modelled) not in (0, len(self.population)):
            raise CheckpointError(
                f"{len(modelled)} modelled errors cannot be restored for {len(self.population)} members"
            )
        if modelled:
            pairs = zip(self.population, modelled, strict=True)
            self.population = tuple(replace(one, estimate=error) for one, error in pairs)

    def _survivors(self, candidates: Sequence[Candidate]) -> Indices:
        """Return the indices, ``(n,)``, of the candidates that stay, ascending."""
        costs, violations = self.ranking(candidates)
        if len(candidates) <= self.settings.population_size:
            return np.arange(len(candidates))
        if self.settings.selection == "size_protection":
            return size_protection.select(  # CARS_NSGA of the released code
                costs, self.settings.population_size, rng=self.rng, violations=violations
            )
        if self.settings.selection == "nsga3":
            return nsga3.select(costs, self.settings.population_size, violations=violations)
        # "Architecture Optimization": the paper's selection, which the small model trap made necessary.
        speeds = [_speed(candidate) for candidate in candidates]
        return pnsga3.select(costs, speeds, self.settings.population_size, violations=violations)

    def _offspring(self, members: Sequence[Architecture], n: int) -> list[Architecture]:
        """Mutate and cross members by the shares, and draw the rest at random; a group moves as a whole."""
        return variation.offspring(members, self.space, n=n, rng=self.rng, recipe=self._recipe())

    def _recipe(self) -> variation.Recipe:
        """Return how offspring are made.

        "Evolution Details": 0.25 by mutation, 0.25 by crossover, 0.5 random. A pool to choose from stays that
        wide; what is evaluated without a choice lies nearer to the members.
        """
        settings = self.settings
        is_screened = self.facts.screen is not None and self.facts.by_promise
        if is_screened and settings.pool == "paper":
            return variation.PAPER
        return variation.Recipe(settings.mutation_share, settings.crossover_share, settings.mutated_groups)

    def _paths(self, kind: Literal["random", "fair"]) -> list[Architecture]:
        """Draw the paths of a step: N_b distinct random ones, all options equiprobable, or fair ones."""
        if kind == "fair":
            return variation.covering(self.space, rng=self.rng)
        return variation.distinct(self.space, self.settings.members_per_step, rng=self.rng)


def _speed(candidate: Candidate) -> float:
    """Return the increasing speed of accuracy: how much this generation's training lowered the error."""
    if candidate.previous_error is None:
        raise SelectionError(
            f"the previous error of {candidate.architecture} is not known; evaluate it with the weights from "
            "before this generation's training"
        )
    return candidate.previous_error - candidate.costs[0]
