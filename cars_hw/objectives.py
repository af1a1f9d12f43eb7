"""Objectives: named costs of an architecture, all minimised."""

from collections.abc import Sequence
from typing import Protocol

from cars_hw.networks.architecture import Architecture
from cars_hw.spaces._space import SearchSpace
from cars_hw.trainer import Trainer
from latency_tables import LatencyModel


class Objective(Protocol):
    """A cost with its unit in its name."""

    name: str

    def __call__(self, architecture: Architecture) -> float:
        """Return the cost of ``architecture``."""
        ...


class Error:
    """Share of fitness images classified wrongly with today's weights; training improves it."""

    name = "error"

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer

    def __call__(self, architecture: Architecture) -> float:
        """Evaluate ``architecture`` on the fitness images."""
        return 1.0 - self._trainer.accuracy(architecture)


class Parameters:
    """Learnable parameters of the deployed network."""

    name = "parameters"

    def __init__(self, space: SearchSpace) -> None:
        self._space = space

    def __call__(self, architecture: Architecture) -> float:
        """Count by arithmetic."""
        return float(self._space.graph(architecture, "deploy").parameters())


class Macs:
    """Multiply-accumulates of the deployed network for one image."""

    name = "macs"

    def __init__(self, space: SearchSpace) -> None:
        self._space = space

    def __call__(self, architecture: Architecture) -> float:
        """Count by arithmetic."""
        return float(self._space.graph(architecture, "deploy").macs())


class Latency:
    """Predicted latency of the deployed network in milliseconds, from a table.

    Counts what the table's runtime executes of the graph.
    """

    name = "latency_ms"

    def __init__(self, space: SearchSpace, model: LatencyModel) -> None:
        self._space = space
        self._model = model

    def __call__(self, architecture: Architecture) -> float:
        """Predict from the table.

        Raises:
            MissingEntryError: The table lacks one of the architecture's operations.
        """
        graph = self._space.graph(architecture, "deploy").executed(self._model.runtime)
        return self._model.predict(graph.specs()).latency_s * 1e3


class MaximumLatency:
    """The constraint latency <= budget, as a violation for Deb's rules: the excess relative to the budget.

    Args:
        objectives: Those of the search; one of them must be ``latency_ms``.
        max_latency_ms: The budget.
    """

    def __init__(self, objectives: Sequence[Objective], max_latency_ms: float) -> None:
        self._index = [objective.name for objective in objectives].index(Latency.name)
        self._max_latency_ms = max_latency_ms

    def __call__(self, costs: tuple[float, ...]) -> float:
        """Return 0 within the budget, else the relative excess."""
        return max(0.0, costs[self._index] / self._max_latency_ms - 1.0)
