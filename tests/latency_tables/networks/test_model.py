"""Latencies of networks from whole networks alone."""

from collections import Counter

import numpy as np
import pytest

from latency_tables import OpSpec, TableError
from latency_tables.networks.model import (
    FEWEST_NETWORKS,
    CountedNetwork,
    Counts,
    NetworksModel,
    choose_networks,
)

_CONVS = [OpSpec.of("conv", (1, c, 8, 8), kernel=kernel) for c in (8, 16) for kernel in (1, 3)]
_POOLS = [OpSpec.of("pool", (1, c, 8, 8)) for c in (8, 16)]
_SPECS = [*_CONVS, *_POOLS]
#: Seconds of an operation, which is not quite proportional to its work, and of a call.
_TRUE_S = dict(zip(_SPECS, [1.1e-5, 9e-5, 2.1e-5, 2.1e-4, 3e-5, 5.5e-5], strict=True))
_CALL_S = 1e-4


def _work(spec: OpSpec) -> float:
    return float(spec.input_shape[1] * spec.integer("kernel", 1) ** 2)


def _networks(rng: np.random.Generator, n: int) -> list[Counts]:
    """Draw networks counted in two ways: as a whole, and without a part that the output does not need."""
    found: list[Counts] = []
    for _ in range(n):
        live = Counter({spec: int(k) for spec, k in zip(_SPECS, rng.integers(0, 6, 6), strict=True) if k})
        dead = Counter({spec: int(k) for spec, k in zip(_SPECS, rng.integers(0, 3, 6), strict=True) if k})
        found.append((live + dead, live))
    return found


def _latency_s(counts: Counts, rule: int) -> float:
    return _CALL_S + sum(n * _TRUE_S[spec] for spec, n in counts[rule].items())


def _measured(networks: list[Counts], rule: int, rng: np.random.Generator) -> list[CountedNetwork]:
    noise = 1 + 0.01 * rng.standard_normal(len(networks))
    return [
        CountedNetwork(own, _latency_s(own, rule) * float(one))
        for own, one in zip(networks, noise, strict=True)
    ]


@pytest.mark.parametrize("rule", [0, 1])
def test_networks_are_predicted_whichever_part_of_them_is_executed(rule: int) -> None:
    rng = np.random.default_rng(rule)
    model = NetworksModel(_measured(_networks(rng, 20), rule, rng), _work)
    assert model.weights[rule] > 0.99
    errors, covered = [], []
    for counts in _networks(rng, 50):
        predicted, truth = model.predict(counts), _latency_s(counts, rule)
        errors.append(predicted.latency_s / truth - 1)
        covered.append(predicted.interval_s[0] <= truth <= predicted.interval_s[1])
    assert np.sqrt(np.mean(np.square(errors))) < 0.03
    assert np.mean(covered) > 0.9


def test_an_operation_that_no_network_had_is_told_by_its_kind_and_is_less_certain() -> None:
    rng = np.random.default_rng(2)
    model = NetworksModel(_measured(_networks(rng, 20), 1, rng), _work)
    known, new = Counter({_CONVS[1]: 3}), Counter({OpSpec.of("conv", (1, 9, 8, 8), kernel=3): 3})
    by_known, by_new = model.predict((known, known)), model.predict((new, new))
    assert by_new.latency_s == pytest.approx(by_known.latency_s, rel=0.35)
    widths = [high - low for low, high in (by_known.interval_s, by_new.interval_s)]
    assert widths[1] > widths[0]


def test_fewer_than_ten_networks_are_refused() -> None:
    rng = np.random.default_rng(3)
    with pytest.raises(TableError, match="9 measured networks; predicting from networks alone needs 10"):
        NetworksModel(_measured(_networks(rng, FEWEST_NETWORKS - 1), 0, rng), _work)


def test_designed_networks_tell_more_than_random_ones() -> None:
    rng = np.random.default_rng(4)
    pool, judged = _networks(rng, 60), _networks(rng, 30)
    errors: dict[str, list[float]] = {"designed": [], "random": []}
    for seed in range(4):
        rng = np.random.default_rng(seed)
        chosen = choose_networks(pool, 10, _work, rng)
        drawn = list(rng.choice(len(pool), 10, replace=False))
        for name, own in (("designed", chosen), ("random", drawn)):
            model = NetworksModel(_measured([pool[i] for i in own], 1, rng), _work)
            ratios = [model.predict(one).latency_s / _latency_s(one, 1) for one in judged]
            errors[name].append(float(np.sqrt(np.mean(np.square(np.array(ratios) - 1)))))
    assert np.mean(errors["designed"]) < np.mean(errors["random"])


def test_the_choice_follows_from_the_seed() -> None:
    pool = _networks(np.random.default_rng(5), 60)
    first, again = (choose_networks(pool, 10, _work, np.random.default_rng(6)) for _ in range(2))
    assert first == again
    assert len(set(first)) == 10
