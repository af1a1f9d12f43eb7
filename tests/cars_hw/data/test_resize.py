"""The rule by which an image gets its size, held against what an app would do with Pillow alone."""

import io
from typing import get_args

import numpy as np
import pytest
from PIL import Image, ImageOps

from cars_hw import data
from cars_hw.data import ImageSet, ResizeMode, ResizeRule, decoding_python
from cars_hw.errors import DataError
from devices.foundation import ConfigError
from tests.fakes.image_files import image_file, pixels

MODES: tuple[ResizeMode, ...] = get_args(ResizeMode)
SIZES = [(9, 9), (8, 13), (16, 5), (3, 16), (16, 16), (1, 1)]


def rule_of(mode: ResizeMode, height: int = 16, width: int = 17, **others: object) -> ResizeRule:
    return ResizeRule.checked("rule", {"mode": mode, "height": height, "width": width, **others})


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("interpolation", ["nearest", "box", "bilinear", "bicubic", "lanczos"])
def test_what_the_rule_says_in_python_does_the_same_to_every_byte(
    mode: ResizeMode, interpolation: str
) -> None:
    rule = rule_of(mode, interpolation=interpolation)
    for i, size in enumerate(SIZES):
        for channels in (1, 3):
            content = image_file(
                i, size=size, kind="JPEG", mode=("RGB", "L", "CMYK")[i % 3], orientation=1 + i
            )
            names = {"Image": Image, "ImageOps": ImageOps, "file": io.BytesIO(content)}
            names["image"] = eval(decoding_python(channels), names)  # noqa: S307  # it is what we wrote
            expected = np.asarray(eval(rule.python(), names))  # noqa: S307
            found = rule.pixels(content, 1 if channels == 1 else 3)
            assert found.shape == (channels, 16, 17)
            assert np.array_equal(found, expected[None] if channels == 1 else expected.transpose(2, 0, 1))


def test_each_mode_does_what_its_name_says() -> None:
    flat = np.full((1, 1, 4, 8), 200, np.uint8)
    flat[..., :1] = 100
    fit, crop, stretch = (rule_of(mode, 8, 8).of_arrays(flat)[0, 0] for mode in ("fit", "crop", "stretch"))
    assert (fit[:2] == 0).all()
    assert (fit[2:6] > 0).all()
    assert (fit[6:] == 0).all()
    assert (crop == 200).all()
    assert stretch[:, 0].tolist() == [100] * 8
    assert (stretch[:, 4:] == 200).all()
    padded = rule_of("pad", 6, 11).of_arrays(flat)[0, 0]
    assert np.array_equal(padded, np.pad(flat[0, 0], ((1, 1), (1, 2))))


@pytest.mark.parametrize("mode", MODES)
def test_arrays_and_files_are_resized_alike(mode: ResizeMode) -> None:
    image = pixels(3, 9, 13)
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    rule = rule_of(mode)
    assert np.array_equal(rule.of_arrays(image.transpose(2, 0, 1)[None])[0], rule.pixels(file.getvalue()))


def test_an_image_that_is_as_large_as_asked_for_is_not_touched() -> None:
    image = pixels(3, 16, 17).transpose(2, 0, 1)[None]
    for mode in MODES:
        assert np.array_equal(rule_of(mode).of_arrays(image), image)


def test_a_rule_is_written_as_json_and_read_again() -> None:
    rule = rule_of("fit", interpolation="lanczos")
    assert rule.values() == {"mode": "fit", "height": 16, "width": 17, "interpolation": "lanczos"}
    assert ResizeRule.checked("card", rule.values()) == rule
    assert str(rule) == "fit to 16x17, lanczos"
    with pytest.raises(ConfigError, match="card: mode is 'squeeze'"):
        ResizeRule.checked("card", {**rule.values(), "mode": "squeeze"})


def test_an_image_that_would_lose_its_border_is_refused_by_pad() -> None:
    with pytest.raises(
        ValueError, match=r"it has 18x5 pixels, and pad to 16x17 leaves nothing out; take fit"
    ):
        rule_of("pad").pixels(image_file(0, size=(18, 5)))
    whole = ImageSet("mine", np.zeros((2, 1, 9, 4), np.uint8), np.array([0, 1]), flips=False, source="me")
    assert whole.rule == rule_of("pad", 9, 4)
    with pytest.raises(DataError, match="image_size 7 is too small: make it larger"):
        data.load("tests.fakes.stripes", fitness_images=4, image_size=7)


def test_every_image_of_a_set_goes_through_the_rule_not_square_too() -> None:
    rule = rule_of("stretch", 12, 6)
    plain = data.load("tests.fakes.stripes", fitness_images=4)
    resized = data.load_split("tests.fakes.stripes", data.Split(4), rule=rule)
    assert resized.training.image_shape == resized.fitness.image_shape == (1, 12, 6)
    assert resized.training.rule == resized.fitness.rule == rule
    expected = rule(Image.fromarray(plain.fitness.images[0, 0]))
    assert np.array_equal(resized.fitness.images[0, 0], np.asarray(expected))


def test_half_a_rule_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"data\.resize is fit, to no size: set data\.image_size"):
        data.resize_rule("tests.fakes.stripes", "fit", None)
    with pytest.raises(ConfigError, match=r"images of folder have any size: set data\.resize to fit, crop"):
        data.resize_rule("folder", None, (8, 8))
    assert data.resize_rule("tests.fakes.stripes", None, None) is None
    assert data.resize_rule("tests.fakes.stripes", None, (9, 8)) == rule_of("pad", 9, 8)
