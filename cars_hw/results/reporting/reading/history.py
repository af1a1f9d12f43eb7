"""History: the generations of a run for a page, each distinct member once, the oldest thinned out.

The hypervolume is a share of a box: from 0, or from the least cost where that is below, to a reference point
at 1.1 times the largest cost of any population. It is that of the members within the limits, by the costs
that the search selected on: measured latencies are known of the last front alone.
"""

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
from numpy.typing import NDArray

from cars_hw.candidate import Candidate
from cars_hw.config import SearchConfig
from cars_hw.evolution.indicators import hypervolume
from cars_hw.ledger import Json
from cars_hw.networks.architecture import Architecture, to_text
from cars_hw.results.reporting.run_model import GenerationData, Members, Number, number
from cars_hw.results.run_warnings import excesses
from cars_hw.saving.record import Generation

#: The box ends so far beyond the largest cost, as is customary: the largest then counts too.
_BEYOND = 1.1


@dataclass(frozen=True)
class Box:
    """What hypervolumes are shares of.

    Attributes:
        least: Its lower ends, by objective, (m,).
        reference: Its upper ends, (m,).
    """

    least: tuple[float, ...]
    reference: tuple[float, ...]

    @classmethod
    def around(cls, histories: Iterable[Sequence[Generation]]) -> "Box":
        """Return the box of all populations of all runs; there is one member at least."""
        costs = _costs(
            member for history in histories for generation in history for member in _members(generation)
        )
        least, most = np.minimum(costs.min(axis=0), 0.0), costs.max(axis=0)
        span = np.where(most > least, most - least, 1.0)
        return cls(tuple(map(float, least)), tuple(map(float, least + _BEYOND * span)))

    def share(self, members: Iterable[Candidate]) -> float:
        """Return the share of the box that ``members`` dominate, 0..1."""
        costs, least = _costs(members), np.array(self.least)
        if not len(costs):
            return 0.0
        return hypervolume((costs - least) / (np.array(self.reference) - least), (1.0,) * len(least))


@dataclass(frozen=True)
class Told:
    """The generations of a run as a page has them.

    Attributes:
        members: Each distinct one.
        generations: Oldest first.
        numbers: Of the members, by their architectures.
        note: Which generations have no members; empty where all have.
    """

    members: Members
    generations: tuple[GenerationData, ...]
    numbers: Mapping[Architecture, int]
    note: str = ""


def told(config: SearchConfig, history: Sequence[Generation], box: Box, *, most_bytes: int) -> Told:
    """Return the generations of a run, the members of old ones left out where they take too much room.

    Args:
        config: The run's.
        history: Its generations, oldest first; one at least.
        box: For the hypervolumes.
        most_bytes: How long members and generations may be, compressed; the last generation, and a few
            before it, are kept whatever they take.
    """
    figures = [_figures(config, generation, box) for generation in history]
    newest = len(history)
    while True:
        kept = _kept(len(history), newest)
        found = _told_of(config, history, figures, kept)
        if newest <= 1 or _compressed(found) <= most_bytes:
            return found
        newest //= 2


def _kept(n: int, newest: int) -> frozenset[int]:
    """Return which of ``n`` generations keep their members: the newest ones, of those before every second.

    Before these, every fourth, and so on; the first is among them.
    """
    found, place, step = set[int](), n - 1, 1
    while place >= 0:
        for _ in range(newest):
            if place >= 0:
                found.add(place)
            place -= step
        step *= 2
    return frozenset(found | {0})


def _told_of(
    config: SearchConfig,
    history: Sequence[Generation],
    figures: Sequence[GenerationData],
    kept: frozenset[int],
) -> Told:
    """Return the generations, those that are ``kept`` with their members."""
    last: dict[Architecture, Candidate] = {}
    for place in sorted(kept):
        last |= {member.architecture: member for member in _members(history[place])}
    # In the order of their costs, neighbours are alike, and compress well.
    ordered = sorted(last.values(), key=lambda member: (member.costs[1:], member.architecture))
    numbers = {member.architecture: i for i, member in enumerate(ordered)}
    members = Members(
        tuple(to_text(member.architecture) for member in ordered),
        tuple(_shown(member.costs) for member in ordered),
        tuple(None if member.bounds is None else _shown(member.bounds) for member in ordered),
    )
    generations = tuple(
        _with_members(config, generation, one, numbers, last) if place in kept else one
        for place, (generation, one) in enumerate(zip(history, figures, strict=True))
    )
    without = len(history) - len(kept)
    note = (
        f"of {len(history)} generations, {without} older ones are without their members, for which a page "
        "has no room; hypervolumes, errors and times are there of all"
    )
    return Told(members, generations, numbers, note if without else "")


def _figures(config: SearchConfig, generation: Generation, box: Box) -> GenerationData:
    """Return a generation without its members."""
    errors = [member.costs[0] for member in generation.population]
    over = _over_limits(config, generation, generation.front)
    within = [member for member in generation.front if member not in over]
    return GenerationData(
        index=generation.index,
        population=(),
        errors=(),
        others={},
        front=len(generation.front),
        infeasible=(),
        hypervolume=number(box.share(within)),
        best_error=number(min(errors)),
        median_error=number(median(errors)),
        seconds=number(generation.seconds),
        evaluations=number(_evaluations(generation.ledger)),
    )


def _with_members(
    config: SearchConfig,
    generation: Generation,
    figures: GenerationData,
    numbers: Mapping[Architecture, int],
    last: Mapping[Architecture, Candidate],
) -> GenerationData:
    """Return ``figures`` with the members of their generation."""
    members = _members(generation)
    return replace(
        figures,
        population=tuple(numbers[member.architecture] for member in members),
        errors=tuple(number(member.costs[0]) for member in members),
        others={
            numbers[member.architecture]: _shown(member.costs)
            for member in members
            if member.costs[1:] != last[member.architecture].costs[1:]
        },
        infeasible=tuple(
            numbers[member.architecture] for member in _over_limits(config, generation, members)
        ),
    )


def _over_limits(
    config: SearchConfig, generation: Generation, members: Sequence[Candidate]
) -> list[Candidate]:
    """Return those of ``members`` that violate a limit."""
    if not config.all_limits():
        return []
    return [member for member in members if excesses(config, generation, member)]


def _members(generation: Generation) -> list[Candidate]:
    """Return the front, then the others by their costs."""
    front = {member.architecture for member in generation.front}
    others = {
        member.architecture: member for member in generation.population if member.architecture not in front
    }
    return [*generation.front, *sorted(others.values(), key=lambda member: member.costs)]


def _costs(members: Iterable[Candidate]) -> NDArray[np.float64]:
    """Return the costs of ``members``, (n, m)."""
    return np.array([member.costs for member in members])


def _shown(costs: Sequence[float]) -> tuple[Number, ...]:
    return tuple(map(number, costs))


def _evaluations(ledger: Mapping[str, Json]) -> float:
    found = ledger.get("evaluations", 0)
    return float(found) if isinstance(found, int | float) else 0.0


def _compressed(found: Told) -> int:
    """Return how long members and generations are, as a page has them, compressed."""
    values = [vars(found.members), *map(vars, found.generations)]
    return len(zlib.compress(json.dumps(values, separators=(",", ":")).encode(), 6))
