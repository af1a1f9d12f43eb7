"""How good predictions are, worked by hand and held against definitions."""

import math
import statistics
from itertools import combinations
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latency_tables.errors import TableError
from latency_tables.measurement import Measurement
from latency_tables.prediction_error import (
    prediction_error_report,
    reference_of,
    session_speed,
    validation_report,
)
from latency_tables.spec import OpSpec
from latency_tables.validation import PredictedNetwork, Validation

LATENCIES = st.lists(st.floats(1e-4, 1.0), min_size=3, max_size=8)
NETWORKS = [OpSpec.of("network", (1, 3, 8, 8), digest=f"g{i}") for i in range(4)]


def test_a_prediction_error_worked_by_hand() -> None:
    report = prediction_error_report([1.12, 2.0, 3.84], [1.0, 2.0, 4.0])
    assert report.n == 3
    assert report.bias_percent == pytest.approx((12 + 0 - 4) / 3)
    assert report.rmspe_percent == pytest.approx(math.sqrt((144 + 0 + 16) / 3))
    assert report.median_difference_percent == pytest.approx(4.0)
    assert report.within_5_percent == pytest.approx(200 / 3)
    assert report.within_10_percent == pytest.approx(200 / 3)
    assert report.kendall_tau == pytest.approx(1.0)
    # The others' means are 3.0, 2.5 and 1.5.
    assert report.constant_rmspe_percent == pytest.approx(100 * math.sqrt((4 + 0.0625 + 0.390625) / 3))
    assert report.constant_median_difference_percent == pytest.approx(62.5)


@given(LATENCIES.filter(lambda values: len(set(values)) == len(values)), st.randoms())
@settings(max_examples=30)
def test_tau_is_the_surplus_of_pairs_in_order(measured: list[float], random: Random) -> None:
    predicted = list(measured)
    random.shuffle(predicted)
    pairs = list(combinations(zip(predicted, measured, strict=True), 2))
    surplus = sum(1 if (p - q) * (m - n) > 0 else -1 for (p, m), (q, n) in pairs)
    assert prediction_error_report(predicted, measured).kendall_tau == pytest.approx(surplus / len(pairs))


@given(LATENCIES)
@settings(max_examples=30)
def test_a_perfect_prediction_has_no_difference(measured: list[float]) -> None:
    report = prediction_error_report(measured, measured)
    assert (report.bias_percent, report.rmspe_percent, report.median_difference_percent) == (0.0, 0.0, 0.0)
    assert (report.within_5_percent, report.within_10_percent) == (100.0, 100.0)


def test_predictions_that_are_all_equal_have_no_order() -> None:
    assert math.isnan(prediction_error_report([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]).kendall_tau)


@pytest.mark.parametrize(
    ("predicted", "measured"),
    [
        ([1.0, 2.0], [1.0, 2.0]),
        ([], []),
        ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0]),
        ([1.0, 2.0, math.nan], [1.0, 2.0, 3.0]),
        ([1.0, 2.0, 3.0], [1.0, 0.0, 3.0]),
        ([1.0, -2.0, 3.0], [1.0, 2.0, 3.0]),
        ([1.0, 2.0, 3.0], [1.0, math.inf, 3.0]),
    ],
)
def test_a_prediction_error_of_too_little_or_of_no_latencies_is_refused(
    predicted: list[float], measured: list[float]
) -> None:
    with pytest.raises(TableError, match="a prediction error needs"):
        prediction_error_report(predicted, measured)


def validation(*latencies_s: float, margin_s: float = 0.1) -> Validation:
    networks = (
        PredictedNetwork(spec, latency_s, (latency_s - margin_s, latency_s + margin_s))
        for spec, latency_s in zip(NETWORKS, latencies_s, strict=False)
    )
    return Validation("basis", tuple(networks))


def measured(*samples_s: tuple[float, ...]) -> dict[OpSpec, Measurement]:
    return {spec: Measurement(spec, s) for spec, s in zip(NETWORKS, samples_s, strict=False)}


def test_a_validation_holds_predictions_against_measurements_and_halves_against_each_other() -> None:
    report = validation_report(validation(1.1, 2.0, 4.4), measured((1.0, 1.0), (2.0, 2.2), (4.0, 4.0, 4.0)))
    assert report.prediction_error == prediction_error_report([1.1, 2.0, 4.4], [1.0, 2.02, 4.0])
    assert report.floor == prediction_error_report([1.0, 2.0, 4.0], [1.0, 2.2, 4.0])
    assert report.covered_percent == pytest.approx(200 / 3)
    assert report.beats_constant


def test_a_table_that_says_no_more_than_a_constant_is_told_so() -> None:
    report = validation_report(
        validation(4.0, 3.0, 2.0, 1.0), measured(*[(x, x) for x in (1.0, 2.0, 3.0, 4.0)])
    )
    assert not report.beats_constant
    assert "NO BETTER than the constant predictor" in str(report)


@pytest.mark.parametrize("samples_s", [((1.0, 1.0), (2.0, 2.0)), ((1.0, 1.0), (2.0, 2.0), (3.0,))])
def test_a_network_without_two_samples_is_no_validation(samples_s: tuple[tuple[float, ...], ...]) -> None:
    with pytest.raises(TableError, match="validate again"):
        validation_report(validation(1.0, 2.0, 3.0), measured(*samples_s))


def measured_again(factors: tuple[float, ...], *, spread: float = 0.0) -> dict[OpSpec, Measurement]:
    """Return networks of 1, 2, ... s and, by these factors, what each took once more."""
    found = {}
    for i, factor in enumerate(factors):
        for spec, latency_s in ((NETWORKS[i], i + 1.0), (reference_of(NETWORKS[i]), (i + 1.0) * factor)):
            found[spec] = Measurement(spec, (latency_s, latency_s * (1 + spread)))
    return found


@pytest.mark.parametrize(
    ("factors", "is_another", "text"),
    [
        ((1.08, 1.10, 1.09, 1.09), True, "4 of its own networks were 9% slower"),
        ((0.80,), True, "1 of its own networks were 20% faster"),
        ((1.04, 1.04, 1.04, 1.04), False, ""),  # as far apart as one phone may be from itself
        ((1.30, 0.95, 1.25, 0.90), False, ""),  # they disagree: that is noise, not speed
    ],
)
def test_a_session_is_of_another_speed_where_its_networks_agree_on_that(
    factors: tuple[float, ...], is_another: bool, text: str
) -> None:
    speed = session_speed(measured_again(factors))
    assert speed is not None
    assert speed.ratio == pytest.approx(math.exp(statistics.median(map(math.log, factors))))
    assert (speed.n, speed.is_another) == (len(factors), is_another)
    assert text in str(speed)


def test_blocks_that_are_far_apart_leave_the_speed_open() -> None:
    speed = session_speed(measured_again((1.08,), spread=0.5))
    assert speed is not None
    assert speed.spread > 0.08
    assert not speed.is_another


def test_a_validation_reports_the_speed_of_its_session_where_it_is_another() -> None:
    predicted = validation(1.0, 2.0, 3.0, 4.0)
    slower, alike = (validation_report(predicted, measured_again((factor,) * 4)) for factor in (1.2, 1.01))
    assert (
        "in a session of another speed: when it was validated, 4 of its own networks were 20% slower"
        in str(slower)
    )
    assert "another speed" not in str(alike)
    assert validation_report(predicted, measured(*[(x, x) for x in (1.0, 2.0, 3.0, 4.0)])).session is None
