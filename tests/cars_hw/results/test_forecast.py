"""Forecasts: held against what scripted devices and hand-worked searches take."""

from dataclasses import replace
from pathlib import Path

import pytest

from cars_hw.candidate import Front
from cars_hw.config import SearchConfig
from cars_hw.ledger import Ledger
from cars_hw.results.duration import duration_text
from cars_hw.results.forecast import (
    Announcements,
    Span,
    measuring_time,
    profile_forecast,
    schedule_text,
    search_left,
    training_left,
    validation_forecast,
)
from cars_hw.results.tables import profile
from cars_hw.saving.record import Generation
from cars_hw.search import Schedule
from devices.fake import Fake
from latency_tables.spec import OpSpec
from profilers.plan import MeasurementPlan, Quality
from profilers.profiler import Profiler
from profilers.runtimes._runtime import Workload
from profilers.runtimes.fake import FakeRuntime


@pytest.mark.parametrize(("operations", "networks"), [(20, 0), (46, 16), (300, 16)])
@pytest.mark.parametrize(
    "plan", [MeasurementPlan(), MeasurementPlan(spread_s=0.0), MeasurementPlan(group_size=20)]
)
def test_a_forecast_is_within_a_factor_of_what_the_fake_device_takes(
    operations: int, networks: int, plan: MeasurementPlan
) -> None:
    """It takes no time to load anything, so that the least may be too long by that alone."""
    macs, device = 10_000_000, Fake()
    runtime = FakeRuntime(latency_s=lambda spec, _: macs / 1e10 if spec.kind == "network" else 1e-4)
    kinds = ["op"] * operations + ["network"] * networks
    wanted = [Workload(OpSpec.of(kind, (1, 1 + i, 4, 4)), Path("never read")) for i, kind in enumerate(kinds)]
    profiler = Profiler(device, runtime, plan)
    size = plan.group_size
    for start in range(0, len(wanted), size):
        profiler.measure(wanted[start : start + size])
    forecast = measuring_time(plan, operations, [macs] * networks)
    assert forecast.least_s / 3 <= device.clock_s() <= forecast.most_s


def test_two_hundred_operations_take_half_an_hour_of_a_phone_and_half_of_that_of_two() -> None:
    """As docs/android.md has it."""
    plan = MeasurementPlan.for_phones()
    one, two = measuring_time(plan, 200, []), measuring_time(plan, 200, [], devices=2)
    assert one.least_s < 30 * 60 < one.most_s
    assert two.least_s == pytest.approx(one.least_s / 2)


@pytest.mark.parametrize("runtime", ["fake", "tests.fakes.slow_runtime"])
def test_what_is_missing_is_counted_and_nothing_takes_no_time(runtime: str, tmp_path: Path) -> None:
    values = {
        "latency.device": "fake",
        "latency.runtime": runtime,
        "latency.table": str(tmp_path / "t.jsonl"),
    }
    config = SearchConfig.load(None, {"space.name": "tests.fakes.two_options", **values})
    before, is_of_units = profile_forecast(config), runtime == "fake"
    parts = f"{before.units} units" if is_of_units else f"{before.operations} operations"
    about = "about " if is_of_units else ""  # what is executed is not known before
    assert str(before).startswith(f"{about}{parts} and {before.networks} networks are missing; about")
    found = profile(config, quality=Quality(spread_s=0.0))
    missing = before.operations + before.units + before.networks
    assert len(found.entries) <= missing if is_of_units else len(found.entries) == missing
    after = profile_forecast(config)
    assert (str(after), after.time) == ("nothing is missing", Span(0.0, 0.0))
    assert validation_forecast(config).networks == 0  # the space has no network that calibration does not see


@pytest.mark.parametrize(
    ("least_s", "most_s", "text"),
    [
        (0.0, 0.4, "about 1 s"),
        (13, 51, "about 13 to 51 s"),
        (50, 200, "about 50 s to 3 min"),
        (240, 540, "about 4 to 9 min"),
        (6_000, 40_000, "about 1.7 to 11 h"),
    ],
)
def test_a_span_is_told_in_units_that_suit_it(least_s: float, most_s: float, text: str) -> None:
    assert str(Span(least_s, most_s)) == text


def test_a_duration_has_no_more_figures_than_it_deserves() -> None:
    assert [duration_text(s) for s in (0.2, 39.2, 720, 12_600, 180_000)] == [
        "1 s",
        "40 s",
        "12 min",
        "3.5 h",
        "50 h",
    ]


SCHEDULE = Schedule(warm_up_steps=100, steps=50, generations=4)


def generation(index: int, evaluations: int) -> Generation:
    return Generation(index, (), Front(()), ("error",), {"evaluations": evaluations}, 1.0)


def spent(steps: int, evaluations: int) -> Ledger:
    """A step takes 0.5 s, an evaluation 2 s."""
    return Ledger(
        steps=steps, training_s=0.5 * steps, evaluations=evaluations, evaluation_s=2.0 * evaluations
    )


def test_the_training_that_is_left_follows_from_the_steps_so_far() -> None:
    assert training_left(SCHEDULE, Ledger()) is None
    left = training_left(SCHEDULE, spent(100, 0))
    assert left is not None
    assert left.least_s < 200 * 0.5 < left.most_s


def test_a_search_is_timed_by_its_last_generation() -> None:
    """Three rounds are left of 24 evaluations each, and 150 steps."""
    assert search_left(SCHEDULE, spent(50, 0), []) is None
    left = search_left(SCHEDULE, spent(150, 32), [generation(0, 8), generation(1, 32)])
    truth_s = 150 * 0.5 + 3 * 24 * 2.0
    assert left is not None
    assert truth_s / 1.5 < left.least_s < truth_s < left.most_s < truth_s * 1.6


def test_after_the_first_generation_later_ones_may_evaluate_up_to_three_times_as_many() -> None:
    left = search_left(SCHEDULE, spent(100, 8), [generation(0, 8)])
    assert left is not None
    assert left.least_s < 200 * 0.5 + 4 * 8 * 2.0
    assert left.most_s > 200 * 0.5 + 4 * 24 * 2.0


def test_evaluations_by_several_workers_are_timed_by_the_clock() -> None:
    """The last generation took 16 s, of them no training, for 24 evaluations of 2 s each."""
    history = [
        replace(generation(0, 8), ledger={"evaluations": 8, "evaluation_s": 16.0}),
        replace(generation(1, 32), ledger={"evaluations": 32, "evaluation_s": 64.0}, seconds=16.0),
    ]
    alone = search_left(SCHEDULE, spent(150, 32), [generation(0, 8), generation(1, 32)])
    helped = search_left(SCHEDULE, spent(150, 32), history)
    training = training_left(SCHEDULE, spent(150, 32))
    assert alone is not None
    assert helped is not None
    assert training is not None
    assert helped.least_s - training.least_s == pytest.approx((alone.least_s - training.least_s) / 3)


def test_the_end_of_a_search_is_no_time_away() -> None:
    history = [generation(i, 8 + 24 * i) for i in range(5)]
    assert search_left(SCHEDULE, spent(300, 104), history) == Span(0.0, 0.0)


def test_a_search_says_what_it_has_to_do_and_three_times_how_long_it_takes() -> None:
    said: list[str] = []
    told = Announcements(SCHEDULE, said.append)
    assert schedule_text(SCHEDULE, []).startswith("5 generations and 300 training steps")
    assert schedule_text(SCHEDULE, [generation(0, 8), generation(1, 32)]).startswith("3 generations and 150 ")
    history: list[Generation] = []
    for index in range(5):
        for step in range(50):
            told.step(spent(index * 50 + step, 8 * index))
        history.append(generation(index, 8 + 24 * index))
        told.generation(spent(100 + 50 * index, 8 + 24 * index), history)
    assert [line.split(" ")[1] for line in said] == ["training", "generations", "generations"]
    assert "about" in said[0]
