"""Several searches at once: each finds what it finds alone, whatever becomes of the others."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from cars_hw.assembly import open_search
from cars_hw.config import SearchConfig
from cars_hw.executors import Executor
from cars_hw.executors.in_process import InProcess
from cars_hw.executors.processes import Processes
from cars_hw.runs import Run
from cars_hw.searches import Searched, run_searches
from cars_hw.weights.evaluation import one_thread
from devices.foundation import ConfigError
from tests.fakes.configurations import TINIEST
from tests.fakes.worker_processes import children

_CONFIG = f"""{TINIEST}
[search]
objectives = ["error", "parameters"]
warm_up_epochs = 0.02
epochs_per_generation = 0.02
generations = 0
[strategy]
population_size = 3
"""


def _runs(folder: Path, seeds: Sequence[int], **search: float) -> list[Run]:
    (folder / "config.toml").write_text(_CONFIG)
    values = {f"search.{name}": value for name, value in search.items()}
    return [
        Run.create(
            folder / f"seed{seed}", SearchConfig.load(folder / "config.toml", {"search.seed": seed, **values})
        )
        for seed in seeds
    ]


def _found(run: Run) -> object:
    return [(one.population, one.front) for one in run.record().history]


def _alone(run: Run) -> object:
    with one_thread():
        return [(one.population, one.front) for one in open_search(run, workers=1).run()]


def test_searches_at_once_find_what_each_finds_alone(workers: Executor, tmp_path: Path) -> None:
    (tmp_path / "alone").mkdir()
    expected = [_alone(run) for run in _runs(tmp_path / "alone", (1, 2))]
    runs = _runs(tmp_path, (1, 2))
    ended = list(run_searches(runs, workers))
    assert sorted(str(one.run.path) for one in ended) == [str(run.path) for run in runs]
    assert [_found(run) for run in runs] == expected
    assert expected[0] != expected[1]
    again = sorted(run_searches(runs, workers), key=lambda one: one.run.path)
    assert again == [Searched(run) for run in runs]  # nothing was left to do


def test_a_search_that_cannot_go_on_keeps_no_other_one_from_its_end(tmp_path: Path) -> None:
    damaged, sound = _runs(tmp_path, (1, 2))
    (damaged.path / "config.toml").write_text("[search]\ngenerations = -1\n")
    first, second = run_searches([damaged, sound], InProcess())
    assert "search.generations" in first.error
    assert second == Searched(sound)
    assert len(sound.record().history) == 1


def test_one_run_is_no_two_searches(tmp_path: Path) -> None:
    [run] = _runs(tmp_path, (1,))
    with pytest.raises(ConfigError, match="is given twice"):
        list(run_searches([run, Run.open(tmp_path / "." / "seed1")], InProcess()))


def test_what_is_on_a_gpu_is_searched_alone(workers: Executor, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(_CONFIG)
    config = SearchConfig.load(tmp_path / "config.toml", {"search.torch_device": "cuda"})
    with pytest.raises(ConfigError, match=r"searches on cuda, and several .*set search.torch_device=cpu"):
        list(run_searches([Run(tmp_path, config)], workers))


@pytest.mark.slow
def test_a_search_whose_worker_is_killed_goes_on_where_it_was_saved(tmp_path: Path) -> None:
    (tmp_path / "alone").mkdir()
    expected = [_alone(run) for run in _runs(tmp_path / "alone", (1, 2), generations=6)]
    runs, killed = _runs(tmp_path, (1, 2), generations=6), list[int]()

    def kill_one() -> None:
        if not killed and all(run.checkpoints.last_complete() is not None for run in runs):
            killed.append(children()[0])
            os.kill(killed[0], signal.SIGKILL)

    with Processes(2) as executor:
        ended = list(run_searches(runs, executor, while_waiting=kill_one))
    assert killed
    assert not any(one.error for one in ended)
    assert [_found(run) for run in runs] == expected
