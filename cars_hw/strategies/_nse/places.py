"""Places: where the operations of a space compete, whatever its decisions look like."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from cars_hw.networks.architecture import Architecture
from cars_hw.spaces._space import BranchSet, SearchSpace
from cars_hw.strategies._nse.inclusion import Draws, Size

#: Numbers of operations, for each place.
Operations = tuple[tuple[int, ...], ...]


@runtime_checkable
class BranchedSpace(Protocol):
    """A space in which some layers have any few of their operations."""

    @property
    def branch_sets(self) -> tuple[BranchSet, ...]:
        """Groups whose options are not alternatives, but say which branches a layer has."""
        ...


def branch_sets(space: SearchSpace) -> tuple[BranchSet, ...]:
    """Return what ``space`` says of its branches; where it says nothing, all options are alternatives."""
    return space.branch_sets if isinstance(space, BranchedSpace) else ()


@dataclass(frozen=True)
class Place:
    """Where some operations compete.

    Attributes:
        decisions: What it is about.
        operations: Their numbers, counted over all places.
        size: How many are in a network at once.
    """

    decisions: tuple[int, ...]
    operations: range
    size: Size


class Places:
    """The places of a space: the branches of each layer, and each decision that is no branch.

    An operation is a decision with one of its options: the option "yes" of a branch, or an alternative.
    Networks have few or many of the branches, and exactly one of the alternatives.

    Args:
        space: Whose options compete; of a restricted one, those that it still has.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space, self._branch_sets = space, branch_sets(space)
        self._options: list[tuple[int, int]] = []
        self._places: list[Place] = []
        for layer in self._branch_sets:
            branches = [(decision, 1) for decision in layer.decisions if 1 in space.allowed[decision]]
            self._add(layer.decisions, branches, Size(layer.fewest, layer.most))
        others = set(range(len(space.choices))) - {d for layer in self._branch_sets for d in layer.decisions}
        for decision in sorted(others):
            self._add((decision,), [(decision, option) for option in space.allowed[decision]], Size(1, 1))

    def _add(self, decisions: tuple[int, ...], options: list[tuple[int, int]], size: Size) -> None:
        start = len(self._options)
        self._options += options
        self._places.append(Place(decisions, range(start, len(self._options)), size))

    def __iter__(self) -> Iterator[Place]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def n_operations(self) -> int:
        """Operations of all places."""
        return len(self._options)

    def architectures(self, operations: Operations, drawn: Sequence[Draws]) -> list[Architecture]:
        """Put networks together.

        Args:
            operations: For each place, k operations.
            drawn: For each place, which of them the n networks have, ``(n, k)``.
        """
        options = np.zeros((len(drawn[0]), len(self._space.choices)), dtype=np.intp)
        for at_place, included in zip(operations, drawn, strict=True):
            for operation, is_in in zip(at_place, included.T, strict=True):
                decision, option = self._options[operation]
                options[is_in, decision] = option
        return [tuple(row) for row in options.tolist()]

    def used(self, architectures: Collection[Architecture]) -> Operations:
        """Return the operations that some of ``architectures`` have, for each place."""
        return tuple(
            tuple(
                operation
                for operation in place.operations
                if any(a[self._options[operation][0]] == self._options[operation][1] for a in architectures)
            )
            for place in self._places
        )

    def restricted(self, operations: Operations) -> SearchSpace:
        """Return the space with only ``operations``."""
        allowed: list[set[int]] = [set() for _ in self._space.choices]
        for layer in self._branch_sets:
            for decision in layer.decisions:
                allowed[decision].add(0)
        for operation in (operation for at_place in operations for operation in at_place):
            decision, option = self._options[operation]
            allowed[decision].add(option)
        return self._space.restrict([sorted(options) for options in allowed])
