"""When a search is saved and when it ends."""

import math

import pytest

from cars_hw.saving.safe_points import Budget, Ended, Position, Watch
from devices.foundation import ConfigError


class Clock:
    """A clock that somebody sets."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _started(clock: Clock, every_s: float = 60.0, budget: Budget | None = None) -> Watch:
    watch = Watch(every_s, clock)
    watch.start(budget or Budget())
    return watch


@pytest.mark.parametrize("every_s", [0.0, -1.0, math.inf, math.nan])
def test_an_interval_that_is_none_is_refused(every_s: float) -> None:
    with pytest.raises(ConfigError, match="checkpoint_every_s is"):
        Watch(every_s)


@pytest.mark.parametrize(
    ("evaluations", "time_s"), [(0, None), (-3, None), (None, 0.0), (None, math.nan), (None, math.inf)]
)
def test_a_budget_that_is_none_is_refused(evaluations: int | None, time_s: float | None) -> None:
    with pytest.raises(ConfigError, match=r"max_(evaluations|time_s) is .* number over 0"):
        Budget(evaluations, time_s)


def test_a_checkpoint_is_due_once_its_time_is_over_and_not_again_when_it_is_made(clock: Clock) -> None:
    watch = _started(clock)
    clock.now_s += 59.9
    assert not watch.is_due()
    clock.now_s += 0.2
    assert watch.is_due()

    def save() -> None:
        clock.now_s += 5.0

    watch.timed(save)
    assert not watch.is_due()
    clock.now_s += 50.1
    assert watch.is_due()


def test_time_is_that_of_one_call(clock: Clock) -> None:
    watch = _started(clock, budget=Budget(max_time_s=10.0))
    clock.now_s += 9.9
    watch.require_go_on()
    clock.now_s += 0.2
    with pytest.raises(Ended) as ended:
        watch.require_go_on()
    assert ended.value.by == "max_time"
    watch.start(Budget(max_time_s=10.0))
    watch.require_go_on()


def test_a_request_is_granted_once_even_if_it_came_before_the_start(clock: Clock) -> None:
    watch = Watch(60.0, clock)
    watch.request_end()
    watch.start(Budget())
    with pytest.raises(Ended) as ended:
        watch.require_go_on()
    assert ended.value.by == "request"
    watch.require_go_on()


def test_evaluations_end_when_all_are_made_and_not_before(clock: Clock) -> None:
    watch = _started(clock, budget=Budget(max_evaluations=7))
    watch.require_evaluations_left(6)
    with pytest.raises(Ended) as ended:
        watch.require_evaluations_left(7)
    assert ended.value.by == "max_evaluations"


def test_a_position_says_what_is_behind_it() -> None:
    assert str(Position(3)) == "generation 3, complete"
    assert str(Position(3, is_complete=False, steps=7)) == "generation 3 up to training step 7"
    inside = Position(3, is_complete=False, steps=7, evaluated=2)
    assert str(inside) == "generation 3 up to training step 7, 2 architectures evaluated"
