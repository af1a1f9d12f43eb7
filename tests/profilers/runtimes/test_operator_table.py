"""The operator table of benchmark_model, whatever its columns are."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices._errors import GarbledOutputError
from profilers.runtimes._benchmark_result import Coverage
from profilers.runtimes._operator_table import Operator, operator_coverage, operators

GOLDEN = Path(__file__).parents[2] / "golden" / "benchmark_model"
NEW = (GOLDEN / "interpreter-new.txt").read_text(encoding="utf-8")
OLD = (GOLDEN / "interpreter-old.txt").read_text(encoding="utf-8")


def test_the_runs_are_read_and_not_what_came_before_them() -> None:
    assert operators(NEW) == (
        Operator("TfLiteXNNPackDelegate", pytest.approx(12.07e-3), "[stem]:0"),
        Operator("MAX_POOL_2D", pytest.approx(1.198e-3), "[pool, stride 2]:1"),
        Operator("TfLiteXNNPackDelegate", pytest.approx(9.29e-3), "[output]:2"),
    )


def test_a_column_more_moves_no_other() -> None:
    first, *_, last = operators(OLD)
    assert first == Operator("CONV_2D", pytest.approx(3.307e-3), "[model/Conv2d_0/Relu6]")
    assert (last.node_type, last.mean_s) == ("SOFTMAX", pytest.approx(0.017e-3))


def test_nodes_outside_of_delegates_are_counted() -> None:
    assert operator_coverage(operators(NEW)) == Coverage(("TfLiteXNNPackDelegate",), 2, 1)
    assert operator_coverage(operators(OLD)) == Coverage((), 0, 3)


def test_line_ends_of_a_terminal_change_nothing() -> None:
    assert operators(NEW.replace("\n", "\r\n")) == operators(NEW)


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        NEW[: NEW.index("= Run Order =", NEW.index("Regular"))],
        NEW.replace("[avg ms]", "[avg us]"),
        NEW.replace("1.198", "1.1x8"),
        NEW[: NEW.index("MAX_POOL_2D") + 30],
    ],
)
def test_a_table_that_is_cut_or_of_other_columns_is_refused(damaged: str) -> None:
    with pytest.raises(GarbledOutputError):
        operators(damaged)


@given(st.integers(0, len(NEW)), st.text(max_size=40))
def test_damage_anywhere_ends_in_rows_or_in_an_error(at: int, damage: str) -> None:
    try:
        found = operators(NEW[:at] + damage + NEW[at:])
    except GarbledOutputError:
        return
    assert all(isinstance(node.mean_s, float) for node in found)
