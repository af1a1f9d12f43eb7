"""Real images, split apart."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cars_hw import data
from cars_hw.data import ImageSet
from cars_hw.errors import DataError
from devices.foundation import ConfigError, UnknownNameError


@pytest.mark.parametrize(
    ("name", "n", "shape"), [("mnist5k", 5000, (1, 28, 28)), ("digits", 1797, (1, 8, 8))]
)
def test_the_embedded_sets_are_the_real_ones(name: str, n: int, shape: tuple[int, int, int]) -> None:
    loaded = data.load(name, fitness_images=500)
    assert len(loaded.training.labels) + len(loaded.fitness.labels) == n
    assert loaded.training.images.shape[1:] == shape
    assert loaded.training.images.dtype == np.uint8
    assert loaded.training.images.max() == 255
    assert loaded.training.classes == 10


def test_no_image_trains_weights_and_judges_architectures() -> None:
    whole = data.load("mnist5k", fitness_images=1000)
    training = {image.tobytes() for image in whole.training.images}
    fitness = {image.tobytes() for image in whole.fitness.images}
    assert len(fitness) == 1000
    assert not training & fitness


def test_fitness_images_are_spread_evenly_over_the_classes() -> None:
    fitness = data.load("mnist5k", fitness_images=1000).fitness
    assert np.bincount(fitness.labels).tolist() == [100] * 10
    uneven = data.load("digits", fitness_images=105).fitness
    assert set(np.bincount(uneven.labels)) == {10, 11}


def test_the_split_follows_from_its_seed() -> None:
    assert (
        data.load("digits", fitness_images=100).digest() == data.load("digits", fitness_images=100).digest()
    )
    other = data.load("digits", fitness_images=100, seed=1)
    assert other.digest() != data.load("digits", fitness_images=100).digest()


def test_normalisation_comes_from_the_training_images_alone() -> None:
    loaded = data.load("digits", fitness_images=100)
    pixels = loaded.training.images / 255
    assert loaded.channel_mean == pytest.approx([pixels.mean()], rel=1e-5)
    assert loaded.channel_std == pytest.approx([pixels.std()], rel=1e-5)


def test_an_unknown_set_names_the_known_ones_and_the_closest() -> None:
    with pytest.raises(
        UnknownNameError,
        match=r"did you mean 'mnist5k'\? \(known: cifar10, cifar100, digits, folder, mnist5k, parquet\)",
    ):
        data.load("mnist", fitness_images=100)


def test_a_set_in_a_package_takes_no_path() -> None:
    with pytest.raises(DataError, match=r"leave data\.path out"):
        data.load("digits", fitness_images=100, path="digits.tar")


def test_a_set_in_files_says_where_to_get_them() -> None:
    with pytest.raises(DataError, match=r"set data\.path to cifar-10-binary\.tar\.gz \(from www\."):
        data.load("cifar10", fitness_images=100)


@pytest.mark.parametrize("n", [0, 9, 899])
def test_a_split_that_leaves_too_few_images_is_refused(n: int) -> None:
    with pytest.raises(DataError, match=f"{n} fitness images"):
        data.load("digits", fitness_images=n)


def test_images_are_padded_with_zeros_to_the_size_asked_for() -> None:
    plain = data.load("digits", fitness_images=100).training.images
    padded = data.load("digits", fitness_images=100, image_size=11).training.images
    assert padded.shape[1:] == (1, 11, 11)
    assert np.array_equal(padded[:, :, 1:9, 1:9], plain)
    assert padded.sum() == plain.sum()
    with pytest.raises(DataError, match="image_size 7 is too small"):
        data.load("digits", fitness_images=100, image_size=7)


def test_a_set_from_outside_is_loaded_by_its_module_and_has_settings_of_its_own() -> None:
    name = "tests.fakes.stripes"
    narrow, wide = (data.load(name, fitness_images=4, width=width) for width in (1, 4))
    assert narrow.name == name
    edges = [np.count_nonzero(np.diff(images.training.images.astype(int))) for images in (narrow, wide)]
    assert edges[0] == 7 * edges[1]
    with pytest.raises(ConfigError, match=r"tests\.fakes\.stripes: width is 5; .* less than or equal to 4"):
        data.load(name, fitness_images=4, width=5)


def test_a_set_takes_no_setting_that_it_does_not_declare() -> None:
    with pytest.raises(UnknownNameError, match="unknown setting of digits 'width'"):
        data.load("digits", fitness_images=100, width=5)


def test_images_show_their_number_and_shape_and_no_pixels() -> None:
    fitness = data.load("tests.fakes.stripes", fitness_images=4).fitness
    assert repr(fitness) == "ImageSet('tests.fakes.stripes', 4 images 1x8x8, 2 classes)"


X = np.zeros((4, 1, 2, 2), dtype=np.uint8)


@pytest.mark.parametrize("kind", [*"bBhHiIlLqQ", "?", "e", "f", "d", ">i4", ">u8", "<f8"])
def test_labels_of_any_type_of_whole_numbers_are_used(kind: str) -> None:
    found = ImageSet("mine", X, np.array([0, 1, 1, 0]).astype(kind), flips=False, source="me")
    assert found.labels.dtype == np.int64
    assert found.labels.tolist() == [0, 1, 1, 0]
    assert found.classes == 2


@pytest.mark.parametrize("kind", [*"hiqQfd", ">u2"])
def test_images_of_any_type_of_whole_numbers_are_used(kind: str) -> None:
    found = ImageSet("mine", (X + 255).astype(kind), np.zeros(4, np.int64), flips=False, source="me")
    assert found.images.dtype == np.uint8
    assert found.images.max() == 255


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (np.array([0, 1, -1, 2]), "labels of mine hold -1"),
        (np.array([0, 1, 0.5, 2]), "labels of mine hold 0.5"),
        (np.array([0, 1, np.nan, 2]), "labels of mine hold nan"),
        (np.array([0, 1, np.inf, 2]), "labels of mine hold inf"),
        (np.array([0, 1, 2, 2**64 - 1], np.uint64), "labels of mine hold 18446744073709551615"),
        (np.array([0, 1, 1, 2**63], np.float64), "labels of mine hold 9.2"),
        (np.array(list("abcd")), "labels of mine are of type <U1"),
        (np.array([None, 1, 2, 3]), "labels of mine are of type object"),
        (np.array([0, 1, 2, 3j]), "labels of mine are of type complex128"),
        (np.zeros((4, 1), np.int64), r"labels \(4, 1\); give"),
        (np.zeros(3, np.int64), r"labels \(3,\); give"),
    ],
)
def test_labels_that_are_none_are_refused_in_one_line(labels: NDArray[Any], text: str) -> None:
    with pytest.raises(DataError, match=text) as caught:
        ImageSet("mine", X, labels, flips=False, source="me")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("images", "text"),
    [
        (X + 0.5, "images of mine hold 0.5"),
        (X.astype(np.int16) - 1, "images of mine hold -1"),
        (X.astype(np.int16) + 256, "images of mine hold 256"),
        (X[0], r"images \(1, 2, 2\)"),
        (X[:0], r"images \(0, 1, 2, 2\)"),
    ],
)
def test_images_that_are_none_are_refused_in_one_line(images: NDArray[Any], text: str) -> None:
    with pytest.raises(DataError, match=text):
        ImageSet("mine", images, np.zeros(len(images), np.int64), flips=False, source="me")
