"""Coefficients from few whole networks: robust, with a prior, averaged over ways to count."""

import math

import numpy as np
import pytest
from scipy import stats

from latency_tables.networks.regression import Noise, Prior, average, fit, share_prior

_TRUTH = np.array([2.0, 0.1, 1.0, 3.0, 0.4])


def _features(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.column_stack([np.ones(n), rng.integers(0, 5, size=(n, 4))]).astype(float)


def _prior(features: np.ndarray) -> Prior:
    d = features.shape[1]
    return share_prior(features, np.full(d, 1 / d), np.full(d, 0.3))


def _noisy(rng: np.random.Generator, clean: np.ndarray, deviation: float) -> np.ndarray:
    return clean * (1 + deviation * rng.standard_t(4, size=len(clean)))


def test_coefficients_are_recovered_from_networks_without_noise() -> None:
    rng = np.random.default_rng(0)
    features = _features(rng, 20)
    found = fit(features, features @ _TRUTH, _prior(features))
    assert found.mean == pytest.approx(_TRUTH, abs=0.01)
    assert found.noise < 0.02


def test_networks_measured_under_disturbance_change_little() -> None:
    rng = np.random.default_rng(1)
    features, others = _features(rng, 16), _features(rng, 200)
    latencies = _noisy(rng, features @ _TRUTH, 0.005)
    latencies[[3, 11]] *= 2.0
    robust = fit(features, latencies, _prior(features)).predict(others)[0]
    squares = others @ np.linalg.lstsq(features, latencies, rcond=None)[0]
    truth = others @ _TRUTH
    errors = [float(np.sqrt(np.mean((found / truth - 1) ** 2))) for found in (robust, squares)]
    assert errors[0] < 0.03
    assert errors[1] > 0.10


def test_intervals_cover_what_they_promise() -> None:
    covered = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        features, others = _features(rng, 12), _features(rng, 50)
        found = fit(features, _noisy(rng, features @ _TRUTH, 0.02), _prior(features))
        means, deviations = found.predict(others)
        new = _noisy(rng, others @ _TRUTH, 0.02)
        covered.append(np.abs(new - means) <= 1.645 * deviations)
    assert 0.86 <= np.mean(covered) <= 0.97


def test_with_known_noise_that_is_no_students_t_it_is_the_gaussian_posterior() -> None:
    rng, known = np.random.default_rng(2), Noise(deviation=0.02, networks=1e9, freedom=1e9)
    features = _features(rng, 8)
    latencies = _noisy(rng, features @ _TRUTH, 0.02)
    latencies /= latencies.mean()
    prior = _prior(features)
    found = fit(features, latencies, prior, known)
    precision = np.diag(1 / (0.02 * latencies) ** 2)
    covariance = np.linalg.inv(np.linalg.inv(prior.covariance) + features.T @ precision @ features)
    weighted = np.linalg.solve(prior.covariance, prior.mean) + features.T @ precision @ latencies
    assert found.mean == pytest.approx(covariance @ weighted, rel=1e-5)
    assert found.covariance == pytest.approx(covariance, rel=1e-4, abs=1e-9)


def test_the_density_of_a_network_is_that_by_the_others_alone() -> None:
    rng = np.random.default_rng(3)
    features = _features(rng, 9)
    latencies = _noisy(rng, features @ _TRUTH, 0.03)
    latencies[4] = np.delete(latencies, 4).mean()  # so that the average is the same without it
    prior = _prior(features)
    others = fit(np.delete(features, 4, axis=0), np.delete(latencies, 4), prior)
    variance = float(features[4] @ others.covariance @ features[4]) + (others.noise * latencies[4]) ** 2
    expected = stats.t.logpdf(latencies[4], 4, loc=features[4] @ others.mean, scale=math.sqrt(variance))
    assert fit(features, latencies, prior).log_density[4] == pytest.approx(expected)


def test_the_order_of_networks_and_the_unit_of_latencies_do_not_matter() -> None:
    rng = np.random.default_rng(4)
    features = _features(rng, 10)
    latencies = _noisy(rng, features @ _TRUTH, 0.02)
    found, order = fit(features, latencies, _prior(features)), rng.permutation(10)
    shuffled = fit(features[order], 1e-3 * latencies[order], _prior(features))
    assert 1e3 * shuffled.mean == pytest.approx(found.mean)
    assert shuffled.noise == pytest.approx(found.noise)
    assert shuffled.log_density - math.log(1e3) == pytest.approx(found.log_density[order])


def test_there_may_be_more_coefficients_than_networks() -> None:
    rng = np.random.default_rng(5)
    truth = rng.uniform(0.5, 1.5, size=60)
    features, others = (rng.integers(0, 3, size=(n, 60)).astype(float) for n in (12, 100))
    prior = share_prior(features, np.full(60, 1 / 60), np.full(60, 0.3 / 60))
    means, deviations = fit(features, features @ truth, prior).predict(others)
    z = (others @ truth - means) / deviations
    assert np.sqrt(np.mean(z**2)) < 1.5
    assert np.sqrt(np.mean((means / (others @ truth) - 1) ** 2)) < 0.08


def test_what_no_network_has_stays_as_it_was_believed() -> None:
    rng = np.random.default_rng(6)
    features = _features(rng, 10)
    latencies = features @ _TRUTH
    features = np.column_stack([features, np.zeros(10)])
    prior = _prior(features)
    found = fit(features, latencies, prior)
    assert found.mean[-1] == pytest.approx(latencies.mean() * prior.mean[-1])
    assert found.covariance[-1, -1] == pytest.approx(latencies.mean() ** 2 * prior.covariance[-1, -1])


def test_the_way_to_count_that_the_device_follows_gets_the_weight() -> None:
    rng = np.random.default_rng(7)
    right, wrong = _features(rng, 20), _features(rng, 20)
    latencies = _noisy(rng, right @ _TRUTH, 0.01)
    both = average([fit(own, latencies, _prior(own)) for own in (wrong, right)])
    assert both.weights[1] > 0.999
    means, deviations = both.predict([wrong, right])
    alone = both.fits[1].predict(right)
    assert means == pytest.approx(alone[0])
    assert deviations == pytest.approx(alone[1], rel=1e-3)


def test_ways_to_count_that_disagree_widen_the_deviation() -> None:
    rng = np.random.default_rng(8)
    features = _features(rng, 10)
    one = fit(features, features @ _TRUTH, _prior(features))
    both = average([one, one])
    assert both.weights == pytest.approx([0.5, 0.5])
    means, deviations = both.predict([features, 1.2 * features])
    apart = 0.1 * features @ one.mean
    assert means == pytest.approx(1.1 * features @ one.mean)
    assert np.all(deviations > apart)
