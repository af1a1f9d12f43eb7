"""Which images are for what: no image is for two things, and no class is left out of training."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cars_hw import data
from cars_hw.data import ImageSet, Split
from cars_hw.errors import DataError


def numbered(labels: list[int]) -> ImageSet:
    """Return images of two pixels of which each says its number."""
    numbers = np.arange(len(labels))
    images = np.stack([numbers % 256, numbers // 256], axis=1).astype(np.uint8)
    return ImageSet("mine", images.reshape(-1, 1, 1, 2), np.array(labels), flips=False, source="me")


def numbers_of(images: ImageSet) -> set[int]:
    flat = images.images.reshape(-1, 2).astype(int)
    return set((flat[:, 0] + 256 * flat[:, 1]).tolist())


@given(st.lists(st.integers(1, 40), min_size=2, max_size=6), st.integers(0, 3), st.data())
def test_no_image_is_for_two_things_and_every_class_is_trained_on(
    counts: list[int], seed: int, draw: st.DataObject
) -> None:
    whole = numbered([label for label, n in enumerate(counts) for _ in range(n)])
    split = Split(draw.draw(st.integers(1, 60)), draw.draw(st.none() | st.integers(1, 30)), seed)
    try:
        rest = split.without_test(whole)
        divided = split.divided(rest)
    except DataError:
        return
    test = set() if split.test_images is None else numbers_of(split.drawn_test(whole))
    parts = [numbers_of(divided.training), numbers_of(divided.fitness), test]
    assert set.union(*parts) == numbers_of(whole)
    assert sum(map(len, parts)) == len(whole.labels)
    assert len(divided.fitness.labels) == split.fitness_images
    assert set(divided.training.labels.tolist()) == set(range(len(counts)))
    assert divided.training.classes == divided.fitness.classes == len(counts)


def test_test_images_are_spread_over_the_classes_and_follow_from_the_seed() -> None:
    whole = numbered([label for label in range(4) for _ in range(20)])
    first, again = (Split(8, 12, seed=5).drawn_test(whole) for _ in range(2))
    assert np.bincount(first.labels).tolist() == [3] * 4
    assert numbers_of(first) == numbers_of(again)
    assert numbers_of(first) != numbers_of(Split(8, 12, seed=6).drawn_test(whole))
    assert numbers_of(first) == numbers_of(Split(16, 12, seed=5).drawn_test(whole))  # however it is searched


def test_a_set_without_test_images_of_its_own_has_those_that_are_drawn() -> None:
    split = Split(20, 30)
    searched = data.load_split("digits", split)
    test = data.load_test("digits", split)
    assert test is not None
    assert len(searched.training.labels) + len(searched.fitness.labels) + len(test.labels) == 1797
    assert np.bincount(test.labels).tolist() == [3] * 10
    assert data.load_test("digits", Split(20)) is None


@pytest.mark.parametrize(
    ("labels", "split", "text"),
    [
        ([0, 0, 0, 0], Split(1), "mine has one class, 0; there is nothing to tell apart"),
        ([0, 1, 0, 1], Split(3), "3 fitness images of mine; set data.fitness_images to 2 to 2"),
        ([0, 1, 0, 1], Split(2, 3), "3 test images of mine; set data.test_images to 1 to 2"),
    ],
)
def test_what_cannot_be_split_is_one_line(labels: list[int], split: Split, text: str) -> None:
    with pytest.raises(DataError, match=text):
        split.divided(split.without_test(numbered(labels)))
