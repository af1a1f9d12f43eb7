"""Candidate: an architecture with its costs now and before this generation's training; and fronts of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import pandas as pd
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from cars_hw.networks.architecture import Architecture, to_text

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
    """

    architecture: Architecture
    costs: tuple[float, ...]
    previous_error: float | None = None


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


def frame_of(members: Iterable[Candidate], objectives: tuple[str, ...]) -> pd.DataFrame:
    """Return a row for each of ``members``: its architecture as text, and its costs by their names."""
    rows = [(to_text(member.architecture), *member.costs) for member in members]
    return pd.DataFrame(rows, columns=["architecture", *objectives])
