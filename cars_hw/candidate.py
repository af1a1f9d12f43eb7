"""Candidate: an architecture with its costs now and before this generation's training; and fronts of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from cars_hw.errors import SelectionError
from cars_hw.networks.architecture import Architecture, to_text

if TYPE_CHECKING:
    import pandas as pd

#: Characters of an architecture that a table shows.
_SHOWN = 48


@dataclass(frozen=True)
class Candidate:
    """An evaluated architecture.

    Attributes:
        architecture: What was evaluated.
        costs: One cost per objective, all minimised; the first is the error, which training improves; (m,).
        previous_error: The first cost with the weights kept from before this generation's training;
            ``None`` where there are no such weights (after warm-up).
        bounds: What limits are held against in place of the costs, (m,): of a latency that is predicted or
            was measured, the upper end of its interval; ``None``: the costs.
        estimate: What a selection takes for the first cost, on a scale of its round's own: as it ranks the
            candidates; ``None``: that cost itself.

    Raises:
        SelectionError: There are more or fewer bounds than costs.
    """

    architecture: Architecture
    costs: tuple[float, ...]
    previous_error: float | None = None
    bounds: tuple[float, ...] | None = None
    estimate: float | None = None

    def __post_init__(self) -> None:
        if self.bounds is not None and len(self.bounds) != len(self.costs):
            raise SelectionError(f"a candidate of {len(self.costs)} costs has {len(self.bounds)} bounds")

    def with_error(self, error: float) -> Self:
        """Return the candidate with another first cost, which is its own bound."""
        bounds = None if self.bounds is None else (error, *self.bounds[1:])
        return replace(self, costs=(error, *self.costs[1:]), bounds=bounds)

    @property
    def ranked(self) -> tuple[float, ...]:
        """What it is compared by with others of its round, (m,)."""
        return self.costs if self.estimate is None else (self.estimate, *self.costs[1:])

    @property
    def limited(self) -> tuple[float, ...]:
        """What limits are held against, (m,)."""
        return self.costs if self.bounds is None else self.bounds


@runtime_checkable
class Bounded(Protocol):
    """A cost that is not known exactly, as objectives may be."""

    def __call__(self, architecture: Architecture, /) -> float:
        """Return the cost."""
        ...

    def bound(self, architecture: Architecture, cost: float, /) -> float:
        """Return what a limit is held against, where the cost of ``architecture`` is ``cost``."""
        ...


def bounds_of(
    known: Iterable[Callable[[Architecture], float]], architecture: Architecture, costs: tuple[float, ...]
) -> tuple[float, ...] | None:
    """Return the bounds of a candidate with ``costs``; ``None`` where they are the costs.

    Args:
        known: The costs after the error, which is its own bound.
        architecture: The candidate's.
        costs: All of its costs, the error first, (m,).
    """
    pairs = zip(known, costs[1:], strict=True)
    bounds = (
        costs[0],
        *(one.bound(architecture, cost) if isinstance(one, Bounded) else cost for one, cost in pairs),
    )
    return None if bounds == costs else bounds


class Front(tuple[Candidate, ...]):
    """Non-dominated candidates, the most accurate first: a tuple that knows what its costs are called.

    Attributes:
        objectives: Names of the costs.
        measured: Those of the costs that were measured of members, in place of predicted; they may dominate
            each other by these.
    """

    objectives: tuple[str, ...]
    measured: tuple[str, ...]

    def __new__(
        cls,
        members: Iterable[Candidate],
        objectives: Iterable[str] = (),
        *,
        measured: Iterable[str] = (),
    ) -> Self:
        """Return the front of ``members``."""
        front = super().__new__(cls, tuple(members))
        front.objectives, front.measured = tuple(objectives), tuple(measured)
        return front

    @property
    def compared_by(self) -> str:
        """A line that says by what else than their errors members are compared; empty where by these."""
        if all(member.estimate is None for member in self):
            return ""
        return (
            "members are compared by estimates (strategy.errors), such as losses joined with sizes, in place "
            "of the errors that are shown"
        )

    def to_frame(self) -> "pd.DataFrame":
        """Return a row for each member: ``architecture`` as text, and its costs by their names."""
        return frame_of(self, self.objectives)

    def __repr__(self) -> str:
        head = ("#", *self.objectives, "architecture")
        rows = [
            (str(i), *(f"{cost:.6g}" for cost in member.costs), to_text(member.architecture)[:_SHOWN])
            for i, member in enumerate(self)
        ]
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        lines = [
            "  ".join(cell.rjust(n) for cell, n in zip(row, widths, strict=True)) for row in (head, *rows)
        ]
        return "\n".join([f"front of {len(self)}", *lines])

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read and write a front as the list of its members."""
        return core_schema.no_info_after_validator_function(
            cls, handler.generate_schema(tuple[Candidate, ...])
        )


def frame_of(members: Iterable[Candidate], objectives: tuple[str, ...]) -> "pd.DataFrame":
    """Return a row for each of ``members``: its architecture as text, and its costs by their names."""
    import pandas as pd  # takes a quarter of a second, which a search need not spend

    rows = [(to_text(member.architecture), *member.costs) for member in members]
    return pd.DataFrame(rows, columns=["architecture", *objectives])
