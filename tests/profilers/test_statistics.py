"""How much to sample."""

from collections.abc import Callable

import numpy as np
import pytest

from latency_tables.measurement import Measurement
from latency_tables.spec import OpSpec
from profilers.errors import ProfilingError
from profilers.plan import MeasurementPlan
from profilers.statistics import calls_lasting, inner_calls, is_precise

SPEC = OpSpec.of("relu", (1, 8, 4, 4))


@pytest.mark.parametrize(
    ("latency_s", "n"), [(1.0, 1), (1e-3, 1), (0.9e-3, 2), (1e-4, 16), (1e-3 / 64, 64), (1e-6, 1024)]
)
def test_a_block_is_the_smallest_power_of_two_that_lasts(latency_s: float, n: int) -> None:
    assert inner_calls(lambda _: latency_s, 1e-3) == n


def test_a_search_for_more_calls_starts_where_it_is_told() -> None:
    assert inner_calls(lambda _: 1.0, 1e-3, least=8) == 8
    assert inner_calls(lambda _: 1e-4, 1e-3, least=8) == 16


def test_one_hiccup_while_probing_does_not_shorten_the_blocks() -> None:
    probes = iter([2e-3] + [1e-5] * 100)
    assert inner_calls(lambda _: next(probes), 1e-3) == 128


@pytest.mark.parametrize("latency_s", [0.0, -1.0, float("nan")])
def test_a_clock_that_does_not_advance_ends_the_search(latency_s: float) -> None:
    with pytest.raises(ProfilingError, match="does not advance"):
        inner_calls(lambda _: latency_s, 1e-3)


def first(noise: float) -> Callable[[int], Measurement]:
    samples_s = 1e-3 * (1 + noise * np.random.default_rng(0).random(80))
    return lambda n: Measurement(SPEC, tuple(samples_s[:n].tolist()))


@pytest.mark.parametrize(("n", "expected"), [(10, False), (13, False), (14, True), (15, False), (20, True)])
def test_two_checks_in_a_row_decide(n: int, expected: bool) -> None:
    assert is_precise(first(noise=0.001), n, MeasurementPlan()) is expected


def test_a_wide_interval_at_this_check_or_the_one_before_is_not_enough() -> None:
    plan = MeasurementPlan()
    assert not is_precise(first(noise=2.0), 80, plan)
    wild_until_the_check_before = (*np.linspace(1e-3, 2e-3, 56).tolist(), *[0.9e-3] * 24)
    assert Measurement(SPEC, wild_until_the_check_before).relative_half_width <= plan.precision
    assert not is_precise(lambda n: Measurement(SPEC, wild_until_the_check_before[:n]), 80, plan)


@pytest.mark.parametrize(
    ("latency_s", "n"), [(0.3, 3), (0.75, 1), (2.0, 1), (1e-4, 7500), (1e-9, 1 << 20), (0.0, 1 << 20)]
)
def test_calls_last_as_long_as_asked_for_within_bounds(latency_s: float, n: int) -> None:
    assert calls_lasting(0.75, latency_s) == n
