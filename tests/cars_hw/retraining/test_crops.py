"""Crops of any size."""

import pytest
import torch

from cars_hw.retraining.crops import resized_crops


def test_a_crop_of_the_whole_image_is_the_image_but_for_its_aspect() -> None:
    images = torch.full((8, 3, 6, 6), 0.25)
    assert torch.allclose(resized_crops(images, 1.0, torch.Generator().manual_seed(0)), images)


def test_crops_show_parts_of_the_image_that_are_as_large_as_was_asked_for() -> None:
    across = torch.linspace(0, 1, 64).expand(500, 1, 64, 64)
    found = resized_crops(across, 0.25, torch.Generator().manual_seed(0))
    widths = found.amax((1, 2, 3)) - found.amin((1, 2, 3))
    assert found.amin() >= 0
    assert found.amax() <= 1
    # A quarter of the area at the narrowest aspect, 3 to 4, up to all of it.
    assert widths.min().item() == pytest.approx((0.25 * 3 / 4) ** 0.5, abs=0.05)
    assert widths.max().item() == pytest.approx(1, abs=0.03)


def test_the_same_generator_draws_the_same_crops() -> None:
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    first, second = (resized_crops(images, 0.1, torch.Generator().manual_seed(2)) for _ in range(2))
    assert torch.equal(first, second)
