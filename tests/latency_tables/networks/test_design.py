"""Which networks to measure, by design."""

import numpy as np
import pytest

from latency_tables.networks.design import choose, log_determinant
from latency_tables.networks.regression import Floats, Prior


def _rules(rng: np.random.Generator, m: int, n_rules: int = 1) -> list[tuple[Floats, Prior]]:
    features = [
        np.column_stack([np.ones(m), rng.integers(0, 5, size=(m, 4))]).astype(float) for _ in range(n_rules)
    ]
    return [(own, Prior(np.full(5, 0.1), np.diag([0.2, 0.1, 0.1, 0.3, 0.1]) ** 2)) for own in features]


@pytest.mark.parametrize("n_rules", [1, 3])
def test_no_exchange_of_one_network_tells_more(n_rules: int) -> None:
    rng = np.random.default_rng(0)
    rules = _rules(rng, 60, n_rules)
    chosen = choose(rules, 8, rng=rng)
    found = log_determinant(rules, chosen)
    for place in range(8):
        for other in set(range(60)) - set(chosen):
            exchanged = [*chosen[:place], other, *chosen[place + 1 :]]
            assert log_determinant(rules, exchanged) <= found + 1e-6


def test_it_tells_more_than_the_best_of_many_random_choices() -> None:
    rng = np.random.default_rng(1)
    rules = _rules(rng, 200)
    found = log_determinant(rules, choose(rules, 10, rng=rng))
    drawn = [log_determinant(rules, list(rng.choice(200, 10, replace=False))) for _ in range(500)]
    assert found > max(drawn)


def test_what_it_makes_large_is_the_determinant_of_the_information() -> None:
    rng = np.random.default_rng(2)
    ((features, prior),) = _rules(rng, 30)
    chosen = [1, 5, 7, 20]
    before = np.linalg.inv(prior.covariance)
    scaled = features[chosen] / (features[chosen] @ prior.mean)[:, None]
    after = before + scaled.T @ scaled / 0.03**2
    expected = np.log(np.linalg.det(after) / np.linalg.det(before))
    assert log_determinant([(features, prior)], chosen, deviation=0.03) == pytest.approx(expected)


def test_the_choice_is_distinct_and_follows_from_the_seed() -> None:
    rules = _rules(np.random.default_rng(3), 40)
    first, again = (choose(rules, 12, rng=np.random.default_rng(4)) for _ in range(2))
    assert first == again == sorted(set(first))
    assert choose(rules, 40, rng=np.random.default_rng(5)) == list(range(40))


def test_correlated_beliefs_are_not_measured_twice() -> None:
    features = np.eye(3)
    together = np.array([[1.0, 0.999, 0.0], [0.999, 1.0, 0.0], [0.0, 0.0, 0.25]])
    chosen = choose([(features, Prior(np.ones(3), together))], 2, deviation=0.1, rng=np.random.default_rng(6))
    assert 2 in chosen


def test_beside_networks_that_are_measured_already_others_are_chosen() -> None:
    rules = [(np.repeat(np.eye(4), 2, axis=0), Prior(np.ones(4), np.eye(4)))]
    kept = [0, 3]  # one each of the first two kinds
    chosen = choose(rules, 2, deviation=0.1, rng=np.random.default_rng(7), kept=kept)
    assert {i // 2 for i in chosen} == {2, 3}
