"""A retraining that is ended, killed or damaged goes on bit for bit as if nothing had been."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cars_hw.errors import CheckpointError
from cars_hw.retraining.monitor import Monitor, Progress
from cars_hw.retraining.session import Outcome
from cars_hw.retraining.trainer import NetworkTrainer
from cars_hw.saving.safe_points import Ended
from tests.fakes import retraining
from tests.fakes.retraining import Killed, ending_at, killing_at

_TASK = Path(__file__).parents[2] / "fakes" / "retraining_task.py"


def _run(folder: Path, monitor: Monitor | None = None, **plan: object) -> tuple[NetworkTrainer, Outcome]:
    made = retraining.trainer(**plan)
    with retraining.session(folder, made, monitor or Monitor()) as session:
        return made, session.run()


def _kept(made: NetworkTrainer) -> dict[str, bytes]:
    return {name: one.tobytes() for name, one in made.state().arrays.items()}


def _curve(outcome: Outcome) -> list[dict[str, object]]:
    return [{key: value for key, value in epoch.items() if key != "seconds"} for epoch in outcome.curve]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[NetworkTrainer, Outcome]:
    return _run(tmp_path_factory.mktemp("uninterrupted"))


@pytest.mark.parametrize(
    ("step", "optimizer"),
    [
        (7, "adamw"),
        pytest.param(1, "sgd", marks=pytest.mark.slow),
        pytest.param(4, "adamw", marks=pytest.mark.slow),
        pytest.param(5, "adamw", marks=pytest.mark.slow),
        pytest.param(9, "sgd", marks=pytest.mark.slow),
        pytest.param(10, "sgd", marks=pytest.mark.slow),
    ],
)
def test_an_end_at_any_step_is_gone_on_from_bit_for_bit(tmp_path: Path, step: int, optimizer: str) -> None:
    whole, expected = _run(tmp_path / "whole", optimizer=optimizer)
    with pytest.raises(Ended):
        _run(tmp_path / "ended", ending_at(step), optimizer=optimizer)
    made, outcome = _run(tmp_path / "ended", optimizer=optimizer)
    assert _kept(made) == _kept(whole)
    assert _curve(outcome) == _curve(expected)


def test_a_kill_between_two_checkpoints_costs_what_came_after_the_first(
    tmp_path: Path, uninterrupted: tuple[NetworkTrainer, Outcome]
) -> None:
    for step in (3, 9):
        with pytest.raises(Killed):
            _run(tmp_path, killing_at(step), checkpoint_every_s=1e-6)
    steps: list[int] = []
    made, outcome = _run(tmp_path, Monitor(lambda progress: steps.append(progress.step)))
    assert steps[0] == 9
    assert _kept(made) == _kept(uninterrupted[0])
    assert _curve(outcome) == _curve(uninterrupted[1])


@pytest.mark.slow
def test_of_a_damaged_checkpoint_the_one_before_is_gone_on_from(
    tmp_path: Path, uninterrupted: tuple[NetworkTrainer, Outcome], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Ended):
        _run(tmp_path, ending_at(8))
    [newest] = tmp_path.glob("*.partial")
    content = bytearray((newest / "arrays.safetensors").read_bytes())
    content[-7] ^= 1
    (newest / "arrays.safetensors").write_bytes(content)
    made, _ = _run(tmp_path)
    assert "falling back to the one before" in caplog.text
    assert _kept(made) == _kept(uninterrupted[0])


@pytest.mark.slow
def test_a_finished_one_is_judged_again_as_it_was(
    tmp_path: Path, uninterrupted: tuple[NetworkTrainer, Outcome]
) -> None:
    _run(tmp_path)
    _, outcome = _run(tmp_path)
    assert np.array_equal(outcome.judgement.right, uninterrupted[1].judgement.right)
    assert outcome.judgement.error == outcome.curve[-1]["error"]


def test_a_checkpoint_of_another_retraining_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Ended):
        _run(tmp_path, ending_at(2))
    made = retraining.trainer()
    with (
        pytest.raises(CheckpointError, match="is of another retraining"),
        retraining.session(tmp_path, made, Monitor(), identity="another") as session,
    ):
        session.run()


def test_progress_tells_how_much_is_left_and_each_epochs_figures(tmp_path: Path) -> None:
    told: list[Progress] = []
    _run(tmp_path, Monitor(told.append))
    assert [one.step for one in told] == [1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10, 10]
    assert [one.epoch for one in told if one.loss is not None] == [1, 2]
    assert all(one.seconds_left is not None and one.seconds_left >= 0 for one in told)
    assert told[-1].seconds_left == 0
    assert str(told[5]) == "small: epoch 1 of 2, step 5 of 10"


@pytest.mark.slow
def test_kills_at_any_moment_change_no_bit(
    tmp_path: Path, uninterrupted: tuple[NetworkTrainer, Outcome]
) -> None:
    rng = np.random.default_rng(5)
    kills = 0
    for _ in range(12):
        process = subprocess.Popen(
            [sys.executable, str(_TASK), str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()  # it begins to train
        time.sleep(float(rng.uniform(0, 0.25)))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        kills += 1
    made, outcome = _run(tmp_path)
    assert kills == 12
    assert _kept(made) == _kept(uninterrupted[0])
    assert _curve(outcome) == _curve(uninterrupted[1])
