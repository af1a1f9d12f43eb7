"""Estimates of latencies by units: what they go by, how far they agree, and what is counted nevertheless."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from cars_hw.candidate import Candidate
from cars_hw.errors import InfeasibleError, UncountedError
from cars_hw.evolution.screening import Screen
from cars_hw.latency.contents import UnitContents
from cars_hw.latency.counting import NetworkCounts
from cars_hw.latency.model import latency_model
from cars_hw.latency.prediction import UnitPredictor
from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import Node, Part
from cars_hw.objectives import Latency, Objective, Parameters, require_feasible
from cars_hw.spaces import SearchSpace
from cars_hw.spaces.darts import Darts
from cars_hw.strategies import load
from cars_hw.strategies._strategy import SearchFacts
from cars_hw.testing._tables import write_table, write_unit_table
from cars_hw.testing._tabular import TinySpace
from cars_hw.weights import modules
from latency_tables.table import LatencyTable
from latency_tables.units.graph import ExecutedGraph, ExecutedNode
from profilers.filling import Setup
from profilers.runtimes._runtime import UnitCounter
from profilers.units.counter import live_nodes
from tests.fakes.small_spaces import small

_POOL, _CHOSEN = 150, 16


class _Merging:
    """A runtime that executes what reads the same twice, once: a network is no sum of its operations."""

    def __init__(self, space: SearchSpace, *, shows_operations: bool = True) -> None:
        self.space, self._shows_operations = space, shows_operations
        self._counter: UnitCounter = Setup("fake", "fake").load_runtime().counter(modules.build)
        self.counted: list[Architecture] = []

    def graphs(self, architectures: Sequence[Architecture]) -> list[ExecutedGraph]:
        self.counted += architectures
        return [self._merged(self.space.deployed(one).nodes) for one in architectures]

    def operation(self, node: Node) -> ExecutedGraph:
        if not self._shows_operations:
            raise UncountedError(f"{node.spec}: only networks are counted")
        return self._merged([Node(node.slot, node.spec, ())])

    def _merged(self, nodes: Sequence[Node]) -> ExecutedGraph:
        reads = [(node.spec, node.inputs) for node in live_nodes(nodes)]
        units = self._counter.executed(nodes).nodes
        merged = dict(zip(reads, units, strict=True)).values()
        return ExecutedGraph(tuple(ExecutedNode(node.unit, ()) for node in merged))


_SPACE = small("darts")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> LatencyTable:
    return LatencyTable.open(write_unit_table(tmp_path_factory.mktemp("estimates") / "t.jsonl", _SPACE))


def merged(
    table: LatencyTable, *, shows_operations: bool = True, space: SearchSpace = _SPACE
) -> tuple[Latency, _Merging]:
    """Return the latency of networks by a runtime that merges, and who counts them."""
    source = _Merging(space, shows_operations=shows_operations)
    calibration = UnitContents(space, dict(table.executed)).calibration
    alone = UnitPredictor(table, NetworkCounts(source))
    measured = [(one, alone.predict(one).latency_s) for one in calibration]
    predictor = UnitPredictor(table, NetworkCounts(source), measured)
    source.counted.clear()
    return Latency(predictor), source


def drawn(n: int, seed: int) -> list[Architecture]:
    rng = np.random.default_rng(seed)
    return list(dict.fromkeys(_SPACE.sample(rng) for _ in range(n)))


def evaluated(latency_ms: Objective, n: int = 48) -> list[Candidate]:
    """Return candidates whose errors are lower the more they cost, as far as chance lets them."""
    rng, costs = np.random.default_rng(3), Parameters(_SPACE)
    return [
        Candidate(one, (1.0 / costs(one) + 1e-4 * rng.random(), costs(one), latency_ms(one)))
        for one in drawn(n, seed=1)
    ]


def screen(latency_ms: Objective, known: Sequence[Candidate], limit: float = np.inf) -> Screen:
    chooser = Screen(
        [Parameters(_SPACE), latency_ms],
        violation=lambda costs: max(0.0, costs[2] / limit - 1.0),
        pool_size=_POOL,
    )
    chooser.learn(known)
    return chooser


def pool(n: int) -> list[Architecture]:
    return drawn(n, seed=2)


class _Exact(Objective):
    """The same latency without an estimate."""

    name = "latency_ms"

    def __init__(self, latency_ms: Latency) -> None:
        self._latency_ms = latency_ms

    def __call__(self, architecture: Architecture, /) -> float:
        return self._latency_ms(architecture)


def errors(
    latency_ms: Latency, known: Sequence[Architecture]
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return by which share estimates are off, (n,)."""
    estimate = latency_ms.estimator({one: latency_ms(one) for one in known})
    others = drawn(60, seed=5)
    return np.array([estimate(one) / latency_ms(one) - 1 for one in others])


def test_networks_that_were_counted_correct_the_sum(table: LatencyTable) -> None:
    latency_ms, _ = merged(table)
    by_calibration, by_more = (errors(latency_ms, drawn(n, seed=1)) for n in (0, 96))
    rms = [float(np.sqrt(np.mean(off**2))) for off in (by_calibration, by_more)]
    assert rms[1] < rms[0] < 0.06
    assert rms[1] < 0.05


def test_operations_that_cannot_be_counted_alone_are_estimated_by_their_work(table: LatencyTable) -> None:
    latency_ms, _ = merged(table, shows_operations=False)
    off = errors(latency_ms, drawn(96, seed=1))
    assert float(np.sqrt(np.mean(off**2))) < 0.15


def test_an_estimate_counts_no_network_and_depends_on_what_is_known_alone(table: LatencyTable) -> None:
    latency_ms, source = merged(table)
    known = {one: latency_ms(one) for one in drawn(20, seed=1)}
    others, counted = drawn(40, seed=4), len(source.counted)
    estimate = latency_ms.estimator(known)
    found = [estimate(one) for one in others]
    assert len(source.counted) == counted
    again = merged(table)[0]
    again.estimator({})(others[-1])
    fresh = again.estimator(known)
    assert [fresh(one) for one in reversed(others)] == found[::-1]


class _Whole(Darts):
    """The same space, which does not tell its parts apart."""

    def parts(self, architecture: Architecture) -> tuple[Part, ...]:
        return ()


def test_an_estimate_by_parts_is_that_by_the_nodes_of_each_network_to_the_bit(table: LatencyTable) -> None:
    by_parts, by_nodes = (
        merged(table, space=space)[0] for space in (_SPACE, _Whole(**_SPACE.settings.values()))
    )
    known, others = {one: by_parts(one) for one in drawn(20, seed=1)}, drawn(60, seed=4)
    estimates = [latency_ms.estimator(known) for latency_ms in (by_parts, by_nodes)]
    assert list(map(estimates[0], others)) == list(map(estimates[1], others))


def test_a_table_of_operations_is_its_own_estimate(tmp_path: Path) -> None:
    space = TinySpace()
    by_operations = LatencyTable.open(write_table(tmp_path / "t.jsonl", space))
    latency_ms = Latency(latency_model(space, by_operations))
    assert latency_ms.estimator({}) is latency_ms


def test_of_a_pool_only_what_is_chosen_is_counted(table: LatencyTable) -> None:
    latency_ms, source = merged(table)
    chooser = screen(latency_ms, evaluated(latency_ms))
    source.counted.clear()
    chosen = chooser(pool, _CHOSEN)
    assert len(chosen) == _CHOSEN
    assert set(source.counted) <= set(chosen)


def test_most_of_what_is_chosen_by_estimates_would_be_chosen_by_counts(table: LatencyTable) -> None:
    latency_ms, _ = merged(table)
    known = evaluated(latency_ms)
    by_estimates, by_counts = (
        screen(latency, known)(pool, _CHOSEN) for latency in (latency_ms, _Exact(latency_ms))
    )
    assert len(set(by_estimates) & set(by_counts)) > _CHOSEN / 2  # by chance, 2 of 16


def test_what_is_chosen_keeps_a_limit_by_its_counts(table: LatencyTable) -> None:
    latency_ms, _ = merged(table)
    known = evaluated(latency_ms)
    limit = float(np.median([latency_ms(one) for one in pool(_POOL)]))
    chosen = screen(latency_ms, known, limit)(pool, _CHOSEN)
    assert np.mean([latency_ms(one) <= limit for one in chosen]) >= 0.95


def test_a_restored_screen_chooses_by_the_same_estimates(table: LatencyTable) -> None:
    latency_ms, fresh = (merged(table)[0] for _ in range(2))
    saved = screen(latency_ms, evaluated(latency_ms))
    before = saved(pool, _CHOSEN)
    restored = screen(fresh, [])
    restored.restore(json.loads(json.dumps(saved.state(), allow_nan=False)))
    assert restored(pool, _CHOSEN) == saved(pool, _CHOSEN) == before


def test_a_limit_is_met_or_refused_by_counts_of_few_networks(table: LatencyTable) -> None:
    latency_ms, source = merged(table)
    least = min(latency_ms(one) for one in drawn(60, seed=6))
    source.counted.clear()
    latency_ms, source = merged(table)
    require_feasible(_SPACE, [latency_ms], {"latency_ms": least})
    assert 0 < len(source.counted) <= 32  # those of calibration among them
    with pytest.raises(InfeasibleError, match="the smallest found is") as refused:
        require_feasible(_SPACE, [latency_ms], {"latency_ms": least / 4})
    assert refused.value.costs["latency_ms"] <= least
    bounds = [latency_ms.bound(one, latency_ms(one)) for one in source.counted]
    assert refused.value.costs["latency_ms"] in bounds
    assert len(set(source.counted)) <= 64


def test_nse_trains_and_draws_by_estimates_and_chooses_by_counts(table: LatencyTable) -> None:
    latency_ms, source = merged(table)
    target = float(np.median([latency_ms(one) for one in drawn(50, seed=1)]))
    strategy = load(
        "nse",
        _SPACE,
        np.random.default_rng(0),
        population_size=12,
        operations_per_place=3,
        budget="latency_ms",
        target=target,
    )
    strategy.begin(SearchFacts(known_costs={"latency_ms": latency_ms}))
    source.counted.clear()
    asked = strategy.ask()
    assert source.counted == []
    assert {0.85 < latency_ms(one) / target < 1.15 for one in asked} == {True}
    strategy.tell([Candidate(one, (0.5, latency_ms(one))) for one in asked])
    assert set(source.counted) <= set(asked)
