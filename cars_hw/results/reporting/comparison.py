"""Comparison: runs beside each other in a few figures, for whoever looks at no page."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cars_hw.evolution.domination import non_dominated
from cars_hw.ledger import Json
from cars_hw.results.reporting.frames import Row
from cars_hw.results.reporting.model import Configuration, Page, Pooled
from cars_hw.results.reporting.reading.pages import page_of
from cars_hw.results.reporting.run_model import Number, RunData, number
from cars_hw.runs import Run
from devices.foundation import ConfigError


@dataclass(frozen=True)
class Comparison:
    """Runs beside each other.

    Attributes:
        page: All that a page shows of them.
        generation: The last one that all of them reached, at which configurations are compared.
        runs: A row each, at their last generations.
        configurations: A row each: runs that differ in the seed alone, pooled.
    """

    page: Page
    generation: int
    runs: tuple[Row, ...]
    configurations: tuple[Row, ...]

    def to_json(self) -> dict[str, Json]:
        """Return the figures, the reference point of hypervolumes, and the settings that differ."""
        names = [one.label for one in self.page.configurations]
        return {
            "generation": self.generation,
            "reference": dict(
                zip((one.name for one in self.page.objectives), self.page.reference, strict=True)
            ),
            "runs": [dict(row) for row in self.runs],
            "configurations": [dict(row) for row in self.configurations],
            "differences": {
                one.key: dict(zip(names, one.values, strict=True)) for one in self.page.differences
            },
            "warnings": {run.name: [one.text for one in run.warnings] for run in self.page.runs},
        }


def compare(runs: Sequence[Run]) -> Comparison:
    """Hold runs against each other: hypervolume under one reference point, errors, costs, what was spent.

    Args:
        runs: Two or more, of one space, the same objectives and the same latency tables.

    Raises:
        CheckpointError: A run has no complete generation, is damaged, or does not compare with the first.
        ConfigError: There is one run alone, or one is given twice.
    """
    if len(runs) < 2:
        raise ConfigError("a comparison takes two runs or more; name another one, or report this one")
    page = page_of(runs)
    generation = min(run.generations[-1].index for run in page.runs)
    joint = _joint_front(page)
    return Comparison(
        page,
        generation,
        tuple(_run_row(page, run) for run in page.runs),
        tuple(
            _configuration_row(one, generation, joint.count(i), len(joint))
            for i, one in enumerate(page.configurations)
        ),
    )


def _run_row(page: Page, run: RunData) -> Row:
    last = run.generations[-1]
    costs = {
        f"least {one.name}": min(member.costs[i] for member in run.front)
        for i, one in enumerate(page.objectives)
    }
    return {
        "run": run.name,
        "seed": run.seed,
        "generation": last.index,
        "planned": run.planned,
        "hypervolume": last.hypervolume,
        **costs,
        "front": len(run.front),
        "evaluations": last.evaluations,
        "seconds": number(sum(one.seconds for one in run.generations)),
        "warnings": len(run.warnings),
    }


def _configuration_row(one: Configuration, generation: int, kept: int, of: int) -> Row:
    """Return a configuration at ``generation``.

    Args:
        one: The configuration.
        generation: One that all of its runs reached.
        kept: How many members of the joint front are its own.
        of: How many that has.
    """
    return {
        "configuration": one.label,
        "seeds": len(one.runs),
        **_pooled("hypervolume", one.hypervolume, generation),
        **_pooled("best error", one.best_error, generation),
        "of the joint front": f"{kept} of {of}",
    }


def _pooled(name: str, figure: Pooled, generation: int) -> Row:
    """Return mean, spread and range of a figure; of one seed, no spread."""
    place = figure.generation.index(generation)
    deviation: Number | None = figure.deviation[place]
    return {
        name: figure.mean[place],
        f"{name} deviation": deviation,
        f"{name} least": figure.least[place],
        f"{name} most": figure.most[place],
    }


def _joint_front(page: Page) -> list[int]:
    """Return, for each member that none of any configuration dominates, the number of its configuration."""
    members = [
        (i, page.runs[run].front[place].costs)
        for i, one in enumerate(page.configurations)
        for run, place in one.front
    ]
    if not members:
        return []
    kept = non_dominated(np.array([costs for _, costs in members], dtype=float)).tolist()
    return [members[place][0] for place in kept]
