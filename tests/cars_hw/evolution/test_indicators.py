"""Exact hypervolume against counting cells."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_hw.evolution.indicators import hypervolume
from devices._errors import SelectionError


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
