"""Crop, flip and cutout on tensors."""

import torch

from cars_hw.weights.augmentation import Augmentation


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_nothing_asked_for_changes_nothing() -> None:
    images = torch.randn(4, 3, 8, 8)
    assert torch.equal(Augmentation(crop_padding=0, cutout=0, flip=False)(images, _generator()), images)


def test_a_crop_is_a_shift_with_zeros_coming_in() -> None:
    images = torch.arange(1.0, 65.0).reshape(1, 1, 8, 8).repeat(64, 1, 1, 1)
    cropped = Augmentation(crop_padding=2, cutout=0, flip=False)(images, _generator())
    padded = torch.nn.functional.pad(images[0, 0], (2, 2, 2, 2))
    windows = [padded[y : y + 8, x : x + 8] for y in range(5) for x in range(5)]
    found = {i for image in cropped for i, window in enumerate(windows) if torch.equal(image[0], window)}
    assert all(any(torch.equal(image[0], window) for window in windows) for image in cropped)
    assert len(found) > 15


def test_about_half_of_the_images_are_mirrored_as_a_whole() -> None:
    images = torch.randn(400, 2, 4, 4)
    flipped = Augmentation(crop_padding=0, cutout=0, flip=True)(images, _generator())
    mirrored = [torch.equal(image, original.flip(2)) for image, original in zip(flipped, images, strict=True)]
    kept = [torch.equal(image, original) for image, original in zip(flipped, images, strict=True)]
    assert all(m or k for m, k in zip(mirrored, kept, strict=True))
    assert 150 < sum(mirrored) < 250


def test_cutout_zeroes_a_square_in_all_channels() -> None:
    holes = Augmentation(crop_padding=0, cutout=4, flip=False)(torch.ones(100, 3, 16, 16), _generator()) == 0
    assert torch.equal(holes[:, 0], holes[:, 2])
    areas = holes[:, 0].sum((1, 2))
    assert areas.max() == 16
    assert (areas >= 4).all()


def test_the_same_generator_state_gives_the_same_batch() -> None:
    images = torch.randn(8, 3, 16, 16)
    augment = Augmentation(crop_padding=4, cutout=6, flip=True)
    assert torch.equal(augment(images, _generator(3)), augment(images, _generator(3)))
    assert not torch.equal(augment(images, _generator(3)), augment(images, _generator(4)))
