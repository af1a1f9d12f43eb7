"""Operations corrected jointly by whole networks."""

import numpy as np
import pytest

from latency_tables.models import calibration
from latency_tables.models.calibration import NETWORK_DEVIATION, PRIOR_DEVIATION

_RNG = np.random.default_rng(0)
_TRUE_S = _RNG.uniform(1e-5, 1e-4, size=12)
_COUNTS = _RNG.integers(0, 4, size=(40, 12)).astype(float)


def _median_difference(predicted: np.ndarray, truth: np.ndarray) -> float:
    return float(np.median(np.abs(predicted / truth - 1)))


def test_a_common_factor_is_found_from_one_network() -> None:
    beliefs = calibration.update(1.7 * _TRUE_S, _COUNTS[:1], _COUNTS[:1] @ _TRUE_S)
    assert beliefs.mean_s == pytest.approx(_TRUE_S)


def test_errors_of_single_operations_shrink_as_networks_are_seen() -> None:
    alone = 1.5 * _TRUE_S * np.exp(_RNG.normal(0, 0.1, size=12))
    held_out = _COUNTS[20:]
    differences = [
        _median_difference(
            held_out @ calibration.update(alone, _COUNTS[:k], _COUNTS[:k] @ _TRUE_S).mean_s,
            held_out @ _TRUE_S,
        )
        for k in (1, 20)
    ]
    assert differences[1] < 0.5 * differences[0]


def test_it_equals_least_squares_with_the_prior_as_further_observations() -> None:
    alone, counts = 1.3 * _TRUE_S * _RNG.uniform(0.8, 1.2, 12), _COUNTS[:8]
    networks = counts @ _TRUE_S * _RNG.uniform(0.98, 1.02, 8)
    beliefs = calibration.update(alone, counts, networks)
    ratios = counts @ alone / networks
    prior = alone * ratios.sum() / (ratios @ ratios)
    weights = np.concatenate([1 / (NETWORK_DEVIATION * networks), 1 / (PRIOR_DEVIATION * prior)])
    rows = np.vstack([counts, np.eye(12)]) * weights[:, None]
    expected = np.linalg.lstsq(rows, np.concatenate([networks, prior]) * weights)[0]
    assert beliefs.mean_s == pytest.approx(expected, rel=1e-6)
    assert beliefs.covariance == pytest.approx(np.linalg.inv(rows.T @ rows), rel=1e-5, abs=1e-20)


def test_what_was_never_seen_stays_as_uncertain_as_before() -> None:
    counts = _COUNTS[:5].copy()
    counts[:, 3] = 0
    beliefs = calibration.update(_TRUE_S, counts, counts @ _TRUE_S)
    unseen = np.eye(12)[3]
    mean, deviation = beliefs.latency_s(unseen)
    assert deviation / mean == pytest.approx(np.hypot(PRIOR_DEVIATION, NETWORK_DEVIATION))
    seen_mean, seen_deviation = beliefs.latency_s(counts[0])
    assert NETWORK_DEVIATION < seen_deviation / seen_mean < 0.5 * deviation / mean


def test_intervals_cover_networks_that_obey_the_model() -> None:
    inside = []
    for _ in range(200):
        alone = _TRUE_S / (1 + PRIOR_DEVIATION * _RNG.normal(size=12)).clip(0.3)
        measured = _COUNTS @ _TRUE_S * (1 + NETWORK_DEVIATION * _RNG.normal(size=40))
        beliefs = calibration.update(alone, _COUNTS[:8], measured[:8])
        for counts, latency in zip(_COUNTS[8:12], measured[8:12], strict=True):
            mean, deviation = beliefs.latency_s(counts)
            inside.append(abs(latency - mean) <= 1.96 * deviation)
    assert np.mean(inside) > 0.9


def test_no_operation_is_believed_to_take_less_than_no_time() -> None:
    counts = np.array([[1.0, 0.0], [1.0, 1.0]])
    beliefs = calibration.update(np.array([1e-4, 1e-4]), counts, np.array([2e-4, 1e-5]))
    assert (beliefs.mean_s >= 0).all()


def test_operations_that_no_network_has_come_out_the_same_without_a_place_in_the_matrices() -> None:
    counts = _COUNTS[:6].copy()
    counts[:, 9:] = 0
    networks_s = counts @ _TRUE_S
    whole = calibration.update(1.3 * _TRUE_S, counts, networks_s)
    small = calibration.update(1.3 * _TRUE_S[:9], counts[:, :9], networks_s)
    network = _COUNTS[30]
    others_s = network[9:] * 1.3 * _TRUE_S[9:]
    assert small.latency_s(network[:9], others_s.tolist()) == pytest.approx(whole.latency_s(network))
    assert small.other_s(1.3 * float(_TRUE_S[10])) == pytest.approx(
        (whole.mean_s[10], whole.covariance[10, 10] ** 0.5)
    )
