"""Ray: a search on a cluster of two nodes, one of which is killed while it holds a task.

The nodes of one machine do not find each other where it has other addresses than the loopback's. So the one
test that is run as others are runs the rest of this file in a network that has the loopback alone.
"""

import hashlib
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pytest

from cars_hw import executors
from cars_hw.assembly import make_search, make_space, make_trainer
from cars_hw.config import SearchConfig
from cars_hw.executors import Executor, Place, Shared, Task
from cars_hw.executors._executor import NOTHING, go_on
from cars_hw.executors.ray import Ray
from cars_hw.judges import ExecutorJudges, Job, Result, judge_job
from cars_hw.latency.elsewhere.jobs import measured_job
from cars_hw.networks.architecture import to_text
from cars_hw.results.tables import profile
from cars_hw.runs import Run
from cars_hw.testing import ExecutorContract
from cars_hw.testing._executor import times_sum
from devices.foundation import ConfigError
from latency_tables import LatencyTable
from profilers import Filled, Quality
from tests.fakes import leaving
from tests.fakes.configurations import TINIEST
from tests.fakes.environments import demand

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning"),  # of Ray's own
]

_In = TypeVar("_In")
_Out = TypeVar("_Out")

_ROOT = Path(__file__).parents[3]
#: Names a folder where the loopback is all there is.
_ALONE = "CARS_HW_TEST_ALONE"
_HAS_RAY = importlib.util.find_spec("ray") is not None
_IS_ALONE = _ALONE in os.environ
alone = pytest.mark.skipif(not _IS_ALONE, reason="runs in a network of its own, by the first test here")

#: Where the head serves clients.
_CLIENTS = 20001

#: Resources of the two hosts: each has a device.
_A, _B = (f"device:{leaving.__name__}:{serial}" for serial in ("a1", "b2"))

_CONFIG = f"""{TINIEST}
[search]
objectives = ["error", "parameters"]
warm_up_epochs = 0.05
epochs_per_generation = 0.05
generations = 2
[strategy]
population_size = 4
"""


@pytest.mark.skipif(_IS_ALONE, reason="this is the network of its own")
def test_the_tests_on_two_nodes_pass_in_a_network_of_their_own(tmp_path: Path) -> None:
    demand("ray", is_there=_HAS_RAY, remedy="pip install 'cars-hw[ray]'")
    words = ("-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'inner'}", __file__)
    (tmp_path / "told").mkdir()
    done = subprocess.run(
        ["unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$0" "$@"', sys.executable, *words],
        cwd=_ROOT,
        env={**os.environ, _ALONE: str(tmp_path / "told"), "RAY_USAGE_STATS_ENABLED": "0"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
    assert "failed" not in done.stdout


@pytest.fixture(scope="module")
def cluster() -> "Iterator[Cluster]":
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "ray_client_server_port": _CLIENTS, "resources": {_A: 1}},
    )
    cluster.add_node(num_cpus=1, resources={_B: 1})
    (_told() / "head").write_text(cluster.head_node.node_id)
    yield cluster
    cluster.shutdown()


@alone
class TestRay(ExecutorContract):
    name = "ray"

    @pytest.fixture(scope="class")
    @classmethod
    def executor(cls, cluster: "Cluster") -> Iterator[Executor]:
        with Ray(2, cluster.address) as executor:
            yield executor


@alone
def test_there_is_one_worker_for_each_core_of_the_cluster(cluster: "Cluster") -> None:
    with Ray(None, cluster.address) as executor:
        assert executor.workers == 2


@alone
@pytest.mark.skipif(importlib.util.find_spec("grpc") is None, reason="needs ray[client]")
def test_a_cluster_is_reached_by_its_server_of_clients(cluster: "Cluster") -> None:
    with executors.load(f"ray://127.0.0.1:{_CLIENTS}", 2) as executor:
        found = sorted(executor.map(times_sum, [1, 2, 3], shared={"a": np.arange(4.0)}))
    assert found == [(0, [1.0, 6.0]), (1, [2.0, 12.0]), (2, [3.0, 18.0])]


@alone
def test_a_cluster_that_cannot_be_reached_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"no Ray cluster can be reached at ray://127.0.0.1:1: .*ray start"):
        executors.load("ray://127.0.0.1:1").connect()


@alone
def test_a_device_that_no_host_has_is_one_line(cluster: "Cluster") -> None:
    with (
        Ray(2, cluster.address) as executor,
        pytest.raises(ConfigError, match=r"no host of the cluster has 'android'; .*\"device:android\": 1"),
    ):
        executor.places("android")


@alone
def test_devices_of_two_hosts_fill_a_table_and_one_host_what_the_other_leaves(
    cluster: "Cluster", tmp_path: Path
) -> None:
    with Ray(2, cluster.address) as executor:
        filled = _profiled(tmp_path / "both.jsonl", executor)
    both = LatencyTable.open(tmp_path / "both.jsonl")
    assert both.header.device.serials == ("a1", "b2")
    assert not filled.lost
    with _Leaving(cluster) as leaving_host:
        filled = _profiled(tmp_path / "one.jsonl", leaving_host)
    assert len(filled.lost) == 1
    assert set(LatencyTable.open(tmp_path / "one.jsonl").measurements) == set(both.measurements)
    cluster.add_node(num_cpus=1)


def _profiled(path: Path, executor: Executor) -> Filled:
    file = path.with_suffix(".toml")
    device = f'device = "{leaving.__name__}"'
    file.write_text(f'{TINIEST}[latency]\n{device}\nruntime = "fake"\ntable = "{path}"\n')
    return profile(
        SearchConfig.load(file), quality=Quality(spread_s=0.0), by_operations=True, executor=executor
    )


class _Leaving(Ray):
    """Kills the node that is not the head when it is to measure."""

    def __init__(self, cluster: "Cluster") -> None:
        super().__init__(2, cluster.address)
        self._cluster = cluster

    def at(self, place: Place) -> Ray:
        there = _Leaving(self._cluster)
        there._ray, there._place = self._connected(), place
        return there

    def map(
        self,
        task: Task[_In, _Out],
        inputs: Sequence[_In],
        *,
        shared: Shared = NOTHING,
        while_waiting: Callable[[], None] = go_on,
    ) -> Iterator[tuple[int, _Out]]:
        if task is measured_job and self._place is not None and f"device:{self._place.device}" == _B:
            [node] = self._cluster.worker_nodes
            self._cluster.remove_node(node, allow_graceful=False)
        return super().map(task, inputs, shared=shared, while_waiting=while_waiting)


@alone
def test_a_search_whose_node_is_killed_with_a_task_ends_with_the_same_populations(
    cluster: "Cluster", tmp_path: Path
) -> None:
    (tmp_path / "config.toml").write_text(_CONFIG)
    config = SearchConfig.load(tmp_path / "config.toml")
    expected = _populations(config, tmp_path / "here", None)
    assert _populations(config, tmp_path / "ray", Ray(2, cluster.address)) == expected
    killing = _Killing(cluster)
    assert _populations(config, tmp_path / "killed", killing) == expected
    assert killing.has_killed


def _populations(config: SearchConfig, folder: Path, executor: Executor | None) -> str:
    """Return a hash of all populations of a search, with their costs to the bit."""
    trainer = make_trainer(config, make_space(config))
    trainer.judges = None if executor is None else ExecutorJudges(executor)
    found = [
        [(to_text(member.architecture), [cost.hex() for cost in member.costs]) for member in one.population]
        for one in make_search(Run.create(folder, config), trainer).run()
    ]
    return hashlib.sha256(str(found).encode()).hexdigest()


class _Killing(Ray):
    """Kills the node that is the first to hold a task and is not the driver's."""

    def __init__(self, cluster: "Cluster") -> None:
        super().__init__(2, cluster.address)
        self._cluster = cluster
        self.has_killed = False

    def map(
        self,
        task: Task[_In, _Out],
        inputs: Sequence[_In],
        *,
        shared: Shared = NOTHING,
        while_waiting: Callable[[], None] = go_on,
    ) -> Iterator[tuple[int, _Out]]:
        def look() -> None:
            if not self.has_killed and (_told() / "held").exists():
                [node] = self._cluster.worker_nodes
                self._cluster.remove_node(node, allow_graceful=False)
                self.has_killed = True
            while_waiting()

        if task is judge_job:
            return super().map(held_once, inputs, shared=shared, while_waiting=look)  # type: ignore[arg-type]
        return super().map(task, inputs, shared=shared, while_waiting=look)


def held_once(job: Job, shared: Shared) -> Result:
    """Judge; the first time on a node that is not the head, hold the task until that is killed."""
    import ray

    head, held = (_told() / name for name in ("head", "held"))
    if ray.get_runtime_context().get_node_id() != head.read_text() and not held.exists():
        held.touch()
        time.sleep(600)
    return judge_job(job, shared)


def _told() -> Path:
    """Return the folder in which nodes and tests tell each other."""
    return Path(os.environ[_ALONE])
