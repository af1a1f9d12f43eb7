"""Counting on a device: many networks a call, remembered, and what came before an error holds."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from cars_hw.candidate import Candidate
from cars_hw.evolution.screening import Screen
from cars_hw.latency.counting import CountedHere, CountedThere, NetworkCounts, unit_counter
from cars_hw.latency.model import latency_model
from cars_hw.latency.prediction import UnitPredictor
from cars_hw.networks.architecture import Architecture
from cars_hw.networks.graph import Node
from cars_hw.objectives import Latency
from cars_hw.testing._tables import write_unit_table
from cars_hw.testing._tabular import TinySpace
from latency_tables.table import LatencyTable
from latency_tables.units.graph import ExecutedGraph, ExecutedNode
from latency_tables.units.unit import Unit
from profilers.errors import ProfilingError
from profilers.filling import Setup
from profilers.progress.report import Progress
from tests.fakes import programs
from tests.fakes.counted_remote import CountedRemote

_SPACE = TinySpace((4, 3, 4))
_GRAPH = ExecutedGraph((ExecutedNode(Unit("Relu", ((1, 2),), (1, 2)).spec(), ()),))


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    tool = tmp_path / "onnxruntime_perf_test"
    tool.write_bytes(programs.perf_test())
    CountedRemote.calls.clear()
    settings = {"benchmark_binary": str(tool)}
    return Setup(f"tests.fakes.counted_remote:{tmp_path}", "onnxruntime", settings=settings)


def test_a_phone_counts_a_generation_in_one_call_and_never_again(setup: Setup) -> None:
    told: list[Progress] = []
    counts = NetworkCounts(CountedThere(_SPACE, setup))
    some = [(0, 0, 0), (0, 0, 1)]
    found = counts.of_each(some, on_progress=told.append)
    here = NetworkCounts(CountedHere(_SPACE, unit_counter(Setup("", "onnxruntime"))))
    assert found == [here.of(one) for one in some]
    assert sum("-u" in words for words in CountedRemote.calls) == 1
    assert [(one.done, one.wanted) for one in told] == [(1, 2), (2, 2)]
    before = CountedRemote.connections, len(CountedRemote.calls)
    assert counts.of(some[1]) == found[1]
    assert counts.of_each(some[::-1]) == found[::-1]
    assert (CountedRemote.connections, len(CountedRemote.calls)) == before


class _Failing:
    """Counts networks as one unit, until one that it does not execute; says what it was asked for."""

    space = _SPACE

    def __init__(self) -> None:
        self.asked: list[Sequence[Architecture]] = []

    def operation(self, node: Node) -> ExecutedGraph:
        raise ProfilingError(f"{node.spec} is not executed")

    def graphs(self, architectures: Sequence[Architecture]) -> Iterator[ExecutedGraph]:
        self.asked.append(tuple(architectures))
        for architecture in architectures:
            if architecture == (3, 2, 3):
                raise ProfilingError("it is not executed")
            yield _GRAPH


def test_what_is_counted_before_a_network_that_is_not_executed_is_remembered() -> None:
    source = _Failing()
    counts = NetworkCounts(source)
    with pytest.raises(ProfilingError):
        counts.of_each([(0, 0, 0), (1, 0, 0), (3, 2, 3), (2, 0, 0)])
    assert counts.of_each([(1, 0, 0), (0, 0, 0)]) == [_GRAPH.counts] * 2
    assert len(source.asked) == 1


def test_a_screen_asks_for_all_that_it_chose_at_once(tmp_path: Path) -> None:
    table = LatencyTable.open(write_unit_table(tmp_path / "t.jsonl", _SPACE))
    predictor = latency_model(_SPACE, table)
    assert isinstance(predictor, UnitPredictor)
    asked: list[Sequence[Architecture]] = []

    class Listening(Latency):
        def prepare(self, architectures: Sequence[Architecture], /) -> None:
            asked.append(tuple(architectures))
            super().prepare(architectures)

    latency = Listening(predictor)
    screen = Screen([latency], violation=lambda _: 0.0, pool_size=40)
    rng = np.random.default_rng(0)
    screen.learn(
        [Candidate(one, (rng.random(), latency(one))) for one in {_SPACE.sample(rng) for _ in range(12)}]
    )
    chosen = screen(lambda n: list(dict.fromkeys(_SPACE.sample(rng) for _ in range(n))), 5)
    assert set(chosen) <= {one for some in asked for one in some}
    assert 1 <= len(asked) <= 2
