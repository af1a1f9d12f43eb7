"""Front: the non-dominated members of a population, and a round of a search."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import pandas as pd
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from cars_hw.candidate import Candidate
from cars_hw.ledger import Json
from cars_hw.networks.architecture import to_text

#: Characters of an architecture that a table shows.
_SHOWN = 48


class Front(tuple[Candidate, ...]):
    """Non-dominated candidates, the most accurate first: a tuple that knows what its costs are called.

    Attributes:
        objectives: Names of the costs.
    """

    objectives: tuple[str, ...]

    def __new__(cls, members: Iterable[Candidate], objectives: Iterable[str] = ()) -> Self:
        """Return the front of ``members``."""
        front = super().__new__(cls, tuple(members))
        front.objectives = tuple(objectives)
        return front

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each member: ``architecture`` as text, and its costs by their names."""
        return _frame(self, self.objectives)

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


@dataclass(frozen=True)
class Generation:
    """One round of a search.

    Attributes:
        index: 0 after warm-up, then 1, 2, ...
        population: The candidates that the strategy keeps.
        front: The non-dominated ones among them, sorted by cost.
        objectives: Names of the costs.
        ledger: What has been spent so far.
        seconds: Time of this round.
    """

    index: int
    population: tuple[Candidate, ...]
    front: Front
    objectives: tuple[str, ...]
    ledger: Mapping[str, Json]
    seconds: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "front", Front(self.front, self.objectives))

    def costs_of(self, member: Candidate) -> dict[str, float]:
        """Return the costs of ``member`` by the names of the objectives."""
        return dict(zip(self.objectives, member.costs, strict=True))

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each member of the population: architecture, costs, whether it is in the front."""
        frame = _frame(self.population, self.objectives)
        in_front = {member.architecture for member in self.front}
        return frame.assign(in_front=[member.architecture in in_front for member in self.population])

    def __str__(self) -> str:
        best = ", ".join(
            f"{name} {min(member.costs[i] for member in self.population):.4g}"
            for i, name in enumerate(self.objectives)
        )
        return (
            f"generation {self.index}: front of {len(self.front)} among {len(self.population)}; best {best}"
        )

    def __repr__(self) -> str:
        return f"<{self}>"


def _frame(members: Iterable[Candidate], objectives: tuple[str, ...]) -> pd.DataFrame:
    rows = [(to_text(member.architecture), *member.costs) for member in members]
    return pd.DataFrame(rows, columns=["architecture", *objectives])
