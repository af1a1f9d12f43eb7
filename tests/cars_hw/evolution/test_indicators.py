"""Exact hypervolume against counting cells; distances and shares of a front, by their definitions."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from cars_hw.errors import SelectionError
from cars_hw.evolution.indicators import front_recall, hypervolume, igd_plus


@pytest.mark.parametrize("m", [2, 3])
@given(data=st.data())
def test_it_equals_the_sum_of_dominated_cells(m: int, data: st.DataObject) -> None:
    cost = st.floats(-0.5, 1.5, allow_nan=False)
    rows = data.draw(st.lists(st.lists(cost, min_size=m, max_size=m), min_size=1, max_size=7))
    reference = [1.1] * m

    assert hypervolume(rows, reference) == pytest.approx(
        volume_of_cells(rows, reference), rel=1e-9, abs=1e-12
    )


def test_a_hand_worked_example() -> None:
    assert hypervolume([[0.0, 0.5], [0.5, 0.0], [0.5, 0.5]], [1.0, 1.0]) == pytest.approx(0.75, rel=1e-9)


def test_what_lies_beyond_the_reference_contributes_nothing() -> None:
    assert hypervolume([[0.5, 0.5], [0.0, 1.2]], [1.1, 1.1]) == pytest.approx(0.36, rel=1e-9)
    assert hypervolume([[2.0, 0.0]], [1.1, 1.1]) == 0.0


def test_nothing_dominates_nothing() -> None:
    assert hypervolume(np.empty((0, 3)), [1.1, 1.1, 1.1]) == 0.0


@pytest.mark.parametrize("cost", [math.nan, math.inf, -math.inf])
def test_what_cannot_be_measured_is_refused(cost: float) -> None:
    with pytest.raises(SelectionError, match="only finite"):
        hypervolume([[0.5, cost]], [1.1, 1.1])


def test_a_reference_of_another_length_is_refused() -> None:
    with pytest.raises(SelectionError, match="2 objectives, but a reference point of 3"):
        hypervolume([[0.5, 0.5]], [1.1, 1.1, 1.1])


@given(data=st.data())
def test_igd_plus_is_the_mean_shortfall_of_the_nearest(data: st.DataObject) -> None:
    row = st.lists(st.floats(0, 2, allow_nan=False), min_size=3, max_size=3)
    costs, front = (data.draw(st.lists(row, min_size=1, max_size=5)) for _ in range(2))
    shortfalls = [
        min(math.hypot(*(max(c - f, 0.0) for c, f in zip(cost, point, strict=True))) for cost in costs)
        for point in front
    ]
    assert igd_plus(costs, front) == pytest.approx(sum(shortfalls) / len(shortfalls), rel=1e-9, abs=1e-12)


def test_a_front_that_was_found_or_beaten_is_at_no_distance() -> None:
    front = [[0.0, 1.0], [1.0, 0.0]]
    assert igd_plus(front, front) == 0.0
    assert igd_plus([[0.0, 0.0]], front) == 0.0
    assert igd_plus([[0.0, 1.0]], front) == pytest.approx(0.5)


def test_recall_is_the_share_of_the_front_that_was_found_exactly() -> None:
    front = [[0.0, 1.0], [1.0, 0.0], [0.5, 0.5], [0.2, 0.7]]
    assert front_recall([[1.0, 0.0], [0.5, 0.5], [0.5, 0.6]], front) == 0.5
    assert front_recall(front, front) == 1.0


@pytest.mark.parametrize("measure", [igd_plus, front_recall])
@pytest.mark.parametrize(
    ("costs", "front"),
    [([[math.nan, 0.0]], [[0.0, 0.0]]), ([[0.0]], [[0.0, 0.0]]), (np.empty((0, 2)), [[0.0, 0.0]])],
)
def test_what_cannot_be_compared_with_a_front_is_refused(
    measure: Callable[[ArrayLike, ArrayLike], float], costs: ArrayLike, front: ArrayLike
) -> None:
    with pytest.raises(SelectionError):
        measure(costs, front)


def volume_of_cells(rows: list[list[float]], reference: list[float]) -> float:
    """Cut the box at all coordinates; a cell counts if a point dominates its lower corner."""
    points = np.array(rows)
    axes = [
        sorted({corner, *(x for x in column if x < corner)})
        for column, corner in zip(points.T.tolist(), reference, strict=True)
    ]
    total = 0.0
    for cell in itertools.product(*(itertools.pairwise(axis) for axis in axes)):
        low = np.array([start for start, _ in cell])
        if (points <= low).all(axis=1).any():
            total += math.prod(end - start for start, end in cell)
    return total
