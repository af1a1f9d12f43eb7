"""The benchmark of a generation at the paper's scale, in small: it goes on from what a repository holds."""

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from cars_hw.config import SearchConfig
from cars_hw.ledger import Json
from cars_hw.saving.checkpoint import Checkpoint, CheckpointFolder
from cars_hw.search import Search

if TYPE_CHECKING:
    from _scale_run import Plan

_ROOT = Path(__file__).parents[1]
_SMALL: dict[str, Json] = {
    "data.name": "digits",
    "data.fitness_images": 100,
    "data.image_size": 8,
    "space.name": "nasbench201",
    "space.deploy": "search",
    "space.channels": 4,
    "space.cells": 1,
    "space.image_size": 8,
    "space.image_channels": 1,
    "strategy.population_size": 3,
    "training.batch_size": 16,
    "training.recalibration_images": 16,
    "training.fitness_share": 0.5,
    "search.epochs_per_generation": 0.03,
    "search.screening": False,
    "search.objectives": ["error", "parameters"],
}


@pytest.fixture(autouse=True)
def _benchmarks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(_ROOT / "benchmarks"))


def small_plan() -> "Plan":
    from _scale_run import Plan

    return Plan(SearchConfig.load(None, _SMALL), 2, 2, 40, 16)


def go_on(folder: CheckpointFolder, entries: int | None = None) -> bool:
    """Run what is left, or until the ledger has so many entries more; tell whether it is done."""
    from _scale_run import begin, count, is_begun

    left = entries

    def watch(search: Search) -> None:
        def entered(_: object) -> None:
            nonlocal left
            left = None if left is None else left - 1
            if left == 0:
                search.request_end()

        search.trainer.ledger.listener = entered

    if not is_begun(folder):
        begin(small_plan(), folder, on_search=watch)
    return is_begun(folder) and count(small_plan(), folder, on_search=watch) is not None


def latest(folder: CheckpointFolder) -> Checkpoint:
    found = folder.load_latest()
    assert found is not None
    return found


def population(checkpoint: Checkpoint) -> object:
    last: Any = checkpoint.history[-1]
    return last["population"]


def raw(share: float = 1.0) -> dict[str, Any]:
    """Return figures of two steps and three evaluations, one of them unfinished."""
    done = {"architecture": "0", "weights": "current", "cpu_s": 5.0, "recalibration_s": 1.0, "error": 0.1}
    unfinished = {**done, "error": None}
    evaluations = [done, {**done, "weights": "previous"}, unfinished]
    figures = {"step_s": [1.0, 3.0], "evaluations": evaluations, "offspring_s": 0.5, "selection_s": 0.25}
    return {**figures, "asked": {"training": {"fitness_share": share}}}


@pytest.mark.slow
def test_a_run_that_was_ended_goes_on_from_the_files_that_were_kept_of_it(tmp_path: Path) -> None:
    from _scale_run import keep, kept, spent_of

    whole = CheckpointFolder(tmp_path / "whole")
    assert go_on(whole)
    ended = CheckpointFolder(tmp_path / "ended")
    assert not go_on(ended, 2 + 3 + 2 + 9 + 3 + 4)  # inside the fifth evaluation that is counted
    keep(latest(ended), tmp_path / "kept")
    weights = (tmp_path / "kept" / "weights.safetensors.xz").read_bytes()

    elsewhere = CheckpointFolder(tmp_path / "elsewhere")
    found = kept(tmp_path / "kept")
    assert found is not None
    assert 0 < len(spent_of(found).evaluations) < 9
    elsewhere.save(found)
    assert go_on(elsewhere)
    assert population(latest(elsewhere)) == population(latest(whole))
    assert len(spent_of(latest(elsewhere)).evaluations) == 9
    keep(latest(ended), tmp_path / "kept")
    assert (tmp_path / "kept" / "weights.safetensors.xz").read_bytes() == weights


@pytest.mark.slow
def test_a_second_process_evaluates_from_the_end_and_changes_nothing(tmp_path: Path) -> None:
    from _scale_run import Beside, evaluate_beside, spent_of

    whole, shared = CheckpointFolder(tmp_path / "whole"), CheckpointFolder(tmp_path / "shared")
    assert go_on(whole)
    assert not go_on(shared, 2 + 3 + 2 + 9 + 1)  # while the generation that is counted trains
    assert evaluate_beside(small_plan(), shared, 60) == 0
    assert not go_on(shared, 2 + 4)  # inside the fourth evaluation of it
    assert evaluate_beside(small_plan(), shared, 60) >= 5
    beside = {found.evaluated.cpu_s for found in Beside(shared.path).found().values()}
    assert go_on(shared)
    assert population(latest(shared)) == population(latest(whole))
    found, made = (spent_of(latest(one)).evaluations for one in (shared, whole))
    assert [(one.architecture, one.error) for one in found] == [(one.architecture, one.error) for one in made]
    assert beside < {one.cpu_s for one in found}
    assert all(one.cpu_s > one.recalibration_s > 0 for one in found)


def test_nothing_is_kept_before_anything_was_kept(tmp_path: Path) -> None:
    from _scale_run import kept

    assert kept(tmp_path) is None


def test_what_is_kept_has_neither_momenta_nor_an_unfinished_evaluation_once_weights_stand_still(
    tmp_path: Path,
) -> None:
    from _scale_run import keep, kept

    one = np.ones(2, np.float32)
    names = ("weights/a", "momentum/a", "previous/a", "evaluation/a")
    arrays = {f"trainer/{name}": one for name in names} | {"log/counts": np.arange(2)}
    entry = {"architecture": "0", "weights": "current", "cpu_s": 1.0, "recalibration_s": 0.5, "batches": 3}
    spent: Any = {"step_s": [1.0], "evaluations": [{**entry, "error": 0.5}, {**entry, "error": None}]}
    values: Any = {"trainer": {"cpu": spent, "evaluation": {"batches": 3}}}
    keep(Checkpoint(2, arrays, values, [], is_partial=True), tmp_path)
    found = kept(tmp_path)
    assert found is not None
    assert sorted(found.arrays) == ["log/counts", "trainer/previous/a", "trainer/weights/a"]
    trainer: Any = found.values["trainer"]
    assert "evaluation" not in trainer
    assert [evaluated["error"] for evaluated in trainer["cpu"]["evaluations"]] == [0.5]
    assert gzip.decompress((tmp_path / "rest.json.gz").read_bytes()).startswith(b"{")


def test_a_ledger_counts_what_is_finished_alone() -> None:
    from _scale_costs import Ledger

    ledger = Ledger.of(raw())
    assert (ledger.steps, ledger.evaluations, ledger.previous) == (2, 2, 1)
    assert (ledger.training_s, ledger.recalibration_s, ledger.judging_s) == (4.0, 2.0, 8.0)
    assert ledger.total_s == 14.75


def test_workers_share_evaluations_and_train_together_where_they_are_told_to() -> None:
    from _scale_costs import Ledger

    ledger = Ledger.of(raw())
    training_s, evaluations_s = 98_000 * 2.0, 17_408 * 5.0
    assert ledger.search_s(1) == training_s + evaluations_s
    assert ledger.search_s(8) == training_s + evaluations_s / 8
    assert ledger.search_s(8, is_training_shared=True) == (training_s + evaluations_s) / 8


def test_what_a_search_ends_with_is_judged_on_all_images_where_a_share_has_judged() -> None:
    from _scale_costs import Ledger

    few = Ledger.of(raw(share=0.25))
    assert few.search_s(1) - Ledger.of(raw()).search_s(1) == pytest.approx(128 * (1.0 + 4.0 / 0.25))


def test_a_gpu_is_bound_by_its_host_where_arithmetic_is_faster() -> None:
    from _scale_costs import LAUNCH_S, Work, gpu_s

    work = Work(macs=1e6, step_launches=1000.0, batch_launches=100.0)
    plan = {"batch_size": 10, "recalibration_images": 10, "recalibration_batch_size": 4} | {
        "evaluation_batch_size": 100,
        "fitness_images": 190,
        "fitness_share": 1.0,
    }
    slow, fast = gpu_s(work, plan, 1e-6), gpu_s(work, plan, 1e6)
    assert slow == pytest.approx((98_000 * 6e6 * 10 / 1e6, 17_408 * 2e6 * 200 / 1e6))
    assert fast == pytest.approx((98_000 * 1000 * LAUNCH_S, 17_408 * 5 * 100 * LAUNCH_S))
