import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cars_hw.strategies._nse import inclusion
from cars_hw.strategies._nse.inclusion import Size

Set = tuple[bool, ...]


def distribution(p: list[float], size: Size, *, without: Set | None = None) -> dict[Set, float]:
    """The probability of every admissible set, by enumeration."""
    weights = {
        chosen: math.prod(q if on else 1 - q for q, on in zip(p, chosen, strict=True))
        for chosen in itertools.product((False, True), repeat=len(p))
        if size.fewest <= sum(chosen) <= size.most and chosen != without
    }
    return {chosen: weight / sum(weights.values()) for chosen, weight in weights.items()}


def assert_drawn_from(expected: dict[Set, float], found: list[Set]) -> None:
    counts = Counter(found)
    assert set(counts) <= set(expected)
    for chosen, probability in expected.items():
        deviation = math.sqrt(probability * (1 - probability) / len(found))
        assert abs(counts[chosen] / len(found) - probability) <= 5 * deviation + 1e-12, chosen


@pytest.mark.parametrize("size", [Size(0, 3), Size(1, 3), Size(1, 1), Size(0, 2), Size(2, 2)], ids=str)
def test_sets_are_drawn_as_often_as_their_probability_says(size: Size) -> None:
    p = [0.9, 0.5, 0.2]
    drawn = inclusion.draw(p, size, 20_000, np.random.default_rng(0))
    assert_drawn_from(distribution(p, size), [tuple(map(bool, row)) for row in drawn])


def test_the_probabilities_of_the_subsets_of_two_branches_are_those_worked_by_hand() -> None:
    # One or two of the branches 0.8 and 0.5: {first} 0.4, {second} 0.1, both 0.4, of a total of 0.9.
    assert distribution([0.8, 0.5], Size(1, 2)) == pytest.approx(
        {(True, False): 4 / 9, (False, True): 1 / 9, (True, True): 4 / 9}
    )
    drawn = inclusion.draw([0.8, 0.5], Size(1, 2), 9000, np.random.default_rng(1))
    assert Counter(map(tuple, drawn.tolist()))[(False, True)] == pytest.approx(1000, abs=150)


def test_alternatives_are_drawn_by_their_odds() -> None:
    p = np.array([0.1, 0.5, 0.8])
    drawn = inclusion.draw(p, Size(1, 1), 20_000, np.random.default_rng(2))
    odds = p / (1 - p)
    assert drawn.sum(axis=1).tolist() == [1] * 20_000
    np.testing.assert_allclose(drawn.mean(axis=0), odds / odds.sum(), atol=0.02)


@pytest.mark.parametrize("size", [Size(0, 3), Size(1, 3), Size(1, 1), Size(0, 1)], ids=str)
@pytest.mark.parametrize("first", [(True, False, False), (False, False, True), (True, True, False)], ids=str)
def test_the_other_set_is_drawn_from_all_but_the_first(size: Size, first: Set) -> None:
    p, rng = [0.95, 0.4, 0.1], np.random.default_rng(3)
    found = [inclusion.draw_other(p, size, np.array(first), rng) for _ in range(6000)]
    others = [tuple(map(bool, other)) for other in found if other is not None]
    assert len(others) == len(found)
    assert_drawn_from(distribution(p, size, without=first), others)


@pytest.mark.parametrize(
    ("p", "size", "first"),
    [([0.3], Size(1, 1), (True,)), ([], Size(0, 5), ()), ([0.3, 0.6], Size(2, 2), (True, True))],
)
def test_where_there_is_one_set_there_is_no_other(p: list[float], size: Size, first: Set) -> None:
    assert inclusion.draw_other(p, size, np.array(first, dtype=np.bool_), np.random.default_rng(0)) is None


def test_a_set_that_is_almost_certain_still_has_another() -> None:
    p, first = [0.9995] * 12, np.ones(12, dtype=np.bool_)
    found = [inclusion.draw_other(p, Size(1, 12), first, np.random.default_rng(i)) for i in range(20)]
    assert all(other is not None and not np.array_equal(other, first) for other in found)


def test_sizes_that_chance_would_hardly_meet_are_drawn_at_once() -> None:
    drawn = inclusion.draw([0.5] * 72, Size(1, 3), 500, np.random.default_rng(0))
    assert set(drawn.sum(axis=1).tolist()) <= {1, 2, 3}
    assert drawn.any(axis=0).sum() > 60


@settings(max_examples=50, deadline=None)
@given(
    p=st.lists(st.floats(0.0005, 0.9995), min_size=1, max_size=6),
    seed=st.integers(0, 1000),
    fewest=st.integers(0, 1),
    most=st.integers(1, 6),
)
def test_what_is_drawn_is_admissible(p: list[float], seed: int, fewest: int, most: int) -> None:
    size, rng = Size(fewest, most), np.random.default_rng(seed)
    first = inclusion.draw(p, size, 1, rng)[0]
    other = inclusion.draw_other(p, size, first, rng)
    assert fewest <= first.sum() <= most
    assert other is None or (fewest <= other.sum() <= most and not np.array_equal(first, other))
    if other is not None:
        both = distribution(p, size)
        ratio = both[tuple(map(bool, first))] / both[tuple(map(bool, other))]
        assert inclusion.log_odds(p, first, other) == pytest.approx(math.log(ratio), abs=1e-9)
