import math
import tracemalloc
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices._device import DeviceInfo
from latency_tables.errors import MissingEntryError, TableError
from latency_tables.measurement import Failure, FailureStatus, Measurement
from latency_tables.models.operations import LatencyModel, Observation
from latency_tables.prediction import CALL_OVERHEAD, Term
from latency_tables.spec import OpSpec
from latency_tables.table import LatencyTable, TableHeader

HEADER = TableHeader(DeviceInfo("fake", "fake", "fake", "fake", cores=1), "fake", "1", threads=1)
CONV = OpSpec.of("conv", (1, 16, 32, 32), kernel=3)
POOL = OpSpec("max_pool", (1, 16, 32, 32))
SKIP = OpSpec("skip", (1, 16, 32, 32))
LATENCIES = st.lists(st.floats(1e-4, 1.0), min_size=3, max_size=8)


def table_of(**latencies_s: float) -> LatencyTable:
    """A table of exact latencies."""
    specs = {"overhead": CALL_OVERHEAD, "conv": CONV, "pool": POOL, "skip": SKIP}
    table = LatencyTable.in_memory(HEADER)
    table.add(*(Measurement(specs[name], (latency_s,)) for name, latency_s in latencies_s.items()))
    return table


@cache
def noisy_table(seed: int) -> LatencyTable:
    """A table of nearly symmetric intervals."""
    rng = np.random.default_rng(seed)
    table = LatencyTable.in_memory(HEADER)
    for spec, latency_s in {CALL_OVERHEAD: 10e-6, CONV: 500e-6, POOL: 100e-6, SKIP: 5e-6}.items():
        table.add(Measurement(spec, tuple(latency_s + rng.normal(0, 1e-6, 5000))))
    return table


def test_a_network_costs_one_call_and_each_operation_net_of_a_call() -> None:
    model = LatencyModel(table_of(overhead=0.01, conv=0.11, pool=0.03))
    prediction = model.predict([CONV, POOL, CONV])
    assert prediction.latency_s == pytest.approx(0.01 + 0.10 + 0.02 + 0.10)
    assert [(term.spec, term.count) for term in prediction.terms] == [(CONV, 2), (POOL, 1)]
    assert prediction.terms[0].latency_s == pytest.approx(0.10)
    assert prediction.terms[0].total_s == pytest.approx(0.20)
    assert prediction.interval_s == pytest.approx((prediction.latency_s, prediction.latency_s))


def test_a_network_of_nothing_costs_a_call() -> None:
    table = noisy_table(0)
    prediction = LatencyModel(table).predict([])
    assert prediction.latency_s == table[CALL_OVERHEAD].latency_s
    assert prediction.interval_s == pytest.approx(table[CALL_OVERHEAD].interval_s)


def test_an_operation_cheaper_than_a_call_costs_nothing() -> None:
    model = LatencyModel(table_of(overhead=0.01, conv=0.11, skip=0.005))
    assert model.predict([SKIP] * 9).latency_s == 0.01
    assert model.predict([SKIP, CONV]).terms[0] == Term(SKIP, 1, 0.0, (0.0, 0.0))


def test_a_table_without_the_call_overhead_predicts_nothing() -> None:
    with pytest.raises(MissingEntryError, match="call_overhead"):
        LatencyModel(table_of(conv=0.1))


def test_an_operation_without_a_latency_is_an_error_and_never_a_number() -> None:
    table = table_of(overhead=0.01, conv=0.11)
    table.add(Failure(POOL, FailureStatus.TIMEOUT, "60 s"))
    model = LatencyModel(table)
    for spec, reason in {POOL: "timeout: 60 s", SKIP: "never measured"}.items():
        with pytest.raises(MissingEntryError, match=reason):
            model.predict([CONV, spec])


@given(st.lists(st.sampled_from([CONV, POOL, SKIP]), max_size=30), st.data())
def test_the_order_of_operations_does_not_change_a_prediction(
    specs: list[OpSpec], data: st.DataObject
) -> None:
    model = LatencyModel(noisy_table(0))
    prediction = model.predict(specs)
    shuffled = model.predict(data.draw(st.permutations(specs)))
    assert shuffled.latency_s == prediction.latency_s
    assert shuffled.interval_s == pytest.approx(prediction.interval_s)


def test_repeats_share_one_error_and_distinct_operations_do_not() -> None:
    table = noisy_table(1)
    # An overhead without error leaves the errors of the operations alone.
    table.add(Measurement(CALL_OVERHEAD, (10e-6,)))
    model = LatencyModel(table)

    def above(*specs: OpSpec) -> float:
        prediction = model.predict(specs)
        return prediction.interval_s[1] - prediction.latency_s

    assert above(*[CONV] * 5) == pytest.approx(5 * above(CONV))
    assert above(CONV, POOL) == pytest.approx(math.hypot(above(CONV), above(POOL)))


def test_the_interval_is_that_of_simulated_tables() -> None:
    table, specs = noisy_table(2), [*[CONV] * 3, *[POOL] * 10, SKIP]
    prediction = LatencyModel(table).predict(specs)
    rng = np.random.default_rng(0)
    entries = {}
    for spec, entry in table.measurements.items():
        low, high = entry.interval_s
        entries[spec] = rng.normal(entry.latency_s, (high - low) / (2 * 1.96), 50_000)
    overhead = entries[CALL_OVERHEAD]
    simulated = overhead + sum(np.maximum(entries[spec] - overhead, 0) for spec in specs)
    low, high = np.quantile(simulated, [0.025, 0.975])
    width = prediction.interval_s[1] - prediction.interval_s[0]
    assert prediction.interval_s[0] < prediction.latency_s < prediction.interval_s[1]
    assert width == pytest.approx(high - low, rel=0.1)


def test_an_interval_never_goes_below_zero() -> None:
    table = table_of(conv=2e-6)
    table.add(Measurement(CALL_OVERHEAD, (*[1e-7] * 3, *[1e-5] * 17)))
    low, _ = LatencyModel(table).predict([CONV] * 100).interval_s
    assert low == 0.0


def test_a_model_remembers_an_operation_whatever_becomes_of_the_table() -> None:
    table = table_of(overhead=0.01, conv=0.11)
    model = LatencyModel(table)
    prediction = model.predict([CONV])
    table.add(Measurement(CONV, (0.5,)), Measurement(CALL_OVERHEAD, (0.02,)))
    assert model.predict([CONV]) == prediction
    assert LatencyModel(table).predict([CONV]).latency_s == pytest.approx(0.5)


def test_observed_networks_take_out_a_common_bias() -> None:
    table = table_of(overhead=10e-6, conv=40e-6, pool=60e-6)
    truth = {CONV: 12e-6, POOL: 24e-6}
    observations = [
        Observation(specs, 10e-6 + sum(truth[spec] for spec in specs))
        for specs in ((CONV,) * 3, (CONV, POOL), (POOL,) * 4)
    ]
    network = (CONV, CONV, POOL)
    expected = 10e-6 + 2 * truth[CONV] + truth[POOL]
    assert LatencyModel(table).predict(network).latency_s > 1.5 * expected
    prediction = LatencyModel(table, observations).predict(network)
    assert prediction.latency_s == pytest.approx(expected, rel=0.03)
    assert prediction.interval_s[0] < expected < prediction.interval_s[1]
    assert prediction.latency_s == pytest.approx(10e-6 + sum(term.total_s for term in prediction.terms))


def test_an_observation_faster_than_an_empty_call_is_refused() -> None:
    with pytest.raises(TableError, match="faster than a call with nothing in it"):
        LatencyModel(table_of(overhead=10e-6, conv=40e-6), [Observation((CONV,), 9e-6)])


def test_a_calibrated_model_names_an_operation_that_the_table_lacks() -> None:
    model = LatencyModel(table_of(overhead=10e-6, conv=40e-6), [Observation((CONV,), 35e-6)])
    with pytest.raises(MissingEntryError, match="max_pool"):
        model.predict((CONV, POOL))


def test_the_predictor_grows_with_its_networks_and_not_with_the_table() -> None:
    latencies_s = {"overhead": 10e-6, "conv": 40e-6, "pool": 60e-6, "skip": 30e-6}
    observations = [Observation((CONV, POOL), 60e-6), Observation((POOL,) * 3, 110e-6)]
    expected = LatencyModel(table_of(**latencies_s), observations).predict((CONV, POOL, SKIP))
    table = table_of(**latencies_s)
    table.add(*(Measurement(OpSpec.of("foreign", (1, 1, 1, 1), n=n), (1e-5,)) for n in range(2000)))
    tracemalloc.start()
    found = LatencyModel(table, observations).predict((CONV, POOL, SKIP))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == expected
    assert peak_bytes < 1 << 20
