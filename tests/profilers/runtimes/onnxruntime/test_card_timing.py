"""How a card's work is timed, on one whose times are known."""

from functools import partial

import pytest

from profilers.runtimes._host import energy_j_per_call
from profilers.runtimes._onnxruntime.providers.timing import (
    cold_latency_s,
    launching,
    warm_latency_s,
)
from tests.fakes.launched_card import LaunchedCard


def test_a_call_of_a_block_takes_what_the_card_works_on_it() -> None:
    card = LaunchedCard(launch_s=1e-5, call_s=1e-3)
    assert warm_latency_s(card, 100, card.clock_s) == pytest.approx(1e-3, rel=1e-3)


def test_what_reading_back_takes_is_taken_out() -> None:
    card = LaunchedCard(launch_s=1e-5, call_s=1e-3, read_s=0.2)
    assert warm_latency_s(card, 10, card.clock_s) == pytest.approx(1e-3, rel=1e-2)


def test_one_call_that_does_not_count_runs_before_a_block() -> None:
    card = LaunchedCard(launch_s=1e-5, call_s=1e-3)
    warm_latency_s(card, 8, card.clock_s)
    assert card.calls == 9


def test_a_latency_is_never_below_what_it_takes_to_give_the_call() -> None:
    class Reading(LaunchedCard):
        """The second read-back of a block takes longer than the block."""

        def wait(self) -> None:
            super().wait()
            self.read_s += 1.0

    card = Reading(launch_s=1e-4, call_s=1e-6)
    assert warm_latency_s(card, 4, card.clock_s) == pytest.approx(1e-4)


def test_a_cold_call_is_waited_for_and_the_cache_is_filled_before_each() -> None:
    card = LaunchedCard(launch_s=1e-5, call_s=1e-3, read_s=5e-3)
    filled_at: list[int] = []

    def flush() -> None:
        filled_at.append(card.calls)
        card.now_s += 1.0

    latency_s = cold_latency_s(card, flush, 3, card.clock_s)
    assert latency_s == pytest.approx(1e-3 + 1e-5)  # nothing hides the launch of a call that is waited for
    assert filled_at == [0, 1, 2]


@pytest.mark.parametrize(
    ("launch_s", "call_s", "is_bound"), [(1e-4, 1e-5, True), (1e-4, 1e-3, False), (1e-4, 1.5e-4, False)]
)
def test_a_block_that_takes_no_longer_than_giving_its_calls_is_launch_bound(
    launch_s: float, call_s: float, *, is_bound: bool
) -> None:
    card = LaunchedCard(launch_s=launch_s, call_s=call_s, read_s=2e-3)
    told = launching(card, card.clock_s)
    assert told.launch_s == pytest.approx(launch_s)
    assert told.launch_bound == is_bound


def given(card: LaunchedCard, n: int) -> None:
    for _ in range(n):
        card.launch()


def test_the_joules_of_a_call_are_those_of_half_a_second_of_calls() -> None:
    card = LaunchedCard(launch_s=1e-5, call_s=1e-3, watts=50.0)
    assert energy_j_per_call(partial(given, card), card.wait, 1e-3, card.energy_j) == pytest.approx(0.05)
    assert card.calls * card.call_s == pytest.approx(0.5)


def test_a_call_is_known_from_many_where_reading_back_varies_by_more_than_one() -> None:
    class Reading(LaunchedCard):
        """Every second read-back takes longer than a call."""

        def wait(self) -> None:
            super().wait()
            self.read_s = 2e-3 - self.read_s

    card = Reading(launch_s=1e-5, call_s=1e-3)
    told = launching(card, card.clock_s)
    assert told.latency_s == pytest.approx(1e-3, rel=0.05)


def test_a_card_that_counts_no_joules_tells_none_and_runs_nothing_for_them() -> None:
    card = LaunchedCard(launch_s=1e-5, call_s=1e-3)
    assert energy_j_per_call(partial(given, card), card.wait, 1e-3, lambda: None) is None
    assert card.calls == 0
