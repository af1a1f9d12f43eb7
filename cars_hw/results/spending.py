"""Spending: what a search cost, counted as it was and as the CARS paper counts.

Yang et al., CVPR 2020, arXiv 1909.04977: there, evaluating a generation takes as long as evaluating one of
its members, as if each had a device of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from cars_hw.ledger import Json


@dataclass(frozen=True)
class Expense:
    """One line of the ledger.

    Attributes:
        what: What was done.
        count: How often.
        images: Images that went through a network for it.
        seconds: Time in it.
    """

    what: str
    count: float
    images: float
    seconds: float


def expenses(ledger: Mapping[str, Json], generations: int) -> list[Expense]:
    """Return training, evaluation and their sum, then evaluation and sum as published.

    Args:
        ledger: Figures of a ``Ledger`` by name; one that is missing counts as 0.
        generations: How often a population was evaluated.
    """
    training = Expense(
        "training steps",
        _figure(ledger, "steps") + _figure(ledger, "option_steps"),
        _figure(ledger, "training_images"),
        _figure(ledger, "training_s"),
    )
    every = Expense(
        "evaluations, every one",
        _figure(ledger, "evaluations"),
        _figure(ledger, "evaluation_images"),
        _figure(ledger, "evaluation_s"),
    )
    share = min(generations / every.count, 1.0) if every.count else 0.0
    one = Expense(
        "evaluations, one a generation",
        every.count * share,
        every.images * share,
        every.seconds * share,
    )
    return [
        training,
        every,
        _sum("in all", training, every),
        one,
        _sum("in all, as published", training, one),
    ]


def table(ledger: Mapping[str, Json], generations: int) -> tuple[list[str], list[list[str]]]:
    """Return the expenses as text: the names of the columns, and the rows."""
    rows = [
        [expense.what, f"{expense.count:.0f}", f"{expense.images:.0f}", f"{expense.seconds:.1f}"]
        for expense in expenses(ledger, generations)
    ]
    return ["spent on", "count", "images", "seconds"], rows


def _figure(ledger: Mapping[str, Json], name: str) -> float:
    figure = ledger.get(name, 0)
    return float(figure) if isinstance(figure, int | float) else 0.0


def _sum(what: str, training: Expense, evaluation: Expense) -> Expense:
    return Expense(
        what,
        training.count + evaluation.count,
        training.images + evaluation.images,
        training.seconds + evaluation.seconds,
    )
