"""The operator table of benchmark_model, whatever its columns are."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profilers.errors import GarbledOutputError
from profilers.runtimes._benchmark_model.operators import operator_coverage, operators, operators_inside
from profilers.runtimes._coverage import Coverage

GOLDEN = Path(__file__).parents[3] / "golden" / "benchmark_model"
NEW = (GOLDEN / "interpreter-new.txt").read_text(encoding="utf-8")
OLD = (GOLDEN / "interpreter-old.txt").read_text(encoding="utf-8")


def test_the_runs_are_read_and_not_what_came_before_them() -> None:
    found = operators(NEW)
    assert [(node.node_type, node.name) for node in found] == [
        ("TfLiteXNNPackDelegate", "[stem]:0"),
        ("MAX_POOL_2D", "[pool, stride 2]:1"),
        ("TfLiteXNNPackDelegate", "[output]:2"),
    ]
    assert [node.mean_s for node in found] == pytest.approx([12.07e-3, 1.198e-3, 9.29e-3])


def test_a_column_more_moves_no_other() -> None:
    first, *_, last = operators(OLD)
    assert (first.node_type, last.node_type) == ("CONV_2D", "SOFTMAX")
    assert first.name == "[model/Conv2d_0/Relu6]"
    assert (first.mean_s, last.mean_s) == pytest.approx((3.307e-3, 0.017e-3))


INSIDE = """
Delegate internal:
============================== Run Order ==============================
	[node type]	[first]	[avg ms]	[%]	[cdf%]	[mem KB]	[times called]	[Name]
	Convolution (NHWC, F32) IGEMM	12.001	12.000	59%	59%	0.000	1	Delegate/Convolution:0
	Fully Connected (NC, F32) GEMM	9.001	9.000	41%	100%	0.000	1	Delegate/Fully Connected:1

============================== Top by Computation Time ==============================
"""


def test_what_a_delegate_tells_of_itself_takes_its_place() -> None:
    assert operators_inside(NEW) == operators(NEW)
    found = operators_inside(NEW + INSIDE)
    assert [node.node_type for node in found] == [
        "Convolution (NHWC, F32) IGEMM",
        "Fully Connected (NC, F32) GEMM",
        "MAX_POOL_2D",
    ]
    assert [node.mean_s for node in found] == pytest.approx([12e-3, 9e-3, 1.198e-3])
    assert operators_inside(OLD) == operators(OLD)


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
        NEW.replace("1.198", "nan"),
        NEW.replace("1.198", "-1.198"),
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
