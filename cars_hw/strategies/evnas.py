"""EvNAS: real-valued chromosomes, decoded to paths that are weighted up while every operation runs.

N. Sinha, K.-W. Chen, "Evolving Neural Architecture Using One Shot Model", GECCO 2021, arXiv 2012.12540. Its
steps: initialise, train, evaluate, then elitism, tournament selection, crossover and mutation. They are cited
by the functions of the released code, nightstorm0909/EvNAS.

Differs from the paper:

* ``selection="nsga3"``, the default, counts all costs, latency among them: half of the population, chosen by
  NSGA-III, is the elite, and tournaments go by front. ``"classic"`` is the paper's: the error alone and an
  elite of one. Limits on costs come before errors, by Deb's rules.
* Children that decode to a member's network are drawn again, up to 16 times each, then left out: the paper
  evaluates one network several times.
* ``paths = "hard"`` trains and judges the decoded networks alone, to see what the weights of decoding bring.
* Evaluations normalise by statistics that are recomputed on training images, as for every algorithm here; the
  paper's code takes those of the validation batches.

Errors are those of soft paths, as in the paper. The network that ships is the decoded one alone; its own
error is measured when it is exported.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from pydantic import Field, TypeAdapter

from cars_hw.candidate import Candidate
from cars_hw.errors import CheckpointError, SelectionError
from cars_hw.evolution import domination, nsga3
from cars_hw.ledger import Json
from cars_hw.networks.architecture import Architecture
from cars_hw.spaces._space import SearchSpace
from cars_hw.strategies._strategy import Strategy, Violation, distinct_candidates, unconstrained
from cars_hw.trainer import Trainer
from devices.foundation import Settings, added

#: The rows of scores that ``score_rows`` counts, one score in [0, 1) for each option of a row.
Chromosome = tuple[tuple[float, ...], ...]

_CHROMOSOMES = TypeAdapter(tuple[Chromosome, ...])

#: Draws per child that is wanted, before fewer are returned.
_TRIES = 16


@runtime_checkable
class SpaceWithScoreRows(Protocol):
    """A space whose soft paths mix other options than those of its decisions."""

    @property
    def score_rows(self) -> tuple[int, ...]:
        """Number of options that each row of scores rates, in the order of the rows."""
        ...


@runtime_checkable
class DecodingSpace(Protocol):
    """A space with a reading of scores of its own."""

    def decode(self, scores: Chromosome) -> Architecture:
        """Return the architecture that ``scores`` rate best, in the rows of ``score_rows``."""
        ...


def score_rows(space: SearchSpace) -> tuple[int, ...]:
    """Return the number of options in each row of scores; by default, one row rates each decision's."""
    return space.score_rows if isinstance(space, SpaceWithScoreRows) else space.choices


def decode(space: SearchSpace, scores: Chromosome) -> Architecture:
    """Return the architecture that ``scores`` rate best; by default, the best option of each decision.

    Args:
        space: Whose allowed options compete.
        scores: One row for each of the ``score_rows``, one score per option of it.
    """
    if isinstance(space, DecodingSpace):
        return space.decode(scores)
    return tuple(
        max(options, key=lambda option: row[option])
        for row, options in zip(scores, space.allowed, strict=True)
    )


class EvnasSettings(Settings):
    """The hyper-parameters of EvNAS.

    Attributes:
        population_size: Chromosomes in a generation.
        tournament_size: Distinct members among which the best becomes a parent.
        crossover_rate: Share of rows that a child takes from its second parent.
        mutation_rate: Share of rows that are drawn anew, in every child.
        selection: "nsga3" counts all costs, "classic" the error alone.
        paths: What is trained and judged: "soft" ones, on which every operation runs, the decoded ones with
            more weight; or "hard" ones, on which the decoded operations run alone.
    """

    population_size: int = Field(50, ge=1)
    tournament_size: int = Field(10, ge=1)
    crossover_rate: float = Field(0.5, ge=0, le=1)
    mutation_rate: float = Field(0.1, ge=0, le=1)
    selection: Literal["nsga3", "classic"] = "nsga3"
    paths: Literal["soft", "hard"] = added("soft", before="soft")


class Evnas(Strategy):
    """A genetic algorithm on scores, whose weights train on soft paths."""

    settings: EvnasSettings
    soft_path = True  # utils.discretize: the softmax of rows with a one at each decoded operation

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
        self.soft_path = self.settings.paths == "soft"
        self._turn = 0
        self._members: dict[Architecture, Chromosome] = {}
        self._add(self._random, self.settings.population_size)

    def warm_up(self, trainer: Trainer, steps: int) -> None:
        """Train the random first population, as later ones: the paper has no other warm-up."""
        self.train(trainer, steps)

    def to_train(self) -> Sequence[Architecture]:
        """Train: step s takes member s modulo the population size, in each generation anew from the first."""
        members = list(self._members)
        self._turn += 1
        return [members[(self._turn - 1) % len(members)]]  # train: population[step % pop_size]

    def ask(self) -> Sequence[Architecture]:
        """Evaluate: the whole population, decoded. Its weights moved, so that no fitness is used again.

        ``validation`` of the released code; fitness is the accuracy on the fitness images.
        """
        return list(self._members)

    def tell(self, evaluated: Sequence[Candidate]) -> None:
        """Keep the elite as it is, and fill the next generation with its members' children.

        Raises:
            SelectionError: Nothing was evaluated, a cost is NaN or infinite, or something else was evaluated
                than the population.
        """
        candidates = distinct_candidates(evaluated)
        ranks, elite = self._ranked(candidates)
        for candidate in candidates:
            if candidate.architecture not in self._members:
                raise SelectionError(f"{candidate.architecture} is not in the population that was asked for")
        parents = [self._members[candidate.architecture] for candidate in candidates]
        self.population = tuple(candidates)
        # GeneticAlgorithm.evolve: elites stay; tournaments, crossover and mutation fill the generation.
        self._members = {candidates[i].architecture: parents[i] for i in elite}
        self._turn = 0
        self._add(lambda: self._child(parents, ranks), self.settings.population_size - len(self._members))

    def state(self) -> dict[str, Json]:
        """Return the chromosomes of the next generation as well."""
        chromosomes = _CHROMOSOMES.dump_python(tuple(self._members.values()), mode="json")
        return {**super().state(), "chromosomes": chromosomes, "turn": self._turn}

    def restore(self, state: Mapping[str, Json]) -> None:
        own = {"chromosomes": state.get("chromosomes"), "turn": state.get("turn")}
        try:
            chromosomes = _CHROMOSOMES.validate_python(own["chromosomes"])
            turn = TypeAdapter(int).validate_python(own["turn"])
        except ValueError as error:
            reason = " ".join(str(error).split())
            raise CheckpointError(f"the strategy's state cannot be restored: {reason}") from error
        if not chromosomes or any(tuple(map(len, rows)) != score_rows(self.space) for rows in chromosomes):
            raise CheckpointError(
                "the strategy's state cannot be restored: its chromosomes are of another space"
            )
        super().restore({name: value for name, value in state.items() if name not in own})
        self._members = {decode(self.space, chromosome): chromosome for chromosome in chromosomes}
        self._turn = turn

    def _random(self) -> Chromosome:
        """Initialise a chromosome: every score from U[0, 1)."""
        # chromosome.generate_parameters
        return tuple(tuple(self.rng.random(n).tolist()) for n in score_rows(self.space))

    def _ranked(self, candidates: Sequence[Candidate]) -> tuple[list[int], list[int]]:
        """Return the rank of each candidate, 0 for the best, and the indices of the elite."""
        costs, violations = self.ranking(candidates)
        if self.settings.selection == "classic":
            fronts = domination.fronts(costs[:, :1], violations)
            elite = fronts[0][:1]  # Population.pop_sort, and num_elites = 1
        else:
            fronts = domination.fronts(costs, violations)
            elite = nsga3.select(costs, max(1, self.settings.population_size // 2), violations=violations)
        ranks = [0] * len(candidates)
        for rank, front in enumerate(fronts):
            for i in front:
                ranks[i] = rank
        return ranks, [int(i) for i in elite]

    def _child(self, parents: Sequence[Chromosome], ranks: Sequence[int]) -> Chromosome:
        """Cross two different winners of tournaments row by row, and draw some rows of the child anew."""
        first = self._winner(range(len(parents)), ranks)
        others = [i for i in range(len(parents)) if i != first] or [first]
        second = self._winner(others, ranks)
        rows = [  # crossover_chromosomes
            b if self.rng.random() < self.settings.crossover_rate else a
            for a, b in zip(parents[first], parents[second], strict=True)
        ]
        return tuple(  # mutate_chromosome
            tuple(self.rng.random(len(row)).tolist())
            if self.rng.random() < self.settings.mutation_rate
            else row
            for row in rows
        )

    def _winner(self, members: Sequence[int], ranks: Sequence[int]) -> int:
        """Draw a tournament without replacement; the best wins, among equals the first drawn."""
        # tournament_selection
        drawn = self.rng.permutation(len(members))[: self.settings.tournament_size]
        entrants = [members[int(i)] for i in drawn]
        return min(entrants, key=ranks.__getitem__)

    def _add(self, make: Callable[[], Chromosome], n: int) -> None:
        """Add up to ``n`` chromosomes to the next generation, each of which decodes to another network."""
        made: dict[Architecture, Chromosome] = {}

        def draw(wanted: int) -> list[Architecture]:
            found: list[Architecture] = []
            for _ in range(_TRIES * wanted):
                if len(found) == wanted:
                    break
                chromosome = make()
                architecture = decode(self.space, chromosome)
                if architecture not in self._members and architecture not in made:
                    made[architecture] = chromosome
                    found.append(architecture)
            return found

        for architecture in self.screen(draw, n):
            self._members[architecture] = made[architecture]
