"""How long to measure."""

from dataclasses import replace

import pytest

from devices import Fake
from profilers.errors import ProfilingError
from profilers.plan import MeasurementPlan, Quality, SentinelPlan
from profilers.profiler import plan_for


def test_the_interval_is_checked_at_the_rounds_of_the_protocol() -> None:
    assert MeasurementPlan().check_rounds == (10, 14, 20, 28, 40, 56, 80)


@pytest.mark.parametrize(
    ("min_rounds", "max_rounds", "check_rounds"), [(5, 10, (5, 7, 10)), (10, 15, (10, 14, 15)), (3, 3, (3,))]
)
def test_the_last_check_is_after_the_last_round(
    min_rounds: int, max_rounds: int, check_rounds: tuple[int, ...]
) -> None:
    assert MeasurementPlan(min_rounds=min_rounds, max_rounds=max_rounds).check_rounds == check_rounds


@pytest.mark.parametrize("name", ["block_s", "precision", "budget_s"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_duration_or_precision_is_a_positive_number(name: str, value: float) -> None:
    with pytest.raises(ProfilingError, match=name):
        MeasurementPlan(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(("min_rounds", "max_rounds"), [(2, 80), (10, 9), (0, 0)])
def test_an_interval_takes_three_rounds(min_rounds: int, max_rounds: int) -> None:
    with pytest.raises(ProfilingError, match=f"{min_rounds} to {max_rounds} rounds"):
        MeasurementPlan(min_rounds=min_rounds, max_rounds=max_rounds)


@pytest.mark.parametrize(("group_size", "seed"), [(0, 0), (1, -1)])
def test_a_group_has_a_member_and_a_seed_is_not_negative(group_size: int, seed: int) -> None:
    with pytest.raises(ProfilingError, match="at least 1, 0 and 0"):
        MeasurementPlan(group_size=group_size, seed=seed)


def test_the_calls_of_the_first_block_are_not_negative() -> None:
    with pytest.raises(ProfilingError, match="first_calls -1"):
        MeasurementPlan(first_calls=-1)


@pytest.mark.parametrize("name", ["block_s", "max_drift", "rest_s", "patience_s"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_sentinel_has_positive_bounds(name: str, value: float) -> None:
    with pytest.raises(ProfilingError, match=name):
        replace(SentinelPlan(), **{name: value})  # type: ignore[arg-type]


def test_between_two_sentinels_there_is_a_block() -> None:
    with pytest.raises(ProfilingError, match="blocks_between of a measurement plan is 0"):
        SentinelPlan(blocks_between=0)


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_the_first_rounds_are_spread_over_no_less_than_no_time(value: float) -> None:
    for kind in (Quality, MeasurementPlan):
        with pytest.raises(ProfilingError, match="spread_s"):
            kind(spread_s=value)
    assert Quality(spread_s=0.0).spread_s == 0.0


def test_this_machine_is_measured_with_the_quality_that_the_user_asks_for() -> None:
    plan = plan_for(Fake(), Quality(precision=0.1, spread_s=3.0))
    assert (plan.precision, plan.spread_s) == (0.1, 3.0)
    assert plan_for(Fake()) == MeasurementPlan(processes=2)
    assert MeasurementPlan().spread_s == 10.0


def test_a_phone_is_asked_for_the_quality_that_the_user_asks_for() -> None:
    plan = MeasurementPlan.for_phones(Quality(precision=0.1, max_drift=0.3))
    assert plan.precision == 0.1
    assert plan.sentinel is not None
    assert plan.sentinel.max_drift == 0.3
    assert plan.check_rounds == (3, 4, 5)
