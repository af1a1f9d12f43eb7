"""TabularTrainer: known accuracies in the place of weights, so that a search takes seconds.

A file in CSV holds, for every architecture of a space, what its accuracy was after so many epochs on its own.
An evaluation looks it up; training steps only move the epoch that it reads.
"""

import csv
import errno
import io
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from cars_hw.errors import ArchitectureError, CheckpointError, DataError
from cars_hw.ledger import Ledger, Weights
from cars_hw.networks.architecture import Architecture, to_text
from cars_hw.objectives import Objective
from cars_hw.spaces._space import SearchSpace
from cars_hw.trainer import OptionGradients, TrainerState
from devices.foundation import ConfigError, read_regular

#: Figures of architectures: one for each column that was read.
Figures = Mapping[Architecture, tuple[float, ...]]

_MAX_BYTES = 1 << 26


class TabularTrainer:
    """A trainer whose accuracies are looked up.

    It has no weights: steps, option gradients and resets change no accuracy but by the count of steps.

    Args:
        accuracies: For each architecture its accuracy in [0, 1] after each of ``epochs``.
        epochs: The epochs at which accuracies are known, ascending; one is enough. Between two, accuracy is
            interpolated linearly; before the first and after the last it stands still.
        steps_per_epoch: Training steps that count as an epoch.

    Raises:
        ConfigError: Epochs do not ascend, or there is no step in one.
        DataError: An accuracy is not in [0, 1], or an architecture does not have one for each epoch.
    """

    numerics = 1

    def __init__(
        self, accuracies: Figures, *, epochs: Sequence[float] = (1.0,), steps_per_epoch: float = 1.0
    ) -> None:
        if not epochs or any(not a < b for a, b in itertools.pairwise(epochs)):
            raise ConfigError(f"the epochs of the accuracies are {list(epochs)[:16]}; they have to ascend")
        if not 0 < steps_per_epoch < math.inf:
            raise ConfigError(f"steps_per_epoch is {steps_per_epoch}; it is a number over 0")
        for architecture, curve in accuracies.items():
            if len(curve) != len(epochs) or not all(0 <= accuracy <= 1 for accuracy in curve):
                raise DataError(
                    f"the accuracies of {architecture} are {curve[:16]}; one from 0 to 1 is needed for each "
                    f"of {len(epochs)} epochs"
                )
        self.ledger = Ledger()
        self._accuracies, self._epochs = accuracies, tuple(epochs)
        self._steps_per_epoch = steps_per_epoch
        self._steps = self._previous_steps = 0

    def __repr__(self) -> str:
        return f"<known accuracies of {len(self._accuracies)} architectures at epochs {list(self._epochs)}>"

    @property
    def has_fixed_errors(self) -> bool:
        """Whether accuracies are known at one epoch alone: then no step changes them."""
        return len(self._epochs) == 1

    def activate(self, space: SearchSpace, *, soft_path: bool = False) -> None:
        """Do nothing: there are no weights to keep, and a soft path has the accuracy of its architecture."""

    def reset(self, steps: int) -> None:
        """Go back to the first epoch; a table has no learning rate."""
        self._steps = self._previous_steps = 0

    def option_gradients(self, chosen: Architecture, other: Architecture) -> OptionGradients:
        """Return no gradient: a table says nothing of how a loss answers to an option."""
        self.ledger.add_option_step(0, 0.0)
        return OptionGradients(
            1.0 - self._look_up(chosen, self._steps), (0.0,) * len(chosen), (0.0,) * len(chosen)
        )

    def remember(self) -> None:
        """Keep the present epoch as the one from before this generation's training."""
        self._previous_steps = self._steps

    def step(self, architectures: Sequence[Architecture]) -> float:
        """Go on by a step, and return the mean error as the loss."""
        self._steps += 1
        self.ledger.add_step(0, 0.0)
        errors = [1.0 - self._look_up(architecture, self._steps) for architecture in architectures]
        return sum(errors) / len(errors)

    def accuracy(self, architecture: Architecture, weights: Weights = "current") -> float:
        """Look the accuracy up.

        Raises:
            ArchitectureError: The table does not have the architecture.
        """
        self.ledger.add_evaluation(0, 0.0, weights=weights)
        return self._look_up(architecture, self._previous_steps if weights == "previous" else self._steps)

    def state(self) -> TrainerState:
        """Return the counts of steps and the ledger."""
        steps = {"steps": self._steps, "previous_steps": self._previous_steps}
        return TrainerState({}, {**steps, "ledger": self.ledger.to_json()})

    def restore(self, state: TrainerState) -> None:
        """Continue as the trainer that returned ``state`` would have.

        Raises:
            CheckpointError: The state is not one of this trainer.
        """
        steps, previous = state.values.get("steps"), state.values.get("previous_steps")
        if not isinstance(steps, int) or not isinstance(previous, int) or not 0 <= previous <= steps:
            raise CheckpointError(
                f"the trainer's steps {steps!r:.32} and {previous!r:.32} cannot be restored"
            )
        try:
            self.ledger.restore(state.values.get("ledger"))
        except ValueError as error:
            raise CheckpointError(f"the trainer's state cannot be restored: {error}") from error
        self._steps, self._previous_steps = steps, previous

    def _look_up(self, architecture: Architecture, steps: int) -> float:
        curve = self._accuracies.get(architecture)
        if curve is None:
            raise ArchitectureError(
                f"the table of accuracies lacks {architecture}; search a space whose architectures it has"
            )
        epoch = steps / self._steps_per_epoch
        for (start, end), (low, high) in zip(
            itertools.pairwise(self._epochs), itertools.pairwise(curve), strict=True
        ):
            if epoch < end:
                share = max(0.0, (epoch - start) / (end - start))
                return low + share * (high - low)
        return curve[-1]


class TabularCost(Objective):
    """An objective whose values are looked up.

    Args:
        name: The cost's name with its unit, ``"latency_ms"``.
        figures: One for each architecture.
    """

    def __init__(self, name: str, figures: Figures) -> None:
        self.name = name
        self._figures = figures

    def __call__(self, architecture: Architecture, /) -> float:
        """Look the cost up.

        Raises:
            ArchitectureError: The table does not have the architecture.
        """
        if architecture not in self._figures:
            raise ArchitectureError(
                f"the table of {self.name} lacks {architecture}; no other cost stands for it"
            )
        return self._figures[architecture][0]


def known_space(space: SearchSpace, figures: Figures) -> SearchSpace:
    """Return ``space`` with the options alone that architectures of a table have, in each decision.

    Args:
        space: The whole space.
        figures: By its architectures, at least one; they have to be all combinations of their options.

    Raises:
        DataError: The table is empty, or lacks a combination; the message names the first.
    """
    if not figures:
        raise DataError("the table of accuracies has no row; it needs one for each architecture to search")
    options = [sorted(set(column)) for column in zip(*figures, strict=True)]
    lacking = next((one for one in itertools.product(*options) if one not in figures), None)
    if lacking is not None:
        n = math.prod(map(len, options))
        raise DataError(
            f"the table of accuracies lacks {to_text(lacking)}; its {len(figures)} rows have options of "
            f"{n} architectures, and each of these needs a row"
        )
    return space.restrict(options)


def read_figures(
    path: Path,
    columns: Sequence[str],
    *,
    key: str = "architecture",
    parse: Callable[[str], Architecture],
    scale: float = 1.0,
) -> dict[Architecture, tuple[float, ...]]:
    """Read ``columns`` of a CSV file with a header, a row for each architecture; the file is not trusted.

    Args:
        path: The file, at most 64 MiB.
        columns: The figures to read.
        key: The column that names the architecture.
        parse: Reads that name, and refuses by ``ArchitectureError`` what is none of the space's.
        scale: Factor of every figure: 0.01 for percentages.

    Raises:
        DataError: The file cannot be read, a column is missing or occurs twice, a figure is no finite number,
            or an architecture is none or occurs twice; the message names the line.
    """
    figures: dict[Architecture, tuple[float, ...]] = {}
    for line, (name, *values) in _rows(path, [key, *columns]):
        try:
            architecture = parse(name)
            numbers = tuple(float(value) * scale for value in values)
        except (ArchitectureError, ValueError) as error:
            raise DataError(f"{path}, line {line}: {error}"[:300]) from error
        if not all(map(math.isfinite, numbers)):
            raise DataError(f"{path}, line {line}: {values!r:.80} are not all finite numbers")
        if architecture in figures:
            raise DataError(f"{path}, line {line}: {name!r:.80} has a row already; delete one of them")
        figures[architecture] = numbers
    if not figures:
        raise DataError(f"{path} has no row below its header")
    return figures


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of each line and its cells of ``columns``."""
    try:
        text = io.StringIO(read_regular(path, _MAX_BYTES).decode("utf-8"), newline="")
        reader = csv.reader(text, strict=True)
        header = next(reader, [])
        indices = [_index(path, header, column) for column in columns]
        for row in reader:
            if len(row) != len(header):
                raise DataError(
                    f"{path}, line {reader.line_num}: {len(row)} cells; the header has {len(header)}"
                )
            yield reader.line_num, [row[index] for index in indices]
    except OSError as error:
        remedy = "split it, or leave columns out" if error.errno == errno.EFBIG else "name a CSV file"
        raise DataError(f"cannot read {path}: {error.strerror}; {remedy}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is no CSV file: {error}") from error


def _index(path: Path, header: Sequence[str], column: str) -> int:
    if header.count(column) != 1:
        raise DataError(
            f"{path} has {header.count(column)} columns {column!r:.64}; its header is "
            f"{', '.join(header)[:200]}"
        )
    return header.index(column)
