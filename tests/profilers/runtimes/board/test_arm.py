"""The program on an ARM board, under QEMU: networks of every space compute there what torch does."""

import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from cars_hw import spaces
from cars_hw.networks.graph import Graph, network_spec
from cars_hw.weights import modules
from cars_hw.weights.network import Network
from latency_tables import OpSpec
from profilers.runtimes._board.process import BoardProcess
from profilers.runtimes._onnxruntime.counter import OnnxCounter
from profilers.runtimes._runtime import Timed, Workload
from profilers.runtimes.onnxruntime import OnnxRuntime
from profilers.runtimes.tflite import TfLite
from tests.fakes.arm_board import arm_python
from tests.fakes.local_board import LocalBoard
from tests.fakes.networks import learnt
from tests.fakes.small_spaces import small

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="QEMU's programs of users are Linux's"),
]

_NETWORKS = 3


@pytest.fixture
def board(tmp_path: Path, pytestconfig: pytest.Config) -> LocalBoard:
    board = LocalBoard(tmp_path)
    board.interpreter = str(arm_python(pytestconfig.cache))
    return board


def networks(name: str) -> list[Graph]:
    space, rng = small(name), np.random.default_rng(11)
    return [space.deployed(space.sample(rng)) for _ in range(_NETWORKS)]


def learnt_network(graph: Graph, seed: int) -> Workload:
    """Return a network with statistics of its own, or all would agree."""
    return Workload(network_spec(graph), lambda: learnt(Network.untrained(graph), seed))


def load_all(process: BoardProcess, runtime: OnnxRuntime | TfLite, workloads: Sequence[Workload]) -> None:
    """Load and run each; what it computes is compared with torch."""
    for place, workload in enumerate(workloads):
        process.load(place, workload.spec, runtime.lowered(workload))


@pytest.mark.parametrize("runtime", [OnnxRuntime(), TfLite()], ids=["onnxruntime", "tflite"])
def test_networks_of_every_space_compute_what_torch_does(
    board: LocalBoard, runtime: OnnxRuntime | TfLite
) -> None:
    workloads = [
        learnt_network(graph, seed) for name in spaces.names() for seed, graph in enumerate(networks(name))
    ]
    with closing(BoardProcess(board, runtime.on_board(), limit_s=300.0)) as process:
        load_all(process, runtime, workloads)
        blocks = process.run([(place, 1) for place in range(len(workloads))])
    assert len(blocks) == _NETWORKS * len(spaces.names())
    assert all(isinstance(block, Timed) for block in blocks)


def test_what_onnx_runtime_executes_there_is_known_and_each_unit_runs_alone(board: LocalBoard) -> None:
    runtime = OnnxRuntime()
    counter = OnnxCounter(modules.build)
    graphs = [graph for name in spaces.names() for graph in networks(name)]
    lowered = [Workload(network_spec(graph), counter.lowered(graph.nodes)) for graph in graphs]
    units: set[OpSpec] = set()
    for executed in runtime.executed_each(lowered, board):
        units |= executed.counts.keys()
    assert any("NhwcFusedConv" in str(unit) for unit in units)
    with closing(BoardProcess(board, runtime.on_board(), limit_s=300.0)) as process:
        load_all(process, runtime, [counter.workload(unit) for unit in sorted(units, key=str)])
