"""Page: the data of a page about one or several runs, as plain values; what draws it knows nothing else."""

from dataclasses import dataclass

from pydantic import TypeAdapter

from cars_hw.ledger import Json
from cars_hw.results.reporting.run_model import Number, Quantity, RunData

#: Of the form of ``Page.to_json``.
FORMAT = 1


@dataclass(frozen=True)
class Pooled:
    """A figure of several seeds, generation by generation; of one seed, that one's.

    Attributes:
        generation: (g,).
        runs: How many seeds reached it, (g,).
        mean: Over these, (g,).
        deviation: Their standard deviation, (g,); ``None`` where there is one alone.
        least: (g,).
        most: (g,).
    """

    generation: tuple[int, ...]
    runs: tuple[int, ...]
    mean: tuple[Number, ...]
    deviation: tuple[Number | None, ...]
    least: tuple[Number, ...]
    most: tuple[Number, ...]


@dataclass(frozen=True)
class Configuration:
    """Runs that differ in nothing but the seed, and places of files.

    Attributes:
        label: Short: the name of its only run, or of its runs.
        runs: Their numbers in ``Page.runs``.
        hypervolume: Pooled.
        best_error: Pooled.
        front: The members of all last fronts that no other dominates: numbers of run and of member in its
            front.
    """

    label: str
    runs: tuple[int, ...]
    hypervolume: Pooled
    best_error: Pooled
    front: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Difference:
    """A setting in which configurations differ.

    Attributes:
        key: Dotted.
        values: As text, by configuration; ``"-"`` where there is none.
    """

    key: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Page:
    """Everything that a page shows.

    Attributes:
        title: Of the page.
        made_by: Name and version of this program.
        objectives: What the costs are, in the order of all costs, (m,).
        reference: The point at which the box ends that hypervolumes are shares of, (m,): 1.1 times the
            largest cost of any population, of all runs.
        configurations: Runs that differ in the seed alone, together.
        differences: The settings in which the configurations differ.
        runs: The runs, as they were given.
    """

    title: str
    made_by: str
    objectives: tuple[Quantity, ...]
    reference: tuple[Number, ...]
    configurations: tuple[Configuration, ...]
    differences: tuple[Difference, ...]
    runs: tuple[RunData, ...]

    def to_json(self) -> dict[str, Json]:
        """Return everything by the names of the attributes, with ``format``; keys are text throughout."""
        values: dict[str, Json] = _PAGE.dump_python(self, mode="json")
        return {"format": FORMAT, **values}


_PAGE = TypeAdapter(Page)
