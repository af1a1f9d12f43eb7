"""Page: the data of a page about one or several runs, as plain values; what draws it knows nothing else."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from cars_hw.ledger import Json
from cars_hw.results.reporting.frames import OF_RUNS, Row, rows_of
from cars_hw.results.reporting.run_model import Number, Quantity, RunData
from devices.foundation import UnknownNameError

if TYPE_CHECKING:
    import pandas as pd

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
        made_by: Name of this program.
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

    @property
    def tables(self) -> tuple[str, ...]:
        """What ``to_frame`` has: all that the page shows."""
        return (*OF_RUNS, *_OF_PAGES)

    def to_frame(self, table: str = "front") -> "pd.DataFrame":
        """Return one table of what the page shows, of all runs together; a cell that is not known is missing.

        Args:
            table: One of ``tables``.

        Raises:
            UnknownNameError: There is no such table.
        """
        import pandas as pd  # takes a quarter of a second, which a page need not spend

        if table in OF_RUNS:
            names = [one.name for one in self.objectives]
            return pd.DataFrame([row for run in self.runs for row in rows_of(table, run, names)])
        if table not in _OF_PAGES:
            raise UnknownNameError("table", table, self.tables)
        return pd.DataFrame(list(_OF_PAGES[table](self)))


_PAGE = TypeAdapter(Page)


def _objectives(page: Page) -> Iterator[Row]:
    for one, reference in zip(page.objectives, page.reference, strict=True):
        yield {"name": one.name, "label": one.label, "unit": one.unit, "reference": reference}


def _pooled(page: Page) -> Iterator[Row]:
    for one in page.configurations:
        for figure, pooled in (("hypervolume", one.hypervolume), ("best_error", one.best_error)):
            columns = (
                pooled.generation,
                pooled.runs,
                pooled.mean,
                pooled.deviation,
                pooled.least,
                pooled.most,
            )
            for generation, runs, mean, deviation, least, most in zip(*columns, strict=True):
                yield {
                    "configuration": one.label,
                    "figure": figure,
                    "generation": generation,
                    "runs": runs,
                    "mean": mean,
                    "deviation": deviation,
                    "least": least,
                    "most": most,
                }


def _pooled_fronts(page: Page) -> Iterator[Row]:
    for one in page.configurations:
        for run, number in one.front:
            yield {"configuration": one.label, "run": page.runs[run].name, "number": number}


def _differences(page: Page) -> Iterator[Row]:
    for one in page.differences:
        for configuration, value in zip(page.configurations, one.values, strict=True):
            yield {"key": one.key, "configuration": configuration.label, "value": value}


#: The tables that are of all runs together.
_OF_PAGES = MappingProxyType[str, Callable[[Page], Iterator[Row]]](
    {
        "objectives": _objectives,
        "pooled": _pooled,
        "pooled_fronts": _pooled_fronts,
        "differences": _differences,
    }
)
