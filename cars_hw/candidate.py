"""Candidate: an architecture with its costs now and before this generation's training."""

from dataclasses import dataclass

from cars_hw.networks.architecture import Architecture


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
