"""LoggedTrainer: answers a search's questions by its trainer, logs the answers, and gives them again.

A generation that was stopped half-way is resumed without the help of its strategy: strategy and screen are
put back to the generation's beginning and asked to do it all again, and whatever they ask is answered from
the log, which takes no time. When the log is used up, the trainer takes over, whose state is that of the
log's end. Strategies are functions of their state and of what a trainer answers, so they end where they were;
that they ask the same is verified.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import SupportsFloat

import numpy as np
from numpy.typing import NDArray

from cars_hw.errors import CheckpointError
from cars_hw.ledger import Json, Ledger, Weights
from cars_hw.networks.architecture import Architecture, from_text, to_text
from cars_hw.spaces._space import SearchSpace
from cars_hw.trainer import LossTellingTrainer, OptionGradients, Trainer, TrainerState

#: The numbers of one answer; one that is still on a GPU is read where a log is stored, or given again.
_Answer = tuple[SupportsFloat, ...]
#: Returns the figures of a ledger by their names.
_Figures = Callable[[], Mapping[str, float]]

_FIGURES = tuple(Ledger().to_json())


@dataclass
class Log:
    """What a search asked since its generation began.

    Attributes:
        calls: Each question in words: a verb and architectures.
        answers: The numbers that answered it.
        ledgers: Return the figures of the ledger before it, by the order of ``Ledger.to_json``.
    """

    calls: list[str] = field(default_factory=list)
    answers: list[_Answer] = field(default_factory=list)
    ledgers: list[_Figures] = field(default_factory=list)

    def count(self, verb: str) -> int:
        """Return how many calls there are of ``verb``."""
        return sum(call.startswith(f"{verb} ") for call in self.calls)

    def renew(self, costs: Mapping[str, Callable[[Architecture], float]], choices: Sequence[int]) -> None:
        """Let the answers be those of today's ``costs``, by their names, of architectures of ``choices``."""
        for i, call in enumerate(self.calls):
            verb, *words = call.split(" ")
            if verb == "cost" and words[0] in costs:
                self.answers[i] = (costs[words[0]](from_text(words[1], choices)),)

    def drop(self, start: int) -> None:
        """Forget the calls from the one at ``start`` on."""
        del self.calls[start:], self.answers[start:], self.ledgers[start:]

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return all but the calls as arrays: bit for bit, NaN included."""
        return {
            "counts": np.array([len(answer) for answer in self.answers], dtype=np.int64),
            "answers": np.array(
                [float(number) for answer in self.answers for number in answer], dtype=np.float64
            ),
            "ledgers": np.array(
                [list(figures().values()) for figures in self.ledgers], dtype=np.float64
            ).reshape(len(self.ledgers), len(_FIGURES)),
        }

    @classmethod
    def of(cls, calls: Sequence[str], arrays: Mapping[str, NDArray[np.generic]]) -> "Log":
        """Return the log of ``calls`` and of what ``arrays`` returned.

        Raises:
            CheckpointError: They do not belong together.
        """
        try:
            counts = np.asarray(arrays["counts"], dtype=np.int64)
            numbers = np.asarray(arrays["answers"], dtype=np.float64)
            ledgers = np.asarray(arrays["ledgers"], dtype=np.float64)
        except KeyError as error:
            raise CheckpointError(f"the checkpoint's log lacks its {error}") from error
        fits = counts.shape == (len(calls),) and ledgers.shape == (len(calls), len(_FIGURES))
        if not fits or (counts < 0).any() or numbers.shape != (counts.sum(),):
            raise CheckpointError("the checkpoint's log has answers to other calls than its own")
        answers = np.split(numbers, np.cumsum(counts)[:-1]) if len(calls) else []
        return cls(
            list(calls),
            [tuple(map(float, answer)) for answer in answers],
            [partial(dict, tuple(zip(_FIGURES, map(float, row), strict=True))) for row in ledgers],
        )


class LoggedTrainer:
    """A trainer whose answers are logged, or given again from a log. Fulfils ``Trainer``.

    Args:
        trainer: Answers what the log does not.
        at_safe_point: Called after each call that ``trainer`` answered.
        before_evaluation: Called before each evaluation by ``trainer``.
    """

    def __init__(
        self, trainer: Trainer, *, at_safe_point: Callable[[], None], before_evaluation: Callable[[], None]
    ) -> None:
        self.numerics = trainer.numerics
        self.ledger = trainer.ledger
        self.log = Log()
        self._trainer = trainer
        self._at_safe_point, self._before_evaluation = at_safe_point, before_evaluation
        self._done, self._may_differ = 0, False
        self._activation: Callable[[], None] | None = None

    def __repr__(self) -> str:
        return f"<{self._trainer!r}, {len(self.log.calls)} calls logged>"

    @property
    def has_fixed_errors(self) -> bool:
        """Whether errors stand still while the trainer trains."""
        return self._trainer.has_fixed_errors

    @property
    def is_replaying(self) -> bool:
        """Whether the next answer comes from the log."""
        return self._done < len(self.log.calls)

    def begin(self, log: Log, *, may_differ: bool = False) -> None:
        """Begin a generation: give the answers of ``log`` first, and go on with it.

        Args:
            log: Of the generation so far.
            may_differ: Whether others may be evaluated than were: what was logged of them is dropped then.
        """
        self.log, self._done, self._activation = log, 0, None
        self._may_differ = may_differ
        self._show_ledger()

    def require_used_up(self) -> None:
        """Refuse a generation that ended with answers left in the log.

        Raises:
            CheckpointError: It did.
        """
        if self.is_replaying:
            raise _difference("nothing more", self.log.calls[self._done])

    def activate(self, space: SearchSpace, *, soft_path: bool = False) -> None:
        """Let the trainer keep the weights of ``space`` alone."""

        def activate() -> None:
            self._trainer.activate(space, soft_path=soft_path)

        if self.is_replaying:  # the weights are those of the last one; whether paths are soft, no state says
            self._activation = activate
        self._do(f"activate {space.allowed} {soft_path}", activate)

    def reset(self, steps: int) -> None:
        """Let the trainer draw its weights anew."""
        self._do(f"reset {steps}", lambda: self._trainer.reset(steps))

    def remember(self) -> None:
        """Let the trainer keep the present weights as the previous ones."""
        self._do("remember", self._trainer.remember)

    def option_gradients(self, chosen: Architecture, other: Architecture) -> OptionGradients:
        """Compare two architectures, or say how they compared."""

        def compute() -> _Answer:
            found = self._trainer.option_gradients(chosen, other)
            return (found.loss, *found.chosen, *found.other)

        answer = self._answer(f"option_gradients {to_text(chosen)} {to_text(other)}", compute)
        loss, *gradients = map(float, answer)
        n = len(chosen)
        return OptionGradients(loss, tuple(gradients[:n]), tuple(gradients[n:]))

    def step(self, architectures: Sequence[Architecture]) -> SupportsFloat:
        """Take a step, or give its loss again."""
        call = " ".join(["step", *map(to_text, architectures)])
        [loss] = self._answer(call, lambda: (self._trainer.step(architectures),))
        return loss

    def accuracy(self, architecture: Architecture, weights: Weights = "current") -> float:
        """Evaluate, or give the accuracy again."""
        accuracy, _ = self.judged(architecture, weights)
        return accuracy

    def judged(self, architecture: Architecture, weights: Weights) -> tuple[float, float | None]:
        """Return the accuracy, and the mean loss where the trainer tells it."""
        if not self.is_replaying:
            self._before_evaluation()
        call = f"accuracy {weights} {to_text(architecture)}"
        return self._with_loss(call, lambda: self._trainer.accuracy(architecture, weights))

    def cost(self, name: str, architecture: Architecture, compute: Callable[[Architecture], float]) -> float:
        """Return the cost ``name`` of ``architecture``."""
        [cost] = self._answer(f"cost {name} {to_text(architecture)}", lambda: (compute(architecture),))
        return float(cost)

    def error(
        self, name: str, architecture: Architecture, compute: Callable[[Architecture], float]
    ) -> tuple[float, float | None]:
        """Return the cost ``name``, which ``compute`` asks the trainer for, and a loss as ``judged`` does."""
        return self._with_loss(f"cost {name} {to_text(architecture)}", lambda: compute(architecture))

    def _with_loss(self, call: str, compute: Callable[[], float]) -> tuple[float, float | None]:
        """Return a figure of an evaluation, with the mean loss where the trainer tells it."""
        trainer = self._trainer

        def both() -> _Answer:
            figure = compute()
            return (figure, trainer.last_loss) if isinstance(trainer, LossTellingTrainer) else (figure,)

        figure, *loss = map(float, self._answer(call, both))
        return figure, loss[0] if loss else None

    def state(self) -> TrainerState:
        """Return the trainer's state: while answers come from a log, that of its end."""
        return self._trainer.state()

    def restore(self, state: TrainerState) -> None:
        """Let the trainer go on from ``state``."""
        self._trainer.restore(state)

    def _do(self, call: str, action: Callable[[], None]) -> None:
        def compute() -> _Answer:
            action()
            return ()

        self._answer(call, compute)

    def _answer(self, call: str, compute: Callable[[], _Answer]) -> _Answer:
        if self.is_replaying and self._may_differ and _is_evaluation(call, self.log.calls[self._done]):
            self._drop_what_differs(call)
        if self.is_replaying:
            return self._logged_answer(call)
        figures = self._trainer.ledger.snapshot()
        answer = compute()
        self.log.calls.append(call)
        self.log.answers.append(answer)
        self.log.ledgers.append(figures)
        self._done += 1
        self._at_safe_point()
        return answer

    def _drop_what_differs(self, call: str) -> None:
        """Drop the rest of the log where it has another call next; an evaluation changes no weight."""
        if call != self.log.calls[self._done]:
            self.log.drop(self._done)
            self._leave_log()

    def _leave_log(self) -> None:
        if not self.is_replaying and self._activation is not None:
            self._activation()
        self._show_ledger()

    def _logged_answer(self, call: str) -> _Answer:
        logged, answer = self.log.calls[self._done], self.log.answers[self._done]
        if call != logged:
            raise _difference(call, logged)
        self._done += 1
        self._leave_log()
        return answer

    def _show_ledger(self) -> None:
        """Let the ledger have the figures that it had when the next call was made first."""
        self.ledger = self._trainer.ledger
        if self.is_replaying:
            self.ledger = Ledger()
            self.ledger.restore(_in_kind(self.log.ledgers[self._done]()))


def _is_evaluation(*calls: str) -> bool:
    return all(call.partition(" ")[0] in ("cost", "accuracy") for call in calls)


def _in_kind(figures: Mapping[str, float]) -> dict[str, Json]:
    """Return figures of a ledger with its counts as whole numbers again."""
    kinds = {name: type(figure) for name, figure in Ledger().to_json().items()}
    return {name: int(figure) if kinds[name] is int else figure for name, figure in figures.items()}


def _difference(asked: str, logged: str) -> CheckpointError:
    return CheckpointError(
        f"the search cannot go on inside its generation: it asks for {asked!r:.160}, and asked for "
        f"{logged!r:.160} before it was stopped; delete the folder .partial among its checkpoints to go on "
        "from the last complete generation"
    )
