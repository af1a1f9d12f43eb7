"""After G-EvoNAS: networks that grow stage by stage, in a SuperNet pruned to what the elite uses.

Zou, Jiang, Xia, Liu, Hou, "G-EvoNAS: Evolutionary Neural Architecture Search Based on Network Growth", arXiv
2403.02667, 2024.

Known of the paper, by its abstract: networks are built of blocks; a search starts shallow, and deepens them
stage by stage until they are complete; at the end of each stage, the elite group prunes the SuperNet, which
weakens the coupling of weights; a genetic algorithm with crossover breeds the networks. Nothing more was
available to us.

So everything else is ours:

* The stages are the space's ``stages``, by default up to four runs of its groups. A decision that is not
  grown yet has the option that the space calls ``absent``, by default its first one; the weights of grown
  stages are inherited.
* The rounds of a search are divided evenly among the stages. With fewer rounds than stages, several stages
  grow at once; without a known number, one grows in each round. So the last round's networks are
  grown fully, and the front holds no others.
* The first round of a stage trains a share of its steps on random networks, since new operations are
  untrained; all other steps train the members in turn.
* A stage starts from elites with random options in the new decisions. In its further rounds, members compete
  with as many offspring: a crossover cuts both parents between two stages; a mutation draws groups of the
  newest stage often, and of earlier ones seldom.
* Survivors and elites are chosen by NSGA-III on all costs, with limits by Deb's rules. Costs, a latency among
  them, are compared only between networks of one stage: what has not grown costs next to nothing, and would
  win.
* After the elites are chosen, the options of a grown decision are those that they have; with
  ``pruning = false`` they stay what they were, to see what pruning brings.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from pydantic import Field, TypeAdapter

from cars_hw.candidate import Candidate
from cars_hw.errors import ArchitectureError, CheckpointError
from cars_hw.evolution import nsga3, variation
from cars_hw.ledger import Json
from cars_hw.networks.architecture import Architecture, checked
from cars_hw.spaces._space import SearchSpace
from cars_hw.strategies._strategy import SearchFacts, Strategy, Violation, distinct_candidates, unconstrained
from cars_hw.trainer import Trainer
from devices.foundation import Settings, added

#: Draws per offspring that is wanted, before random ones fill up.
_TRIES = 16

#: The most stages of a space that names none.
_MAX_STAGES = 4


@runtime_checkable
class StagedSpace(Protocol):
    """A space that says in which order its decisions grow."""

    @property
    def stages(self) -> tuple[tuple[int, ...], ...]:
        """The decisions that grow together, in order: a partition."""
        ...


@runtime_checkable
class SpaceWithAbsence(Protocol):
    """A space that says what stands for a decision before it is grown."""

    @property
    def absent(self) -> Architecture:
        """The option of each decision before it is grown: the cheapest that there always is."""
        ...


def stages(space: SearchSpace) -> tuple[tuple[int, ...], ...]:
    """Return the decisions that grow together, in order; by default, up to four runs of groups."""
    if isinstance(space, StagedSpace):
        return space.stages
    n = min(_MAX_STAGES, len(space.groups))
    ends = [round(stage * len(space.groups) / n) for stage in range(n + 1)]
    return tuple(
        tuple(itertools.chain.from_iterable(space.groups[start:end]))
        for start, end in itertools.pairwise(ends)
    )


def absent(space: SearchSpace) -> Architecture:
    """Return the option of each decision before it is grown; by default the first of each."""
    return space.absent if isinstance(space, SpaceWithAbsence) else (0,) * len(space.choices)


@dataclass(frozen=True)
class _Growth:
    """What decides the next actions, beside population and generator.

    Attributes:
        round: Index of the search's round, from 0.
        turn: How many members were trained in it.
        allowed: The options of the space that is searched now.
        newcomers: The members with which a stage starts; none in its further rounds.
    """

    round: int
    turn: int
    allowed: tuple[tuple[int, ...], ...]
    newcomers: tuple[Architecture, ...]


_GROWTH = TypeAdapter(_Growth)


class GEvonasSettings(Settings):
    """The hyper-parameters of our reading of G-EvoNAS.

    Attributes:
        population_size: Members that survive a selection.
        elite_size: Members that a stage leaves; their options are all that the SuperNet keeps.
        warm_up_share: Share of the steps in a stage's first round that train random networks.
        crossover_share: Share of offspring by crossover; all mutate.
        mutation_rate: Probability that a group of the newest stage is drawn anew.
        old_mutation_rate: The same for a group of an earlier stage.
        pruning: Whether options that no elite has leave the SuperNet when a stage ends.
    """

    population_size: int = Field(32, ge=1)
    elite_size: int = Field(8, ge=1)
    warm_up_share: float = Field(0.5, ge=0, le=1)
    crossover_share: float = Field(0.5, ge=0, le=1)
    mutation_rate: float = Field(0.5, ge=0, le=1)
    old_mutation_rate: float = Field(0.1, ge=0, le=1)
    pruning: bool = added(True, before=True)


class GEvonas(Strategy):
    """A genetic algorithm in a space that grows and is pruned."""

    settings: GEvonasSettings
    plans_by_rounds = True  # its stages divide the rounds among them

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
        self._whole_space = space
        self._stages, self._absent = stages(space), absent(space)
        self._round = self._turn = 0
        self._newcomers: tuple[Architecture, ...] = ()
        self.space = self._grown_space(())

    def begin(self, facts: SearchFacts) -> None:
        """Divide the rounds among the stages."""
        super().begin(facts)
        self.space = self._grown_space(())

    def train(self, trainer: Trainer, steps: int) -> None:
        """Train the members in turn; in a stage's first round, random networks for a share of the steps."""
        n_random = round(self.settings.warm_up_share * steps) if self._newcomers else 0
        self.warm_up(trainer, n_random)
        super().train(trainer, steps - n_random)

    def to_train(self) -> Sequence[Architecture]:
        """Take the next member; a random network before there are any."""
        members = self._newcomers or tuple(member.architecture for member in self.population)
        if not members:
            return [self.space.sample(self.rng)]
        self._turn += 1
        return [members[(self._turn - 1) % len(members)]]

    def ask(self) -> Sequence[Architecture]:
        """Return the members with which a stage starts; later the members again, and as many offspring."""
        if self._newcomers:
            return list(self._newcomers)
        members = [member.architecture for member in self.population]
        return members + self.screen(lambda n: self._offspring(members, n), self.settings.population_size)

    def tell(self, evaluated: Sequence[Candidate]) -> None:
        """Select; where a stage ends, prune to the elites' options, and grow the next.

        Raises:
            SelectionError: Nothing was evaluated, or a cost is NaN or infinite.
        """
        self.population = tuple(self._selected(distinct_candidates(evaluated), self.settings.population_size))
        self._round += 1
        self._turn = 0
        self._newcomers = ()
        if self._n_grown(self._round) > self._n_grown(self._round - 1):
            elites = [  # the abstract's elite group, which prunes the SuperNet
                found.architecture for found in self._selected(self.population, self.settings.elite_size)
            ]
            self.space = self._grown_space(elites)
            self._newcomers = tuple(
                self.screen(lambda n: self._extended(elites, n), self.settings.population_size)
            )

    def state(self) -> dict[str, Json]:
        """Return the stage, the space and the newcomers as well."""
        growth = _Growth(self._round, self._turn, self.space.allowed, self._newcomers)
        return {**super().state(), "growth": _GROWTH.dump_python(growth, mode="json")}

    def restore(self, state: Mapping[str, Json]) -> None:
        try:
            growth = _GROWTH.validate_python(state.get("growth"))
            space = self._whole_space.restrict(growth.allowed)
            for newcomer in growth.newcomers:
                checked(newcomer, space.choices)
        except (ArchitectureError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise CheckpointError(f"the strategy's state cannot be restored: {reason}") from error
        super().restore({name: value for name, value in state.items() if name != "growth"})
        self._round, self._turn, self._newcomers = growth.round, growth.turn, growth.newcomers
        self.space = space

    def _n_grown(self, round_: int) -> int:
        """Return how many stages are grown in a round: all of them in the last one of the search.

        That is the least number of stages that keeps pace with the share of rounds begun: a ceiling.
        """
        n_stages = len(self._stages)
        n_rounds = n_stages if self.facts.generations is None else self.facts.generations + 1
        return min(n_stages, -(-(round_ + 1) * n_stages // n_rounds))

    def _newest(self) -> set[int]:
        """Return the decisions of the stages that grew last."""
        grown = self._n_grown(self._round)
        before = max((self._n_grown(r) for r in range(self._round) if self._n_grown(r) < grown), default=0)
        return set(itertools.chain.from_iterable(self._stages[before:grown]))

    def _grown_space(self, elites: Sequence[Architecture]) -> SearchSpace:
        """Return the space of this round: what elites have, everything newly grown, nothing that is not.

        Without pruning, everything that was grown before as well.
        """
        grown = set(itertools.chain.from_iterable(self._stages[: self._n_grown(self._round)]))
        newest = self._newest()
        allowed: list[Sequence[int]] = []
        for decision, options in enumerate(self._whole_space.allowed):
            if decision not in grown:
                option = self._absent[decision]
                allowed.append([option if option in options else options[0]])
            elif decision in newest or not self.settings.pruning:
                allowed.append(options)
            else:
                allowed.append([elite[decision] for elite in elites])
        return self._whole_space.restrict(allowed)

    def _selected(self, candidates: Sequence[Candidate], n: int) -> list[Candidate]:
        """Choose up to ``n`` candidates by NSGA-III on all costs, feasible ones first."""
        costs, violations = self.ranking(candidates)
        return [candidates[i] for i in nsga3.select(costs, n, violations=violations)]

    def _extended(self, elites: Sequence[Architecture], n: int) -> list[Architecture]:
        """Draw elites with random options in the newest decisions."""
        newest = self._newest()

        def extend() -> Architecture:
            elite, random = elites[int(self.rng.integers(len(elites)))], self.space.sample(self.rng)
            return tuple(random[d] if d in newest else option for d, option in enumerate(elite))

        return self._distinct(extend, n, exclude=())

    def _offspring(self, members: Sequence[Architecture], n: int) -> list[Architecture]:
        """Draw mutated members, some of them crossed with another one before; random ones at first."""
        newest = self._newest()

        def breed() -> Architecture:
            first, second = (members[i] for i in self.rng.integers(len(members), size=2))
            if self.rng.random() < self.settings.crossover_share:
                first = self._crossed(first, second)
            return self._mutated(first, newest)

        return self._distinct(breed if members else lambda: self.space.sample(self.rng), n, exclude=members)

    def _crossed(self, first: Architecture, second: Architecture) -> Architecture:
        """Cut both between two grown stages, or groups where one stage is grown; join the first's head."""
        grown = self._stages[: self._n_grown(self._round)]
        pieces = grown if len(grown) > 1 else [g for g in self.space.groups if set(g) <= set(grown[0])]
        cut = int(self.rng.integers(1, max(2, len(pieces))))
        tail = set(itertools.chain.from_iterable(pieces[cut:]))
        return tuple(second[d] if d in tail else option for d, option in enumerate(first))

    def _mutated(self, parent: Architecture, newest: set[int]) -> Architecture:
        """Draw groups of ``parent`` anew: those of the newest decisions often, earlier ones seldom."""
        child, random = list(parent), self.space.sample(self.rng)
        for group in self.space.groups:
            rate = (
                self.settings.mutation_rate if newest.issuperset(group) else self.settings.old_mutation_rate
            )
            if self.rng.random() < rate:
                for decision in group:
                    child[decision] = random[decision]
        return tuple(child)

    def _distinct(
        self, draw: Callable[[], Architecture], n: int, *, exclude: Sequence[Architecture]
    ) -> list[Architecture]:
        """Return ``n`` different new architectures of ``draw``, or uniformly random ones in their stead."""
        found: dict[Architecture, None] = {}
        for _ in range(_TRIES * n):
            if len(found) == n:
                break
            architecture = draw()
            if architecture not in exclude:
                found[architecture] = None
        known = frozenset([*found, *exclude])
        return [*found, *variation.distinct(self.space, n - len(found), rng=self.rng, exclude=known)]
