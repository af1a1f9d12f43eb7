"""Timings that contradict themselves are no timings."""

from dataclasses import replace

import pytest

from profilers.errors import GarbledOutputError
from profilers.runtimes._benchmark_model.timings import Timings

SLOW = Timings(50, 22.6e-3, 22.4e-3, 24.0e-3, p5_s=22.44e-3, median_s=22.55e-3, p95_s=23.1e-3, init_s=0.01)


def test_a_latency_is_the_median_where_that_is_fine_enough() -> None:
    assert SLOW.latency_s == pytest.approx(22.55e-3, abs=1e-6)


def test_a_small_latency_is_as_fine_as_the_mean_of_its_whole_microseconds() -> None:
    small = Timings(10_000, 7.31e-6, 7e-6, 12e-6, median_s=7e-6)
    assert small.latency_s == pytest.approx(7.31e-6)


def test_an_interrupt_that_moves_the_mean_moves_no_small_latency() -> None:
    assert Timings(100, 57.3e-6, 7e-6, 5e-3, median_s=7e-6).latency_s == pytest.approx(7.5e-6)


def test_without_a_median_the_mean_is_what_there_is() -> None:
    assert replace(SLOW, median_s=None).latency_s == SLOW.mean_s


@pytest.mark.parametrize(
    "change",
    [
        {"n": 0},
        {"mean_s": 0.0},
        {"mean_s": float("nan")},
        {"max_s": float("inf")},
        {"min_s": -1e-6},
        {"min_s": 23e-3},
        {"max_s": 22.5e-3},
        {"median_s": 22.41e-3},
        {"p95_s": 22.5e-3},
        {"init_s": -1.0},
    ],
)
def test_numbers_that_cannot_be_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(GarbledOutputError, match="run it again"):
        replace(SLOW, **change)  # type: ignore[arg-type]


def test_text_that_rounds_agrees_with_its_file() -> None:
    SLOW.require_agreement(replace(SLOW, mean_s=22.6004e-3, min_s=22.4009e-3))


@pytest.mark.parametrize("change", [{"n": 51}, {"mean_s": 22.9e-3}, {"min_s": 22.0e-3}, {"max_s": 25e-3}])
def test_a_file_and_a_text_of_two_runs_do_not_agree(change: dict[str, float]) -> None:
    with pytest.raises(GarbledOutputError, match="not of one run"):
        SLOW.require_agreement(replace(SLOW, **change))  # type: ignore[arg-type]
