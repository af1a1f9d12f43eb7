"""The texts of both generations of benchmark_model, whole, cut and damaged."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profilers.errors import GarbledOutputError
from profilers.runtimes._benchmark_model.text import text_coverage, text_timings
from profilers.runtimes._benchmark_model.timings import Timings
from profilers.runtimes._coverage import Coverage

GOLDEN = Path(__file__).parents[3] / "golden" / "benchmark_model"
WITH_TIMINGS = ("interpreter-new", "interpreter-old", "interpreter-oldest", "all-same", "compiled-model")


def text(name: str) -> str:
    return (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


def read_or_refused(printed: str) -> Timings | None:
    try:
        return text_timings(printed)
    except GarbledOutputError:
        return None


def test_the_measured_runs_are_read_and_not_the_warm_up_nor_the_profile() -> None:
    timings = text_timings(text("interpreter-new"))
    assert timings.n == 50
    assert timings.mean_s == pytest.approx(22613.8e-6)
    assert (timings.min_s, timings.max_s) == pytest.approx((22401e-6, 24020e-6))
    assert (timings.p5_s, timings.median_s, timings.p95_s) == pytest.approx((22440e-6, 22547e-6, 23140e-6))
    assert timings.init_s == pytest.approx(12345e-6)


@pytest.mark.parametrize("name", ["interpreter-old", "interpreter-oldest"])
def test_old_builds_have_no_percentiles(name: str) -> None:
    timings = text_timings(text(name))
    assert (timings.n, timings.median_s) == (50, None)
    assert timings.latency_s == pytest.approx(61730e-6)
    assert timings.init_s == pytest.approx(29410e-6)


def test_runs_of_one_length_are_their_only_sample() -> None:
    timings = text_timings(text("all-same"))
    assert timings.n == 40
    assert (timings.min_s, timings.median_s, timings.max_s) == pytest.approx((7e-6, 7e-6, 7e-6))


def test_the_compiled_model_tool_prints_milliseconds_without_percentiles() -> None:
    timings = text_timings(text("compiled-model"))
    assert (timings.n, timings.median_s) == (50, None)
    assert timings.latency_s == pytest.approx(22.61e-3)
    assert timings.init_s == pytest.approx(31.07e-3)


def test_two_decimals_of_a_millisecond_say_nothing_about_a_small_operation() -> None:
    small = (
        text("compiled-model")
        .replace("22.61 ms", "0.06 ms")
        .replace("22.40", "0.05")
        .replace("24.02", "0.09")
    )
    with pytest.raises(GarbledOutputError, match="too coarse"):
        text_timings(small)


@pytest.mark.parametrize("name", WITH_TIMINGS)
def test_line_ends_of_a_terminal_change_nothing(name: str) -> None:
    assert text_timings(text(name).replace("\n", "\r\n")) == text_timings(text(name))


@pytest.mark.parametrize("name", WITH_TIMINGS)
def test_text_cut_at_any_byte_is_refused_or_says_the_same(name: str) -> None:
    whole = text_timings(text(name))
    found = {read_or_refused(text(name)[:size]) for size in range(len(text(name)))} - {None}
    for timings in found:
        assert timings is not None
        assert timings.n == whole.n
        assert timings.latency_s == pytest.approx(whole.latency_s, rel=1e-3)


@pytest.mark.parametrize("name", WITH_TIMINGS)
def test_two_runs_in_one_text_are_no_run(name: str) -> None:
    with pytest.raises(GarbledOutputError, match=r"4 lines of samples|results of several runs"):
        text_timings(text(name) * 2)


def test_lines_of_two_programs_that_ran_into_each_other_are_refused() -> None:
    with pytest.raises(GarbledOutputError):
        text_timings(text("interpreter-new").replace("avg=22613.8", "avg=226INFO: 13.8"))


def test_a_summary_of_another_run_is_refused() -> None:
    with pytest.raises(GarbledOutputError, match="summary"):
        text_timings(text("interpreter-new").replace("Inference (avg): 22613.8", "Inference (avg): 22113.8"))


def test_no_runs_are_no_timings() -> None:
    dry = text("all-same").replace("count=40 curr=7(all same) p5=7 median=7 p95=7", "count=0")
    with pytest.raises(GarbledOutputError, match="lacks its numbers"):
        text_timings(dry)


@given(st.text(max_size=200))
def test_random_text_has_no_timings(printed: str) -> None:
    with pytest.raises(GarbledOutputError):
        text_timings(printed)


@given(st.sampled_from(WITH_TIMINGS), st.integers(0, 4000), st.text(max_size=12))
def test_damage_anywhere_is_refused_or_leaves_possible_numbers(name: str, at: int, damage: str) -> None:
    printed = text(name)
    timings = read_or_refused(printed[:at] + damage + printed[at + len(damage) :])
    assert timings is None or 0 < timings.latency_s <= timings.max_s * 1.001


@pytest.mark.parametrize(
    ("name", "coverage"),
    [
        ("gpu-partial", Coverage(("GPU",), 2, None)),
        ("gpu-unused", Coverage((), 0, None)),
        ("interpreter-new", None),
    ],
)
def test_the_text_says_what_a_delegate_runs(name: str, coverage: Coverage | None) -> None:
    assert text_coverage(text(name)) == coverage


def test_a_delegate_that_runs_everything_leaves_nothing() -> None:
    complete = text("gpu-partial").replace(
        "partially executed by the delegate w/ 2 delegate kernels", "completely executed by the delegate"
    )
    assert text_coverage(complete) == Coverage(("GPU",), 1, 0)
