import math
import pickle
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency_tables.errors import TableError
from latency_tables.measurement import FAST_MODE_QUANTILE, Measurement, fast_mode_interval
from latency_tables.spec import OpSpec

SPEC = OpSpec.of("conv", (1, 8, 16, 16), kernel=3)
LATENCIES = st.floats(1e-9, 3600.0)


def test_the_latency_is_the_tenth_percentile_of_the_samples() -> None:
    measurement = Measurement(SPEC, tuple(float(i) for i in range(1, 12)))
    assert measurement.latency_s == 2.0
    assert measurement.median_s == 6.0


def test_a_slow_mode_of_the_machine_does_not_move_the_latency() -> None:
    fast = [1e-3 + i * 1e-7 for i in range(20)]
    slow = [1.5e-3] * 40
    undisturbed = Measurement(SPEC, tuple(fast)).latency_s
    assert Measurement(SPEC, (*slow, *fast)).latency_s == pytest.approx(undisturbed, rel=1e-3)


@pytest.mark.parametrize("n", [2, 3, 10, 11, 12, 60, 200])
def test_the_interval_is_that_of_full_resampling(n: int) -> None:
    samples = np.random.default_rng(n).lognormal(-7.0, 0.3, n)
    rng = np.random.default_rng(1)
    latencies = np.quantile(samples[rng.integers(n, size=(20_000, n))], FAST_MODE_QUANTILE, axis=1)
    low, high = fast_mode_interval(tuple(samples))
    rounding = 1e-12
    assert np.mean((low - rounding <= latencies) & (latencies <= high + rounding)) >= 0.94
    assert np.mean(latencies < low - rounding) <= 0.035
    assert np.mean(latencies > high + rounding) <= 0.035


@given(st.lists(LATENCIES, min_size=1, max_size=50), st.randoms())
def test_the_interval_lies_within_the_samples_and_ignores_their_order(
    samples: list[float], random: Random
) -> None:
    interval = fast_mode_interval(tuple(samples))
    assert min(samples) <= interval[0] <= interval[1] <= max(samples)
    random.shuffle(samples)
    assert fast_mode_interval(tuple(samples)) == interval


def test_equal_samples_have_an_interval_without_width() -> None:
    assert fast_mode_interval((0.3,)) == (0.3, 0.3)
    assert fast_mode_interval((0.3,) * 17) == (0.3, 0.3)
    assert Measurement(SPEC, (0.3,) * 17).relative_half_width == 0.0


def test_a_million_samples_need_no_million_resamples() -> None:
    samples = tuple(np.random.default_rng(0).uniform(1.0, 2.0, 1_000_000))
    low, high = fast_mode_interval(samples)
    assert 1.099 < low < high < 1.101


def test_the_half_width_is_relative_to_the_latency() -> None:
    measurement = Measurement(SPEC, tuple(np.random.default_rng(0).uniform(1.0, 2.0, 50)))
    low, high = measurement.interval_s
    assert measurement.relative_half_width * measurement.latency_s == pytest.approx((high - low) / 2)


@pytest.mark.parametrize("sample", [math.nan, math.inf, -math.inf, -1e-3, 0.0, 1e-10, 3601.0])
def test_a_sample_that_is_no_latency_is_refused(sample: float) -> None:
    with pytest.raises(TableError, match="no latency"):
        Measurement(SPEC, (1e-3, sample))


def test_a_measurement_without_samples_is_refused() -> None:
    with pytest.raises(TableError, match="without samples"):
        Measurement(SPEC, ())


@pytest.mark.parametrize("value", [math.nan, math.inf, None, [1], np.int64(3)])
def test_a_condition_that_no_file_can_hold_is_refused(value: object) -> None:
    with pytest.raises(TableError, match="condition load"):
        Measurement(SPEC, (1e-3,), {"load": value})  # type: ignore[dict-item]


def test_conditions_are_those_at_the_time_of_measuring() -> None:
    conditions = {"load": 0.5}
    measurement = Measurement(SPEC, (1e-3,), conditions)
    conditions["load"] = 9.0
    assert measurement.conditions == {"load": 0.5}


def test_measurements_that_differ_in_conditions_only_are_equal() -> None:
    assert Measurement(SPEC, (1e-3,), {"load": 0.5}) == Measurement(SPEC, (1e-3,), {"load": 0.7})
    assert hash(Measurement(SPEC, (1e-3,), {"load": 0.5})) == hash(Measurement(SPEC, (1e-3,)))


def test_a_measurement_can_be_sent_to_another_process() -> None:
    measurement = Measurement(SPEC, (1e-3, 2e-3), {"load": 0.5})
    assert pickle.loads(pickle.dumps(measurement)) == measurement  # noqa: S301
