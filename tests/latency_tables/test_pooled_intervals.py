"""Intervals that hold for other processes: how processes differ is learnt from all entries together."""

import math

import numpy as np
import pytest
from scipy import stats

from latency_tables.errors import TableError
from latency_tables.intervals.pooled import pooled_intervals
from latency_tables.measurement import Measurement
from latency_tables.spec import OpSpec


def spec(i: int) -> OpSpec:
    return OpSpec.of("op", (1, i + 1, 4, 4))


def exact(i: int, *latencies_s: float, n: int = 10) -> Measurement:
    """Return what processes measured whose samples do not scatter."""
    return Measurement.of_processes(spec(i), [[latency_s] * n for latency_s in latencies_s])


def table(*entries: Measurement) -> dict[OpSpec, Measurement]:
    return {entry.spec: entry for entry in entries}


def half_width(measurements: dict[OpSpec, Measurement], i: int) -> float:
    """Return half of an interval's width, as a logarithm."""
    low_s, high_s = pooled_intervals(measurements)[spec(i)]
    assert low_s < measurements[spec(i)].latency_s < high_s
    return math.log(high_s / low_s) / 2


def test_without_processes_an_interval_is_the_entrys_own() -> None:
    samples_s = tuple(np.random.default_rng(0).lognormal(-7, 0.1, 40))
    entries = table(*(Measurement(spec(i), samples_s) for i in range(20)))
    assert all(pooled_intervals(entries)[one] == entry.interval_s for one, entry in entries.items())


def test_two_processes_that_agree_by_luck_have_the_interval_of_their_class() -> None:
    """By hand: 11 pairs, 10 of which differ by 2 %, and Student's t."""
    entries = table(exact(0, 1e-4, 1e-4), *(exact(i, 1e-4, 1.02e-4) for i in range(1, 11)))
    variance = 10 * math.log(1.02) ** 2 / 2 / 11
    expected = stats.t.ppf(0.975, 11) * math.sqrt(variance / 2)
    assert half_width(entries, 0) == pytest.approx(expected, rel=1e-9)
    assert half_width(entries, 1) == pytest.approx(expected, rel=1e-9)


def test_a_class_of_durations_does_not_count_for_another() -> None:
    fast = [exact(i, 2e-5, 2.2e-5) for i in range(10)]
    slow = [exact(i, 2e-3, 2.002e-3) for i in range(10, 20)]
    entries = table(*fast, *slow)
    assert half_width(entries, 0) > 20 * half_width(entries, 10)


def test_a_class_of_a_few_entries_is_judged_by_the_whole_table() -> None:
    entries = table(exact(0, 2e-3, 2.001e-3), *(exact(i, 2e-5, 2.05e-5) for i in range(1, 20)))
    assert half_width(entries, 0) == pytest.approx(half_width(entries, 1), rel=0.05)


def test_an_entry_whose_processes_differ_significantly_has_its_own_and_widens_no_other() -> None:
    rng = np.random.default_rng(1)
    usual = [exact(i, 1e-4, 1e-4 * math.exp(0.014 * rng.standard_normal())) for i in range(1, 40)]
    entries = table(exact(0, 1e-4, 1.3e-4), *usual)
    assert half_width(entries, 0) > math.log(1.3) / 2
    assert half_width(entries, 1) == pytest.approx(half_width(table(*usual), 1), rel=1e-9)


def test_the_samples_scatter_counts_beside_the_processes() -> None:
    rng = np.random.default_rng(2)
    scattered = rng.lognormal(math.log(1e-4), 0.2, (2, 10)).tolist()
    wide = Measurement.of_processes(spec(0), scattered)
    usual = [exact(i, 1e-4, 1e-4 * math.exp(0.014 * rng.standard_normal())) for i in range(1, 40)]
    entries = table(wide, *usual)
    assert half_width(entries, 0) > wide.relative_half_width > 3 * half_width(entries, 1)


def test_more_processes_narrow_an_interval_by_their_root() -> None:
    pairs = [exact(i, 1e-4, 1.02e-4) for i in range(1, 300)]
    four = exact(0, 1e-4, 1.02e-4, 1e-4, 1.02e-4)
    entries = table(four, *pairs)
    assert half_width(entries, 0) == pytest.approx(half_width(entries, 1) / math.sqrt(2), rel=1e-3)


def test_of_several_processes_the_latency_is_the_mean_of_their_fast_modes() -> None:
    """By hand: of n samples, type 8 takes the one at n / 10 + 0.367; 15 samples have it between two."""
    first, second = [1.0 + i for i in range(15)], [2.0 + i for i in range(15)]
    entry = Measurement.of_processes(spec(0), [first, second], {"rounds": 30})
    assert entry.latency_s == pytest.approx((1.0 + 2.0) / 2 + 0.1 * (15 + 1 / 3) + 1 / 3 - 1)
    assert entry.conditions == {"rounds": 30, "process_blocks": "15+15"}
    alone = [Measurement(spec(0), tuple(samples_s)).interval_s for samples_s in (first, second)]
    half_s = math.hypot(*((high_s - low_s) / 4 for low_s, high_s in alone))
    assert entry.interval_s == pytest.approx((entry.latency_s - half_s, entry.latency_s + half_s))


def test_few_samples_of_a_process_give_no_higher_latency_than_many() -> None:
    rng = np.random.default_rng(3)
    few = [[rng.lognormal(0, 0.02, 7).tolist() for _ in range(2)] for _ in range(2000)]
    found = [Measurement.of_processes(spec(0), samples_s).latency_s for samples_s in few]
    assert np.mean(found) == pytest.approx(math.exp(-1.28155 * 0.02), abs=0.1 * 0.02)


def test_halves_are_taken_of_each_process() -> None:
    entry = Measurement.of_processes(spec(0), [[1.0, 9.0, 1.0, 9.0], [2.0, 9.0, 2.0]])
    assert entry.every_other(0).processes_s == ((1.0, 1.0), (2.0, 2.0))
    assert entry.every_other(1).processes_s == ((9.0, 9.0), (9.0,))


@pytest.mark.parametrize("blocks", ["2+2", "3", "1+2+", "0+3", "-1+4", "a", "", 3, 3.0, True, "1" * 5000])
def test_numbers_of_blocks_that_are_not_the_samples_are_refused(blocks: object) -> None:
    assert isinstance(blocks, str | int | float)
    if blocks == "3":
        Measurement(spec(0), (1.0, 1.0, 1.0), {"process_blocks": blocks})
        return
    with pytest.raises(TableError, match="process_blocks"):
        Measurement(spec(0), (1.0, 1.0, 1.0), {"process_blocks": blocks})
