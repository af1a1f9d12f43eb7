"""How long to measure."""

import pytest

from devices._errors import ProfilingError
from profilers.plan import MeasurementPlan


def test_the_looks_are_those_of_the_protocol() -> None:
    assert MeasurementPlan().looks == (10, 14, 20, 28, 40, 56, 80)


@pytest.mark.parametrize(
    ("min_rounds", "max_rounds", "looks"), [(5, 10, (5, 7, 10)), (10, 15, (10, 14, 15)), (3, 3, (3,))]
)
def test_the_last_look_is_after_the_last_round(
    min_rounds: int, max_rounds: int, looks: tuple[int, ...]
) -> None:
    assert MeasurementPlan(min_rounds=min_rounds, max_rounds=max_rounds).looks == looks


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
