"""A Ray cluster: the one at an address, the one that runs here, or one that is started here.

Ray gives a task out again where its process or its host is lost, and keeps the arrays that tasks share once
on each host. Each task is reckoned as one core, and computes on one thread.

A device is a resource of its host, ``device:NAME[:ADDRESS]``: whoever measures on it has it alone.
"""

import importlib
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any, TypeVar

from cars_hw.executors._allocation import keep_freed_memory
from cars_hw.executors._answer import Answer, answer_to
from cars_hw.executors._executor import (
    LOOK_S,
    MOST_DEATHS,
    NOTHING,
    Executor,
    Place,
    Shared,
    Task,
    TaskError,
    WorkerLostError,
    go_on,
    require_plain,
    task_name,
)
from devices.foundation import ConfigError, first_line

_In = TypeVar("_In")
_Out = TypeVar("_Out")

#: What decides the bits of a result; all workers have these versions.
_PACKAGES = ("cars-hw", "torch", "numpy")
#: How the name of a resource begins that is a device.
_DEVICE = "device:"


class Ray(Executor):
    """Runs tasks on a Ray cluster, of which this process is a driver until ``close``."""

    def __init__(self, workers: int | None = None, address: str = "") -> None:
        super().__init__(workers, address)
        self._ray: ModuleType | None = None
        self._place: Place | None = None

    @property
    def workers(self) -> int:
        return self._asked_workers or self._cores()

    def connect(self) -> None:
        self._connected()

    def close(self) -> None:
        """Leave the cluster, and end it if it was started here."""
        if self._ray is not None and self._place is None:
            self._ray.shutdown()
        self._ray = None

    def places(self, device: str) -> tuple[Place, ...]:
        """Return where hosts have a device of that name; without an address, those at all addresses."""
        wanted, found = f"{_DEVICE}{device}", list[Place]()
        for node in self._connected().nodes():
            names = sorted(node["Resources"]) if node["Alive"] else []
            found += [
                Place(name.removeprefix(_DEVICE), node["NodeID"])
                for name in names
                if name == wanted or (":" not in device and name.startswith(f"{wanted}:"))
            ]
        if not found:
            raise ConfigError(
                f"no host of the cluster has {device!r:.80}; start the one that has it by `ray start "
                f"--resources='{{\"{_DEVICE}{device:.80}\": 1}}'` beside its other options"
            )
        return tuple(found)

    def at(self, place: Place) -> "Ray":
        """Return an executor of tasks that have the device for themselves; the connection is this one's."""
        there = Ray(1, self.address)
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
        name, ray, versions = task_name(task), self._connected(), _versions()
        for index, value in enumerate(inputs):
            require_plain(value, f"input {index}")
        remote = ray.remote(**self._options())(_worked)
        common, most = ray.put(dict(shared)), self._given_at_once()
        left, running = deque(enumerate(inputs)), dict[Any, int]()

        def give() -> None:
            while left and len(running) < most:
                index, value = left.popleft()
                running[remote.remote(name, value, common, versions)] = index

        try:
            give()
            while running:
                done, _ = ray.wait(list(running), timeout=LOOK_S)
                if not done:
                    while_waiting()
                found = [(running.pop(one), one) for one in done]
                give()  # before who asks takes his time
                for index, one in found:
                    yield index, _got(ray, one, index).value
        finally:
            for one in running:
                ray.cancel(one)

    def _given_at_once(self) -> int:
        """Return how many tasks are given out at once: where all cores work, the next of each waits there."""
        is_full = self._place is None and self.workers >= self._cores()
        return 2 * self.workers if is_full else self.workers

    def _cores(self) -> int:
        return max(1, int(self._connected().cluster_resources().get("CPU", 1)))

    def _options(self) -> dict[str, Any]:
        """Return what a task needs, and where it runs."""
        found: dict[str, Any] = {"num_cpus": 1, "max_retries": MOST_DEATHS - 1}
        if self._place is not None:
            strategies = importlib.import_module("ray.util.scheduling_strategies")
            found["resources"] = {f"{_DEVICE}{self._place.device}": 1}
            found["scheduling_strategy"] = strategies.NodeAffinitySchedulingStrategy(
                self._place.host, soft=False
            )
        return found

    def _connected(self) -> ModuleType:
        if self._ray is None:
            self._ray = _initialised(self.address)
        return self._ray


def _worked(name: str, value: object, shared: Shared, versions: dict[str, str]) -> Answer:
    """Do a task, in a process of the cluster."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "":  # so does Ray hide cards from who asks for no "GPU"
        del os.environ["CUDA_VISIBLE_DEVICES"]
    keep_freed_memory()
    own = _versions()
    for package, wanted in versions.items():
        if own[package] != wanted:
            return Answer(
                refusal=f"a worker has {package} {own[package]}, this process {wanted}; install the same on "
                "all hosts of the cluster"
            )
    return answer_to(name, value, shared)


def _got(ray: ModuleType, one: object, index: int) -> Answer:
    try:
        answer = ray.get(one)
    except ray.exceptions.RayError as error:
        raise WorkerLostError(
            f"the cluster could not do task {index}: {first_line(error):.200}; --workers 1 runs it in "
            "this process"
        ) from error
    if not isinstance(answer, Answer):
        raise WorkerLostError(f"the cluster answers task {index} by a {type(answer).__name__}")
    if answer.refusal:
        raise TaskError(answer.refusal)
    return answer


def _initialised(address: str) -> ModuleType:
    """Return Ray, connected.

    Raises:
        ConfigError: It is not installed, or there is no cluster at ``address``.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else it reports to its makers
    try:
        ray = importlib.import_module("ray")
    except ImportError as error:
        raise ConfigError("the executor ray needs Ray: pip install 'cars-hw[ray]'") from error
    try:
        with warnings.catch_warnings(action="ignore"):  # what is wrong, the error says too
            ray.init(address or None, log_to_driver=False, logging_level="ERROR")
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        ray.shutdown()
        where = address or "here"
        raise ConfigError(
            f"no Ray cluster can be reached at {where}: {first_line(error):.200}; start one by `ray start "
            "--head`, or leave --executor out"
        ) from error
    return ray


@cache  # reading them takes as long as a short task
def _versions() -> dict[str, str]:
    """Return what is installed here; a checkout that is not installed has no version."""
    found = dict.fromkeys(_PACKAGES, "of no version")
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
