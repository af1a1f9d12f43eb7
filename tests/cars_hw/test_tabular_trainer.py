"""Accuracies from a table: the learning curve, what is kept, and what a file is refused for."""

import math
from pathlib import Path

import pytest

from cars_hw.errors import ArchitectureError, CheckpointError, DataError
from cars_hw.networks.architecture import Architecture, from_text
from cars_hw.tabular_trainer import TabularCost, TabularTrainer, read_figures
from cars_hw.trainer import TrainerState
from devices.foundation.errors import ConfigError

A, B = (0, 0), (1, 2)
CURVES: dict[Architecture, tuple[float, ...]] = {A: (0.5, 0.7), B: (0.4, 0.9)}


def trainer() -> TabularTrainer:
    return TabularTrainer(CURVES, epochs=(12, 200), steps_per_epoch=2)


def parse(text: str) -> Architecture:
    return from_text(text, (2, 3))


def test_accuracies_follow_the_learning_curve_with_the_steps() -> None:
    known = trainer()
    assert known.accuracy(A) == 0.5
    for _ in range(24 + 188):  # 12 epochs, and half of the way from 12 to 200
        known.step([A])
    assert known.accuracy(A) == pytest.approx(0.6)
    assert known.accuracy(B) == pytest.approx(0.65)
    for _ in range(188 + 50):
        known.step([B])
    assert known.accuracy(B) == 0.9


def test_errors_stand_still_where_they_are_known_at_one_epoch_alone() -> None:
    assert TabularTrainer({A: (0.5,)}).has_fixed_errors
    assert not trainer().has_fixed_errors


def test_previous_weights_are_those_that_were_remembered() -> None:
    known = trainer()
    for _ in range(24):
        known.step([A])
    known.remember()
    for _ in range(376):
        known.step([A])
    assert known.accuracy(A, weights="previous") == 0.5
    assert known.accuracy(A) == 0.7


def test_a_reset_goes_back_to_the_first_epoch() -> None:
    known = trainer()
    for _ in range(400):
        known.step([A])
    known.reset(10)
    assert known.accuracy(B) == 0.4


def test_a_step_returns_the_mean_error_and_the_ledger_counts() -> None:
    known = trainer()
    assert known.step([A, B]) == pytest.approx(0.55)
    known.accuracy(A)
    assert (known.ledger.steps, known.ledger.evaluations) == (1, 1)


def test_a_restored_trainer_goes_on_at_the_same_epoch() -> None:
    saved, restored = trainer(), trainer()
    for _ in range(100):
        saved.step([A])
    saved.remember()
    saved.step([A])
    restored.restore(saved.state())
    for weights in ("current", "previous"):
        assert restored.accuracy(A, weights=weights) == saved.accuracy(A, weights=weights)
    assert restored.ledger.steps == 101


@pytest.mark.parametrize(
    "values", [{}, {"steps": 3, "previous_steps": 4}, {"steps": "3", "previous_steps": 0}]
)
def test_a_state_of_something_else_is_refused(values: dict[str, int | str]) -> None:
    with pytest.raises(CheckpointError, match="cannot be restored"):
        trainer().restore(TrainerState({}, values))


@pytest.mark.parametrize("epochs", [(), (12, 12), (200, 12)])
def test_epochs_that_do_not_ascend_are_refused(epochs: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="have to ascend"):
        TabularTrainer({}, epochs=epochs)


@pytest.mark.parametrize("curve", [(0.5,), (0.5, 1.1), (math.nan, 0.5), (-0.1, 0.5)])
def test_curves_that_are_no_accuracies_are_refused(curve: tuple[float, ...]) -> None:
    with pytest.raises(DataError, match="one from 0 to 1"):
        TabularTrainer({A: curve}, epochs=(12, 200))


def test_an_architecture_that_the_table_lacks_is_named() -> None:
    with pytest.raises(ArchitectureError, match=r"lacks \(0, 1\)"):
        trainer().accuracy((0, 1))
    with pytest.raises(ArchitectureError, match="latency_ms"):
        TabularCost("latency_ms", {A: (1.5,)})(B)
    assert TabularCost("latency_ms", {A: (1.5,)})(A) == 1.5


def test_a_file_is_read_by_the_names_of_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("late,early,architecture\n90,50,0.0\n80,40,1.2\n")
    read = read_figures(path, ["early", "late"], parse=parse, scale=0.01)
    assert read == {A: pytest.approx((0.5, 0.9)), B: pytest.approx((0.4, 0.8))}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("architecture,early\n0.0,1\n", "0 columns 'late'"),
        ("architecture,early,late,late\n0.0,1,2,3\n", "2 columns 'late'"),
        ("architecture,early,late\n0.0,1\n", "line 2: 2 cells"),
        ("architecture,early,late\n0.0,1,2\n0.0,1,2\n", "line 3.*has a row already"),
        ("architecture,early,late\n0.9,1,2\n", "line 2"),
        ("architecture,early,late\n0.0,nan,2\n", "not all finite"),
        ("architecture,early,late\n0.0,__import__('os'),2\n", "line 2"),
        ("architecture,early,late\n", "no row below"),
        ("", "0 columns"),
        ('architecture,early,late\n"0.0,1,2\n', "no CSV file"),
    ],
)
def test_a_file_that_is_no_table_is_refused_naming_the_line(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=reason):
        read_figures(path, ["early", "late"], parse=parse)


def test_a_file_that_is_absent_or_binary_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        read_figures(tmp_path / "absent.csv", ["early"], parse=parse)
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="no CSV file"):
        read_figures(tmp_path / "t.csv", ["early"], parse=parse)
