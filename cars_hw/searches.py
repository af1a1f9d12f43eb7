"""Several searches at once: each of a run of its own, and a task of an executor, on one thread.

What a search finds is then the same to the bit on every executor, and where its worker dies: it is given to
another one, which goes on from what was saved.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from cars_hw.assembly import open_search
from cars_hw.executors import Executor, Shared
from cars_hw.runs import Run
from cars_hw.weights.evaluation import one_thread
from devices.foundation import CarsHwError, ConfigError


@dataclass(frozen=True)
class Searched:
    """How a search has ended.

    Attributes:
        run: Its run.
        error: Why it could not go on, in one line; empty where its schedule is done.
    """

    run: Run
    error: str = ""


class Job(TypedDict):
    """A search, in plain values.

    Attributes:
        folder: Of its run.
        plugins: Modules from outside that this may name.
        allow_infeasible: As ``open_search`` takes it.
        allow_changed: So is this.
    """

    folder: str
    plugins: list[str]
    allow_infeasible: bool
    allow_changed: list[str]


def _go_on() -> None:
    """Do nothing while searches are waited for."""


def run_searches(
    runs: Sequence[Run],
    executor: Executor,
    *,
    allow_infeasible: bool = False,
    allow_changed: Collection[str] = (),
    while_waiting: Callable[[], None] = _go_on,
) -> Iterator[Searched]:
    """Yield each run as its search ends, from its newest checkpoint to the end of its schedule.

    One that cannot go on says so and keeps no other one from its end. Fronts are not measured: measuring
    wants a machine for itself.

    Args:
        runs: As ``Run.create`` or ``Run.open`` returns them. Elsewhere than on this machine, their folders
            have to lie where all hosts find them under the same name.
        executor: Where; ended by whoever made it.
        allow_infeasible: Whether a search may begin though no network meets its limits.
        allow_changed: What may have changed since latency tables were measured: see ``open_search``.
        while_waiting: Called several times a second while searches run elsewhere; what it raises ends them,
            each as it was saved last.

    Raises:
        ConfigError: A folder is given twice, or weights are on a GPU and workers are not this process.
        WorkerLostError: Workers end at a search, one after the other.
    """
    _require_distinct(runs)
    for run in runs:
        if not executor.is_in_process and run.config.search.torch_device.partition(":")[0] != "cpu":
            raise ConfigError(
                f"{run.path} searches on {run.config.search.torch_device}, and several searches at once "
                "compute on the CPU; set search.torch_device=cpu, or run it alone"
            )
    jobs = [
        Job(
            folder=str(run.path.resolve()),
            plugins=sorted(run.config.outside_names()),
            allow_infeasible=allow_infeasible,
            allow_changed=sorted(allow_changed),
        )
        for run in runs
    ]
    for index, error in executor.map(search_job, jobs, while_waiting=while_waiting):
        yield Searched(runs[index], error)


def search_job(job: Job, shared: Shared) -> str:
    """Do one search to its end, and return why that was not possible, if so; the task of an executor."""
    try:
        run = Run.open(job["folder"], allow_plugins=job["plugins"])
        with one_thread():
            search = open_search(
                run,
                allow_infeasible=job["allow_infeasible"],
                allow_changed=job["allow_changed"],
                workers=1,
            )
            for _ in search.run():
                pass
    except CarsHwError as error:
        return str(error)
    return ""


def _require_distinct(runs: Sequence[Run]) -> None:
    seen = set[Path]()
    for run in runs:
        place = run.path.resolve()
        if place in seen:
            raise ConfigError(f"{run.path} is given twice; each search has a folder of its own")
        seen.add(place)
