"""The noise of networks, chosen by leaving each out, against doing so."""

import numpy as np
import pytest
from numpy.typing import NDArray

from latency_tables.models.beliefs import NOISES, Prior, chosen_noise, factor_of, leave_one_out, update

Floats = NDArray[np.float64]


def simple(rng: np.random.Generator) -> tuple[Prior, Floats, Floats]:
    alone_s, counts = rng.uniform(2e-6, 2e-5, 12), rng.integers(0, 4, (9, 12)).astype(float)
    networks_s = counts @ alone_s * 0.8 * rng.normal(1, 0.02, 9)
    factor = factor_of(alone_s, counts, networks_s)
    weights = rng.integers(0, 5000, 12).astype(float)
    return Prior.of(alone_s, rng.integers(0, 7, 12), weights, np.full(12, True), factor), counts, networks_s


@pytest.mark.parametrize("noise", NOISES)
def test_leaving_one_out_in_closed_form_is_leaving_one_out(noise: float) -> None:
    prior, counts, networks_s = simple(np.random.default_rng(0))
    covariance = prior.shared_s @ prior.shared_s.T + np.diag(prior.own_s**2)
    for i, z in enumerate(leave_one_out(prior, counts, networks_s, noise)):
        others = [k for k in range(len(networks_s)) if k != i]
        rows, seen_s = counts[others], networks_s[others]
        inverse = np.linalg.inv(rows @ covariance @ rows.T + np.diag((noise * seen_s) ** 2))
        gain = counts[i] @ covariance @ rows.T @ inverse
        mean_s = counts[i] @ prior.mean_s + gain @ (seen_s - rows @ prior.mean_s)
        variance = counts[i] @ covariance @ counts[i] - gain @ rows @ covariance @ counts[i]
        variance += (noise * networks_s[i]) ** 2
        assert z == pytest.approx((networks_s[i] - mean_s) / variance**0.5, rel=1e-6)


def test_the_noise_is_the_smallest_that_the_networks_do_not_contradict() -> None:
    chosen = []
    for spread in (0.001, 0.02, 0.2):
        rng = np.random.default_rng(1)
        prior, counts, networks_s = simple(rng)
        networks_s *= rng.normal(1, spread, len(networks_s))
        noise = chosen_noise(prior, counts, networks_s)
        rms = {n: float(np.mean(leave_one_out(prior, counts, networks_s, n) ** 2)) for n in NOISES}
        assert noise == next((n for n in NOISES if rms[n] <= 1), 0.05)
        chosen.append(noise)
    assert chosen == sorted(chosen)
    assert chosen[0] < chosen[-1] == 0.05


@pytest.mark.parametrize("seed", range(20))
def test_networks_far_shorter_than_a_dispatch_may_take_are_believed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(40, np.full(12, 1 / 12), 12).astype(float)
    alone_s, networks_s = rng.uniform(1e-9, 2e-9, 12), rng.normal(6.3e-8, 6e-10, 12)
    prior = Prior.of(alone_s, rng.integers(0, 7, 12), np.zeros(12), np.full(12, True), 1.0)
    beliefs = update(prior, counts, networks_s)
    r = prior.shared_s.shape[1]
    mean_s, own, shared_s, explained = np.split(beliefs.rows(prior, counts), [1, 2, 2 + r], axis=1)
    together, less = (np.sum((counts @ columns) ** 2, axis=1) for columns in (shared_s, explained))
    variances = counts**2 @ own[:, 0] + together - less
    errors = (counts @ mean_s)[:, 0] - networks_s
    assert np.all(variances > 0)
    assert np.mean(errors**2) < np.mean(variances + (beliefs.noise * networks_s) ** 2)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_networks_say_nothing_of_their_noise(n: int) -> None:
    prior, counts, networks_s = simple(np.random.default_rng(2))
    assert chosen_noise(prior, counts[:n], networks_s[:n]) == NOISES[-1]
