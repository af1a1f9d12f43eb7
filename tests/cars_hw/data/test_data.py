"""Real images, split apart."""

import numpy as np
import pytest

from cars_hw import data
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
        UnknownNameError, match=r"did you mean 'mnist5k'\? \(known: cifar10, digits, mnist5k\)"
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
