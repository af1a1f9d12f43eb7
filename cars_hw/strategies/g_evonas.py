"""After G-EvoNAS: networks that grow stage by stage, in a SuperNet pruned to what the elite uses.

J. Zou, W. Jiang, Y. Xia, Y. Liu, Z. Hou, "G-EvoNAS: Evolutionary Neural Architecture Search Based on Network
Growth", arXiv 2403.02667, 2024.

Known of the paper, by its abstract: networks are built of blocks; a search starts shallow, and deepens them
stage by stage until they are complete; at the end of each stage, the elite group prunes the SuperNet, which
weakens the coupling of weights; a genetic algorithm with crossover breeds the networks. Nothing more was
available to us.

So everything else is ours:

* The stages are the space's ``stages``. A decision that is not grown yet has the option ``space.absent``, and
  the weights of grown stages are inherited.
* The rounds of a search are divided evenly among the stages. With fewer rounds than stages, several stages grow
  at once; a strategy that is not told the number grows one each round. So the last round's networks are grown
  fully, and the front holds no others.
* The first round of a stage trains a share of its steps on random networks, since new operations are untrained;
  all other steps train the members in turn.
* A stage starts from elites with random options in the new decisions. In its further rounds, members compete
  with as many offspring: a crossover cuts both parents between two stages; a mutation draws groups of the
  newest stage often, and of earlier ones seldom. Survivors and elites are chosen by NSGA-III, on any costs, with
  limits by Deb's rules.
* Costs, a latency among them, are compared only between networks of one stage: what has not grown costs next to
  nothing, and would win.
* After the elites are chosen, the options of a grown decision are those that they have.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import TypeAdapter

from cars_hw.architecture import Architecture, checked
from cars_hw.candidate import Candidate
from cars_hw.evolution import nsga3, variation
from cars_hw.spaces._space import SearchSpace
from cars_hw.strategies._strategy import (
    Strategy,
    Violation,
    distinct_candidates,
    require_count,
    require_number,
    unconstrained,
)
from cars_hw.trainer import Json, Trainer
from devices._errors import ArchitectureError, CheckpointError

#: Draws per offspring that is wanted, before random ones fill up.
_TRIES = 16


@dataclass(frozen=True)
class _Growth:
    """What decides the next actions, beside population and generator.

    Attributes:
        round: Of the search, from 0.
        turn: How many members were trained in it.
        allowed: The options of the space that is searched now.
        elites: Grown so far; a new stage starts from them.
    """

    round: int
    turn: int
    allowed: tuple[tuple[int, ...], ...]
    elites: tuple[Architecture, ...]


_GROWTH = TypeAdapter(_Growth)


class GEvonas(Strategy):
    """A genetic algorithm in a space that grows and is pruned.

    Args:
        space: The architectures to search.
        rng: The only source of the algorithm's randomness.
        violation: Total constraint violation of a candidate's costs.
        population_size: Members that survive a selection.
        elites: Members that a stage leaves; their options are all that the SuperNet keeps.
        warm_up_share: Share of the steps in a stage's first round that train random networks.
        crossover_share: Share of offspring by crossover, before mutation.
        mutation_rate: Of each group of the newest stage.
        old_mutation_rate: Of each group of earlier stages.

    Raises:
        ConfigError: A setting is no number, or out of range.
    """

    def __init__(  # noqa: PLR0913  (the algorithm's hyper-parameters)
        self,
        space: SearchSpace,
        rng: np.random.Generator,
        *,
        violation: Violation = unconstrained,
        population_size: int = 32,
        elites: int = 8,
        warm_up_share: float = 0.5,
        crossover_share: float = 0.5,
        mutation_rate: float = 0.5,
        old_mutation_rate: float = 0.1,
    ) -> None:
        super().__init__(space, rng, violation=violation)
        require_count("population_size", population_size)
        require_count("elites", elites)
        require_number("warm_up_share", warm_up_share, most=1)
        require_number("crossover_share", crossover_share, most=1)
        require_number("mutation_rate", mutation_rate, most=1)
        require_number("old_mutation_rate", old_mutation_rate, most=1)
        self.population_size = population_size
        self.elites = elites
        self.warm_up_share = warm_up_share
        self.crossover_share = crossover_share
        self.mutation_rate = mutation_rate
        self.old_mutation_rate = old_mutation_rate
        self._whole_space = space
        self._round = self._turn = 0
        self._elites: tuple[Architecture, ...] = ()
