"""The contract of a search algorithm: what to train, what to evaluate, what to keep."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from pydantic import TypeAdapter

from cars_hw.candidate import Candidate, bounds_of
from cars_hw.errors import ArchitectureError, CheckpointError, SelectionError
from cars_hw.evolution import domination, estimating
from cars_hw.ledger import Json
from cars_hw.networks.architecture import Architecture, checked
from cars_hw.spaces._space import SearchSpace
from cars_hw.trainer import Trainer
from devices.foundation import Settings, plugin_name, settings_type

#: Total constraint violation of costs, or bounds of them (m,): 0 where all constraints hold.
Violation = Callable[[tuple[float, ...]], float]

#: A cost that is known without evaluation.
KnownCost = Callable[[Architecture], float]

#: Draws so many new architectures; fewer where there are no more.
Draw = Callable[[int], list[Architecture]]

#: Chooses, of what it draws, so many architectures that are worth an evaluation; see evolution/screening.py.
NewcomerScreen = Callable[[Draw, int], list[Architecture]]

#: Steps for which architectures are drawn at once.
_DRAWN_AHEAD = 64


@dataclass(frozen=True)
class SearchFacts:
    """What a search tells its strategy before the first round.

    Attributes:
        generations: Number of generations after the first round; ``None`` where there is no plan.
        steps: Training steps in each of them; ``None`` where there is no plan.
        known_costs: The costs that are minimised beside the error, by their names.
        screen: Chooses among new architectures before they are evaluated; ``None`` takes all.
        by_promise: Whether it chooses by what it expects of errors, not by limits alone.
    """

    generations: int | None = None
    steps: int | None = None
    known_costs: Mapping[str, KnownCost] = field(default_factory=dict)
    screen: NewcomerScreen | None = None
    by_promise: bool = True


@dataclass(frozen=True)
class _State:
    """What decides a strategy's next actions."""

    population: tuple[Candidate, ...]
    rng: dict[str, Json]


_STATE = TypeAdapter(_State)


def unconstrained(costs: tuple[float, ...]) -> float:
    """Violate nothing."""
    return 0.0


class Strategy(ABC):
    """A search algorithm as ask and tell, with a say in what is trained.

    A search first tells what it knows by ``begin``. The first round is ``warm_up``, ``ask``, evaluate,
    ``estimated``, ``tell``; every later one is the same with ``train`` for ``warm_up``. A further ``ask``
    before ``tell`` draws anew; ``tell`` goes by what it is told, not by what was asked.

    An algorithm declares its hyper-parameters once, ``settings: MySettings`` in its class body.

    Args:
        space: The architectures to search.
        rng: The only source of the algorithm's randomness; the strategy owns it.
        violation: Total constraint violation of what limits are held against: ``Candidate.limited``.
        settings: The algorithm's hyper-parameters, by name.

    Attributes:
        settings: The hyper-parameters, checked.
        space: The architectures that are searched now: the given ones, or a restriction that ``tell`` chose.
        population: The candidates kept by the last ``tell``, with their costs of then.
        facts: What the search knows; nothing before ``begin``.
        numerics: Raised when the same checkpoint would go on otherwise than before; a search refuses one of
            another number.
        is_screened: Whether its new architectures are screened where a search is not told.
        soft_path: Whether weights are trained and judged on the soft graphs of architectures.
        plans_by_rounds: Whether what it does follows from ``facts.generations``, the number of rounds. Its
            searches cannot be extended: a longer one would have been another from the beginning.

    Raises:
        UnknownNameError: A setting that the algorithm does not have.
        ConfigError: A setting of another type or out of bounds, or settings that do not go together.
    """

    settings: Settings

    numerics: ClassVar[int] = 1
    is_screened = False
    soft_path = False
    plans_by_rounds = False

    def __init__(
        self,
        space: SearchSpace,
        rng: np.random.Generator,
        /,
        *,
        violation: Violation = unconstrained,
        **settings: object,
    ) -> None:
        self.settings = settings_type(type(self)).checked(plugin_name(type(self)), settings)
        self.space = space
        self.rng = rng
        self.violation = violation
        self.population: tuple[Candidate, ...] = ()
        self.facts = SearchFacts()

    def __repr__(self) -> str:
        population = f"population of {len(self.population)}" if self.population else "no population yet"
        return f"<{plugin_name(type(self))} on {self.space.name}: {population}>"

    @property
    def needs_previous_error(self) -> bool:
        """Whether every candidate's error before this generation's training must be known."""
        return False

    @property
    def errors_by(self) -> estimating.ErrorsBy:
        """What candidates are compared by in place of their errors, if by anything else."""
        return "measured"

    def begin(self, facts: SearchFacts) -> None:
        """Take, before the first round, what the search knows."""
        self.facts = facts

    def warm_up(self, trainer: Trainer, steps: int) -> None:
        """Take ``steps`` training steps, each on one architecture drawn uniformly from the space."""
        for _ in range(steps):
            trainer.step([self.space.sample(self.rng)])

    def train(self, trainer: Trainer, steps: int) -> None:
        """Take ``steps`` training steps, each on the architectures of one ``to_train``."""
        for start in range(0, steps, _DRAWN_AHEAD):
            # Some ahead: between two steps, whose tensors fill the caches, drawing takes far longer.
            drawn = [self.to_train() for _ in range(min(steps - start, _DRAWN_AHEAD))]
            for architectures in drawn:
                trainer.step(architectures)

    @abstractmethod
    def to_train(self) -> Sequence[Architecture]:
        """Choose the architectures whose mean gradient makes the next step."""

    @abstractmethod
    def ask(self) -> Sequence[Architecture]:
        """Return distinct architectures to evaluate with today's weights."""

    def estimated(
        self, evaluated: Sequence[Candidate], losses: Mapping[Architecture, float]
    ) -> list[Candidate]:
        """Return what a round evaluated, with estimates where ``errors_by`` asks for them.

        Args:
            evaluated: What ``ask`` returned, with its costs.
            losses: Mean losses on the images that the errors are of, of those of which they are told.
        """
        return estimating.estimated(evaluated, losses, errors_by=self.errors_by, space=self.space)

    @abstractmethod
    def tell(self, evaluated: Sequence[Candidate]) -> None:
        """Take what ``estimated`` made of what ``ask`` returned, and choose the next population.

        Raises:
            SelectionError: Nothing was evaluated, or a cost is NaN or infinite.
        """

    def renew_known_costs(self) -> None:
        """Give the population the known costs of today, where a search goes on by another table.

        Errors stay. An algorithm that remembers costs elsewhere, from one round to the next, renews them too.
        """
        known = self.facts.known_costs.values()

        def renewed(member: Candidate) -> Candidate:
            costs = (member.costs[0], *(cost(member.architecture) for cost in known))
            return replace(member, costs=costs, bounds=bounds_of(known, member.architecture, costs))

        self.population = tuple(map(renewed, self.population))

    def screen(self, draw: Draw, n: int) -> list[Architecture]:
        """Return up to ``n`` new architectures that are worth an evaluation; no other new ones are asked."""
        return draw(n) if self.facts.screen is None else self.facts.screen(draw, n)

    def front(self) -> tuple[Candidate, ...]:
        """Return the front of the population."""
        return self.front_of(self.population)

    def front_of(self, candidates: Sequence[Candidate]) -> tuple[Candidate, ...]:
        """Return the non-dominated candidates: of the feasible ones, if there are any.

        Sorted by the first cost, or by what stands for it, then by the others.
        """
        if not candidates:
            return ()
        first = domination.fronts(*self.ranking(candidates))[0]
        return tuple(sorted((candidates[i] for i in first), key=lambda member: (member.ranked, member.costs)))

    def ranking(self, candidates: Sequence[Candidate]) -> tuple[domination.Costs, domination.Costs]:
        """Return what a selection goes by: costs ``(n, m)`` and total violations ``(n,)``.

        Raises:
            SelectionError: There is no candidate, or a cost is NaN or infinite.
        """
        costs = domination.as_costs([candidate.ranked for candidate in candidates])
        violations = np.array(
            [self.violation(candidate.limited) for candidate in candidates], dtype=np.float64
        )
        return costs, violations

    def state(self) -> dict[str, Json]:
        """Return, as JSON, what decides the algorithm's next actions: population and generator.

        An algorithm that remembers more adds keys of its own.
        """
        state = _State(self.population, dict(self.rng.bit_generator.state))
        values: dict[str, Json] = _STATE.dump_python(state, mode="json")
        return values

    def restore(self, state: Mapping[str, Json]) -> None:
        """Continue as the strategy that returned ``state`` would have.

        Raises:
            CheckpointError: The state is damaged, or of another space.
        """
        try:
            values = _STATE.validate_python(dict(state))
            if values.population:
                domination.as_costs([member.costs for member in values.population])
                domination.as_costs([member.ranked for member in values.population])
                domination.as_costs([member.limited for member in values.population])
            for member in values.population:
                checked(member.architecture, self.space.choices)
            self.rng.bit_generator.state = values.rng
        except (ArchitectureError, SelectionError, KeyError, OverflowError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise CheckpointError(f"the strategy's state cannot be restored: {reason}") from error
        self.population = values.population


def distinct_candidates(evaluated: Sequence[Candidate]) -> list[Candidate]:
    """Return one candidate per architecture, in the order of the first, with the costs of the last."""
    return list({candidate.architecture: candidate for candidate in evaluated}.values())
