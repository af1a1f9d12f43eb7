"""A ledger whose losses are still on their way: what it reads, when, and what it tells meanwhile."""

import math

import pytest

from cars_hw.ledger import Ledger


class Slow:
    """A loss that notes when it is read."""

    def __init__(self, value: float, read: list[float]) -> None:
        self._value, self._read = value, read

    def __float__(self) -> float:
        self._read.append(self._value)
        return self._value


def _of(losses: list[float], read: list[float]) -> Ledger:
    ledger = Ledger()
    for loss in losses:
        ledger.add_step(8, 0.5, loss=Slow(loss, read))
    return ledger


def test_progress_reads_no_loss_and_figures_that_hang_on_losses_read_each_once() -> None:
    read: list[float] = []
    ledger = _of([2.0, math.nan, 1.0], read)
    ledger.add_evaluation(4, 1.0, weights="current")
    assert (ledger.tried_steps, ledger.training_images, ledger.training_s, ledger.evaluations) == (
        3,
        24,
        1.5,
        1,
    )
    assert read == []
    assert (ledger.steps, ledger.skipped_steps, ledger.loss_steps, ledger.loss) == (2, 1, 2, 1.5)
    assert ledger.to_json()["steps"] == 2
    assert len(read) == 3


def test_late_losses_give_the_figures_of_those_that_are_known_at_once() -> None:
    losses = [3.0, 2.5, math.nan, 2.0, 2.25, 1.0, 1.5]
    late, known = _of(losses, []), Ledger()
    for loss in losses:
        known.add_step(8, 0.5, loss=None if math.isnan(loss) else loss, skipped=math.isnan(loss))
    assert late == known
    assert known.least_loss > 0


def test_a_snapshot_has_the_figures_of_its_time_though_it_is_read_later() -> None:
    read: list[float] = []
    ledger = _of([2.0], read)
    first = ledger.snapshot()
    ledger.add_step(8, 0.5, loss=Slow(1.0, read))
    second = ledger.snapshot()
    ledger.forget_loss()
    ledger.add_step(8, 0.5, loss=Slow(4.0, read))
    assert read == []
    assert (ledger.loss_steps, ledger.loss) == (1, 4.0)
    assert [(taken()["steps"], taken()["loss"], taken()["training_images"]) for taken in (first, second)] == [
        (1, 2.0, 8),
        (2, 1.5, 16),
    ]
    assert list(first()) == list(Ledger().to_json())


def test_a_restored_ledger_counts_on() -> None:
    ledger, restored = _of([2.0, math.nan], []), Ledger()
    restored.restore(ledger.to_json())
    assert restored == ledger
    restored.add_step(8, 0.5, loss=1.0)
    assert (restored.tried_steps, restored.steps) == (3, 2)
    assert restored.loss == pytest.approx(1.5)
    assert restored != ledger
