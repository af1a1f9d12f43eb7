"""Networks predicted from units: against dense algebra, and against truths that were drawn."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from devices import DeviceInfo
from latency_tables import (
    CALL_OVERHEAD,
    Failure,
    FailureStatus,
    LatencyModel,
    LatencyTable,
    Measurement,
    MissingEntryError,
    NetworkObservation,
    Observation,
    OpSpec,
    SpecError,
    TableError,
    TableHeader,
    Unit,
    UnitModel,
    unit_class,
    unit_work,
)

Floats = NDArray[np.float64]
Counts = Mapping[OpSpec, int]

HEADER = TableHeader(DeviceInfo("cpu", "a", "b", "c", cores=1), "fake", "1", threads=1, keyed_by="units")
OVERHEAD_S = 3e-6


def unit(operator: str, size: int, *, window: int = 0, group: int = 1) -> OpSpec:
    shape = (1, 8, size, size)
    weights = ((8, 8 // group, window, window),) if window else ()
    return Unit(operator, (shape,), shape, weights, {"group": group} if window else {}).spec()


SIZES = range(4, 13)
UNITS = [
    *(unit("Conv", size, window=1) for size in SIZES),
    *(unit("Conv", size, window=3, group=8) for size in SIZES),
    *(unit("Conv", size, window=3) for size in SIZES),
    *(unit("MaxPool", size) for size in SIZES),
    *(unit("BatchNormalization", size) for size in SIZES),
    *(unit("Transpose", size) for size in SIZES),
    *(unit("Relu", size) for size in SIZES),
]
CLASSES = [unit_class(spec) for spec in UNITS]


def table_of(alone_s: Mapping[OpSpec, float]) -> LatencyTable:
    table = LatencyTable.in_memory(HEADER)
    table.add(Measurement(CALL_OVERHEAD, (OVERHEAD_S,)))
    table.add(*(Measurement(spec, (OVERHEAD_S + latency_s,)) for spec, latency_s in alone_s.items()))
    return table


@dataclass(frozen=True)
class World:
    """Units as measured alone, and as they are in networks, (d,) seconds each."""

    alone_s: Floats
    true_s: Floats
    noise: float
    rng: np.random.Generator

    @classmethod
    def drawn(cls, seed: int, noise: float = 0.01) -> "World":
        rng = np.random.default_rng(seed)
        alone_s = np.exp(rng.uniform(np.log(2e-6), np.log(40e-6), len(UNITS)))
        of_class = dict(zip(sorted(set(CLASSES)), rng.normal(0, 0.2, 7), strict=True))
        errors = np.array([of_class[name] for name in CLASSES]) + rng.normal(0, 0.1, len(UNITS))
        true_s = rng.uniform(0.7, 1) * alone_s * (1 + errors) + 0.3e-6 * rng.normal()
        return cls(alone_s, true_s, noise, rng)

    def networks(self, n: int, *, shifted: bool) -> Floats:
        """Draw counts (n, d): of all classes alike, or each of a mixture of its own."""
        counts = np.zeros((n, len(UNITS)))
        names = sorted(set(CLASSES))
        for row in counts:
            shares = self.rng.dirichlet([0.35] * 7) if shifted else np.full(7, 1 / 7)
            weights = np.array([shares[names.index(name)] for name in CLASSES]) + 1e-9
            row += self.rng.multinomial(40, weights / weights.sum())
        return counts

    def measured_s(self, counts: Floats) -> Floats:
        sums_s = counts @ self.true_s
        return OVERHEAD_S + sums_s * (1 + self.noise * self.rng.normal(size=len(counts)))

    def table(self) -> LatencyTable:
        return table_of(dict(zip(UNITS, self.alone_s.tolist(), strict=True)))


def as_counts(row: Floats) -> dict[OpSpec, int]:
    return {spec: int(n) for spec, n in zip(UNITS, row, strict=True) if n}


def observed(rows: Floats, latencies_s: Floats) -> list[NetworkObservation]:
    return [NetworkObservation(as_counts(row), s) for row, s in zip(rows, latencies_s.tolist(), strict=True)]


def calibrated(world: World) -> UnitModel:
    rows = np.vstack([world.networks(12, shifted=False), world.networks(4, shifted=True)])
    return UnitModel(world.table(), observed(rows, world.measured_s(rows)))


def with_call(rows: Floats) -> Floats:
    """Return counts (n, 1 + d), of which the first is of the call, that every network has once."""
    return np.column_stack([np.ones(len(rows)), rows])


def dense(
    model: UnitModel, alone_s: Floats, own: Floats, rows: Floats, latencies_s: Floats
) -> tuple[Floats, Floats]:
    """Condition the prior, written out in full, on the networks: mean, covariance of call and units."""
    networks_s, weights = latencies_s - OVERHEAD_S, np.array([unit_work(spec).weights for spec in UNITS])
    units_s = model.factor * alone_s
    of_units = 0.30**2 * np.outer(units_s, units_s) + np.diag((own * units_s) ** 2) + 0.3e-6**2
    of_units += 0.2e-9**2 * np.outer(weights, weights)
    for i, one in enumerate(CLASSES):
        for j, other in enumerate(CLASSES):
            of_units[i, j] += 0.20**2 * units_s[i] * units_s[j] * (one == other)
    mean_s = np.append(0.0, units_s)
    covariance = np.zeros((len(mean_s), len(mean_s)))
    covariance[0, 0], covariance[1:, 1:] = (0.06 * networks_s.mean()) ** 2, of_units
    rows = with_call(rows)
    gain = (
        covariance
        @ rows.T
        @ np.linalg.inv(rows @ covariance @ rows.T + np.diag((model.noise * networks_s) ** 2))
    )
    return mean_s + gain @ (networks_s - rows @ mean_s), covariance - gain @ rows @ covariance


def test_it_is_the_gaussian_that_dense_algebra_gives_with_unmeasured_units_too() -> None:
    world = World.drawn(0)
    rows = world.networks(10, shifted=True)
    rows[:, 5], rows[0, 7] = 0, 3  # 5 comes later, 7 is in a network: both are not measured
    latencies_s = world.measured_s(rows)
    lacking = [UNITS[5], UNITS[7]]
    known = {spec: s for spec, s in zip(UNITS, world.alone_s.tolist(), strict=True) if spec not in lacking}
    model = UnitModel(table_of(known), observed(rows, latencies_s))
    own = np.full(len(UNITS), 0.10)
    own[[5, 7]] = 0.30
    alone_s, asked = world.alone_s.copy(), world.networks(2, shifted=True) + 1
    estimates = {term.spec: term for term in UnitModel(table_of(known)).predict(as_counts(asked[0])).terms}
    alone_s[[5, 7]] = [estimates[spec].latency_s for spec in lacking]
    mean_s, covariance = dense(model, alone_s, own, rows, latencies_s)
    for counted in asked:
        [row] = with_call(np.array([counted]))
        found = model.predict(as_counts(counted))
        net_s = float(row @ mean_s)
        assert found.latency_s == pytest.approx(OVERHEAD_S + net_s)
        variance = float(row @ covariance @ row) + (model.noise * net_s) ** 2
        assert found.deviation_s == pytest.approx(variance**0.5, rel=1e-6)
        assert {term.spec for term in found.terms if not term.is_measured} == set(lacking)
        for place, term in enumerate(found.terms, start=1):
            assert term.latency_s == pytest.approx(mean_s[place])
            assert term.interval_s[1] - term.latency_s == pytest.approx(
                1.96 * covariance[place, place] ** 0.5
            )
    difference_s, deviation_s = model.difference(*map(as_counts, asked))
    networks = with_call(asked)
    change = networks[0] - networks[1]
    variance = float(change @ covariance @ change) + float(np.sum((model.noise * (networks @ mean_s)) ** 2))
    assert (difference_s, deviation_s) == pytest.approx((float(change @ mean_s), variance**0.5), rel=1e-6)


def test_a_prediction_is_the_sum_of_a_call_and_its_terms() -> None:
    world = World.drawn(1)
    model = calibrated(world)
    counts = as_counts(world.networks(1, shifted=True)[0])
    found = model.predict(counts)
    assert found.latency_s == pytest.approx(model.call_s + math.fsum(term.total_s for term in found.terms))
    assert model.call_s != OVERHEAD_S
    assert {term.spec: term.count for term in found.terms} == counts
    assert found.interval_at(0.95) == pytest.approx(found.interval_s, rel=1e-4)
    assert model.relative_deviation(counts) == pytest.approx(found.deviation_s / found.latency_s)


def pooled(worlds: int, *, asked: int = 12) -> tuple[Floats, Floats]:
    """Return z and relative error of predictions of networks of shifted mixtures, all worlds together."""
    z, errors = [], []
    for seed in range(worlds):
        world = World.drawn(seed, noise=(0.005, 0.01, 0.02)[seed % 3])
        model, rows = calibrated(world), world.networks(asked, shifted=True)
        for row, measured_s in zip(rows, world.measured_s(rows), strict=True):
            found = model.predict(as_counts(row))
            z.append((measured_s - found.latency_s) / found.deviation_s)
            errors.append(found.latency_s / measured_s - 1)
    return np.array(z), np.array(errors)


def test_intervals_hold_what_they_promise_where_mixtures_shift_and_nothing_is_biased() -> None:
    z, errors = pooled(40)
    assert len(z) >= 400
    assert 0.84 <= np.mean(np.abs(z) <= 1.645) <= 0.96
    assert abs(np.mean(errors)) < 0.005


def test_intervals_of_differences_hold_what_they_promise_and_are_narrower_for_networks_alike() -> None:
    inside, widths = [], []
    for seed in range(40):
        world = World.drawn(seed + 100)
        model, rows = calibrated(world), world.networks(11, shifted=True)
        for row in rows[1:]:
            mutant = row.copy()
            mutant[world.rng.permutation(len(UNITS))[:6]] += 1
            first_s, second_s = world.measured_s(np.array([row, mutant]))
            mean_s, deviation_s = model.difference(as_counts(row), as_counts(mutant))
            inside.append(abs(first_s - second_s - mean_s) <= 1.645 * deviation_s)
            alone = [model.predict(as_counts(each)).deviation_s for each in (row, mutant)]
            widths.append(deviation_s / math.hypot(*alone))
    assert len(inside) >= 400
    assert 0.84 <= np.mean(inside) <= 0.96
    assert np.mean(widths) < 0.9


def test_all_differences_at_once_are_those_of_every_pair() -> None:
    world = World.drawn(5)
    model = UnitModel(table_of(dict(zip(UNITS[:50], world.alone_s.tolist(), strict=False))))
    for known in (model, calibrated(world)):
        networks = [as_counts(row) for row in world.networks(5, shifted=True)]
        means_s, deviations_s = known.differences([*networks, networks[0]])
        for i, one in enumerate(networks):
            assert (means_s[i, i], deviations_s[i, i]) == (0, 0)
            for j, other in enumerate([*networks, networks[0]]):
                if i != j:
                    found = means_s[i, j], deviations_s[i, j]
                    assert found == pytest.approx(known.difference(one, other), rel=1e-6, abs=1e-15)
    assert model.differences([])[0].shape == (0, 0)


def test_what_is_shared_by_units_is_learnt_where_independent_corrections_miss_it() -> None:
    ours, todays = [], []
    for seed in range(8):
        world = World.drawn(seed + 200)
        rows = np.vstack([world.networks(12, shifted=False), world.networks(4, shifted=True)])
        latencies_s, table = world.measured_s(rows), world.table()
        specs = [tuple(spec for spec, n in as_counts(row).items() for _ in range(n)) for row in rows]
        seen = [Observation(each, s) for each, s in zip(specs, latencies_s.tolist(), strict=True)]
        by_units, by_operations = UnitModel(table, observed(rows, latencies_s)), LatencyModel(table, seen)
        front = world.networks(20, shifted=True)
        for row, measured_s in zip(front, world.measured_s(front), strict=True):
            counts = as_counts(row)
            ours.append(by_units.predict(counts).latency_s / measured_s - 1)
            todays.append(
                by_operations.predict([spec for spec, n in counts.items() for _ in range(n)]).latency_s
                / measured_s
                - 1
            )
    assert np.sqrt(np.mean(np.square(ours))) < 0.7 * np.sqrt(np.mean(np.square(todays)))


def test_a_belief_below_zero_is_kept_since_others_make_up_for_it() -> None:
    conv, relu = UNITS[0], UNITS[-1]
    true_s = {conv: 16e-6, relu: -0.3e-6}
    counts = [{conv: n, relu: m} for n, m in ((1, 0), (1, 5), (2, 10), (3, 0), (2, 3), (4, 25))]
    seen = [NetworkObservation(c, OVERHEAD_S + sum(n * true_s[u] for u, n in c.items())) for c in counts]
    model = UnitModel(table_of({conv: 20e-6, relu: 0.5e-6}), seen)
    found = model.predict({conv: 2, relu: 20})
    assert found.terms[1].latency_s < -0.1e-6
    assert found.terms[1].interval_s[0] <= found.terms[1].latency_s <= found.terms[1].interval_s[1]
    assert found.latency_s == pytest.approx(OVERHEAD_S + 26e-6, rel=0.02)


def test_without_networks_the_prior_alone_predicts_and_says_how_little_it_knows() -> None:
    model = UnitModel(table_of({UNITS[0]: 10e-6, UNITS[9]: 10e-6}))
    one, two = model.predict({UNITS[0]: 2}), model.predict({UNITS[0]: 1, UNITS[9]: 1})
    assert one.latency_s == two.latency_s == pytest.approx(OVERHEAD_S + 20e-6)
    for found, shares in ((one, (0.30, 0.20, 0.10)), (two, (0.30, 0.20 / 2**0.5, 0.10 / 2**0.5))):
        weights_s = 0.2e-9 * (128 if found is one else 64 + 72)  # of 1x1 with 8 x 8 channels; of 3x3 each
        wanted_s = math.hypot(*(share * 20e-6 for share in shares), 2 * 0.3e-6, weights_s, 0.05 * 20e-6)
        assert found.deviation_s == pytest.approx(wanted_s)
    assert model.relative_deviation({UNITS[0]: 2}) > model.relative_deviation({UNITS[0]: 1, UNITS[9]: 1})


def test_a_unit_that_nobody_measured_is_estimated_by_its_class_and_named() -> None:
    rates = {"pointwise": (2e-12, 1e-10), "pool": (0.0, 3e-10)}
    alone_s = {
        spec: unit_work(spec).macs * rates[name][0] + unit_work(spec).elements * rates[name][1]
        for spec, name in zip(UNITS, CLASSES, strict=True)
        if name in rates
    }
    conv, pool, failed, relu = UNITS[3], UNITS[30], UNITS[28], UNITS[-1]
    table = table_of({spec: s for spec, s in alone_s.items() if spec not in (conv, pool, failed)})
    table.add(Failure(failed, FailureStatus.UNSUPPORTED, "it is no kernel of its own"))
    model = UnitModel(table)
    found = model.predict({conv: 1, pool: 2, failed: 1, UNITS[0]: 1, relu: 1})
    assert [term.is_measured for term in found.terms] == [False, False, False, True, False]
    for term in found.terms[:4]:
        assert term.latency_s == pytest.approx(alone_s[term.spec], rel=1e-6)
    assert found.terms[4].latency_s > 0  # of no class that was measured
    own_s, shared_s = 0.30 * alone_s[conv], math.hypot(0.30, 0.20) * alone_s[conv]
    weights_s = 0.2e-9 * unit_work(conv).weights
    high_s = found.terms[0].interval_s[1]
    assert high_s - alone_s[conv] == pytest.approx(1.96 * math.hypot(own_s, shared_s, weights_s, 0.3e-6))


def test_the_order_of_what_is_asked_changes_nothing() -> None:
    world = World.drawn(3)
    known = dict(zip(UNITS[:40], world.alone_s.tolist(), strict=False))
    rows = world.networks(6, shifted=True)
    first, second = UnitModel(table_of(known)), UnitModel(table_of(known))
    forth = [first.predict(as_counts(row)) for row in rows]
    back = [second.predict(dict(reversed(as_counts(row).items()))) for row in rows[::-1]][::-1]
    for one, other in zip(forth, back, strict=True):
        assert one.latency_s == pytest.approx(other.latency_s)
        assert one.deviation_s == pytest.approx(other.deviation_s)


def test_a_unit_that_seems_to_cost_less_than_a_call_is_not_free() -> None:
    model = UnitModel(table_of({UNITS[0]: -1e-6, UNITS[1]: 5e-6}))
    assert model.predict({UNITS[0]: 10}).latency_s == pytest.approx(OVERHEAD_S + 0.2e-6)


def test_no_network_is_believed_to_take_less_than_a_call() -> None:
    seen = [NetworkObservation({UNITS[0]: 9, UNITS[1]: 1}, OVERHEAD_S + 0.1e-6)]
    model = UnitModel(table_of({UNITS[0]: 1e-6, UNITS[1]: 90e-6}), seen)
    for spec in UNITS[:2]:
        found = model.predict({spec: 1})
        assert found.latency_s >= OVERHEAD_S
        assert 0 <= found.interval_s[0] <= found.latency_s <= found.interval_s[1]


@pytest.mark.parametrize(
    ("counts", "latency_s", "message"),
    [
        ({UNITS[0]: 1}, OVERHEAD_S, "faster than a call"),
        ({UNITS[0]: 1}, 1e-9, "faster than a call"),
        ({}, 1e-3, "executes nothing"),
        ({UNITS[0]: 0}, 1e-3, "executes nothing"),
    ],
)
def test_an_impossible_observation_is_refused(counts: Counts, latency_s: float, message: str) -> None:
    with pytest.raises(TableError, match=message):
        UnitModel(table_of({UNITS[0]: 1e-6}), [NetworkObservation(counts, latency_s)])


def test_a_table_without_units_or_without_the_call_predicts_nothing() -> None:
    with pytest.raises(TableError, match="no latency of a unit"):
        UnitModel(table_of({OpSpec("skip", (1, 8, 4, 4)): 1e-6}))
    with pytest.raises(MissingEntryError, match="call_overhead"):
        UnitModel(LatencyTable.in_memory(HEADER))


def test_what_is_no_unit_is_not_predicted_and_leaves_the_model_as_it_was() -> None:
    model = UnitModel(table_of({UNITS[0]: 1e-6}))
    before = model.predict({UNITS[0]: 1})
    with pytest.raises(SpecError, match="not the key"):
        model.predict({UNITS[1]: 1, CALL_OVERHEAD: 1})
    assert model.predict({UNITS[0]: 1}) == before
    assert model.predict({UNITS[1]: 1}).terms[0].spec == UNITS[1]


def test_a_model_does_not_see_what_becomes_of_the_table() -> None:
    table = table_of({UNITS[0]: 1e-6})
    model = UnitModel(table)
    table.add(Measurement(UNITS[0], (1e-3,)), Measurement(UNITS[1], (1e-3,)))
    assert model.predict({UNITS[0]: 1}).latency_s == pytest.approx(OVERHEAD_S + 1e-6)
    assert not model.predict({UNITS[1]: 1}).terms[0].is_measured
    assert "0 networks" in repr(model)


def test_a_network_is_predicted_in_a_tenth_of_a_millisecond() -> None:
    world = World.drawn(4)
    model = calibrated(world)
    # As they come from a search: keys of their own, equal to those of the table.
    networks = [
        {replace(spec): n for spec, n in as_counts(row).items()} for row in world.networks(50, shifted=False)
    ]
    seconds: Sequence[float] = [_cpu_s(model, networks) for _ in range(10)]
    assert min(seconds) / len(networks) < 1e-4


def _cpu_s(model: UnitModel, networks: Sequence[Counts]) -> float:
    started = time.process_time()
    for counts in networks:
        model.predict(counts)
    return time.process_time() - started
