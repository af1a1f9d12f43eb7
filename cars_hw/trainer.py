"""Trainer: what a search asks of shared weights. No torch, so that an algorithm is testable without it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, SupportsFloat, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from cars_hw.ledger import Json, Ledger, Weights
from cars_hw.networks.architecture import Architecture
from cars_hw.spaces._space import SearchSpace


@dataclass(frozen=True)
class TrainerState:
    """Everything that decides what a trainer does next.

    Attributes:
        arrays: Weights, optimiser state and generator states by name.
        values: Counters and the ledger.
    """

    arrays: Mapping[str, NDArray[np.generic]]
    values: Mapping[str, Json]


@dataclass(frozen=True)
class OptionGradients:
    """How the loss answers to the options of two architectures, on one batch of fitness images.

    Where the two differ in decision d, their operations re-join in tensors ``out``: what the first operation
    reads that both have, summed over all joins that the decision governs. What both add there is left out.

    Attributes:
        loss: Loss of the chosen architecture.
        chosen: For each decision, the inner product of dL/d(out) and what the chosen option computed; 0 where
            both agree.
        other: The same with what the other option computes from the chosen architecture's own tensors.
    """

    loss: float
    chosen: tuple[float, ...]
    other: tuple[float, ...]


#: An architecture, and the weights with which it is evaluated.
Asked = tuple[Architecture, Weights]


@dataclass(frozen=True)
class Judged:
    """What came of an evaluation that was made elsewhere.

    Attributes:
        right: Images that were classified rightly.
        seconds: Time in it.
        loss_units: Sum of losses.
    """

    right: int
    seconds: float
    loss_units: int = 0


class Judges(Protocol):
    """Who makes a trainer's evaluations elsewhere, several at once."""

    def expect(self, asked: Sequence[Asked], state: Callable[[], TrainerState]) -> None:
        """Hear what is asked for next, in this order.

        Args:
            asked: Nothing: nothing is asked for any more.
            state: Returns the weights and images of the moment.
        """
        ...

    def forget(self) -> None:
        """Expect nothing any more: the weights have moved."""
        ...

    def judge(self, asked: Asked, while_waiting: Callable[[], None]) -> Judged | None:
        """Return what came of an evaluation; ``None`` where the trainer is to make it itself.

        Args:
            asked: Which.
            while_waiting: Called several times a second until it is there; what it raises ends the wait.
        """
        ...


class Trainer(Protocol):
    """Shared weights that can be trained on, and evaluated with, any architecture of the active space.

    The active space is the one that it was made for, until ``activate`` names another.
    """

    ledger: Ledger
    #: Raised when the same state and the same steps give other weights or errors than before.
    numerics: int

    @property
    def has_fixed_errors(self) -> bool:
        """Whether errors stand still while it trains, so that one evaluation of an architecture is enough."""
        ...

    def activate(self, space: SearchSpace, *, soft_path: bool = False) -> None:
        """Keep weights for the operations of ``space`` alone; train and judge on soft paths where asked.

        New operations get fresh weights; those of ``space`` that were there keep theirs; all others are gone
        with their optimiser state and, where the space changes, the previous weights.

        Args:
            space: The space that the trainer was made for, or a restriction of it.
            soft_path: Whether ``step`` and ``accuracy`` run the soft graphs of architectures.
        """
        ...

    def reset(self, steps: int) -> None:
        """Draw all weights anew, and forget the optimiser's state and the previous weights.

        Args:
            steps: Over which the learning rate falls again, from the first to the final one.
        """
        ...

    def option_gradients(self, chosen: Architecture, other: Architecture) -> OptionGradients:
        """Compare two architectures on the next batch of fitness images; no weight or statistic changes.

        Decisions of one group that differ, and re-join in one tensor, change together: for each of them, the
        other option stands for all of ``other``'s options in that group.
        """
        ...

    def remember(self) -> None:
        """Keep the present weights as the previous ones: those before this generation's training."""
        ...

    def step(self, architectures: Sequence[Architecture]) -> SupportsFloat:
        """Take one step along the mean gradient of ``architectures`` on the next batch.

        Returns:
            The mean loss, for ``float``; NaN where the step was skipped because a loss or gradient was not
            finite. It may still be on a GPU, which whoever asks for the number waits for.
        """
        ...

    def accuracy(self, architecture: Architecture, weights: Weights = "current") -> float:
        """Return the share in [0, 1] of fitness images that ``architecture`` classifies rightly.

        Never cached by the caller: the weights move.
        """
        ...

    def state(self) -> TrainerState:
        """Return a copy of everything that decides what comes next, previous weights included.

        A ``PausableTrainer`` may leave out what its ``state_within`` adds.
        """
        ...

    def restore(self, state: TrainerState) -> None:
        """Continue as the trainer that returned ``state`` would have."""
        ...


@runtime_checkable
class PausableTrainer(Trainer, Protocol):
    """A trainer that is saved between the batches of an evaluation too.

    Any other one is saved between two calls, by ``state``.
    """

    #: Called between the batches of ``accuracy``, or while one that is made elsewhere is waited for, and
    #: nowhere else; what it raises ends the evaluation.
    between_batches: Callable[[], None]

    def state_within(self) -> TrainerState:
        """Return a copy of everything that decides what comes next within a generation.

        That is ``state`` with the previous weights, and the evaluation that ``between_batches`` was called
        from: a trainer that has restored it goes on there where it is asked for the same one next.
        """
        ...


@runtime_checkable
class LossTellingTrainer(Trainer, Protocol):
    """A trainer that tells by how much networks err, too."""

    @property
    def last_loss(self) -> float:
        """The mean loss of the last evaluation."""
        ...


@runtime_checkable
class SparingTrainer(Trainer, Protocol):
    """A trainer that may judge by some of its fitness images, and at the end by all."""

    @property
    def is_sparing(self) -> bool:
        """Whether there are images that ``accuracy`` does not judge by, unless it is told to."""
        ...

    def judge_by_all(self, by_all: bool) -> None:
        """Let ``accuracy`` judge by all images from now on, or by some of them again."""
        ...


@runtime_checkable
class ForeseeingTrainer(Trainer, Protocol):
    """A trainer that is told which evaluations come next, so that others can make them meanwhile."""

    def expect(self, asked: Sequence[Asked]) -> None:
        """Hear which evaluations are asked for next, in this order, with the weights of the moment.

        Args:
            asked: Nothing: none is asked for any more.
        """
        ...
