"""A tiny space, a trainer whose accuracies are curves, and rounds of a search in milliseconds."""

import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from cars_hw.candidate import Candidate
from cars_hw.ledger import Ledger, Weights
from cars_hw.networks.architecture import Architecture, checked
from cars_hw.networks.graph import IMAGE, Graph, Node
from cars_hw.objectives import Error, Objective, Parameters
from cars_hw.saving.checkpoint import CheckpointFolder
from cars_hw.search import Schedule, Search
from cars_hw.spaces._space import Scale, SearchSpace
from cars_hw.strategies._strategy import Strategy
from cars_hw.trainer import OptionGradients, TrainerState
from latency_tables import OpSpec


class TinySpace(SearchSpace):
    """A chain of convolutions, as wide as its images; decision d chooses the kernel of node d.

    Args:
        choices: Options per decision.
        groups: Decisions that move together.

    Attributes:
        widening: How much larger the kernel of each option is than that of the one before.
    """

    widening = 2
    image_shape = (4, 8, 8)
    classes = 4
    deploys_search_graph = True

    def __init__(
        self,
        choices: tuple[int, ...] = (4, 3, 4, 3),
        groups: tuple[tuple[int, ...], ...] = ((0, 1), (2, 3)),
    ) -> None:
        super().__init__()
        self.choices, self.groups = choices, groups

    def graph(self, architecture: Architecture, scale: Scale = "search") -> Graph:
        options = enumerate(checked(architecture, self.choices))
        return Graph(tuple(self._node(decision, option) for decision, option in options))

    def all_nodes(self, scale: Scale = "search") -> Iterator[Node]:
        for decision, options in enumerate(self.allowed):
            for option in options:
                yield self._node(decision, option)

    def _node(self, decision: int, option: int) -> Node:
        shape = (1, *self.image_shape)
        kernel = self.widening * option + 1
        spec = OpSpec.of("conv_bn", shape, out=shape[1], kernel=kernel, stride=1, affine=1)
        return Node(f"node{decision}", spec, (f"node{decision - 1}" if decision else IMAGE,))


class CurveTrainer:
    """Shared weights whose accuracy depends on the number of steps alone: large is slower, and better later.

    Attributes:
        stepped: What each step was taken on.
        activated: The options that it was asked to keep, and whether on soft paths.
        resets: For each time that all weights were drawn anew, the steps that it was said to be for.
        search: The search that ``play`` runs with it.
    """

    has_fixed_errors = False
    numerics = 1

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.stepped: list[list[Architecture]] = []
        self.activated: list[tuple[tuple[tuple[int, ...], ...], bool]] = []
        self.resets: list[int] = []
        self.search: Search | None = None
        self._previous = 0

    def activate(self, space: SearchSpace, *, soft_path: bool = False) -> None:
        self.activated.append((space.allowed, soft_path))

    def reset(self, steps: int) -> None:
        self.resets.append(steps)

    def option_gradients(self, chosen: Architecture, other: Architecture) -> OptionGradients:
        """Return a loss that falls with every larger option."""
        self.ledger.add_option_step(1, 0.0)
        pairs = list(zip(chosen, other, strict=True))
        return OptionGradients(
            1.0,
            tuple(-float(mine) if mine != its else 0.0 for mine, its in pairs),
            tuple(-float(its) if mine != its else 0.0 for mine, its in pairs),
        )

    def remember(self) -> None:
        self._previous = self.ledger.steps

    def step(self, architectures: Sequence[Architecture]) -> float:
        self.stepped.append(list(architectures))
        self.ledger.add_step(len(architectures), 0.0)
        return 1.0

    def accuracy(self, architecture: Architecture, weights: Weights = "current") -> float:
        self.ledger.add_evaluation(1, 0.0, weights=weights)
        steps = self._previous if weights == "previous" else self.ledger.steps
        size = sum(architecture)
        return (0.5 + 0.02 * size) * (1.0 - math.exp2(-steps / (3.0 + 5.0 * size)))

    def state(self) -> TrainerState:
        return TrainerState({}, {"ledger": self.ledger.to_json(), "previous": self._previous})

    def restore(self, state: TrainerState) -> None:
        ledger, previous = state.values["ledger"], state.values["previous"]
        assert isinstance(ledger, dict)
        assert isinstance(previous, int)
        self.ledger.restore(ledger)
        self._previous = previous


class Killed(BaseException):
    """What no part of a search may catch: as sudden as a signal."""


class KillingClock:
    """A clock by which a search saves at one safe point, and that kills it at the next.

    Args:
        safe_point: Number of the safe point, from 1.
    """

    def __init__(self, safe_point: int) -> None:
        self._due, self._looks = safe_point + 3, 0  # the first three looks are at the beginning

    def __call__(self) -> float:
        self._looks += 1
        if self._looks > self._due + 2:  # two for the time that saving takes
            raise Killed
        return 1e9 if self._looks >= self._due else 0.0


def play(
    strategy: Strategy,
    trainer: CurveTrainer,
    rounds: int = 1,
    *,
    steps: int = 5,
    generations: int = 3,
    folder: Path | None = None,
) -> None:
    """Run ``rounds`` of a search; called again with the same trainer, it goes on with the same search.

    Args:
        strategy: The algorithm.
        trainer: Holds the search.
        rounds: How many.
        steps: Training steps in each.
        generations: Of the search, after its first round, where the strategy was not told another number.
        folder: Where it is saved, and resumed from where it was.
    """
    planned = strategy.facts.generations if strategy.facts.generations is not None else generations
    schedule = Schedule(steps, steps, planned)
    if trainer.search is None:
        checkpoints = CheckpointFolder(folder) if folder else None
        costs: list[Objective] = [Error(trainer), Parameters(strategy.space), FirstOption()]
        trainer.search = Search(trainer, strategy, costs, schedule, checkpoints=checkpoints, screening=False)
        trainer.search.resume()
    assert trainer.search.strategy is strategy
    trainer.search.schedule = schedule
    assert len(list(itertools.islice(trainer.search.run(), rounds))) == rounds, (
        "the search has no more rounds"
    )


class FirstOption(Objective):
    """A latency that falls with the first option."""

    name = "latency_ms"

    def __call__(self, architecture: Architecture) -> float:
        return 9.0 - architecture[0]


def evaluate(strategy: Strategy, trainer: CurveTrainer) -> list[Candidate]:
    """Evaluate what is asked for by the costs of ``play``, for tests that ``tell`` themselves."""
    parameters, latency_ms = Parameters(strategy.space), FirstOption()
    later = strategy.needs_previous_error and bool(strategy.population)
    candidates = []
    for architecture in strategy.ask():
        previous = 1.0 - trainer.accuracy(architecture, "previous") if later else None
        costs = (1.0 - trainer.accuracy(architecture), parameters(architecture), latency_ms(architecture))
        candidates.append(Candidate(architecture, costs, previous))
    return candidates
