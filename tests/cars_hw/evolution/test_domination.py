"""Non-dominated sorting against its definition, and what cannot be ranked."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from cars_hw.errors import SelectionError
from cars_hw.evolution import domination

Rows = list[list[float]]


def tables(m: int) -> st.SearchStrategy[Rows]:
    return st.lists(st.lists(st.integers(0, 4).map(float), min_size=m, max_size=m), min_size=1, max_size=20)


@given(st.integers(1, 4).flatmap(tables), st.data())
def test_fronts_are_those_of_the_definition(rows: Rows, data: st.DataObject) -> None:
    some = st.lists(st.sampled_from([0.0, 0.0, 0.5, 2.0]), min_size=len(rows), max_size=len(rows))
    violations = data.draw(some)

    found = [front.tolist() for front in domination.fronts(rows, violations)]

    assert found == fronts_by_definition(rows, violations)


def test_duplicates_share_a_front() -> None:
    assert [front.tolist() for front in domination.fronts([[1, 2], [0, 3], [1, 2], [1, 3]])] == [
        [0, 1, 2],
        [3],
    ]


def test_no_candidates_form_no_front() -> None:
    assert domination.fronts(np.empty((0, 3))) == []
    assert domination.fronts(np.empty((0, 3)), []) == []


@pytest.mark.parametrize(
    "costs",
    [
        [[0.0, math.nan]],
        [[0.0, math.inf]],
        [[0.0, -math.inf]],
        [[0.0, 1e300]],
        [[0.0], [0.0, 1.0]],
        [["small", 1.0]],
        [[None, 1.0]],
        [0.0, 1.0],
        [],
        [[]],
    ],
    ids=str,
)
def test_what_cannot_be_ranked_is_refused(costs: ArrayLike) -> None:
    with pytest.raises(SelectionError):
        domination.fronts(costs)


def test_the_message_names_the_candidate() -> None:
    with pytest.raises(SelectionError, match=r"candidate 1 costs \[0\.5, nan\]"):
        domination.as_costs([[0.1, 0.2], [0.5, math.nan]])


@pytest.mark.parametrize("violations", [[0.0], [0.0, -1.0], [0.0, math.nan], [0.0, math.inf]], ids=str)
def test_violations_that_cannot_be_ranked_are_refused(violations: list[float]) -> None:
    with pytest.raises(SelectionError, match="violations of 2 candidates"):
        domination.fronts([[1.0], [2.0]], violations)


def fronts_by_definition(rows: Rows, violations: list[float]) -> list[list[int]]:
    left, fronts = set(range(len(rows))), []
    while left:
        front = {i for i in left if not any(is_better(j, i, rows, violations) for j in left)}
        fronts.append(sorted(front))
        left -= front
    return fronts


def is_better(i: int, j: int, rows: Rows, violations: list[float]) -> bool:
    """Constrained domination as in Deb 2000: by violation, then by domination."""
    if violations[i] != violations[j]:
        return violations[i] < violations[j]
    return rows[i] != rows[j] and all(a <= b for a, b in zip(rows[i], rows[j], strict=True))
