"""How a card is timed, on one whose times are known."""

import pytest

from profilers.errors import ProfilingError
from profilers.runtimes._torch.timing import (
    LEAST_LAUNCHES,
    WARM_UP_S,
    busy_share,
    cold_s,
    empty_s,
    warm_s,
    warm_up,
)
from tests.fakes.queued_card import QueuedCard


def warm(card: QueuedCard, n: int = 100, *, launches: int = 1) -> float:
    return warm_s(card, card.run, n, launches=launches, marks_s=empty_s(card))


def test_calls_that_the_card_is_slower_with_take_what_the_card_takes() -> None:
    assert warm(QueuedCard(launch_s=1e-6, work_s=1e-4)) == pytest.approx(1e-4)


def test_calls_that_the_host_is_slower_with_take_what_launching_takes() -> None:
    card = QueuedCard(launch_s=1e-4, work_s=1e-6)
    assert warm(card, 1000) == pytest.approx(1e-4, rel=1e-2)


def test_the_time_of_the_marks_is_taken_out() -> None:
    card = QueuedCard(mark_s=1e-3, work_s=1e-4)
    assert empty_s(card) == pytest.approx(1e-3)
    assert warm(card, 50) == pytest.approx(1e-4)


@pytest.mark.parametrize(
    ("n", "launches", "calls"), [(1, 1, LEAST_LAUNCHES), (1, 20, 3), (1, 500, 1), (80, 1, 80), (7, 0, 50)]
)
def test_enough_launches_lie_between_two_marks(n: int, launches: int, calls: int) -> None:
    card = QueuedCard()
    warm_s(card, card.run, n, launches=launches, marks_s=0.0)
    assert card.log == ["call", "mark", *["call"] * calls, "mark", "wait"]


def test_a_cold_call_finds_nothing_in_the_caches_and_a_warm_one_all() -> None:
    card = QueuedCard(work_s=1e-4, miss_s=3e-4)
    found_s = cold_s(card, card.run, 3, marks_s=empty_s(card))
    assert found_s == pytest.approx((4e-4,) * 3)
    assert card.log[-10:] == [*["empty", "mark", "call", "mark"] * 3, "wait"][-10:]
    assert warm(card) == pytest.approx(1e-4)


def test_the_host_waits_once_a_block() -> None:
    card = QueuedCard()
    cold_s(card, card.run, 5, marks_s=0.0)
    warm_s(card, card.run, 5, launches=1, marks_s=0.0)
    assert card.log.count("wait") == 2


def test_a_card_warms_up_for_a_while_and_through_two_calls_at_least() -> None:
    slow, fast = QueuedCard(work_s=1.0), QueuedCard(work_s=1e-3)
    for card in (slow, fast):
        warm_up(card, card.run, card.clock_s)
    assert slow.log == ["call", "wait"] * 2
    assert fast.log.count("call") == pytest.approx(WARM_UP_S / 1e-3, abs=2)


def test_a_card_is_busy_for_the_share_of_a_call_that_needs_no_launches() -> None:
    assert busy_share(4.0, 1.0) == 0.25
    assert busy_share(1.0, 1.1) == 1.0  # noise


def test_a_block_that_takes_no_longer_than_its_marks_is_no_latency() -> None:
    card = QueuedCard(work_s=0.0, launch_s=0.0)
    with pytest.raises(ProfilingError, match="two marks alone"):
        warm(card)
