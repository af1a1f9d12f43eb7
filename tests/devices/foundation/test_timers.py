"""When it is time to save."""

import pytest

from devices.foundation import SaveTimer


class Clock:
    """A clock that somebody sets."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_nothing_is_due_until_the_time_is_over(clock: Clock) -> None:
    timer = SaveTimer(60.0, [clock])
    clock.now_s += 59.9
    assert not timer.is_due()
    clock.now_s += 0.2
    assert timer.is_due()
    timer.begin()
    assert not timer.is_due()


def test_saving_begins_earlier_by_what_it_took_the_last_time(clock: Clock) -> None:
    timer = SaveTimer(60.0, [clock])
    with timer.saving():
        clock.now_s += 5.0
    clock.now_s += 49.9
    assert not timer.is_due()
    clock.now_s += 0.2
    assert timer.is_due()


def test_saving_takes_half_of_the_time_at_most(clock: Clock) -> None:
    timer = SaveTimer(1.0, [clock])
    with timer.saving():
        clock.now_s += 30.0
    clock.now_s += 29.9
    assert not timer.is_due()
    clock.now_s += 0.2
    assert timer.is_due()


def test_what_will_be_due_before_it_is_asked_again_is_due(clock: Clock) -> None:
    timer = SaveTimer(60.0, [clock])
    clock.now_s += 50.0
    assert not timer.is_due(ahead_s=9.9)
    assert timer.is_due(ahead_s=10.1)


def test_what_is_due_by_one_of_several_clocks_is_due(clock: Clock) -> None:
    timer = SaveTimer(60.0, [Clock(), clock])
    assert not timer.is_due()
    clock.now_s += 60.1
    assert timer.is_due()
