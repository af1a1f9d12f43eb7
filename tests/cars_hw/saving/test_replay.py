"""Answers that are given again: the same ones, to the same questions alone."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from cars_hw.errors import CheckpointError
from cars_hw.networks.architecture import Architecture
from cars_hw.saving.replay import Log, LoggedTrainer
from cars_hw.testing._tabular import CurveTrainer, Killed, TinySpace
from cars_hw.trainer import Trainer

_A, _B = (0, 1, 2, 0), (3, 2, 1, 1)


class SkippingTrainer(CurveTrainer):
    """Weights of which every other step is skipped."""

    def step(self, architectures: Sequence[Architecture]) -> float:
        loss = super().step(architectures)
        return math.nan if self.ledger.steps % 2 else loss


def _logged(trainer: Trainer, events: list[str] | None = None) -> LoggedTrainer:
    found = [] if events is None else events
    return LoggedTrainer(
        trainer,
        at_safe_point=lambda: found.append("safe point"),
        before_evaluation=lambda: found.append("evaluation"),
    )


def _ask(trainer: LoggedTrainer, inner: Trainer) -> list[object]:
    """Ask everything that can be asked; return the answers, and the ledger between them.

    An objective asks the ``inner`` trainer itself.
    """
    found: list[object] = []

    def heard(answer: object) -> None:
        found.extend([str(answer), trainer.ledger.steps, trainer.ledger.evaluations])

    trainer.remember()
    for architectures in ([_A], [_A, _B], [_B]):
        heard(trainer.step(architectures))
    trainer.reset(5)
    trainer.activate(TinySpace(), soft_path=True)
    heard(trainer.option_gradients(_A, _B))
    heard(trainer.accuracy(_A))
    heard(trainer.accuracy(_A, "previous"))
    heard(trainer.cost("error", _B, lambda architecture: 1.0 - inner.accuracy(architecture)))
    return found


def _stored(log: Log) -> Log:
    """Return the log as it is after a checkpoint."""
    return Log.of(log.calls, log.arrays())


def test_answers_and_ledger_are_those_of_the_first_time_and_nothing_is_computed() -> None:
    inner = SkippingTrainer()
    first = _logged(inner)
    expected = _ask(first, inner)
    assert "nan" in expected
    untouched = SkippingTrainer()
    untouched.restore(inner.state())
    again = _logged(untouched)
    again.begin(_stored(first.log))
    assert _ask(again, untouched) == expected
    again.require_used_up()
    assert untouched.stepped == []
    assert untouched.resets == []
    assert untouched.ledger == inner.ledger


def test_where_the_log_ends_the_trainer_goes_on() -> None:
    trainer = CurveTrainer()
    whole = _logged(trainer)
    expected = _ask(whole, trainer)
    for n in range(len(whole.log.calls) + 1):
        trainer = CurveTrainer()
        log = _until(trainer, n)
        resumed = _logged(trainer)
        resumed.begin(_stored(log))
        assert _ask(resumed, trainer) == expected, n
        assert _content(resumed.log) == _content(whole.log)


def _content(log: Log) -> object:
    return log.calls, {name: array.tolist() for name, array in log.arrays().items()}


def _until(trainer: Trainer, n: int) -> Log:
    """Return the log of a trainer that was interrupted after ``n`` answers."""

    def at_safe_point() -> None:
        if len(logged.log.calls) == n:
            raise Killed

    logged = LoggedTrainer(trainer, at_safe_point=at_safe_point, before_evaluation=lambda: None)
    if n:
        with pytest.raises(Killed):
            _ask(logged, trainer)
    return logged.log


def test_a_safe_point_is_after_each_answer_of_the_trainer_and_after_none_of_the_log() -> None:
    events: list[str] = []
    trainer = _logged(CurveTrainer(), events)
    trainer.step([_A])
    trainer.accuracy(_A)
    assert events == ["safe point", "evaluation", "safe point"]
    again = _logged(CurveTrainer(), events)
    again.begin(_stored(trainer.log))
    again.step([_A])
    again.accuracy(_A)
    assert len(events) == 3


@pytest.mark.parametrize(
    ("ask", "asked"),
    [
        (lambda trainer: trainer.step([_B]), "step 3.2.1.1"),
        (lambda trainer: trainer.step([_A, _A]), "step 0.1.2.0 0.1.2.0"),
        (lambda trainer: trainer.accuracy(_A), "accuracy current 0.1.2.0"),
        (lambda trainer: trainer.remember(), "remember"),
        (lambda trainer: trainer.require_used_up(), "nothing more"),
    ],
    ids=["other architecture", "more architectures", "other verb", "other deed", "less"],
)
def test_another_question_than_before_is_refused_with_both(
    ask: Callable[[LoggedTrainer], object], asked: str
) -> None:
    first = _logged(CurveTrainer())
    first.step([_A])
    again = _logged(CurveTrainer())
    again.begin(_stored(first.log))
    with pytest.raises(CheckpointError, match=rf"asks for '{asked}', and asked for 'step 0\.1\.2\.0'"):
        ask(again)


def test_the_ledger_is_the_trainers_where_there_is_no_log() -> None:
    inner = CurveTrainer()
    assert _logged(inner).ledger is inner.ledger


@pytest.mark.parametrize("name", ["counts", "answers", "ledgers"])
def test_a_log_whose_parts_do_not_belong_together_is_refused(name: str) -> None:
    first = _logged(CurveTrainer())
    first.step([_A])
    arrays = first.log.arrays()
    with pytest.raises(CheckpointError, match="other calls than its own"):
        Log.of(first.log.calls, {**arrays, name: np.zeros((2, 2))})
    with pytest.raises(CheckpointError, match=name):
        Log.of(first.log.calls, {key: array for key, array in arrays.items() if key != name})
